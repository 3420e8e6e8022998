"""What the command line prints: tables that fit the screen, and wrong usage told in both languages."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import typer.main
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from lienthong.console.cli import main, output
from lienthong.core import clock

COLUMNS = {"id": "Số thông điệp", "target": "Nơi nhận", "lane": "Hồ sơ", "at": "Nhận lúc", "code": "Kết quả"}
ROW = {
    "id": "01a2022f-1a13-7e05-bd8c-e77f8599c801",
    "target": "dvcqg_adapter",
    "lane": "000.00.00.H38-260803-0001",
    "at": "22/11/2026",
    "code": "",
}


def printed(monkeypatch: pytest.MonkeyPatch, *, width: int, is_screen: bool) -> str:
    paper = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=paper, width=width, force_terminal=is_screen))
    output.table("Thông điệp", COLUMNS, [ROW])
    return Text.from_ansi(paper.getvalue()).plain


def test_on_a_narrow_screen_no_number_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    told = printed(monkeypatch, width=80, is_screen=True)
    assert all(str(ROW[name]) in told for name in ("id", "target", "lane", "at"))
    assert max(map(len, told.splitlines())) <= 80
    assert "Kết quả" not in told


def test_where_texts_can_be_wrapped_the_rest_of_a_table_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=paper, width=60, force_terminal=True))
    columns = {"rule": "Quy tắc", "meaning": "Nghĩa", "at": "Lúc", "mode": "Chế độ"}
    at = datetime(2026, 11, 22, 8, 0, tzinfo=clock.VIETNAM)
    row = {"rule": "dormant_revived", "meaning": "Khoá lâu không dùng hoạt động lại", "at": at, "mode": "on"}
    output.table("Quy tắc", columns, [row])
    told = Text.from_ansi(paper.getvalue()).plain
    assert "dormant_revived" in told
    assert "22/11/2026 08:00:00" in told
    assert max(map(len, told.splitlines())) <= 60
    assert "·" not in told


@pytest.mark.parametrize(("width", "is_screen"), [(200, True), (200, False)])
def test_where_there_is_room_rows_stay_in_a_table(
    monkeypatch: pytest.MonkeyPatch, width: int, is_screen: bool
) -> None:
    assert len(printed(monkeypatch, width=width, is_screen=is_screen).splitlines()) == 3


@pytest.mark.parametrize(
    ("typed", "vi", "en"),
    [
        (["mesages"], "Không có lệnh này.", "No such command"),
        (["messages", "list", "--stat", "dead"], "Không có tuỳ chọn --stat.", "No such option"),
        (["messages", "show"], "Thiếu MESSAGE_ID.", "Missing argument"),
        (["messages", "list", "--limit", "x"], "Giá trị của --limit không đúng.", "Invalid value"),
        (["messages", "retry"], "Thiếu --reason.", "Missing option"),
    ],
)
def test_wrong_usage_is_told_in_both_languages_and_ends_with_2(typed: list[str], vi: str, en: str) -> None:
    ended = CliRunner().invoke(main.app, typed)
    assert ended.exit_code == 2
    said = " ".join(ended.output.replace("│", " ").split())
    assert vi in said
    assert en in said


@pytest.mark.parametrize("typed", [[], ["messages"]])
def test_a_group_without_a_command_shows_its_help(typed: list[str]) -> None:
    said = CliRunner().invoke(main.app, typed).output
    assert "/ show" in said or "/ run" in said
    assert "chưa đúng" not in said


def test_every_command_and_every_option_is_explained_in_both_languages() -> None:
    silent = [path for path, said in explained(typer.main.get_command(main.app), "lienthong") if " / " not in said]
    assert silent == []


def explained(command: Any, path: str) -> Iterator[tuple[str, str]]:
    yield path, command.help or ""
    for name in getattr(command, "commands", ()):
        yield from explained(command.commands[name], f"{path} {name}")
    yield from ((f"{path} {param.opts[0]}", getattr(param, "help", "") or "") for param in command.params)
