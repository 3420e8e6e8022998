"""Dossier status push: take a dossier and its changes of status, and promise them to the national portal.

Accepted in one transaction with the promise; `dossier_push` delivers, at least once, each dossier in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import keys
from lienthong.bus import events, outbox
from lienthong.bus.flows import (
    dossier_moves,
    dossier_push,
    dossier_rows,
    dossier_views,
    payment_records,
    procedure_catalogue,
)
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import errors, records, storage, tables
from lienthong.core.records import Status

_d, _c = tables.dossiers, tables.status_changes


# -------------------------------------------------------------------------------------------------- accepting


async def put(
    hub: Hub, dossier: records.Dossier, *, caller: keys.Caller, request_id: str
) -> dossier_views.DossierView:
    """Create a dossier, or replace what is known of it.

    A dossier keeps the version of the procedure that it was first declared under. Once a change of status was
    promised for it, a replaced content is promised to the targets too.
    """
    now = hub.now()
    async with hub.storage.transaction() as tx:
        row = await _locked(hub, tx, dossier.code)
        if row is None:
            facts = await procedure_catalogue.facts_for_dossier(tx, dossier.procedure_code)
            if await _create(hub, tx, dossier, facts, caller=caller, now=now):
                made = dossier_rows.found(await dossier_rows.row(tx, dossier.code))
                return dossier_rows.view(hub, made).model_copy(update={"created": True})
            # Another request created it at the same moment: then this one replaces it.
            row = dossier_rows.found(await _locked(hub, tx, dossier.code))
        dossier_rows.must_own(row, caller)
        if row["procedure_code"] != dossier.procedure_code:
            raise errors.Conflict(
                "the dossier was declared under another procedure",
                detail_vi="Hồ sơ đã được khai với một thủ tục khác; mã thủ tục của hồ sơ không đổi được.",
            )
        targets = await _replace(hub, tx, dossier, row, request_id=request_id, now=now)
        fresh = await dossier_rows.row(tx, dossier.code)
    for target in targets:
        hub.announce(target)
    return dossier_rows.view(hub, dossier_rows.found(fresh))


async def _create(
    hub: Hub,
    tx: AsyncConnection,
    dossier: records.Dossier,
    facts: records.ProcedureFacts,
    *,
    caller: keys.Caller,
    now: datetime,
) -> bool:
    """Write a new dossier; False where it is there already."""
    values = {
        "code": dossier.code,
        "owner_key_id": caller.key_id,
        "organisation": caller.organisation,
        "procedure_code": facts.code,
        "procedure_version": facts.version,
        "status": Status.SUBMITTED.value,
        "status_at": dossier.submitted_at,
        "changes": 0,
        "received_at": dossier.received_at,
        "due_at": dossier.due_at,
        "answer_by": _answer_by(hub, dossier),
        "created_at": now,
        "updated_at": now,
        **dossier_rows.sealed(hub, dossier),
    }
    made = await tx.execute(hub.storage.insert(_d).values(**values).on_conflict_do_nothing().returning(_d.c.code))
    return made.first() is not None


async def _replace(
    hub: Hub,
    tx: AsyncConnection,
    dossier: records.Dossier,
    row: Mapping[str, Any],
    *,
    request_id: str,
    now: datetime,
) -> Sequence[str]:
    """Write new content; gives the targets that it was promised to."""
    dossier = await payment_records.keep_mark(tx, dossier)
    kept = _timed(
        dossier, received_at=dossier.received_at or row["received_at"], due_at=dossier.due_at or row["due_at"]
    )
    sealed = dossier_rows.sealed(hub, kept)
    if sealed["digest"] == row["digest"]:
        return ()
    snapshot = await _snapshot(tx, kept, row)
    if row["changes"]:
        _must_fit(hub, snapshot, None)
    values = {"received_at": kept.received_at, "due_at": kept.due_at, "updated_at": now, **sealed}
    if not row["changes"]:
        values |= {"status_at": kept.submitted_at, "answer_by": _answer_by(hub, kept)}
    await tx.execute(_d.update().where(_d.c.code == dossier.code).values(**values))
    if not row["changes"]:
        return ()
    await _promise(hub, tx, snapshot, None, request_id=request_id, now=now)
    return hub.settings.dossiers.targets


async def report(
    hub: Hub, code: str, change: records.StatusChange, *, caller: keys.Caller, request_id: str
) -> dossier_views.Accepted:
    """Accept a change of status and promise to pass it on.

    The fact and the promise are written together or not at all. The same change twice gives the same answer;
    the same change number with other content is a Conflict. A change that happened before the present status
    is kept and passed on as a step, but does not move the status back.
    """
    now = hub.now()
    digest = _digest(change.model_dump_json().encode())
    change_key = f"id:{change.change_id}" if change.change_id else f"content:{digest}"
    async with hub.storage.transaction() as tx:
        row = dossier_rows.found(await _locked(hub, tx, code))
        dossier_rows.must_own(row, caller)
        earlier = await _earlier(tx, code, change_key)
        if earlier is not None:
            return _repeated(hub, earlier, digest, row)
        _must_be_possible(change, row, now)
        late = await dossier_moves.overtaken(hub, tx, row, change)
        moved = dossier_moves.moved(hub, row, change, leave=late)
        dossier = _timed(dossier_rows.record(hub, row), received_at=moved["received_at"], due_at=moved["due_at"])
        snapshot = await _snapshot(tx, dossier, {**row, **moved})
        step = records.ProgressStep(dossier_code=code, change=change)
        _must_fit(hub, snapshot, step)
        first_change = row["changes"] == 0
        messages = await _promise(hub, tx, snapshot, step, request_id=request_id, now=now, first=first_change)
        number, unusual = row["changes"] + 1, dossier_moves.unusual(row, change)
        await tx.execute(
            _d.update()
            .where(_d.c.code == code)
            .values(changes=number, updated_at=now, **moved, **dossier_rows.sealed(hub, dossier))
        )
        first = messages[hub.settings.dossiers.targets[0]]
        await tx.execute(
            _c.insert().values(
                dossier_code=code,
                number=number,
                change_key=change_key,
                digest=digest,
                status=change.status.value,
                occurred_at=change.occurred_at,
                accepted_at=now,
                message_id=first,
                record=dossier_rows.seal_change(hub, change, messages),
                unusual=unusual,
            )
        )
        await _announce_change(tx, code, change, moved, now=now)
    for target in messages:
        hub.announce(target)
    return dossier_views.Accepted(
        message_id=first,
        messages=messages,
        dossier_code=code,
        change_number=number,
        status=Status(moved["status"]),
        unusual=unusual,
        accepted_at=now,
    )


def _repeated(hub: Hub, earlier: Mapping[str, Any], digest: str, row: Mapping[str, Any]) -> dossier_views.Accepted:
    if earlier["digest"] != digest:
        raise errors.Conflict(
            "this change_id was used before with other content",
            detail_vi="change_id này đã được dùng trước đó với nội dung khác.",
        )
    return dossier_views.Accepted(
        message_id=earlier["message_id"],
        messages=dossier_rows.opened_change(hub, earlier["record"])["messages"],
        dossier_code=earlier["dossier_code"],
        change_number=earlier["number"],
        status=Status(row["status"]),
        repeated=True,
        unusual=earlier["unusual"],
        accepted_at=earlier["accepted_at"],
    )


def _must_be_possible(change: records.StatusChange, row: Mapping[str, Any], now: datetime) -> None:
    if change.occurred_at > now + timedelta(minutes=5):
        raise errors.InvalidRequest(
            problems=(
                errors.FieldProblem(
                    "occurred_at",
                    "Thời điểm xử lý nằm ở tương lai; hãy kiểm tra đồng hồ và múi giờ của máy gửi.",
                    "This moment lies in the future; check the clock and time zone of the sending machine.",
                ),
            )
        )
    submitted_at: datetime = row["created_at"] if row["status_at"] is None else row["status_at"]
    if row["changes"] == 0 and change.occurred_at < submitted_at - timedelta(days=1):
        raise errors.InvalidRequest(
            problems=(
                errors.FieldProblem(
                    "occurred_at",
                    "Thời điểm xử lý trước ngày nộp hồ sơ.",
                    "This moment is before the dossier was submitted.",
                ),
            )
        )


def _timed(dossier: records.Dossier, *, received_at: datetime | None, due_at: datetime | None) -> records.Dossier:
    """Put the times into a dossier; they come from different requests, and must agree all the same."""
    problems = [
        errors.FieldProblem(
            name,
            f"Thời điểm này ({moment.isoformat()}) trước ngày nộp hồ sơ ({dossier.submitted_at.isoformat()}).",
            f"This moment ({moment.isoformat()}) is before submitted_at ({dossier.submitted_at.isoformat()}).",
        )
        for name, moment in (("received_at", received_at), ("due_at", due_at))
        if moment is not None and moment < dossier.submitted_at
    ]
    if problems:
        raise errors.InvalidRequest(problems=tuple(problems))
    return dossier.model_copy(update={"received_at": received_at, "due_at": due_at})


def _must_fit(hub: Hub, snapshot: records.DossierSnapshot, step: records.ProgressStep | None) -> None:
    """Refuse, before anything is promised, what a target would refuse; every field is named in words."""
    problems: list[errors.FieldProblem] = []
    for name in hub.settings.dossiers.targets:
        receiver: roles.DossierReceiver = hub.system(name)
        problems += receiver.problems(snapshot)
        if step is not None:
            problems += receiver.step_problems(step)
    if problems:
        raise errors.InvalidRequest(problems=tuple(dict.fromkeys(problems)))


async def _promise(
    hub: Hub,
    tx: AsyncConnection,
    snapshot: records.DossierSnapshot,
    step: records.ProgressStep | None,
    *,
    request_id: str,
    now: datetime,
    first: bool = False,
) -> dict[str, str]:
    payload = dossier_push.pack(snapshot, step)
    return {
        target: await outbox.put(
            tx,
            hub.vault,
            target=target,
            lane=snapshot.dossier.code,
            operation=dossier_push.OPERATION,
            payload=payload,
            request_id=request_id,
            now=now,
            first_of_lane=first,
        )
        for target in hub.settings.dossiers.targets
    }


async def _announce_change(
    tx: AsyncConnection, code: str, change: records.StatusChange, moved: Mapping[str, Any], *, now: datetime
) -> None:
    facts: dict[str, Any] = {"status": change.status.value, "occurred_at": change.occurred_at.isoformat()}
    if moved["supplement_by"] is not None:
        facts["supplement_by"] = moved["supplement_by"].isoformat()
    await events.put(tx, "dossiers.status_changed", code, facts, now=now)


async def _locked(hub: Hub, tx: AsyncConnection, code: str) -> Mapping[str, Any] | None:
    """Read a dossier's row and hold it to the end of the transaction: its changes and messages come in order."""
    wanted = sa.select(_d).where(_d.c.code == code)
    if not hub.storage.is_sqlite:
        wanted = wanted.with_for_update()
    return await storage.first(tx, wanted)


async def _earlier(tx: AsyncConnection, code: str, change_key: str) -> Mapping[str, Any] | None:
    wanted = sa.select(_c).where(_c.c.dossier_code == code, _c.c.change_key == change_key)
    return await storage.first(tx, wanted)


async def _snapshot(
    tx: AsyncConnection, dossier: records.Dossier, row: Mapping[str, Any]
) -> records.DossierSnapshot:
    facts = await procedure_catalogue.facts_of_version(tx, row["procedure_code"], row["procedure_version"])
    return records.DossierSnapshot(
        dossier=dossier,
        procedure=facts,
        status=Status(row["status"]),
        rejected_at=row["rejected_at"],
        finished_at=row["finished_at"],
        returned_at=row["returned_at"],
    )


def _answer_by(hub: Hub, dossier: records.Dossier) -> datetime | None:
    """Work out by when an online dossier must be accepted or answered (HG 6.1a)."""
    if dossier.channel is not records.Channel.ONLINE or dossier.received_at is not None:
        return None
    return hub.calendar.deadline(dossier.submitted_at, hub.settings.dossiers.answer_days)


def _digest(plain: bytes) -> str:
    return hashlib.sha256(plain).hexdigest()
