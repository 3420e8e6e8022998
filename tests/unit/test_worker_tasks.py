"""The tasks of the full size, where what they need is away."""

from __future__ import annotations

import os
from pathlib import Path

import builders
import pytest

from lienthong.bus import worker
from lienthong.core import settings


@pytest.mark.parametrize(
    ("task", "given"), [(worker.TICK, []), (worker.DRIVE, ["x"]), (worker.JOB, ["keys_review"])]
)
def test_a_task_that_finds_no_database_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, task: str, given: list[str]
) -> None:
    # It was a page of the log, once a second, for as long as the database was away.
    builders.prepare(settings.Settings(home=tmp_path))
    monkeypatch.setenv("LIENTHONG_HOME", str(tmp_path))
    monkeypatch.setenv("LIENTHONG_DATABASE__URL", "postgresql://nobody@127.0.0.1:1/none")
    made = worker.make_app(settings.load(os.environ))
    try:
        made.tasks[task](*given)
    finally:
        worker._bridge().close()
        worker._bridge.cache_clear()
    said = [record for record in caplog.records if record.name == "lienthong.worker"]
    assert [record.getMessage() for record in said] == ["a task broke off; the next tick makes up for it"]
    assert caplog.text.count("Traceback") == 0
