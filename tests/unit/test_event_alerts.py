"""Events that open alerts are events that the flows write, by the very names that they write."""

from __future__ import annotations

import ast
import functools
from datetime import UTC, datetime
from pathlib import Path

import pytest

import lienthong.bus
import lienthong.console.accounts
from lienthong.monitoring import event_alerts

BUS = Path(lienthong.bus.__file__).parent
ACCOUNTS = Path(lienthong.console.accounts.__file__).parent


@functools.cache
def written() -> set[str]:
    """Give every kind that flows and accounts can write: names, and beginnings with each word of their file."""
    words = {path: _texts(ast.parse(path.read_text())) for path in [*BUS.rglob("*.py"), *ACCOUNTS.glob("*.py")]}
    states = words[BUS / "targets.py"][0]
    found: set[str] = set()
    for texts, beginnings in words.values():
        found |= texts
        found |= {begins + word for begins in beginnings for word in texts | states}
    return found


def _texts(tree: ast.AST) -> tuple[set[str], set[str]]:
    texts = {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    formatted = [node.values[0] for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) and node.values]
    begins = {str(part.value) for part in formatted if isinstance(part, ast.Constant)}
    return texts, {text for text in begins if text.endswith(".") and text[:-1].isalpha()}


@pytest.mark.parametrize("kind", event_alerts.KINDS)
def test_every_kind_that_opens_an_alert_is_written_by_a_flow(kind: str):
    assert kind in written()


def test_an_event_that_means_nothing_here_opens_nothing():
    row = {"kind": "dossiers.status_changed", "subject": "H1", "facts": {}, "occurred_at": datetime.now(UTC)}
    assert event_alerts.of_event(row) is None
