"""Envelopes made once and filled: byte for byte what zeep writes, or left to zeep."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import zeep
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from lienthong.connectors import population, soap_template

LOOK_UP = population.SERVICES["look_up"]
FIELDS = {
    "number": "H38-20260115093000-0000000001",
    "service_code": "1.000001",
    "integration_code": "037",
    "official_code": "CB000123",
    "citizen_id": "001099000001",
    "full_name": "NGUYỄN VĂN MẪU",
    "year": "1999",
}
FURTHER = ("unit_code", "account", "phone")
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
SHARED = soap_template.Templates()


@cache
def client() -> zeep.Client:
    return zeep.Client(str(population.WSDL))


def by_zeep(values: Mapping[str, Any]) -> bytes:
    root = client().create_message(client().service, LOOK_UP, **values)
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def filled(fields: Mapping[str, str], templates: soap_template.Templates = SHARED) -> bytes | None:
    return templates.written(LOOK_UP, population.soap_values(fields), by_zeep)


@given(texts=st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXTS), optional=dict.fromkeys(FURTHER, TEXTS)))
@example(texts={**FIELDS, "full_name": "a&b<c>d\"e'f]]>&amp;"})
@example(texts={**FIELDS, "full_name": "  hai  đầu\ttrắng \n"})
@example(texts={**FIELDS, "full_name": "\ufffe"})
@example(texts={**FIELDS, "full_name": "tờ khai \r\n"})
@example(texts={**FIELDS, "full_name": "𠀀 \u2028 \x85 \ufdd0"})
def test_a_filled_envelope_is_byte_for_byte_what_zeep_writes(texts: dict[str, str]):
    found = filled(texts)
    if found is not None:
        assert found == by_zeep(population.soap_values(texts))


def test_an_ordinary_question_is_filled_and_zeep_is_asked_only_once_for_its_form():
    templates, asked = soap_template.Templates(), list[Mapping[str, Any]]()

    def write(values: Mapping[str, Any]) -> bytes:
        asked.append(values)
        return by_zeep(values)

    for name in ("NGUYỄN VĂN MẪU", "TRẦN THỊ <VÍ> & DỤ"):
        values = population.soap_values({**FIELDS, "full_name": name})
        assert templates.written(LOOK_UP, values, write) == by_zeep(values)
    assert len(asked) == 2  # twice with marks, for the form; no person's name goes that way
    assert not any(name in str(values) for values in asked for name in ("NGUYỄN", "VÍ"))


def test_the_place_of_a_value_follows_the_description_and_not_the_order_given():
    turned = dict(reversed(population.soap_values(FIELDS).items()))
    assert SHARED.written(LOOK_UP, turned, by_zeep) == by_zeep(population.soap_values(FIELDS))


@pytest.mark.parametrize("wrong", ["\x00", "\x1b", "\x7f", "\ud800", ""])
def test_what_xml_cannot_hold_and_what_is_empty_is_left_to_zeep(wrong: str):
    assert filled({**FIELDS, "full_name": wrong}) is None


@pytest.mark.parametrize("value", [None, 7, True, b"x", ["x"], ("x",)])
def test_other_values_than_texts_are_left_to_zeep(value: Any):
    assert soap_template.Templates().written("x", {"value": value}, by_zeep) is None


@pytest.mark.parametrize(
    "write",
    [
        lambda values: f"<a>{'true' if values['x'] else 'false'}</a>",
        lambda values: f"<a>{values['x'].strip()}</a>",
        lambda values: f"<a>{' '.join(values['x'].split())}</a>",
        lambda values: f"<a>{values['x'].lower()}</a>",
        lambda values: f'<a b="{values["x"]}"/>',
        lambda values: f"<a>{values['x']}</a><b>{values['x']}</b>",
        lambda values: f"<a>{values['x']}</a><id>{uuid.uuid4()}</id>",
    ],
    ids=["boolean", "stripped", "collapsed", "lowered", "attribute", "twice", "a new id each time"],
)
def test_a_form_whose_values_do_not_stand_as_they_are_is_left_to_zeep(write: Any):
    templates = soap_template.Templates()
    for _ in range(2):
        assert templates.written("x", {"x": "true"}, lambda values: write(values).encode()) is None


def test_two_spellings_of_one_operation_do_not_share_an_envelope():
    templates = soap_template.Templates()
    for tag in ("a", "b"):
        found = templates.written(("x", tag), {"x": "1"}, lambda it, tag=tag: f"<{tag}>{it['x']}</{tag}>".encode())
        assert found == f"<{tag}>1</{tag}>".encode()
