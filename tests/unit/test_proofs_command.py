"""`keys proof` as an operator uses it: register, look, demand, remove, and the words of every mistake."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import builders
import pytest
import signing
from typer.testing import CliRunner, Result

from lienthong.bus import hub
from lienthong.console.cli import proofs
from lienthong.core import clock, migrations, settings


async def _prepare(home: Path) -> str:
    async with hub.opened(settings.Settings(home=home)) as opened:
        await migrations.upgrade(opened.storage)
        return (await builders.issue_key(opened)).record.prefix


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LIENTHONG_HOME", str(tmp_path / "var"))
    return asyncio.run(_prepare(tmp_path / "var"))


def run(*words: str) -> Result:
    return CliRunner().invoke(proofs.app, list(words))


def test_from_registering_to_removing(prefix: str, tmp_path: Path):
    (tmp_path / "public.pem").write_bytes(signing.pem(signing.new_key()))
    given = ["--public-key", str(tmp_path / "public.pem"), "--label", "máy chủ 1", "--reason", "công văn 12"]
    added = json.loads(run("add", prefix, *given, "--json").stdout)
    assert added["algorithm"] == "ed25519"
    assert run("require", prefix, "signature|certificate+token", "--reason", "đề án 06").exit_code == 0
    told = json.loads(run("list", prefix, "--json").stdout)
    assert told["required"] == ["certificate+token", "signature"]
    assert [one["id"] for one in told["proofs"]] == [added["id"]]
    assert added["id"] in run("list", prefix).stdout
    assert run("remove", added["id"], "--reason", "máy chủ thay mới").exit_code == 0
    assert json.loads(run("list", prefix, "--json").stdout) == {"required": told["required"], "proofs": []}


def test_a_certificate_shows_until_when_it_holds(prefix: str, tmp_path: Path):
    found = signing.certificate(signing.new_key("p256"), starts=clock.now(), days=90)
    (tmp_path / "client.pem").write_bytes(signing.certificate_pem(found))
    shown = run("add", prefix, "--certificate", str(tmp_path / "client.pem"), "--reason", "công văn 12")
    assert shown.exit_code == 0
    assert found.not_valid_after_utc.strftime("%Y-%m-%d") in shown.stdout


def test_a_demand_that_nothing_meets_yet_warns(prefix: str):
    assert "keys proof add" in run("require", prefix, "signature", "--reason", "đề án 06").stdout
    assert "keys proof add" not in run("require", prefix, "none", "--reason", "bỏ").stdout


def test_a_private_key_given_by_mistake_is_refused_and_said_so(prefix: str, tmp_path: Path):
    (tmp_path / "private.pem").write_bytes(signing.private_pem(signing.new_key()))
    refused = run("add", prefix, "--public-key", str(tmp_path / "private.pem"), "--reason", "x")
    assert refused.exit_code == 1
    assert "CÔNG KHAI" in refused.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["list", "lt_test_000000"],
        ["remove", "no-such", "--reason", "x"],
        ["require", "PREFIX", "signatur", "--reason", "x"],
        ["add", "PREFIX", "--public-key", "/no/such/file", "--reason", "x"],
    ],
)
def test_every_mistake_is_told_in_both_languages(prefix: str, words: list[str]):
    refused = run(*(prefix if word == "PREFIX" else word for word in words))
    assert refused.exit_code == 1
    assert "Lỗi" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) >= 2


def test_one_of_two_files_must_be_given(prefix: str):
    assert run("add", prefix, "--reason", "x").exit_code == 2


def test_a_soap_password_is_shown_once_and_listed_without_itself(prefix: str):
    made = json.loads(run("password", prefix, "--reason", "công văn 15", "--json").stdout)
    listed = run("list", prefix, "--json").stdout
    assert json.loads(listed)["proofs"][0]["kind"] == "password"
    assert made["password"] not in listed
    assert "shown once" in run("password", prefix, "--reason", "công văn 16").stdout
