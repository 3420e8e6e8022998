"""Taking back what a run of the procedure sync did, by new versions: nothing is deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus import events, leases
from lienthong.bus.flows import procedure_changes, procedure_versions, sync_runs
from lienthong.core import errors, journal, records, storage, tables

if TYPE_CHECKING:
    from lienthong.bus.hub import Hub

_r, _i = tables.sync_runs, tables.sync_items
_p, _v = tables.procedures, tables.procedure_versions
_AT_ONCE = 400
UNDONE = "undone"


@dataclass(slots=True)
class Undone:
    """What was taken back; `left` are procedures that another run or person has changed since."""

    withdrawn: int = 0
    returned: int = 0
    restored: int = 0
    left: int = 0


async def undo(hub: Hub, run_id: str, *, by: str, reason: str) -> Undone:
    """Take a run back: what was new is withdrawn, what was withdrawn is in force, what changed is as before.

    The mark of the source stays on what changed, so that a daily run leaves it alone until the source changes it
    again; a full run, or a list that still says so, brings the rest back. Raises Conflict where the run is not
    the last one of its source that was carried out, or while another runs; NotFound.
    """
    async with sync_runs.alone(hub) as owner:
        try:
            async with hub.storage.transaction() as tx:
                run = await _last(tx, run_id)
                done = await _carry_out(hub, tx, run)
                told = {name: getattr(done, name) for name in Undone.__slots__}
                note = f"{by}: {reason}"[:500]
                await tx.execute(_r.update().where(_r.c.id == run_id).values(state=UNDONE, note=note))
                await journal.write_act(
                    tx, "sync.undo", run_id, actor=by, now=hub.now(), reason=reason, after=told
                )
        finally:
            await leases.release(hub.storage, sync_runs.LEASE, owner=owner)
    return done


async def _last(tx: AsyncConnection, run_id: str) -> Mapping[str, Any]:
    run = await storage.first(tx, sa.select(_r).where(_r.c.id == run_id))
    if run is None:
        raise errors.NotFound("there is no such sync run", detail_vi="Không có lần đồng bộ này.")
    newest = sa.select(_r.c.id).where(_r.c.source == run["source"], _r.c.state == "done")
    last = (await tx.execute(newest.order_by(_r.c.started_at.desc(), _r.c.id.desc()).limit(1))).scalar()
    if last != run_id:
        raise errors.Conflict(
            "only the last run of a source that was carried out can be taken back",
            detail_vi="Chỉ hoàn lại được lượt đồng bộ cuối đã thực hiện của nguồn.",
        )
    return run


async def _carry_out(hub: Hub, tx: AsyncConnection, run: Mapping[str, Any]) -> Undone:
    done, now = Undone(), hub.now()
    wanted = sa.select(_i.c.code, _i.c.outcome).where(
        _i.c.run_id == run["id"], _i.c.outcome.in_(("new", "changed", "withdrawn"))
    )
    codes: dict[str, list[str]] = {"new": [], "changed": [], "withdrawn": []}
    for row in await tx.execute(wanted.order_by(_i.c.code)):
        codes[row.outcome].append(row.code)
    steps = (("new", _withdraw), ("withdrawn", _return), ("changed", _restore))
    for outcome, step in steps:
        for start in range(0, len(codes[outcome]), _AT_ONCE):
            await step(tx, run, codes[outcome][start : start + _AT_ONCE], done, now)
    return done


async def _withdraw(
    tx: AsyncConnection, run: Mapping[str, Any], codes: Sequence[str], done: Undone, now: datetime
) -> None:
    same = sa.select(_v.c.code).where(_v.c.code.in_(codes), _v.c.run_id == run["id"], _v.c.version == 1)
    gone = await tx.execute(
        _p.update()
        .where(_p.c.code.in_(same), _p.c.version == 1, _p.c.status == "active")
        .values(status="withdrawn", withdrawn_at=now, changed_at=now, fingerprint="")
        .returning(_p.c.code, _p.c.name, _p.c.version)
    )
    told = [dict(row) for row in gone.mappings()]
    done.withdrawn += len(told)
    done.left += len(codes) - len(told)
    await _tell(tx, run, "procedures.withdrawn", told, now)


async def _return(
    tx: AsyncConnection, run: Mapping[str, Any], codes: Sequence[str], done: Undone, now: datetime
) -> None:
    back = await tx.execute(
        _p.update()
        .where(_p.c.code.in_(codes), _p.c.status == "withdrawn", _p.c.withdrawn_at >= run["started_at"])
        .values(status="active", withdrawn_at=None, changed_at=now)
        .returning(_p.c.code, _p.c.name, _p.c.version)
    )
    told = [dict(row) for row in back.mappings()]
    done.returned += len(told)
    done.left += len(codes) - len(told)
    await _tell(tx, run, "procedures.returned", told, now)


async def _restore(
    tx: AsyncConnection, run: Mapping[str, Any], codes: Sequence[str], done: Undone, now: datetime
) -> None:
    """Put the version before the run in force again, as a version of its own."""
    before = _v.alias("before")
    wanted = (
        sa.select(
            _p.c.code, _p.c.version, _v.c.record, _v.c.changes, before.c.record.label("former"), before.c.digest
        )
        .join_from(_p, _v, (_v.c.code == _p.c.code) & (_v.c.version == _p.c.version) & (_v.c.run_id == run["id"]))
        .join(before, (before.c.code == _p.c.code) & (before.c.version == _p.c.version - 1))
        .where(_p.c.code.in_(codes), _p.c.status == "active")
    )
    rows = await storage.every(tx, wanted)
    told = []
    for row in rows:
        now_in_force, former = procedure_changes.unpack(row["record"]), procedure_changes.unpack(row["former"])
        version, changes = row["version"] + 1, procedure_changes.compare(now_in_force, former)
        procedure = records.Procedure.model_validate_json(orjson.dumps(former))
        values = {**procedure_versions.columns(procedure), "digest": row["digest"], "version": version}
        if any(change["field"] == "status" for change in row["changes"]):
            # The run had found it in the list again; before, it was withdrawn.
            values |= {"status": "withdrawn", "withdrawn_at": now, "fingerprint": ""}
            changes = [procedure_changes.status_change(old="active", new="withdrawn"), *changes]
        await tx.execute(_p.update().where(_p.c.code == row["code"]).values(changed_at=now, **values))
        kept = {"run_id": run["id"], "source": run["source"], "valid_from": now, "record": row["former"]}
        await tx.execute(
            _v.insert().values(code=row["code"], version=version, digest=row["digest"], changes=changes, **kept)
        )
        told.append({"code": row["code"], "name": procedure.name, "version": version, "changes": changes})
    done.restored += len(rows)
    done.left += len(codes) - len(rows)
    await _tell(tx, run, "procedures.changed", told, now)


async def _tell(
    tx: AsyncConnection, run: Mapping[str, Any], kind: str, told: Sequence[Mapping[str, Any]], now: datetime
) -> None:
    facts = {"source": run["source"], "run_id": run["id"], "undone": True}
    rows = [events.row(kind, each["code"], {**each, **facts}, now=now) for each in told]
    if rows:
        await tx.execute(tables.events.insert(), rows)
