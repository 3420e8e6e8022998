"""An operator at the command line, from an empty hub to a revoked key; what goes wrong is said in plain words."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lienthong.console.cli import main

ISSUE = ("keys", "issue", "--organisation", "Sở Tư pháp", "--system", "ho-tich", "--custodian", "Trần Thị Ví Dụ")
WHAT = ("--grants", "procedures.list,dossiers.*", "--limit", "600/minute")


class Desk:
    """One machine, and the people who may work on it."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self._environment = {"LIENTHONG_HOME": str(home / "var"), **settings}

    def run(self, *words: str, actor: str = "an", typed: str = "") -> Result:
        environment = {**self._environment, "LOGNAME": actor}
        return CliRunner().invoke(main.app, list(words), env=environment, input=typed)

    def done(self, *words: str, actor: str = "an") -> str:
        ended = self.run(*words, actor=actor)
        assert ended.exit_code == 0, f"{words}\n{ended.output}"
        return ended.stdout

    def answer(self, *words: str, actor: str = "an"):
        return json.loads(self.done(*words, "--json", actor=actor))

    def refused(self, *words: str, actor: str = "an") -> str:
        ended = self.run(*words, actor=actor)
        assert ended.exit_code == 1, f"{words}\n{ended.output}"
        # As read aloud: a narrow terminal folds the lines.
        return " ".join(ended.stderr.split())


@pytest.fixture(autouse=True)
def _at_a_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands run in this process: nothing of them may stay."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LIENTHONG_")]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_from_an_empty_hub_to_a_revoked_key(desk: Desk):
    assert "không có gì" in desk.done("keys", "list")
    issued = desk.answer(*ISSUE, *WHAT)
    name = issued["prefix"]
    assert "MỌI ĐỊA CHỈ" in desk.done("keys", "show", name)
    changed = desk.answer("keys", "limit", name, "--address", "203.0.113.0/24", "--hours", "t2-t6 7:00-18:00",
                          "--reason", "văn bản 12")  # fmt: skip
    assert (changed["addresses"], changed["hours"]) == (["203.0.113.0/24"], ["mon-fri 07:00-18:00"])
    second = desk.answer("keys", "rotate", name, "--overlap", "7d", "--reason", "định kỳ")
    assert (second["id"], second["generation"]) == (issued["id"], 2)
    assert desk.answer("keys", "suspend", name, "--reason", "nghi lộ")["state"] == "suspended"
    assert "nothing changed" in desk.done("keys", "suspend", name, "--reason", "nghi lộ")
    assert desk.answer("keys", "resume", name, "--reason", "nhầm")["state"] == "active"
    assert desk.answer("keys", "confirm", name)["confirmed_by"] == "an"
    assert [line["what"] for line in desk.answer("keys", "due", "--within", "400")] == ["expires"]
    assert desk.answer("keys", "revoke", name, "--reason", "thôi dùng")["state"] == "revoked"
    shown = desk.answer("keys", "show", issued["id"])
    assert [each["number"] for each in shown["generations"]] == [2, 1]
    assert issued["key"] not in json.dumps(shown) + desk.done("keys", "list")


def test_where_two_people_are_asked_for_one_is_not_enough(tmp_path: Path):
    desk = Desk(tmp_path, LIENTHONG_KEYS__TWO_PEOPLE="true")
    assert "người khác duyệt" in desk.done(*ISSUE, *WHAT)
    [key] = desk.answer("keys", "list")
    assert key["state"] == "pending"
    said = desk.refused("keys", "approve", key["prefix"], actor="an")
    assert "do an cấp, nên phải do người khác duyệt" in said
    assert desk.answer("keys", "approve", key["prefix"], actor="bình")["state"] == "active"
    assert "đang dùng bình thường" in desk.refused("keys", "approve", key["prefix"], actor="bình")


def test_grants_are_changed_and_the_change_is_in_force_at_once(desk: Desk):
    name = desk.answer(*ISSUE, *WHAT)["prefix"]
    changed = desk.answer("keys", "grant", name, "--add", "fields:residents.basic,service:so-do:/thua",
                          "--remove", "procedures.list", "--reason", "văn bản 15")  # fmt: skip
    assert changed["grants"] == ["dossiers.*", "fields:residents.basic", "service:so-do:/thua"]
    assert "nothing changed" in desk.done("keys", "grant", name, "--add", "dossiers.*", "--reason", "nhầm")
    assert "fields:residents.basic" in desk.done("grants", "list", "--key", name)
    for words, said in (
        (("--remove", "dossiers.put"), "quyền đó nằm trong “dossiers.*”"),
        (("--remove", "procedures.list"), "khoá đang có: dossiers.*"),
        (("--add", "dossier.put"), "gần nhất là “dossiers.put”"),
        (("--remove", ",".join(changed["grants"])), "ít nhất một quyền gọi"),
        (("--add", "all", "--remove", "all"), "Khoá không có quyền “all”"),
        ((), "Chưa nêu quyền cần thêm hay bớt"),
    ):
        assert said in desk.refused("keys", "grant", name, *words, "--reason", "thử"), words
    assert "Phải ghi lý do" in desk.refused("keys", "grant", name, "--add", "all", "--reason", " ")


def test_more_grants_wait_for_a_second_person_and_fewer_do_not(tmp_path: Path):
    desk = Desk(tmp_path, LIENTHONG_KEYS__TWO_PEOPLE="true")
    desk.done(*ISSUE, *WHAT)
    name = desk.answer("keys", "list")[0]["prefix"]
    more = ("keys", "grant", name, "--add", "fields:residents.basic", "--reason", "văn bản 15")
    assert "đang chờ duyệt không được thêm quyền" in desk.refused(*more)
    desk.done("keys", "approve", name, actor="bình")
    assert f"lienthong keys approve {name}" in desk.done(*more)
    shown = desk.answer("keys", "show", name)
    assert shown["grants"] == ["dossiers.*", "procedures.list"], "in force only when approved"
    assert (shown["waiting"]["add"], shown["waiting"]["asked_by"]) == (["fields:residents.basic"], "an")
    assert "do an đề nghị, nên phải do người khác duyệt" in desk.refused("keys", "approve", name)
    approved = desk.answer("keys", "approve", name, actor="bình")
    assert "fields:residents.basic" in approved["grants"]
    assert "đang dùng bình thường" in desk.refused("keys", "approve", name, actor="bình"), "once"
    fewer = desk.answer("keys", "grant", name, "--remove", "fields:residents.basic", "--reason", "thôi")
    assert fewer["grants"] == ["dossiers.*", "procedures.list"]


def test_grants_asked_for_before_others_were_taken_away_are_not_approved_unseen(tmp_path: Path):
    desk = Desk(tmp_path, LIENTHONG_KEYS__TWO_PEOPLE="true")
    desk.done(*ISSUE, *WHAT)
    name = desk.answer("keys", "list")[0]["prefix"]
    desk.done("keys", "approve", name, actor="bình")
    desk.done("keys", "grant", name, "--add", "all", "--reason", "thử")
    desk.done("keys", "grant", name, "--remove", "procedures.list", "--reason", "thôi", actor="chi")
    desk.refused("keys", "approve", name, actor="bình")
    assert desk.answer("keys", "show", name)["grants"] == ["dossiers.*"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*ISSUE, *WHAT, "--limit", "dossiers.putt=5/minute"), "gần nhất là “dossiers.put”"),
        ((*ISSUE, "--grants", "procedure.list", "--limit", "600/minute"), "gần nhất là “procedures.list”"),
        ((*ISSUE, *WHAT, "--address", "10.0.0.1/24"), "có phải là “10.0.0.0/24”?"),
        ((*ISSUE, *WHAT, "--hours", "8-17"), "mon-fri 07:00-18:00"),
        ((*ISSUE, *WHAT, "--expires", "900d"), "không được cấp quá 366 ngày"),
        ((*ISSUE, *WHAT, "--expires", "một năm"), "ví dụ 365d hoặc 52w"),
        ((*ISSUE, *WHAT, "--sheet", "không/có/a.html"), "không ghi được vào thư mục này"),
        (("keys", "revoke", "lt_test_XXXXXX", "--reason", "x"), "xem `lienthong keys list`"),
        (("grants", "list", "--operation", "dossier.put"), "xem `lienthong grants list`"),
        (("grants", "list", "--operation", "dossiers.put", "--key", "x"), "không nêu cả hai"),
    ],
)
def test_every_refusal_says_what_to_do(desk: Desk, words, said):
    assert said in desk.refused(*words)
    assert desk.answer("keys", "list") == []


def test_grants_are_seen_from_the_key_and_from_the_operation(desk: Desk):
    issued = desk.answer(*ISSUE, *WHAT[2:], "--grants", "dossiers.*,fields:residents.basic,service:dat-dai:/so")
    of_key = {line["wanted"]: line["through"] for line in desk.answer("grants", "list", "--key", issued["prefix"])}
    assert (of_key["dossiers.put"], of_key["procedures.list"]) == ("dossiers.*", None)
    assert of_key["fields:residents.basic"] == "fields:residents.basic"
    for wanted, through in (("dossiers.put", "dossiers.*"), ("service:dat-dai:/so/1", "service:dat-dai:/so")):
        [line] = desk.answer("grants", "list", "--operation", wanted)
        assert (line["id"], line["through"]) == (issued["id"], through)
    assert desk.answer("grants", "list", "--operation", "service:dat-dai:/khac") == []
    desk.done("keys", "revoke", issued["id"], "--reason", "thôi dùng")
    assert desk.answer("grants", "list", "--operation", "dossiers.put") == []


def test_the_sheet_holds_the_key_only_where_it_was_asked_for_at_issue(desk: Desk):
    issued = desk.answer(*ISSUE, *WHAT, "--purpose", "<b>thử</b>", "--sheet", "co.html")
    desk.done("keys", "sheet", issued["prefix"], "--out", "khong.html")
    with_key, without = (desk.home / name for name in ("co.html", "khong.html"))
    assert issued["key"] in with_key.read_text(encoding="utf-8")
    assert issued["key"] not in without.read_text(encoding="utf-8")
    assert "&lt;b&gt;thử&lt;/b&gt;" in without.read_text(encoding="utf-8")
    assert with_key.stat().st_mode & 0o077 == 0
    assert "hãy chọn tên khác" in desk.refused("keys", "sheet", issued["prefix"], "--out", "co.html")


def test_a_found_text_is_recognised_without_a_hub(tmp_path: Path):
    issuer, stranger = (
        Desk(tmp_path),
        Desk(tmp_path, LIENTHONG_DATABASE__URL="postgresql://nobody@127.0.0.1:9/none"),
    )
    key = issuer.answer(*ISSUE, *WHAT)["key"]
    found = stranger.run("keys", "recognise", "--json", typed=f"export KEY={key}\n")
    assert (found.exit_code, json.loads(found.stdout)[0]["checksum_right"]) == (0, True)
    assert key not in found.stdout + stranger.run("keys", "recognise", key).stdout
    wrong = stranger.run("keys", "recognise", key[:-1] + ("0" if key[-1] != "0" else "1"))
    assert (wrong.exit_code, "mã kiểm tra sai" in wrong.stdout) == (1, True)
    assert "Không thấy khoá nào" in stranger.refused("keys", "recognise", "mật khẩu")
