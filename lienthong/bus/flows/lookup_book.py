"""The book of questions to national registers: the intention before, the outcome after, refusals too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus.flows import lookup_policy
from lienthong.bus.hub import Hub
from lienthong.core import clock, errors, journal, people, storage, tables

_l, _e, _r = tables.lookups, tables.lookup_exceptions, tables.lookup_rules
_o = tables.officials
# Made once: putting such a statement together costs more than the database's answer to it.
_SETTLED = (
    _l.update()
    .where(_l.c.id == sa.bindparam("question_id"))
    .values(outcome=sa.bindparam("said"), rows=sa.bindparam("found_rows"), answered_at=sa.bindparam("moment"))
)
_USED = _o.update().where(_o.c.id == sa.bindparam("official")).values(last_used_at=sa.bindparam("moment"))
ASKED = "asked"
ANSWERED = ("ok", "not_found")
_WRITE = _l.insert()
_SAME = (_l.c.dossier_code == sa.bindparam("dossier")) & (_l.c.subject == sa.bindparam("about"))
_IS_ANSWERED = sa.or_(*(_l.c.outcome == outcome for outcome in ANSWERED))
_COUNT = sa.select(sa.func.count()).where(_SAME, _IS_ANSWERED | (_l.c.outcome == ASKED)).scalar_subquery()


def _last(column: sa.Column[Any]) -> Any:
    """Make the question for a column of the last answered lookup of the same person for the same dossier."""
    asked = sa.select(column).where(
        _SAME, _l.c.operation == sa.bindparam("name"), _IS_ANSWERED, _l.c.at > sa.bindparam("since")
    )
    return asked.order_by(_l.c.at.desc(), _l.c.id.desc()).limit(1).scalar_subquery()


# All that people set down and that was asked before, in one statement: a row for each exception, at least one.
_ASKED = sa.select(sa.literal_column("1").label("one")).subquery("asked")
_IN_FORCE = (
    (_e.c.official_id == sa.bindparam("official"))
    & _e.c.ended_at.is_(None)
    & (_e.c.ends_at > sa.bindparam("moment"))
)
_SET_DOWN = sa.select(
    _r.c.field_groups,
    _r.c.service_code,
    _COUNT.label("before"),
    _last(_l.c.id).label("last_id"),
    _last(_l.c.at).label("last_at"),
    _e.c.id.label("exception_id"),
    _e.c.dossier_code,
    _e.c.unit_code,
    _e.c.ends_at,
).select_from(
    _ASKED.join(_r, _r.c.procedure_code == sa.bindparam("procedure"), isouter=True).join(
        _e, _IN_FORCE, isouter=True
    )
)


@dataclass(frozen=True, slots=True)
class Question:
    """One question as the book keeps it; never whom it is about, only the keyed digest of the number."""

    id: str
    number: str
    at: datetime
    request_id: str
    key_id: str
    organisation: str
    operation: str
    system: str
    purpose: str
    subject: str | None = None
    official_id: str | None = None
    official_code: str | None = None
    named_by: str = ""
    assertion: str | None = None
    unit_code: str = ""
    dossier_code: str | None = None
    procedure_code: str = ""
    field_groups: tuple[str, ...] = ()
    exception_id: str | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was asked about the same person for the same dossier before."""

    count: int
    last_id: str | None = None
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SetDown:
    """What a decision leans on beside official and dossier: the procedure's rule, exceptions, what was asked."""

    field_groups: tuple[str, ...]
    service_code: str
    earlier: Earlier
    exceptions: Sequence[lookup_policy.Dispensation]


def numbered(agency_code: str, *, now: datetime, serial: int) -> str:
    """Make the number under which the question is known over there: unique, at most 40 characters (§5.3)."""
    province = agency_code.rpartition(".")[2] or "HUB"
    return f"{province[:8]}-{now.astimezone(clock.VIETNAM):%Y%m%d%H%M%S}-{serial % 10**10:010d}"


async def set_down(tx: AsyncConnection, question: Question, *, official_id: str, within_s: int) -> SetDown:
    """Read what is set for the question's procedure, granted to its official, and was asked before.

    Where nothing is set for the procedure, its groups are the least.
    """
    values = {
        "procedure": question.procedure_code,
        "official": official_id,
        "moment": question.at,
        "dossier": question.dossier_code,
        "about": question.subject,
        "name": question.operation,
        "since": question.at - timedelta(seconds=within_s),
    }
    rows = (await tx.execute(_SET_DOWN, values)).all()
    groups, service_code, before, last_id, last_at = rows[0][:5]
    granted = [lookup_policy.Dispensation(*row[5:]) for row in rows if row[5] is not None]
    is_set = groups is not None
    return SetDown(
        tuple(groups) if is_set else lookup_policy.LEAST,
        service_code if is_set else "",
        Earlier(before, last_id, last_at),
        granted,
    )


async def intend(tx: AsyncConnection, question: Question, *, repeats: str | None) -> None:
    """Write the intention. Raises ProofRejected where the assertion has served for a question before."""
    try:
        await tx.execute(_WRITE, {**_row(question), "repeats": repeats, "outcome": ASKED})
    except IntegrityError as exc:
        if question.assertion is None:
            raise errors.StorageUnavailable(reason="the number of the question is taken") from exc
        raise errors.ProofRejected(
            "This assertion of the official was used before; every question needs a new one.",
            detail_vi="Xác nhận của cán bộ đã được dùng; mỗi lần hỏi cần một xác nhận mới.",
            reason="assertion_replayed",
        ) from None


async def refuse(hub: Hub, question: Question, exc: errors.HubError) -> None:
    """Write down a question that was refused before it went out. The assertion stays unspent."""
    reason = str(exc.facts.get("reason") or "")
    outcome = f"{exc.code}:{reason}" if reason else exc.code
    row = {**_row(question), "assertion": None, "outcome": outcome[:60], "answered_at": question.at}
    async with hub.storage.transaction() as tx:
        await tx.execute(_l.insert().values(**row))


async def settle(hub: Hub, question: Question, *, outcome: str, rows: int | None, now: datetime) -> None:
    """Write down how the question ended. Raises StorageUnavailable: then the answer must not go out."""

    async def write(tx: AsyncConnection) -> None:
        told = {"question_id": question.id, "said": outcome[:60], "found_rows": rows, "moment": now}
        await tx.execute(_SETTLED, told)
        if question.official_id is not None:
            await tx.execute(_USED, {"official": question.official_id, "moment": now})

    # Together with others that end at this moment: each waits for the commit of its own.
    await hub.storage.together(write)


async def offer(hub: Hub, question: Question, digests: Sequence[str]) -> None:
    """Keep which files a search found, as digests: only these can be fetched afterwards."""
    async with hub.storage.transaction() as tx:
        await tx.execute(_l.update().where(_l.c.id == question.id).values(offered=list(digests)))


async def read_by(hub: Hub, act: str, about: str, *, actor: str, reason: str = "") -> None:
    """Write down that somebody read the book: reading who asked is itself recorded."""
    async with hub.storage.transaction() as tx:
        await journal.write_act(tx, act, about, actor=actor, now=hub.now(), reason=reason)


async def forget(store: storage.Storage, *, before: datetime) -> int:
    """Drop questions, and papers that were used, whose time is over."""
    async with store.transaction() as tx:
        await tx.execute(tables.paper_uses.delete().where(tables.paper_uses.c.at < before))
        done = await tx.execute(_l.delete().where(_l.c.at < before))
    return int(done.rowcount)


def _row(question: Question) -> dict[str, Any]:
    return {name: _plain(getattr(question, name)) for name in question.__dataclass_fields__}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# ---------------------------------------------------------------------------------- what people set and grant


async def set_rule(
    hub: Hub,
    procedure_code: str,
    *,
    groups: Sequence[str],
    service_code: str,
    reason: str,
    actor: str,
) -> None:
    """Set which groups a procedure may ask for. An administrative act; no groups means the least again."""
    unknown = [name for name in groups if name not in lookup_policy.ALL_GROUPS]
    if unknown:
        raise errors.InvalidRequest(
            f"there is no group {unknown[0]}; there are {', '.join(lookup_policy.ALL_GROUPS)}",
            detail_vi=f"Không có nhóm {unknown[0]}; có các nhóm {', '.join(lookup_policy.ALL_GROUPS)}.",
        )
    if len(service_code) > people.LONGEST_SERVICE_CODE:
        raise errors.InvalidRequest(
            f"a service code has at most {people.LONGEST_SERVICE_CODE} characters",
            detail_vi=f"Mã dịch vụ có tối đa {people.LONGEST_SERVICE_CODE} ký tự.",
        )
    now = hub.now()
    async with hub.storage.transaction() as tx:
        known = sa.select(tables.procedures.c.code).where(tables.procedures.c.code == procedure_code)
        if (await tx.execute(known)).first() is None:
            raise errors.NotFound(
                f"there is no procedure {procedure_code} in the catalogue",
                detail_vi=f"Danh mục không có thủ tục {procedure_code}.",
            )
        before = await storage.first(tx, sa.select(_r).where(_r.c.procedure_code == procedure_code))
        values = {
            "field_groups": list(groups),
            "service_code": service_code,
            "set_at": now,
            "set_by": actor,
            "reason": reason,
        }
        await tx.execute(_r.delete().where(_r.c.procedure_code == procedure_code))
        if groups:
            await tx.execute(_r.insert().values(procedure_code=procedure_code, **values))
        await journal.write_act(
            tx,
            "lookups.rule",
            procedure_code,
            actor=actor,
            now=now,
            reason=reason,
            before={"field_groups": before["field_groups"]} if before else None,
            after={"field_groups": list(groups), "service_code": service_code} if groups else None,
        )


async def grant_exception(
    hub: Hub,
    official_id: str,
    *,
    dossier_code: str | None,
    unit_code: str | None,
    ends_at: datetime,
    reason: str,
    actor: str,
) -> str:
    """Let an official, by name, ask about another unit's dossiers until a stated day. An administrative act."""
    now = hub.now()
    if (dossier_code is None) == (unit_code is None):
        raise errors.InvalidRequest(
            "name either a dossier or a unit", detail_vi="Hãy nêu một hồ sơ hoặc một đơn vị."
        )
    if not now < ends_at <= now + timedelta(days=366):
        raise errors.InvalidRequest(
            "an exception ends in the future, within a year",
            detail_vi="Ngoại lệ phải có ngày hết hạn trong tương lai, không quá một năm.",
        )
    if not reason.strip():
        raise errors.InvalidRequest("say why", detail_vi="Hãy ghi lý do.")
    number = clock.new_id()
    row = {
        "id": number,
        "official_id": official_id,
        "dossier_code": dossier_code,
        "unit_code": unit_code,
        "reason": reason,
        "granted_at": now,
        "granted_by": actor,
        "ends_at": ends_at,
    }
    _must_fit(row)
    after = {"dossier": dossier_code, "unit": unit_code, "ends_at": ends_at.isoformat()}
    async with hub.storage.transaction() as tx:
        await tx.execute(_e.insert().values(**row))
        await journal.write_act(
            tx, "lookups.except", official_id, actor=actor, now=now, reason=reason, after=after
        )
    return number


def _must_fit(row: Mapping[str, Any]) -> None:
    """Refuse texts of an exception that are longer than what is kept of them. Raises InvalidRequest."""
    kept = {column.name: column.type.length for column in _e.c if isinstance(column.type, sa.String)}
    problems = tuple(
        errors.FieldProblem(name, f"{name}: nhiều nhất {most} ký tự.", f"{name}: at most {most} characters.")
        for name, most in kept.items()
        if most and len(row.get(name) or "") > most
    )
    if problems:
        raise errors.InvalidRequest(problems=problems)


async def end_exception(hub: Hub, exception_id: str, *, reason: str, actor: str) -> None:
    """End an exception before its day. An administrative act."""
    now = hub.now()
    async with hub.storage.transaction() as tx:
        done = await tx.execute(
            _e.update()
            .where(_e.c.id == exception_id, _e.c.ended_at.is_(None))
            .values(ended_at=now, ended_by=actor)
        )
        if done.rowcount != 1:
            raise errors.NotFound(
                "there is no such exception in force", detail_vi="Không có ngoại lệ này đang hiệu lực."
            )
        await journal.write_act(tx, "lookups.end_exception", exception_id, actor=actor, now=now, reason=reason)
