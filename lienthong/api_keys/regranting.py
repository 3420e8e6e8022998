"""Changing what a key may call: by one person, or asked for by one and approved by another.

What waits for the second person stands in the record of acts and nowhere else; a key in use goes on as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import acts, grants, key_records, orders
from lienthong.core import errors, storage, tables

ACT, APPROVAL, ASKED = "keys.grant", "keys.approve", "asked"
_a = tables.admin_acts


@dataclass(frozen=True, slots=True)
class Wanted:
    """Grants to add to a key and to take from it; those of operations, services and field groups alike."""

    add: Sequence[str] = ()
    remove: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A change that waits for a second person: who asked, when, and the grants before and after it."""

    actor: str
    at: datetime
    before: tuple[str, ...]
    after: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Give what `lienthong keys show` tells of it."""
        added, removed = sorted({*self.after} - {*self.before}), sorted({*self.before} - {*self.after})
        return {"asked_by": self.actor, "asked_at": self.at.isoformat(), "add": added, "remove": removed}


async def change(
    store: storage.Storage,
    name: str,
    wanted: Wanted,
    *,
    known_operations: Collection[str],
    reason: str,
    actor: str,
    now: datetime,
    two_people: bool = False,
) -> key_records.KeyRecord:
    """Change the grants of a key; holds everywhere within a second.

    With `two_people` whatever adds a grant waits until `keys.approve` by another person; taking away does not.
    """

    async def decide(_tx: AsyncConnection, before: key_records.KeyRecord) -> acts.Change:
        orders.need_reason(reason, "đổi quyền", "granted anew")
        _must_be_alive(before, now, adds=bool(wanted.add))
        after = _granted(before.grants, wanted, known_operations)
        if after == before.grants:
            return acts.Change()
        if two_people and set(after) - set(before.grants):
            return acts.Change(told={"asked": list(after)}, outcome=ASKED)
        return acts.Change({"grants": after})

    return await acts.carry_out(store, acts.Act(ACT, actor, now, reason), name, decide)


async def approved(tx: AsyncConnection, before: key_records.KeyRecord, *, actor: str) -> acts.Change | None:
    """Give the change that waits for this key, for another person to put in force; nothing where none waits.

    Raises NotGranted for the person who asked, Conflict where the grants are no longer those that were spoken of.
    """
    asked = await waiting(tx, before.id)
    if asked is None:
        return None
    if asked.actor == actor[:100]:
        raise errors.NotGranted(
            f"{actor} asked for these grants, so another person must approve them.",
            detail_vi=f"Quyền này do {actor} đề nghị, nên phải do người khác duyệt.",
            reason="same_person",
        )
    if asked.before != before.grants:
        raise errors.Conflict(
            "The grants of this key have changed since then; ask again with `lienthong keys grant`.",
            detail_vi="Quyền của khoá đã đổi sau khi đề nghị; hãy đề nghị lại bằng `lienthong keys grant`.",
        )
    return acts.Change({"grants": asked.after}, {"asked_by": asked.actor})


async def waiting(conn: AsyncConnection, key_id: str) -> Asked | None:
    """Give the change of a key's grants that waits for a second person, if any: the last one asked for."""
    asked = sa.select(_a).where(_a.c.object == key_id, _a.c.act.in_((ACT, APPROVAL)))
    asked = asked.where(_a.c.outcome.in_((ASKED, "done"))).order_by(_a.c.number.desc()).limit(1)
    row = await storage.first(conn, asked)
    if row is None or row["outcome"] != ASKED:
        return None
    before, after = tuple(row["before"]["grants"]), tuple(row["after"]["asked"])
    return Asked(row["actor"], row["at"], before, after)


def _granted(held: tuple[str, ...], wanted: Wanted, known: Collection[str]) -> tuple[str, ...]:
    after = tuple(sorted(({*held} - {*wanted.remove}) | {*wanted.add}))
    found = [_not_held(grant, held) for grant in wanted.remove if grant not in held]
    if not wanted.add and not wanted.remove:
        vi, en = "Chưa nêu quyền cần thêm hay bớt.", "Say which grants to add or to remove."
        found = [errors.FieldProblem("grants", vi, en)]
    elif both := {*wanted.add} & {*wanted.remove}:
        shown = ", ".join(sorted(both))
        vi, en = f"Vừa thêm vừa bớt: {shown}.", f"Both added and removed: {shown}."
        found.append(errors.FieldProblem("grants", vi, en))
    # Only what is new is judged: what the key holds was judged when it was given.
    elif wanted.add or not after:
        found += grants.problems(wanted.add if after else (), known=known)
    if found:
        raise errors.InvalidRequest(
            "The key was not changed; see each field.",
            detail_vi="Khoá chưa thay đổi; xem từng trường sai.",
            problems=tuple(found),
        )
    return after


def _not_held(grant: str, held: tuple[str, ...]) -> errors.FieldProblem:
    through = grants.granted_by(held, grant)
    if through is not None:
        vi, en = f"quyền đó nằm trong “{through}”", f"it comes with “{through}”"
    else:
        vi, en = f"khoá đang có: {', '.join(held)}", f"the key has: {', '.join(held)}"
    return errors.FieldProblem(
        "grants", f"Khoá không có quyền “{grant}” để bớt; {vi}.", f"There is no grant “{grant}” to remove; {en}."
    )


def _must_be_alive(record: key_records.KeyRecord, now: datetime, *, adds: bool) -> None:
    state = record.state(now)
    if state in ("revoked", "expired"):
        raise errors.Conflict(
            f"Nothing was changed: the key {record.prefix}… is {state}; issue a new one.",
            detail_vi=f"Không thay đổi gì: khoá {record.prefix}… đã hết dùng; hãy cấp khoá mới.",
            reason=state,
        )
    if state == "pending" and adds:
        raise errors.Conflict(
            "Nothing was changed: a key that waits for approval gets no more than it was issued with.",
            detail_vi="Không thay đổi gì: khoá đang chờ duyệt không được thêm quyền; hãy duyệt trước.",
            reason=state,
        )
