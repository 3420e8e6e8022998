"""Parcels and waybill numbers at the desk, as an operator types it."""

from __future__ import annotations

import json
from pathlib import Path

import post_town
import pytest
from typer.testing import CliRunner, Result

from lienthong.console.cli import main
from lienthong.core import errors


@pytest.fixture
async def parcel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A hub with a delivered parcel that was then sent back, closed again, and the commands pointed at it."""
    place = tmp_path / "home"
    async with post_town.opened(place) as town:
        view = await town.book()
        await town.happens(view, "accepted")
        await town.happens(view, "unknown", event_id="x", carrier_code="77")
        lost = await town.book(direction="collect_dossier", sender=post_town.CITIZEN, receiver=post_town.DESK)
        await town.happens(lost, "delivered", "returned")
    monkeypatch.setenv("LIENTHONG_HOME", str(place))
    monkeypatch.chdir(tmp_path)
    return view.id


def run(*words: str) -> Result:
    return CliRunner().invoke(main.app, list(words))


def test_parcels_are_listed_and_shown_without_anybodys_address(parcel: str) -> None:
    rows = json.loads(run("parcels", "list", "--open", "--json").stdout)
    assert [(row["id"], row["state"]) for row in rows] == [(parcel, "accepted")]
    shown = json.loads(run("parcels", "show", parcel, "--json").stdout)
    assert [event["state"] for event in shown["events"]] == ["accepted", "unknown"]
    told = run("parcels", "list").stdout + run("parcels", "show", parcel).stdout
    assert "Nguyễn Văn Mẫu" not in told
    assert run("parcels", "show", "khong-co").exit_code == 1


def test_codes_that_nobody_knows_are_counted(parcel: str) -> None:
    assert [
        (row["carrier_code"], row["events"]) for row in json.loads(run("parcels", "codes", "--json").stdout)
    ] == [("77", 1)]


def test_a_question_is_closed_once_and_only_with_what_fits(parcel: str) -> None:
    [question] = json.loads(run("parcels", "questions", "--json").stdout)
    assert question["kind"] == "two_ends"
    assert run("parcels", "decide", question["id"], "booked", "--reason", "thử").exit_code == 1
    done = run("parcels", "decide", question["id"], "noted", "--reason", "bưu cục xác nhận đã chuyển hoàn")
    assert done.exit_code == 0, done.output
    assert json.loads(run("parcels", "questions", "--json").stdout) == []


def test_a_parcel_of_a_carrier_that_is_not_connected_is_not_cancelled(parcel: str) -> None:
    refused = run("parcels", "cancel", parcel, "--reason", "người dân rút")
    assert (refused.exit_code, errors.NotOffered.code in refused.stderr) == (1, True)


def test_a_watch_without_carriers_does_nothing(parcel: str) -> None:
    assert json.loads(run("parcels", "watch", "--json").stdout)["events"] == 0


def test_numbers_are_imported_counted_and_listed(parcel: str, tmp_path: Path) -> None:
    path = tmp_path / "so.csv"
    path.write_text("number\nEH000000001VN\nEH000000002VN\n", encoding="utf-8")
    words = ("waybills", "import", str(path), "--carrier", "vnpost_hcc", "--reason", "dải mới", "--json")
    assert json.loads(run(*words).stdout) == {"new": 2, "known": 0, "free": 2}
    assert json.loads(run(*words).stdout) == {"new": 0, "known": 2, "free": 2}
    ends = ("--first", "EH000000001VN", "--last", "EH000000004VN")
    ranged = run("waybills", "import", "--carrier", "vnpost_hcc", *ends, "--reason", "dải", "--json")
    assert json.loads(ranged.stdout)["new"] == 2
    assert json.loads(run("waybills", "list", "--json").stdout) == [
        {"carrier": "vnpost_hcc", "state": "free", "numbers": 4}
    ]
    assert (
        len(json.loads(run("waybills", "list", "--carrier", "vnpost_hcc", "--limit", "3", "--json").stdout)) == 3
    )
    assert run("waybills", "import", "--carrier", "vnpost_hcc", "--reason", "thiếu").exit_code == 1
    assert run("waybills", "import", str(path), "--carrier", "khac", "--reason", "sai").exit_code == 1
