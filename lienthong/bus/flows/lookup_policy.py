"""May this official ask this, for this dossier? Pure: what is known goes in, a refusal in words comes out.

A lookup needs a registered official in force, an open dossier of the official's unit or route (or an exception
granted by name), a procedure the official is registered for, and field groups that procedure and key both allow
(HG 10.1, 10.2; contracts §5.6).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lienthong.api_keys import officials
from lienthong.bus.flows import folding
from lienthong.core import errors, records
from lienthong.core.records import Status

LEAST: tuple[str, ...] = ("residents.identity", "residents.basic")
# Finished is still open: who comes for the result is verified before it is handed over.
CLOSED = frozenset({Status.REJECTED, Status.STOPPED, Status.RETURNED})


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known of the dossier that a question leans on."""

    code: str
    procedure_code: str
    status: Status
    units: frozenset[str]


@dataclass(frozen=True, slots=True)
class Dispensation:
    """An official named to ask about another unit's dossiers, those of its parts too, until a stated day."""

    id: str
    dossier_code: str | None
    unit_code: str | None
    ends_at: datetime

    def covers(self, ground: Ground, *, now: datetime) -> bool:
        """Whether it opens this dossier now."""
        if now >= self.ends_at:
            return False
        if self.dossier_code is not None:
            return self.dossier_code == ground.code
        named = self.unit_code
        return named is not None and any(unit == named or unit.startswith(f"{named}.") for unit in ground.units)


def must_be_in_force(official: officials.Official | None, *, now: datetime) -> officials.Official:
    """Insist that the official is registered and in force. Raises NotGranted saying what to do."""
    if official is None:
        raise _refused(
            "official_unknown",
            "The official named in the request is not registered at the hub; the unit registers officials with "
            "the operator of the hub before they may look residents up.",
            "Cán bộ nêu trong yêu cầu chưa được đăng ký trên trục; đơn vị phải đăng ký cán bộ với đơn vị vận hành "
            "trục trước khi tra cứu công dân.",
        )
    state = official.state(now)
    if state != "in_force":
        en, vi = _STATES[state]
        raise _refused(f"official_{state}", en, vi, official=official.code)
    return official


_STATES: Mapping[str, tuple[str, str]] = {
    "not_yet": (
        "The official's registration is not valid yet.",
        "Đăng ký của cán bộ chưa đến ngày có hiệu lực.",
    ),
    "expired": (
        "The official's registration has expired; the unit must confirm it with the operator of the hub.",
        "Đăng ký của cán bộ đã hết hiệu lực; đơn vị cần gia hạn với đơn vị vận hành trục.",
    ),
    "revoked": (
        "The official's registration has been revoked.",
        "Đăng ký của cán bộ đã bị thu hồi.",
    ),
    "replaced": (
        "The official's registration was handed over to a successor; it is no longer valid.",
        "Đăng ký của cán bộ đã chuyển cho người thay thế; không còn hiệu lực.",
    ),
}


def must_be_open(ground: Ground) -> None:
    """Insist that the dossier is still being settled. Raises NotGranted."""
    if ground.status in CLOSED:
        said = records.STATUS_VI[ground.status]
        raise _refused(
            "dossier_closed",
            "The dossier is closed; a resident is looked up only for an open dossier.",
            f"Hồ sơ đã đóng (trạng thái: {said}); chỉ được tra cứu công dân cho hồ sơ đang giải quyết.",
        )


def must_fit(
    official: officials.Official,
    ground: Ground,
    exceptions: Sequence[Dispensation],
    *,
    procedure_code: str | None,
    now: datetime,
) -> str | None:
    """Insist that procedure and unit agree; gives the exception that it needed, if any. Raises NotGranted."""
    if procedure_code is not None and procedure_code != ground.procedure_code:
        raise _refused(
            "procedure_differs",
            "The dossier belongs to another procedure than the one named in the request.",
            "Hồ sơ thuộc thủ tục khác với thủ tục nêu trong yêu cầu.",
        )
    if not official.may_ask_for(ground.procedure_code):
        raise _refused(
            "procedure_not_registered",
            f"The official {official.code} is not registered for the procedure {ground.procedure_code}.",
            f"Cán bộ {official.code} không được đăng ký tra cứu cho thủ tục {ground.procedure_code}.",
        )
    if _is_on_route(official.unit_code, official.unit_name, ground.units):
        return None
    for exception in exceptions:
        if exception.covers(ground, now=now):
            return exception.id
    raise _refused(
        "other_unit",
        f"The dossier is not with the unit of the official {official.code}; an exception can be granted by name "
        "and until a stated day (lienthong lookups except).",
        f"Hồ sơ không thuộc đơn vị của cán bộ {official.code}; trường hợp ngoại lệ phải được cấp đích danh và có "
        "ngày hết hạn (lienthong lookups except).",
    )


def groups_for(
    wanted: Sequence[str], *, by_procedure: Collection[str], by_key: Collection[str]
) -> tuple[str, ...]:
    """Work out which groups may go out, in a fixed order. Raises InvalidRequest or NotGranted naming the group."""
    unknown = [name for name in wanted if name not in ALL_GROUPS]
    if unknown:
        shown = ", ".join(ALL_GROUPS)
        raise errors.InvalidRequest(
            problems=(
                errors.FieldProblem(
                    "fields",
                    f"Không có nhóm trường này; có các nhóm: {shown}.",
                    f"There is no such group of fields; there are {shown}.",
                ),
            )
        )
    for name in wanted:
        if name not in by_procedure:
            raise _refused(
                "fields_by_procedure",
                f"{name} is not among the field groups set for this procedure (lienthong lookups rule).",
                f"Thủ tục này không được lấy nhóm {name} (lienthong lookups rule).",
            )
        if name not in by_key:
            raise _refused(
                "fields_by_key",
                f"This key has not been granted fields:{name}.",
                f"Khoá này chưa được cấp quyền fields:{name}.",
            )
    chosen = [
        name for name in ALL_GROUPS if name in by_procedure and name in by_key and (not wanted or name in wanted)
    ]
    if not chosen:
        raise _refused(
            "fields_none",
            "Neither the procedure nor the key allow any group of fields; grant the key fields:residents.basic.",
            "Không có nhóm trường nào được phép cho khoá và thủ tục này; hãy cấp cho khoá quyền "
            "fields:residents.basic.",
        )
    return tuple(chosen)


ALL_GROUPS: tuple[str, ...] = (
    "residents.identity",
    "residents.basic",
    "residents.residence",
    "residents.birth",
    "residents.family",
    "residents.status",
    "residents.sensitive",
)


def _is_on_route(unit_code: str, unit_name: str, units: frozenset[str]) -> bool:
    """Whether a unit, or the agency that it is a part of, is among those that have to do with a dossier."""
    if any(unit_code == unit or unit_code.startswith(f"{unit}.") for unit in units if unit):
        return True
    name = folding.spoken(unit_name)
    return bool(name) and any(folding.spoken(unit) == name for unit in units)


def _refused(reason: str, en: str, vi: str, **facts: Any) -> errors.NotGranted:
    return errors.NotGranted(en, detail_vi=vi, reason=reason, **facts)
