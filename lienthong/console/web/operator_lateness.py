"""Why a dossier is late, in one sentence with its proof: a pure look at its rows; the first reason is told."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from lienthong.bus import targets
from lienthong.console.web.operator_story import Story
from lienthong.core import working_days

# What waits shorter than this is on its way.
PATIENCE = timedelta(hours=1)
# What is told later than this after it happened was told late.
TOLD_LATE = timedelta(days=1)
OVER = ("finished", "returned", "rejected", "stopped")


@dataclass(frozen=True, slots=True)
class Late:
    """The sentence as a word with its facts, and the page that proves it. Values are written by who shows it."""

    word: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)


def overdue(story: Story, *, now: datetime) -> bool:
    """Whether the day that the citizen was told is over without an end, or the end came after it."""
    due, ended = story.row["due_at"], story.row["finished_at"] or story.row["rejected_at"]
    if due is None:
        return False
    return bool((ended or now) > due) and (ended is not None or story.row["status"] not in OVER)


def why(story: Story, *, now: datetime, calendar: working_days.Calendar) -> Late | None:
    """Say why a dossier is late, or nothing where it is not."""
    found = _stuck(story) or _stopped(story, now) or _waiting(story, now)
    if found is not None:
        return found
    if not overdue(story, now=now):
        return None
    reasons: tuple[Callable[[], Late | None], ...] = (
        lambda: _citizen(story),
        lambda: _told_late(story),
        lambda: _slowest(story, calendar) if story.row["finished_at"] else _silent(story),
    )
    return next((late for late in (reason() for reason in reasons) if late is not None), None)


def _stuck(story: Story) -> Late | None:
    dead = [row for row in story.messages if row["state"] == "dead"]
    if not dead:
        return None
    first = min(dead, key=lambda row: row["seq"])
    same = (row for row in story.messages if row["target"] == first["target"] and row["seq"] > first["seq"])
    behind = sum(row["state"] == "pending" for row in same)
    facts = {
        "system": first["target"],
        "since": first["settled_at"],
        "cause": first["last_code"],
        "behind": behind,
    }
    return Late("late.stuck_behind" if behind else "late.stuck", facts, "messages.one", {"id": first["id"]})


def _stopped(story: Story, now: datetime) -> Late | None:
    for row in sorted(story.messages, key=lambda row: row["seq"]):
        target = story.targets.get(row["target"])
        if row["state"] not in ("pending", "in_flight") or target is None or target["state"] == targets.ACTIVE:
            continue
        if now - row["waiting_since"] > PATIENCE:
            facts = {"system": row["target"], "since": target["changed_at"], "reason": target["reason"] or "–"}
            return Late(f"late.{target['state']}", facts, "targets.one", {"name": row["target"]})
    return None


def _waiting(story: Story, now: datetime) -> Late | None:
    waiting = [row for row in story.messages if row["state"] in ("pending", "in_flight")]
    old = [row for row in waiting if now - row["waiting_since"] > PATIENCE]
    if not old:
        return None
    first = min(old, key=lambda row: row["seq"])
    facts = {"system": first["target"], "since": first["waiting_since"], "tries": first["attempts"]}
    facts["cause"] = first["last_code"]
    return Late("late.tried" if first["attempts"] else "late.untried", facts, "messages.one", {"id": first["id"]})


def _citizen(story: Story) -> Late | None:
    row, status = story.row, story.row["status"]
    unpaid = [
        owed for owed in story.obligations if owed["state"] not in ("paid", "free") and owed["amount_vnd"] > 0
    ]
    if status == "payment_requested" and unpaid:
        amount = sum(owed["amount_vnd"] for owed in unpaid)
        return Late("late.payment", {"amount": amount, "since": row["status_at"]})
    if status == "payment_requested":
        return Late("late.payment_unknown", {"since": row["status_at"]})
    if status == "supplement_requested":
        return Late("late.supplement", {"since": row["status_at"]})
    return None


def _told_late(story: Story) -> Late | None:
    """Find the change that was told longest after it happened, where that was after the day it was due."""
    due = story.row["due_at"]
    late = [
        change
        for change in story.changes
        if change["accepted_at"] - change["occurred_at"] > TOLD_LATE and change["occurred_at"] <= due
    ]
    if not late or not any(change["accepted_at"] > due for change in late):
        return None
    worst = max(late, key=lambda change: change["accepted_at"] - change["occurred_at"])
    facts = {
        "status": worst["status"],
        "happened": worst["occurred_at"],
        "told": worst["accepted_at"],
        "organisation": story.row["organisation"],
    }
    return Late("late.told_late", facts, "messages.one", {"id": worst["message_id"]})


def _slowest(story: Story, calendar: working_days.Calendar) -> Late | None:
    """Find the step that took most office time before the end."""
    changes = sorted(story.changes, key=lambda change: (change["occurred_at"], change["number"]))
    steps = [
        (calendar.working_hours_between(before["occurred_at"], after["occurred_at"]), before, after)
        for before, after in itertools.pairwise(changes)
    ]
    if not steps:
        return None
    took, before, after = max(steps, key=lambda step: step[0])
    facts = {
        "begun": before["status"],
        "ended": after["status"],
        "took": took,
    }
    return Late("late.slowest", facts, "messages.one", {"id": after["message_id"]})


def _silent(story: Story) -> Late:
    row = story.row
    facts = {
        "status": row["status"],
        "since": row["status_at"],
        "organisation": row["organisation"],
    }
    newest = max(story.changes, key=lambda change: change["number"], default=None)
    parts = {"id": newest["message_id"]} if newest else {}
    return Late("late.silent", facts, "messages.one" if newest else "", parts)
