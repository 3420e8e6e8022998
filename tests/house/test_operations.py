"""House rules for the table of operations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lienthong.bus import operations
from lienthong.bus.gateway import answers, examples
from lienthong.core import settings

TABLE = operations.OPERATIONS


@pytest.mark.parametrize("operation", TABLE, ids=lambda operation: operation.name)
def test_every_operation_says_all_that_the_doors_need(operation: operations.Operation):
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", operation.name)
    assert operation.method in {"GET", "PUT", "POST", "DELETE"}
    assert operation.path.startswith("/v1/")
    assert isinstance(operation.personal, bool)
    assert re.search("[ăâđêôơưáàảãạéèẻẽẹíìỉĩịóòỏõọúùủũụýỳỷỹỵấầẩẫậắằẳẵặếềểễệốồổỗộớờởỡợứừửữự]", operation.summary_vi)
    assert operation.summary_en.isascii()
    assert {operation.success, operation.created} <= {None, 200, 201, 202}


@pytest.mark.parametrize("operation", TABLE, ids=lambda operation: operation.name)
def test_the_parts_of_a_path_have_a_model_and_an_example(operation: operations.Operation):
    parts = set(re.findall(r"{(\w+)}", operation.path))
    assert set(operation.place.model_fields if operation.place else ()) == parts
    assert set(examples.PATHS.get(operation.name, ())) == parts
    assert set(operation.from_path) <= parts


@pytest.mark.parametrize("operation", TABLE, ids=lambda operation: operation.name)
def test_what_is_sent_is_strict_and_has_its_vietnamese_term(operation: operations.Operation):
    for model in (operation.query, operation.body):
        if model is not None:
            assert model.model_config.get("extra") == "forbid"
            assert all(field.description for field in model.model_fields.values())
    assert (operation.body is None) == (operation.name not in examples.BODIES)
    is_bare = operation.name in {"tokens.issue", "parcels.cancel"}  # all they need is in headers and path
    assert (operation.body is None) == (is_bare or operation.method not in {"PUT", "POST"})


def test_names_and_addresses_are_used_once():
    assert len({operation.name for operation in TABLE}) == len(TABLE)
    assert len({(operation.method, operation.path) for operation in TABLE}) == len(TABLE)


def test_the_gateway_has_a_limit_for_everything_it_reads():
    chosen = settings.Gateway()
    assert chosen.body_limit_bytes
    assert chosen.depth_limit
    assert chosen.body_timeout_s


def test_the_api_page_names_every_error():
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    for kind in answers.known_errors():
        assert f"| `{kind.code}` | {kind.status} | " in page
