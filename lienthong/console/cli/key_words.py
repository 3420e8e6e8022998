"""How a key is told to the person at the keyboard: words for its state, its bounds, its uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from lienthong.api_keys import keys, regranting, uses
from lienthong.console.cli import output

STATES = {
    "pending": "chờ duyệt",
    "active": "đang dùng",
    "suspended": "tạm ngưng",
    "lapsed": "tắt: chưa xác nhận lại",
    "expired": "hết hạn",
    "revoked": "đã thu hồi",
}
EVERYWHERE = "MỌI ĐỊA CHỈ / any address"
ALWAYS = "mọi lúc / at any time"
LIST = {
    "prefix": "Khoá",
    "state_vi": "Trạng thái",
    "organisation": "Đơn vị",
    "system": "Hệ thống",
    "custodian": "Người giữ",
    "grants": "Quyền",
    "limits": "Hạn mức",
    "expires_day": "Hết hạn",
    "last_day": "Dùng gần nhất",
}
_GENERATIONS = {
    "number": "Đời",
    "prefix": "Khoá",
    "made_at": "Tạo lúc",
    "made_by": "Người tạo",
    "ends": "Dùng được đến",
}
_USES = {
    "address": "Địa chỉ",
    "generation": "Đời",
    "first_at": "Lần đầu",
    "last_at": "Lần cuối",
    "used": "Được phục vụ",
    "refused": "Bị từ chối",
}
_MOST_SHOWN = 20


def row(record: keys.KeyRecord, now: datetime, used: uses.Use | None = None) -> dict[str, Any]:
    """Give what `--json` prints of one key: as it is kept, what it is worth now, and its uses so far."""
    return {
        **record.as_json(),
        "state": record.state(now),
        "first_used_at": used.first_at.isoformat() if used else None,
        "last_used_at": used.last_at.isoformat() if used else None,
        "used": used.used if used else 0,
        "refused": used.refused if used else 0,
    }


def line(told: Mapping[str, Any]) -> dict[str, Any]:
    """Give one line of the list of keys, from `row`."""
    return {
        **told,
        "prefix": f"{told['prefix']}…",
        "state_vi": STATES[told["state"]],
        "expires_day": day(told["expires_at"]),
        "last_day": day(told["last_used_at"]),
    }


def day(text: str | None) -> str:
    """Write a moment as a day."""
    return datetime.fromisoformat(text).strftime("%d/%m/%Y") if text else "chưa"


def moment(text: str | None) -> str:
    """Write a moment as a day and a time."""
    return datetime.fromisoformat(text).strftime("%d/%m/%Y %H:%M") if text else ""


def facts(told: Mapping[str, Any]) -> dict[str, Any]:
    """Give one key as lines to read, from `row`."""
    return {
        "Mã khoá / id": told["id"],
        "Phần đầu / prefix": f"{told['prefix']}…",
        "Trạng thái / state": f"{STATES[told['state']]} / {told['state']}",
        "Môi trường / environment": told["environment"],
        "Đơn vị / organisation": told["organisation"],
        "Hệ thống / system": told["system"],
        "Người giữ / custodian": told["custodian"],
        "Liên hệ / contact": told["contact"],
        "Mục đích / purpose": told["purpose"],
        "Văn bản cấp / decision": told["decision_number"],
        "Quyền / grants": told["grants"],
        **_waiting(told.get("waiting")),
        "Hạn mức / limits": told["limits"],
        "Địa chỉ được dùng / addresses": told["addresses"] or EVERYWHERE,
        "Giờ được dùng / hours": "; ".join(told["hours"]) or ALWAYS,
        "Cấp / issued": _by(told, "issued"),
        "Duyệt / approved": _by(told, "approved"),
        "Hết hạn / expires": moment(told["expires_at"]),
        "Phải xác nhận lại trước / confirm by": moment(told["confirm_by"]),
        "Xác nhận gần nhất / confirmed": _by(told, "confirmed"),
        **_ends(told),
        "Dùng lần đầu, lần cuối / used": f"{moment(told['first_used_at']) or 'chưa'}"
        f" – {moment(told['last_used_at']) or 'chưa'}",
        "Số lần được phục vụ, bị từ chối / counts": f"{told['used']:,} / {told['refused']:,}",
    }


def generations(found: Sequence[keys.Generation], now: datetime) -> None:
    """Print the generations of a key, the newest first."""
    rows = []
    for generation in found:
        ends = f"{generation.ends_at:%d/%m/%Y %H:%M}" if generation.ends_at else "khi khoá hết hạn"
        if generation.is_over(now):
            ends = f"đã hết ({ends})"
        rows.append(
            {
                "number": generation.number,
                "prefix": f"{generation.prefix}…",
                "made_at": generation.made_at,
                "made_by": generation.made_by,
                "ends": ends,
            }
        )
    output.table("Các đời khoá / generations", _GENERATIONS, rows)


def waiting(asked: regranting.Asked, name: str) -> None:
    """Print which grants wait for a second person, and how that person puts them in force."""
    told = asked.as_json()
    parts = [("thêm", told["add"]), ("bớt", told["remove"])]
    what = "; ".join(f"{word} {', '.join(found)}" for word, found in parts if found)
    output.console.print(f"Chờ người khác duyệt / waits for another person: {what} ({asked.actor})")
    output.console.print(f"  lienthong keys approve {name}")


def used(found: Sequence[uses.Use]) -> None:
    """Print from where a key was used, the latest first."""
    rows = [
        {
            "address": "các địa chỉ khác" if use.address == uses.OTHERS else use.address,
            "generation": use.generation,
            "first_at": use.first_at,
            "last_at": use.last_at,
            "used": use.used,
            "refused": use.refused,
        }
        for use in found[:_MOST_SHOWN]
    ]
    output.table("Đã dùng từ / used from", _USES, rows)
    if len(found) > _MOST_SHOWN:
        output.console.print(f"… và {len(found) - _MOST_SHOWN} địa chỉ nữa; --json cho đủ / more with --json")


def _waiting(told: Mapping[str, Any] | None) -> dict[str, Any]:
    if told is None:
        return {}
    grants = [*(f"+{name}" for name in told["add"]), *(f"-{name}" for name in told["remove"])]
    return {"Quyền chờ duyệt / grants that wait": f"{', '.join(grants)} ({told['asked_by']})"}


def _by(told: Mapping[str, Any], act: str) -> str:
    at, by = moment(told[f"{act}_at"]), told[f"{act}_by"]
    return f"{at}, {by}" if at else ""


def _ends(told: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for act, label in (("suspended", "Tạm ngưng / suspended"), ("revoked", "Thu hồi / revoked")):
        if told[f"{act}_at"]:
            found[label] = f"{moment(told[f'{act}_at'])}: {told[f'{act}_reason']}"
    return found
