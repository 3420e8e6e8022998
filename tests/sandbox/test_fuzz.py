"""Whatever is posted, the sandbox answers; it never fails itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SERVICES = ("LayDanhSachTTHC", "LayThuTuc", "LayDanhMucCoQuan", "LayDanhMucLinhVuc", "DongBoHoSoMC",
            "CapNhatTienDoHoSoMC", "TraCuuHoSo")  # fmt: skip
FIELDS = ("MaHoSo", "MaTTHC", "TrangThaiHoSo", "TaiLieuNop", "DinhDanhCHS", "NgayTiepNhan", "DanhSachHoSoBoSung")
NAMED = st.fixed_dictionaries(
    {"service": st.sampled_from(SERVICES) | ANY_JSON},
    optional={
        "data": ANY_JSON | st.lists(st.dictionaries(st.sampled_from(FIELDS), ANY_JSON), max_size=3),
        "isUpdating": st.sampled_from(["True", "False"]) | ANY_JSON,
        "maTTHC": ANY_JSON,
        "mahoso": ANY_JSON,
        "madonvi": st.just("H38") | ANY_JSON,
    },
)
MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(body=ANY_JSON | NAMED)
async def test_no_json_makes_the_adapter_fail(caller, body: Any):
    if isinstance(body, dict) and "service" in body:
        body["session"] = caller.session or await caller.log_in()
    answer = await caller.client.post("/dvcqg_adapter/mapi/g", content=json.dumps(body).encode())
    assert answer.status_code in (200, 400)
    assert isinstance(answer.json(), dict)


@MANY
@given(body=ANY_JSON | st.fixed_dictionaries({"limit": ANY_JSON, "lastId": ANY_JSON, "q": ANY_JSON}))
async def test_no_json_makes_the_portal_fail(caller, body: Any):
    for path in (
        "submitting/formality/list-all-public-formality-by-citizen",
        "configuring/province-vn/list-by-citizen",
    ):
        answer = await caller.client.post(f"/dvcqg_portal/api/v1/{path}", content=json.dumps(body).encode())
        assert answer.status_code in (201, 400)


def _nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xfe", b"[" * 2000, _nested(300), _nested(254), _nested(251), b"1e999", b"\x00"]
)
async def test_no_bytes_make_either_fail(caller, raw: bytes):
    for path in ("/dvcqg_adapter/mapi/g", "/dvcqg_adapter/mapi/login",
                 "/dvcqg_portal/api/v1/configuring/formality/get-formality-by-citizen"):  # fmt: skip
        assert (await caller.client.post(path, content=raw)).status_code in (200, 400)
    assert (await caller.client.get("/_sandbox/received")).status_code == 200
    assert (await caller.client.get("/?call=1")).status_code == 200
