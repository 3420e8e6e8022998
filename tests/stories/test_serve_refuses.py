"""`lienthong serve` where it cannot go on: one reason in words and status 1, as scripts expect."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from lienthong.bus import hub as hubs
from lienthong.console import server, services, trial
from lienthong.core import storage


def serving(home: Path, *words: str, **extra: str) -> subprocess.Popen[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")},
        "LIENTHONG_HOME": str(home),
        "LIENTHONG_GATEWAY__PORT": str(services.free_port()),
        "LIENTHONG_CONSOLE__PORT": str(services.free_port()),
        **extra,
    }
    command = [sys.executable, "-m", "lienthong.console.cli.main", "serve", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_record_that_cannot_be_opened_ended_the_server_with_status_3_and_a_trace(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "place").mkdir()
    process = serving(tmp_path)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "LIENTHONG_HOME" in said
    assert "SystemExit" not in said


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    files = {f"LIENTHONG_GATEWAY__{name}_FILE": str(tmp_path / "no") for name in ("CERTIFICATE", "PRIVATE_KEY")}
    process = serving(tmp_path, **files)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "LIENTHONG_GATEWAY__CERTIFICATE_FILE" in said


def test_the_hub_listens_for_ipv6_too(tmp_path: Path) -> None:
    port = services.free_port()
    process = serving(tmp_path, LIENTHONG_GATEWAY__HOST="::", LIENTHONG_GATEWAY__PORT=str(port))
    try:
        for host in ("127.0.0.1", "[::1]"):
            trial.wait_for(f"http://{host}:{port}/health/live", process, tmp_path / "no.log")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_the_watcher_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    process = serving(tmp_path, "--role", "watcher")
    sealed = tmp_path / "seals" / "access" / "checkpoint"
    ends_s = time.monotonic() + 60
    while not sealed.exists() and process.poll() is None and time.monotonic() < ends_s:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert (sealed.exists(), process.returncode) == (True, 0)


async def test_the_figures_of_a_process_were_gone_with_the_database(sqlite_hub: hubs.Hub) -> None:
    away = dataclasses.replace(sqlite_hub, storage=storage.Storage("postgresql://nobody@127.0.0.1:9/nothing"))
    figures = await server.gauges(away, Counter({"seals": 2}))
    assert [(one.name, one.value, one.labels) for one in figures] == [("begun_again", 2.0, {"part": "seals"})]
    await away.storage.close()
