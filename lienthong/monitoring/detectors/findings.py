"""What a detector says, and the rules by name: how long an episode lasts and how grave it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lienthong.core import access_record

HOUR_S, DAY_S = 3600.0, 86_400.0


class Who(NamedTuple):
    """Whom a finding is about."""

    key: str | None = None
    official: str | None = None
    address: str | None = None
    operation: str | None = None


class Finding(NamedTuple):
    """What was seen, what is normal, since when, and which records to open. Times are seconds since 1970."""

    rule: str
    who: Who
    since: float
    found_at: float
    score: float
    seen: Mapping[str, Any]
    normal: Mapping[str, Any]
    vi: str
    en: str

    @property
    def records(self) -> dict[str, str]:
        """Say which records show it, in the words of `journal search`."""
        found = {"since": _iso(self.since), "until": _iso(self.found_at + 1)}
        names = (("key_id", self.who.key), ("official", self.who.official), ("address", self.who.address))
        found |= {name: value for name, value in (*names, ("operation", self.who.operation)) if value}
        return found

    def as_line(self) -> dict[str, Any]:
        """Write it as `detect replay` prints it."""
        return {
            "rule": self.rule,
            "key": self.who.key,
            "official": self.who.official,
            "since": _iso(self.since),
            "found_at": _iso(self.found_at),
            "score": round(self.score, 3),
            "seen": dict(self.seen),
            "normal": dict(self.normal),
            "address": self.who.address,
            "operation": self.who.operation,
            "sentence_vi": self.vi,
            "sentence_en": self.en,
            "records": self.records,
        }


class Rule(NamedTuple):
    """A rule: findings of it about the same one are one episode while less than `quiet_s` lies between them."""

    quiet_s: float
    severity: str
    vi: str
    en: str


RULES: dict[str, Rule] = {
    "volume_up": Rule(3 * HOUR_S, "medium", "Lượng gọi tăng bất thường", "Unusually many calls"),
    "volume_down": Rule(DAY_S, "low", "Lượng gọi giảm bất thường", "Unusually few calls"),
    "slow_drift": Rule(7 * DAY_S, "low", "Lượng gọi tăng dần", "Calls grow day by day"),
    "silence": Rule(DAY_S, "medium", "Im lặng ngoài dự kiến", "Unexpected silence"),
    "error_burst": Rule(3 * HOUR_S, "medium", "Nhiều lời gọi sai", "A burst of wrong calls"),
    "refusal_burst": Rule(3 * HOUR_S, "high", "Nhiều lời gọi bị từ chối", "A burst of refused calls"),
    "limit_probing": Rule(6 * HOUR_S, "medium", "Dò hạn mức", "Probing the limit"),
    "new_network": Rule(DAY_S, "medium", "Địa chỉ mạng mới", "A new network"),
    "key_shared": Rule(6 * HOUR_S, "high", "Khoá dùng đồng thời từ nhiều nơi", "A key used from several places"),
    "official_shared": Rule(6 * HOUR_S, "high", "Tài khoản cán bộ dùng chung", "An official's account is shared"),
    "off_hours": Rule(12 * HOUR_S, "medium", "Dùng ngoài giờ", "Use outside office hours"),
    "new_operation": Rule(DAY_S, "medium", "Thao tác hoặc nhóm dữ liệu mới", "A new operation or field group"),
    "enumeration": Rule(16 * HOUR_S, "high", "Dò số định danh công dân", "Enumeration of citizens"),
    "curious_many": Rule(7 * DAY_S, "high", "Nhiều cán bộ tra một người", "Many officials ask about one person"),
    "curious_return": Rule(
        7 * DAY_S, "medium", "Một cán bộ tra đi tra lại một người", "One official keeps asking"
    ),
    "dossier_reused": Rule(7 * DAY_S, "high", "Một hồ sơ dùng để tra nhiều người", "One dossier for many persons"),
    "no_case": Rule(2 * DAY_S, "high", "Tra cứu không có hồ sơ thật", "Lookups without a real case"),
    "dormant_revived": Rule(
        7 * DAY_S, "medium", "Khoá lâu không dùng hoạt động lại", "A dormant key is used again"
    ),
    "unusual_order": Rule(12 * HOUR_S, "medium", "Trình tự gọi bất thường", "An unusual order of calls"),
    "data_out": Rule(6 * HOUR_S, "high", "Dữ liệu ra nhiều bất thường", "Unusually much data out"),
    "flow": Rule(DAY_S, "medium", "Việc cần người xử lý", "Work that needs a person"),
    "copied_passkey": Rule(DAY_S, "high", "Passkey có dấu hiệu bị sao chép", "A passkey may have been copied"),
    # Each report is a matter of its own, however soon the next one comes.
    "reported": Rule(0.0, "high", "Có người báo dùng sai mục đích", "Misuse that somebody reports"),
    "forged_callback": Rule(6 * HOUR_S, "high", "Lời gọi lại giả mạo", "Forged callbacks"),
}


def _iso(at: float) -> str:
    return access_record.moment(int(at * 1e6)).isoformat(timespec="seconds")
