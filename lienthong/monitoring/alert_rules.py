"""The rules as people set them: on, tested or off, from which score, what happens by itself; and silences."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import limits, responses
from lienthong.core import clock, errors, journal, storage, tables
from lienthong.monitoring.detectors import findings

ON, TEST, OFF = "on", "test", "off"
MODES = (ON, TEST, OFF)
LONGEST_SILENCE = timedelta(days=90)
LONGEST_RESPONSE_MINUTES = 1440
_t, _s = tables.alert_rules, tables.alert_silences


@dataclass(frozen=True, slots=True)
class Setting:
    """How a rule is set. `response` is what happens by itself, for how long: nothing unless a person said so."""

    rule: str
    mode: str = ON
    least_score: float = 0.0
    response: str | None = None
    response_limit: str | None = None
    response_minutes: int | None = None


async def of(conn: AsyncConnection, rule: str) -> Setting:
    """Give how a rule is set."""
    row = await storage.first(conn, sa.select(_t).where(_t.c.rule == rule))
    return Setting(rule) if row is None else _setting(row)


async def listed(store: storage.Storage) -> list[dict[str, Any]]:
    """List every rule with how it is set."""
    async with store.reading() as conn:
        known = {row["rule"]: row for row in await storage.every(conn, sa.select(_t))}
    rows = []
    for name, rule in findings.RULES.items():
        found = _setting(known[name]) if name in known else Setting(name)
        rows.append(
            {
                "rule": name,
                "title_vi": rule.vi,
                "title_en": rule.en,
                "severity": rule.severity,
                "mode": found.mode,
                "least_score": found.least_score,
                "response": found.response,
                "response_limit": found.response_limit,
                "response_minutes": found.response_minutes,
                "changed_at": known[name]["changed_at"] if name in known else None,
                "changed_by": known[name]["changed_by"] if name in known else None,
            }
        )
    return rows


async def change(store: storage.Storage, wanted: Setting, *, reason: str, actor: str, now: datetime) -> None:
    """Set a rule. Raises InvalidRequest naming everything wrong; NotFound for an unknown rule."""
    must_be_known(wanted.rule)
    if problems := _problems(wanted, reason):
        raise errors.InvalidRequest(problems=tuple(problems))
    values = {
        "mode": wanted.mode,
        "least_score": wanted.least_score,
        "response": wanted.response,
        "response_limit": wanted.response_limit,
        "response_minutes": wanted.response_minutes,
        "changed_at": now,
        "changed_by": actor,
        "reason": reason[:500],
    }

    async def write(tx: AsyncConnection) -> None:
        before = await of(tx, wanted.rule)
        added = store.insert(_t).values(rule=wanted.rule, **values)
        await tx.execute(added.on_conflict_do_update(index_elements=[_t.c.rule], set_=values))
        await journal.write_act(
            tx,
            "alerts.rule",
            wanted.rule,
            actor=actor,
            now=now,
            reason=reason,
            before=_told(before),
            after=_told(wanted),
        )

    await store.write(write)


async def silence(
    store: storage.Storage,
    *,
    rule: str | None,
    entity: str | None,
    until: datetime,
    reason: str,
    actor: str,
    now: datetime,
) -> str:
    """Let a rule, or everything about one entity, open no alert until an end; gives the silence's id."""
    if rule is not None:
        must_be_known(rule)
    problems = []
    if rule is None and not entity:
        vi, en = "Nêu quy tắc hoặc đối tượng.", "Name a rule or an entity."
        problems.append(errors.FieldProblem("rule", vi, en))
    if not now < until <= now + LONGEST_SILENCE:
        vi = f"Phải có lúc kết thúc, trong vòng {LONGEST_SILENCE.days} ngày."
        problems.append(errors.FieldProblem("until", vi, f"Give an end within {LONGEST_SILENCE.days} days."))
    if not reason.strip():
        problems.append(errors.FieldProblem("reason", "Hãy nêu lý do.", "Give a reason."))
    if problems:
        raise errors.InvalidRequest(problems=tuple(problems))
    silence_id = clock.new_id()
    row = {"id": silence_id, "rule": rule, "entity": entity, "until": until, "made_at": now, "made_by": actor}
    async with store.transaction() as tx:
        await tx.execute(_s.insert(), {**row, "reason": reason[:500]})
        after = {"rule": rule, "entity": entity, "until": until.isoformat()}
        await journal.write_act(
            tx, "alerts.silence", rule or entity or "", actor=actor, now=now, reason=reason, after=after
        )
    return silence_id


async def is_silenced(conn: AsyncConnection, rule: str, entity: str, at: datetime) -> bool:
    """Whether a finding opens no alert now."""
    asked = sa.select(_s.c.id).where(
        _s.c.until > at,
        _s.c.ended_at.is_(None),
        sa.or_(_s.c.rule.is_(None), _s.c.rule == rule),
        sa.or_(_s.c.entity.is_(None), _s.c.entity == entity),
    )
    return (await conn.execute(asked.limit(1))).first() is not None


def must_be_known(rule: str) -> None:
    """Raise NotFound, naming the rules, for one that does not exist."""
    if rule not in findings.RULES:
        names = ", ".join(findings.RULES)
        raise errors.NotFound(
            f"there is no rule {rule}; rules: {names}", detail_vi=f"Không có quy tắc {rule}; các quy tắc: {names}"
        )


def _problems(wanted: Setting, reason: str) -> list[errors.FieldProblem]:
    found = []
    if wanted.mode not in MODES:
        listed = ", ".join(MODES)
        found.append(
            errors.FieldProblem("mode", f"Chế độ là một trong: {listed}.", f"A mode is one of: {listed}.")
        )
    if not 0 <= wanted.least_score <= 1:
        found.append(errors.FieldProblem("score", "Điểm từ 0 đến 1.", "A score is from 0 to 1."))
    if not reason.strip():
        found.append(errors.FieldProblem("reason", "Hãy nêu lý do.", "Give a reason."))
    if wanted.response is not None:
        if wanted.response not in responses.KINDS:
            kinds = ", ".join(responses.KINDS)
            vi, en = f"Biện pháp là một trong: {kinds}.", f"A response is one of: {kinds}."
            found.append(errors.FieldProblem("response", vi, en))
        if not 1 <= (wanted.response_minutes or 0) <= LONGEST_RESPONSE_MINUTES:
            vi = f"Biện pháp tự động kéo dài 1 đến {LONGEST_RESPONSE_MINUTES} phút."
            en = f"An automatic response lasts 1 to {LONGEST_RESPONSE_MINUTES} minutes."
            found.append(errors.FieldProblem("minutes", vi, en))
        if wanted.response_limit is not None:
            limits.parse(wanted.response_limit)
    return found


def _setting(row: dict[str, Any]) -> Setting:
    names = ("rule", "mode", "least_score", "response", "response_limit", "response_minutes")
    return Setting(**{name: row[name] for name in names})


def _told(setting: Setting) -> dict[str, Any]:
    return {"mode": setting.mode, "least_score": setting.least_score, "response": setting.response}
