"""Who asks, and for which dossier: the official behind a request, and what is known of the dossier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import assertions, keys, officials, proof_register, tokens
from lienthong.bus.flows import dossier_rows, lookup_policy
from lienthong.bus.hub import Hub
from lienthong.core import errors, tables
from lienthong.core.records import Status

BY_ASSERTION, PLAINLY = "assertion", "plain"
_c = tables.status_changes
_STEPS = sa.select(_c.c.record).where(_c.c.dossier_code == sa.bindparam("code"))


@dataclass(frozen=True, slots=True)
class Named:
    """The official whom a request names, and how: by a signed assertion, or plainly where that is allowed."""

    name: str
    named_by: str
    asserted: assertions.Asserted | None = None


async def named(
    hub: Hub,
    conn: AsyncConnection,
    caller: keys.Caller,
    *,
    assertion: str | None,
    plain: str | None,
    dossier_code: str,
    purpose: str,
) -> Named:
    """Find out whom the request names as its official. Raises ProofRejected or NotGranted.

    A caller cannot merely name an official: the system where the official signed in must have signed it. A key
    listed in `residents.plain_officials` may, and every such lookup says so in the book.
    """
    if assertion is None:
        return _plainly(hub, caller, plain)
    chosen = hub.settings.residents
    found = assertions.check(
        assertion,
        keys=await proof_register.asserting(conn, caller.key_id),
        key_id=caller.key_id,
        audience=tokens.audience(hub.settings.agency.code),
        longest_s=chosen.assertion_age_s,
        skew_s=chosen.clock_skew_s,
        now=hub.now(),
    )
    if plain is not None and plain != found.official:
        raise _differs("official", "cán bộ", "official")
    if found.dossier is not None and found.dossier != dossier_code:
        raise _differs("dossier", "hồ sơ", "dossier")
    if found.purpose is not None and found.purpose != purpose:
        raise _differs("purpose", "mục đích", "purpose")
    return Named(found.official, BY_ASSERTION, found)


def _plainly(hub: Hub, caller: keys.Caller, plain: str | None) -> Named:
    if caller.key_id not in hub.settings.residents.plain_officials:
        raise errors.NotGranted(
            "A resident is looked up only with the signed assertion of the system where the official signed in: "
            "send it in the header X-Official-Assertion.",
            detail_vi="Chỉ được tra cứu công dân kèm xác nhận có chữ ký của hệ thống nơi cán bộ đăng nhập: hãy "
            "gửi trong tiêu đề X-Official-Assertion.",
            reason="assertion_missing",
        )
    if not plain:
        raise errors.NotGranted(
            "The request names no official.",
            detail_vi="Yêu cầu không nêu cán bộ thực hiện.",
            reason="official_missing",
        )
    return Named(plain, PLAINLY)


def _differs(what: str, vi: str, reason: str) -> errors.ProofRejected:
    return errors.ProofRejected(
        f"The assertion was made for another {what} than the request names.",
        detail_vi=f"Xác nhận được cấp cho {vi} khác với {vi} nêu trong yêu cầu.",
        reason=f"assertion_{reason}_differs",
    )


async def official(hub: Hub, conn: AsyncConnection, who: Named) -> officials.Official | None:
    """Look the official up in the register; one whose time is over is given too, so that a refusal can explain."""
    return await officials.find_by(conn, hub.vault, who.name)


async def dossier(hub: Hub, conn: AsyncConnection, code: str, *, caller: keys.Caller) -> lookup_policy.Ground:
    """Gather what is known of the dossier. Raises NotGranted where there is none, or it is somebody else's.

    Whoever names a dossier that does not exist hears the same as for a dossier of somebody else: what other
    organisations handle is not to be tried out.
    """
    row = await dossier_rows.row(conn, code)
    if row is None or not dossier_rows.owns(row, caller):
        raise errors.NotGranted(
            "There is no dossier with this code that your organisation declared at the hub; a resident is looked "
            "up only for a dossier that exists.",
            detail_vi="Trên trục không có hồ sơ với mã này do đơn vị của bạn khai; chỉ được tra cứu công dân cho "
            "hồ sơ có thật.",
            reason="dossier_unknown",
        )
    return lookup_policy.Ground(code, row["procedure_code"], Status(row["status"]), await _units(hub, conn, row))


async def _units(hub: Hub, conn: AsyncConnection, row: Mapping[str, Any]) -> frozenset[str]:
    """Name every unit that the dossier is or was with: its agency, its unit, and the unit of each step."""
    held = dossier_rows.record(hub, row)
    steps = await conn.execute(_STEPS, {"code": row["code"]})
    opened = (dossier_rows.opened_change(hub, sealed) for (sealed,) in steps)
    return frozenset({held.agency, held.unit, *(step["change"]["unit"] for step in opened)} - {""})
