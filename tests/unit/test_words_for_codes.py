"""Codes that reach a page have words in both languages: where one lacked them, the page showed the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

import lienthong.connectors
import lienthong.monitoring.detectors
from lienthong.bus.flows import procedure_changes
from lienthong.connectors import base
from lienthong.console.web.pages import mapping_pages
from lienthong.console.web.words import every
from lienthong.core import errors, money, records
from lienthong.monitoring.detectors import findings

CONNECTORS = Path(lienthong.connectors.__file__).parent
# Terms without a mark that are no English.
VIETNAMESE_ANYHOW = {"Cha", "TechID"}
CHECKED = re.compile(r"""(?:(?:passed|failed)_check\(\s*|CheckResult\(\s*name=)"([a-z_]+)\"""")


def parts() -> dict[str, str | None]:
    """Give the parts of a procedure that a comparison tells of, as it names them."""
    left_out = procedure_changes._NOT_CONTENT
    found = {
        name: info.description for name, info in records.Procedure.model_fields.items() if name not in left_out
    }
    for name, info in records.Decision.model_fields.items():
        if name not in left_out:
            found[f"decision_{name}"] = info.description
    return found


def test_an_english_page_named_the_parts_of_a_procedure_in_vietnamese() -> None:
    named = {name: every()[f"procedure_parts.{name}"]["vi"] for name in parts()}
    assert named == parts()


@pytest.mark.parametrize("outcome", get_args(money.CallbackOutcome))
def test_a_payment_told_what_became_of_a_callback_in_a_code(outcome: str) -> None:
    assert f"callback_outcomes.{outcome}" in every()


def test_a_line_of_the_self_check_was_named_by_a_code() -> None:
    files = CONNECTORS.rglob("*.py")
    named = {name for file in files for name in CHECKED.findall(file.read_text(encoding="utf-8"))}
    assert named >= {"token", "reach", "wsdl", "settings"}
    assert {name for name in named if f"check_parts.{name}" not in every()} == set()


def test_a_word_stood_twice_in_a_file_and_only_the_last_counted() -> None:
    for file in (Path(mapping_pages.__file__).parents[1] / "words").glob("*.yml"):
        lines = (line.partition(":")[0] for line in file.read_text(encoding="utf-8").splitlines())
        keys = [key for key in lines if key and key[0] not in "# {"]
        assert len(keys) == len(set(keys)), file.name


def test_a_vietnamese_page_told_in_english_why_a_field_is_left_out() -> None:
    said = set()
    for spec in mapping_pages._every_spec().values():
        said |= set(spec.refused.values())
        for message in spec.messages.values():
            said |= {it.remark for it in message.fields if it.remark}
            said |= {why.reason for why in (*message.not_sent.values(), *message.ignored.values())}
            terms = [term for it in message.fields for term in mapping_pages.terms(message.record, it.record)]
            said |= {term for term in terms if term.isascii() and term not in VIETNAMESE_ANYHOW}
    assert said == mapping_pages.notes().keys()


def test_a_self_check_promised_to_send_again_though_it_had_sent_nothing() -> None:
    line = base.failed_check("login", errors.RemoteUnavailable(system="ngsp"))
    assert line.vi == (
        "Hệ thống bên ngoài không kết nối được hoặc không trả lời; "
        "hãy kiểm tra địa chỉ đã khai (cấu hình BASE_URL), đường truyền và tường lửa."
    )
    assert "tried again" not in line.en
    assert base.failed_check("read", errors.RemoteGarbled(system="ngsp")).vi == errors.RemoteGarbled.vi


def figures() -> set[str]:
    """Give the names of what detectors put beside what is normal; names in variables are their `kind`s."""
    found = {"unheard", "opened_after", "never_moves", "operation", "group"}
    for file in Path(lienthong.monitoring.detectors.__file__).parent.glob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Finding":
                seen_and_normal = [node for part in call.args[5:7] for node in ast.walk(part)]
                keys = [key for node in seen_and_normal if isinstance(node, ast.Dict) for key in node.keys]
                found |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
    return found


def test_an_alert_set_what_was_seen_beside_what_is_normal_under_a_code() -> None:
    assert figures() >= {"requests", "silent_minutes", "persons"}
    assert {name for name in figures() if f"findings.{name}" not in every()} == set()


@pytest.mark.parametrize("rule", findings.RULES)
def test_an_alert_left_it_to_a_handbook_what_to_do(rule: str) -> None:
    assert f"rule_does.{rule}" in every()


@pytest.mark.parametrize("rule", findings.RULES)
def test_the_page_of_a_rule_did_not_say_what_it_watches(rule: str) -> None:
    assert f"rule_watches.{rule}" in every()


def codes(kind: type[errors.HubError] = errors.HubError) -> set[str]:
    """Give the code of every error that the hub can record as what became of a call."""
    return {kind.code} | {code for each in kind.__subclasses__() for code in codes(each)}


def test_the_answer_to_a_citizen_told_what_became_of_a_look_in_a_code() -> None:
    assert codes() >= {"Client.LimitExceeded", "Server.Remote.Unavailable"}
    assert {code for code in codes() if f"states.{code.replace('.', '_')}" not in every()} == set()
