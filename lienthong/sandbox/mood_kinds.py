"""What a mood is, the systems that it may stand over, and the moods of payments and parcels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ADAPTER, PORTAL, EVERY = "dvcqg_adapter", "dvcqg_portal", "*"
C06, LGSP, NGSP = "population_c06", "population_lgsp", "ngsp"
STORE, SSO = "dvcqg_store", "dvcqg_sso"
VNPAY, MOMO, PLATFORM = "vnpay", "momo", "dvcqg_payment"
KEYPAY, PAYGOV, VIETQR = "keypay", "paygov", "vietqr"
HCC, MY_VNPOST, EMS = "vnpost_hcc", "my_vnpost", "ems"
INTERMEDIARIES = (VNPAY, MOMO, PLATFORM, KEYPAY, PAYGOV)
CALLERS = (*INTERMEDIARIES, EMS)
CARRIERS = (HCC, MY_VNPOST, EMS)
OF_THE_PORTAL = (ADAPTER, PORTAL)
SYSTEMS = (*OF_THE_PORTAL, C06, LGSP, NGSP, STORE, SSO, *INTERMEDIARIES, VIETQR, *CARRIERS)

LIST_SERVICES = frozenset({"LayDanhSachTTHC", "LayDanhMucCoQuan", "LayDanhMucLinhVuc", "list", "provinces"})
DETAIL_SERVICES = frozenset({"LayThuTuc", "detail"})
WRITE_SERVICES = frozenset({"DongBoHoSoMC", "CapNhatTienDoHoSoMC"})
ADAPTER_SERVICES = WRITE_SERVICES | {
    "LayDanhSachTTHC",
    "LayThuTuc",
    "LayDanhMucCoQuan",
    "LayDanhMucLinhVuc",
    "TraCuuHoSo",
}

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a mood is: its parameters with their defaults, where it may stand, and its words for people."""

    vi: str
    en: str
    params: Params = field(default_factory=dict)
    systems: tuple[str, ...] = SYSTEMS
    services: frozenset[str] = frozenset()
    is_shape: bool = False


def _callback(vi: str, en: str, params: Params | None = None) -> Kind:
    return Kind(vi, en, params or {}, systems=CALLERS, services=frozenset({"pay", "event"}), is_shape=True)


PAYMENTS: dict[str, Kind] = {
    "callback_late": _callback("báo kết quả trễ", "the callback comes late", {"late_s": 30}),
    "callback_twice": _callback("báo kết quả nhiều lần", "the callback comes several times", {"times": 2}),
    "callback_lost": _callback("không báo kết quả", "no callback at all"),
    "callback_forged": _callback("chữ ký giả", "a callback whose signature is wrong"),
    "callback_wrong_amount": _callback("sai số tiền", "a signed callback about another amount", {"by_vnd": -1000}),
    "callback_reordered": _callback("báo đảo thứ tự", "a callback that waits until the next one has gone"),
    "receipt_as_address": Kind(
        "biên lai là địa chỉ", "an address instead of the receipt", systems=(PLATFORM,), is_shape=True
    ),
    "feed_repeated": Kind("sự kiện lặp", "events that come again", systems=CARRIERS, is_shape=True),
    "feed_unordered": Kind("sự kiện đảo thứ tự", "events in the wrong order", systems=CARRIERS, is_shape=True),
    "feed_unread": Kind("sự kiện hỏng", "a row that cannot be read", systems=(HCC, EMS), is_shape=True),
}
