"""The desks in Chromium: a hub of this process at a free port, and the browser that the machine has."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

# With import-mode=importlib a folder of tests is no package.
sys.path.insert(0, str(Path(__file__).parent))

import desk
import serving

from lienthong.core import clock, journal, tables


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.browser)


# By module: while it stands, its driver keeps an event loop running here, and no asynchronous test could run.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Start the browser that is installed; none is ever fetched."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Desks]:
    """Serve the desks of a hub that has something to show."""
    with serving.serving(tmp_path_factory.mktemp("desks"), serving.played(_fill)) as desks:
        yield desks


async def _fill(hub: Any) -> None:
    """Give the pages something to show: systems in every state, calls, stuck messages, acts."""
    stage = desk.Stage(hub, desk.Time(clock.now()), None)
    await stage.add("quan", "administrator", "operator")
    await stage.add("an", "security_officer", "auditor")
    await stage.add("moi", "operator", must_change=True)
    now = clock.now()
    states = (("dvcqg_adapter", "active", ""), ("population_c06", "paused", "bảo trì đến 18:00"))
    states += (("vnpost_hcc", "suspended", "503 Service Unavailable"),)
    async with hub.storage.transaction() as tx:
        for number, (name, state, reason) in enumerate(states):
            values = {"name": name, "state": state, "reason": reason, "failures_in_row": number}
            success = now - timedelta(minutes=7 + number * 90)
            await tx.execute(tables.targets.insert().values(**values, changed_at=now, last_success_at=success))
            for hour in range(24):
                calls = [
                    _call(name, now - timedelta(hours=hour), each) for each in range((hour * 7 + number) % 11)
                ]
                if calls:
                    await tx.execute(tables.exchanges.insert(), calls)
            await tx.execute(tables.messages.insert(), [_message(name, now, each) for each in range(12)])
        for number in range(30):
            at = now - timedelta(minutes=number * 11)
            await journal.write_act(
                tx, "keys.suspend", f"key-{number}", actor="quan", now=at, reason="dùng ngoài giờ", after={"n": 1}
            )


def _call(system: str, at: Any, number: int) -> dict[str, Any]:
    return {
        "at": at,
        "direction": "out",
        "request_id": clock.new_id(),
        "system": system,
        "operation": "put_status",
        "method": "POST",
        "route": "/x",
        "outcome": "Server.Remote.Refused" if number == 5 else "ok",
        "took_ms": 12.0,
        "bytes_in": 10,
        "bytes_out": 10,
    }


def _message(target: str, now: Any, number: int) -> dict[str, Any]:
    state = ("pending", "delivered", "dead", "delivered")[number % 4]
    at = now - timedelta(minutes=17 * number)
    return {
        "id": clock.new_id(int(at.timestamp() * 1000)),
        "target": target,
        "lane": f"000.00.00.H38-260115-{number:04d}",
        "operation": "dossier",
        "request_id": clock.new_id(),
        "payload": b"",
        "state": state,
        "look_first": False,
        "first_of_lane": False,
        "due_at": at,
        "created_at": at,
        "waiting_since": at,
        "settled_at": at if state != "pending" else None,
        "last_code": "Server.Hub.UnmappedCode" if state == "dead" else None,
    }
