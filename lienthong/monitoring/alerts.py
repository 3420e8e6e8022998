"""Alerts and what becomes of them: opened once for an episode, acknowledged, closed with a reason that teaches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import access_record, clock, errors, journal, storage, tables
from lienthong.monitoring import alert_rules
from lienthong.monitoring.detectors import findings

OPEN, ACKNOWLEDGED, CLOSED = "open", "acknowledged", "closed"
STATES = (OPEN, ACKNOWLEDGED, CLOSED)
INCIDENT, NORMAL, MISTAKE = "incident", "normal", "mistake"
CLOSED_AS = (INCIDENT, NORMAL, MISTAKE)
# Alerts of one key this close together are shown as one group.
GROUPED_WITHIN = timedelta(hours=6)
_t, _n = tables.alerts, tables.alert_notes


def entity(who: findings.Who) -> str:
    """Name what an alert is about, in one text."""
    named = (("key", who.key), ("official", who.official), ("address", who.address), ("about", who.operation))
    return " ".join(f"{name}={value}" for name, value in named if value)[:300] or "hub"


async def open_or_update(store: storage.Storage, finding: findings.Finding) -> str | None:
    """Open an alert for a finding, or add it to the one of its episode; gives the id of one that was opened.

    None where it went to an alert that is there, where the rule is off or asks for a higher score, or where it is
    silenced. A rule that is only tested opens alerts that nobody is told of.
    """
    about, at = entity(finding.who), _moment(finding.found_at)

    async def write(tx: AsyncConnection) -> str | None:
        rule = await alert_rules.of(tx, finding.rule)
        if rule.mode == alert_rules.OFF or finding.score < rule.least_score:
            return None
        if await _added(tx, finding, about, at):
            return None
        if await alert_rules.is_silenced(tx, finding.rule, about, at):
            return None
        return await _opened(tx, finding, about, at, is_test=rule.mode == alert_rules.TEST)

    return await store.write(write)


async def _added(tx: AsyncConnection, finding: findings.Finding, about: str, at: datetime) -> bool:
    """Add to the alert of the same episode, if there is one; a closed one stays closed."""
    quiet = timedelta(seconds=findings.RULES[finding.rule].quiet_s)
    same = sa.and_(_t.c.rule == finding.rule, _t.c.entity == about, _t.c.last_seen_at >= at - quiet)
    asked = sa.select(_t).where(same).order_by(_t.c.last_seen_at.desc()).limit(1)
    row = await storage.first(tx, asked)
    if row is None:
        return False
    values: dict[str, Any] = {"last_seen_at": max(at, row["last_seen_at"]), "count": row["count"] + 1}
    if finding.score > row["score"] and row["state"] != CLOSED:
        values |= {"score": finding.score, "seen": dict(finding.seen)}
        values |= {"sentence_vi": finding.vi[:1000], "sentence_en": finding.en[:1000]}
    values["records"] = {**row["records"], "until": _moment(finding.found_at + 1).isoformat(timespec="seconds")}
    await tx.execute(_t.update().where(_t.c.id == row["id"]).values(**values))
    return True


async def _opened(
    tx: AsyncConnection, finding: findings.Finding, about: str, at: datetime, *, is_test: bool
) -> str:
    alert_id, who = clock.new_id(), finding.who
    near = None
    if who.key is not None:
        same = sa.and_(_t.c.key_id == who.key, _t.c.last_seen_at >= at - GROUPED_WITHIN, _t.c.state != CLOSED)
        near = await storage.first(
            tx, sa.select(_t.c.id, _t.c.grouped).where(same).order_by(_t.c.found_at).limit(1)
        )
    row = {
        "id": alert_id,
        "rule": finding.rule,
        "entity": about,
        "key_id": who.key and who.key[:36],
        "official": who.official,
        "address": who.address,
        "operation": who.operation,
        "state": OPEN,
        "is_test": is_test,
        "score": finding.score,
        "severity": findings.RULES[finding.rule].severity,
        "since": _moment(finding.since),
        "found_at": at,
        "last_seen_at": at,
        "count": 1,
        "seen": dict(finding.seen),
        "normal": dict(finding.normal),
        "sentence_vi": finding.vi[:1000],
        "sentence_en": finding.en[:1000],
        "records": finding.records,
        "grouped": None if near is None else near["grouped"] or near["id"],
    }
    await tx.execute(_t.insert(), row)
    return alert_id


async def listed(
    store: storage.Storage,
    *,
    state: str | None = None,
    rule: str | None = None,
    key_id: str | None = None,
    tests: bool = False,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """List alerts, the newest first; those of tested rules only where asked for."""
    asked = sa.select(_t).order_by(_t.c.found_at.desc(), _t.c.id).limit(limit)
    wanted = {"state": state, "rule": rule, "key_id": key_id}
    for name, value in wanted.items():
        if value is not None:
            asked = asked.where(_t.c[name] == value)
    async with store.reading() as conn:
        return await storage.every(conn, asked.where(_t.c.is_test.is_(tests)))


async def show(store: storage.Storage, alert_id: str) -> dict[str, Any]:
    """Give one alert with its notes and what was done from it. Raises NotFound."""
    async with store.reading() as conn:
        row = await storage.first(conn, sa.select(_t).where(_t.c.id == alert_id))
        if row is None:
            raise _unknown()
        notes = await storage.every(conn, sa.select(_n).where(_n.c.alert_id == alert_id).order_by(_n.c.number))
        done = tables.responses
        responses = await storage.every(
            conn, sa.select(done).where(done.c.alert_id == alert_id).order_by(done.c.begun_at)
        )
    return {**row, "notes": notes, "responses": responses}


async def acknowledge(
    store: storage.Storage, alert_id: str, *, actor: str, now: datetime, assignee: str | None = None
) -> None:
    """Say that somebody has taken an alert up. Raises NotFound, or Conflict where it is closed."""
    values = {"state": ACKNOWLEDGED, "acknowledged_at": now, "acknowledged_by": actor}
    values["assignee"] = assignee or actor
    await _change(store, alert_id, values, act="alerts.acknowledge", actor=actor, now=now, reason="")


async def close(
    store: storage.Storage, alert_id: str, kind: str, *, reason: str, actor: str, now: datetime
) -> None:
    """Close an alert as an incident, as normal, or as a mistake; the watcher learns from it.

    Raises InvalidRequest for another kind or no reason, NotFound, or Conflict where it is closed.
    """
    problems = []
    if kind not in CLOSED_AS:
        problems.append(
            errors.FieldProblem(
                "as",
                f"Kết luận là một trong: {', '.join(CLOSED_AS)}.",
                f"Close as one of: {', '.join(CLOSED_AS)}.",
            )
        )
    if not reason.strip():
        problems.append(errors.FieldProblem("reason", "Hãy nêu lý do.", "Give a reason."))
    if problems:
        raise errors.InvalidRequest(problems=tuple(problems))
    values = {"state": CLOSED, "closed_at": now, "closed_by": actor, "closed_as": kind}
    values["closed_reason"] = reason[:500]
    await _change(store, alert_id, values, act="alerts.close", actor=actor, now=now, reason=reason)


async def note(store: storage.Storage, alert_id: str, text: str, *, actor: str, now: datetime) -> None:
    """Write something beside an alert. Raises NotFound, InvalidRequest where there is no text."""
    if not text.strip():
        raise errors.InvalidRequest(problems=(errors.FieldProblem("text", "Hãy viết ghi chú.", "Write a note."),))
    async with store.transaction() as tx:
        if await storage.first(tx, sa.select(_t.c.id).where(_t.c.id == alert_id)) is None:
            raise _unknown()
        row = {"alert_id": alert_id, "at": now, "by": actor, "text": text.strip()[:2000]}
        await tx.execute(_n.insert(), row)


async def closed_since(store: storage.Storage, since: datetime) -> list[dict[str, Any]]:
    """List the alerts closed after a moment, for what they teach."""
    asked = sa.select(_t).where(_t.c.state == CLOSED, _t.c.closed_at > since).order_by(_t.c.closed_at)
    async with store.reading() as conn:
        return await storage.every(conn, asked)


async def counts(store: storage.Storage) -> dict[str, dict[str, int]]:
    """Count alerts by rule and state; under `test` how often a tested rule would have fired."""
    state = sa.case((_t.c.is_test, "test"), else_=_t.c.state).label("state")
    asked = sa.select(_t.c.rule, state, sa.func.count().label("alerts")).group_by(_t.c.rule, state)
    found: dict[str, dict[str, int]] = {}
    async with store.reading() as conn:
        for row in await storage.every(conn, asked):
            found.setdefault(row["rule"], {})[row["state"]] = row["alerts"]
    return found


async def _change(
    store: storage.Storage,
    alert_id: str,
    values: Mapping[str, Any],
    *,
    act: str,
    actor: str,
    now: datetime,
    reason: str,
) -> None:
    async def write(tx: AsyncConnection) -> None:
        row = await storage.first(tx, sa.select(_t).where(_t.c.id == alert_id).with_for_update())
        if row is None:
            raise _unknown()
        if row["state"] == CLOSED:
            raise errors.Conflict("this alert is closed", detail_vi="Cảnh báo này đã đóng.")
        await tx.execute(_t.update().where(_t.c.id == alert_id).values(**values))
        after = {"state": values["state"], "as": values.get("closed_as")}
        await journal.write_act(
            tx, act, alert_id, actor=actor, now=now, reason=reason, before={"state": row["state"]}, after=after
        )

    await store.write(write)


def _unknown() -> errors.NotFound:
    return errors.NotFound(
        "there is no such alert; `lienthong alerts list` shows them",
        detail_vi="Không có cảnh báo này; xem `lienthong alerts list`.",
    )


def _moment(at: float) -> datetime:
    return access_record.moment(int(at * 1e6))
