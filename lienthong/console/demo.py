"""Walks the hub's stories against a running hub and sandbox, and prints what it does and what came of it."""

from __future__ import annotations

import asyncio
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lienthong.bus import hub as hubs
from lienthong.bus.flows import postal_watch
from lienthong.console import trial, trial_official
from lienthong.console.cli import context, output
from lienthong.core import clock, errors, settings


def run() -> None:
    """Find a procedure, declare a dossier, report its steps, and show that the national portal has them."""
    chosen = context.chosen()
    key = _key(chosen)
    hub = f"http://{chosen.gateway.host}:{chosen.gateway.port}"
    sandbox = f"http://127.0.0.1:{chosen.sandbox.port}"
    code = f"H38.15-{clock.now():%y%m%d}-{int(time.time()) % 10_000:04d}"
    found = _call(hub, "GET", "/v1/procedures?" + urllib.parse.urlencode({"q": "dang ky khai sinh"}), key)
    _say(
        "Tìm thủ tục “dang ky khai sinh” / search",
        f"{found['total']} thủ tục; đầu tiên: {found['items'][0]['name']}",
    )
    procedure = found["items"][0]["code"]
    dossier, change = trial.examples()
    now = datetime.now(clock.VIETNAM).replace(microsecond=0)
    dossier |= {
        "procedure_code": procedure,
        "submitted_at": (now - timedelta(hours=2)).isoformat(),
        "due_at": (now + timedelta(days=2)).isoformat(),
    }
    _call(hub, "PUT", f"/v1/dossiers/{code}", key, dossier)
    _say("Khai hồ sơ / declare a dossier", code)
    for minutes, status, note in (
        (90, "received", "Tiếp nhận"),
        (60, "processing", "Thẩm định"),
        (5, "finished", "Xong"),
    ):
        change |= {"status": status, "note": note, "occurred_at": (now - timedelta(minutes=minutes)).isoformat()}
        if status == "processing":
            _look_up(chosen, hub, key, code)
        accepted = _call(hub, "POST", f"/v1/dossiers/{code}/status", key, change)
        took_s = _delivered(hub, key, accepted["message_id"])
        if status == "received":
            _pay(hub, key, code)
        _say(
            f"Báo trạng thái {status} / report",
            f"Cổng DVCQG nhận sau {took_s:.2f} giây / has it after {took_s:.2f} s",
        )
    _send(chosen, hub, sandbox, key, code)
    held = _held(sandbox, code)
    heard = ", ".join(held["statuses"])
    _say("Cổng DVCQG giả lập đang giữ / the portal holds", f"{code}: mã trạng thái / status codes {heard}")
    public = _call(hub, "GET", f"/v1/enquiries/{code}", key)
    _say("Tra cứu công khai / public enquiry", f"{public['status_vi']}, hẹn trả {public['due_at']}")


def _look_up(chosen: settings.Settings, hub: str, key: str, code: str) -> None:
    """Look a resident of the sandbox up for the dossier, on behalf of the trial's official."""
    assertion = trial_official.assertion(Path(chosen.home), agency_code=chosen.agency.code)
    asked = {
        "dossier_code": code,
        "purpose": "Đối chiếu người yêu cầu",
        "citizen": {"citizen_id": "001099000001", "full_name": "Nguyễn Văn An", "birth": {"day": "1999-01-15"}},
    }
    told = _call(hub, "POST", "/v1/residents/look-up", key, asked, {"X-Official-Assertion": assertion})
    groups = ", ".join(told["field_groups"])
    _say(
        "Tra cứu công dân cho hồ sơ / look a resident up for the dossier",
        f"cán bộ {told['official']}, số yêu cầu {told['number']}; chỉ trả các nhóm: {groups}",
    )
    found = _call(hub, "POST", "/v1/enterprises/look-up", key, {"code": "0000000017", "purpose": "Đối chiếu"})
    name = (found["enterprise"] or {}).get("name", "không có / none")
    _say("Tra cứu doanh nghiệp / look an enterprise up", name)


def _pay(hub: str, key: str, code: str) -> None:
    """Start a payment, pay on the intermediary's page as a person would by clicking, and see it settled."""
    asked = {
        "dossier_code": code,
        "amount_vnd": 8_000,
        "payer": {
            "name": "Nguyễn Văn Thử",
            "citizen_id": "000000000001",
            "address": "1 Phố Thử",
            "address_of_device": "127.0.0.1",
        },
    }
    started = _call(hub, "POST", "/v1/payments", key, asked)
    _say("Bắt đầu thanh toán / start a payment", f"{started['provider']}: {started['pay_url']}")
    with urllib.request.urlopen(f"{started['pay_url']}&choice=pay", timeout=30) as page:  # noqa: S310 - the sandbox
        page.read()
    paid = _until(hub, key, f"/v1/payments/{started['id']}", wanted="paid")
    amount = f"{paid['amount_vnd']:,}".replace(",", ".")
    _say(
        "Trả trên trang của trung gian / pay on its page",
        f"{amount} đ, {paid['state_vi']}, {paid['provider_reference']}",
    )


def _send(chosen: settings.Settings, hub: str, sandbox: str, key: str, code: str) -> None:
    """Have the result carried home: the post says that it was delivered, and the dossier is returned."""
    side = {"address": "1 Phố Thử", "province_code": "01", "old_province_code": "01", "old_district_code": "001"}
    asked = {
        "dossier_code": code,
        "direction": "deliver_result",
        "carrier": "vnpost_hcc",
        "sender": {"name": "Bộ phận Một cửa", "phone": "0900000001", **side},
        "receiver": {"name": "Nguyễn Văn Thử", "phone": "0900000002", **side},
    }
    parcel = _call(hub, "POST", "/v1/parcels", key, asked)
    _say("Đặt bưu chính phát kết quả / have the result delivered", f"{parcel['carrier']}: {parcel['state_vi']}")
    number = _call(sandbox, "GET", "/_sandbox/parcels?system=vnpost_hcc", "")["items"][-1]["number"]
    _call(sandbox, "POST", f"/_sandbox/parcels/{number}?code=4", "")
    asyncio.run(_watch(chosen))
    parcel = _until(hub, key, f"/v1/parcels/{parcel['id']}", wanted="delivered")
    dossier = _call(hub, "GET", f"/v1/dossiers/{code}", key)
    _say(
        "Bưu chính báo đã phát / the post has delivered",
        f"{parcel['state_vi']}; hồ sơ / dossier: {dossier['status_vi']}",
    )


def _held(sandbox: str, code: str) -> dict[str, Any]:
    """Give what the imitated portal holds, once it has heard that the result was returned."""
    held: dict[str, Any] = {}
    for _ in range(100):
        held = _call(sandbox, "GET", f"/_sandbox/dossiers/{code}", "")
        if held["status"] == "10":
            break
        time.sleep(0.1)
    return held


async def _watch(chosen: settings.Settings) -> None:
    """Read the carriers' feeds now; the hub itself does so by its timetable."""
    async with hubs.opened(chosen) as opened:
        await postal_watch.run(opened)


def _until(hub: str, key: str, path: str, *, wanted: str) -> dict[str, Any]:
    """Ask until something is in a state; raises where it does not get there in 20 seconds."""
    found: dict[str, Any] = {}
    for _ in range(200):
        found = _call(hub, "GET", path, key)
        if found["state"] == wanted:
            return found
        time.sleep(0.1)
    raise errors.RemoteUnavailable(
        f"{path} is still {found['state']}", detail_vi=f"{path} vẫn ở trạng thái {found['state']}."
    )


def _say(what: str, came: str) -> None:
    output.console.print(f"[bold]•[/bold] {what}\n  [dim]→[/dim] {came}", highlight=False)


def _key(chosen: settings.Settings) -> str:
    path = Path(chosen.home) / "demo.key"
    if not path.exists():
        raise errors.Misconfigured(
            f"{path} is missing; start the trial first: make run",
            detail_vi=f"Chưa có {path}; hãy chạy thử trước: make run",
        )
    return path.read_text().strip()


def _delivered(hub: str, key: str, message_id: str) -> float:
    """Wait until a message is delivered; gives the seconds from the moment the hub took it."""
    for _ in range(200):
        message = _call(hub, "GET", f"/v1/messages/{message_id}", key)
        if message["state"] == "delivered":
            took = datetime.fromisoformat(message["delivered_at"]) - datetime.fromisoformat(message["created_at"])
            return took.total_seconds()
        time.sleep(0.1)
    raise errors.RemoteUnavailable(
        f"message {message_id} is still {message['state']}",
        detail_vi=f"Thông điệp {message_id} vẫn ở trạng thái {message['state']}; xem `lienthong messages show`.",
    )


def _call(
    base: str, method: str, path: str, key: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(base + path, data=data, method=method)  # noqa: S310 - the hub's own address
    request.add_header("Content-Type", "application/json")
    request.add_header("User-Agent", f"lienthong-demo pid {os.getpid()}")
    for name, value in {**({"X-API-Key": key} if key else {}), **(headers or {})}.items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as exc:
        said = exc.read().decode()[:500]
        raise errors.InvalidRequest(
            f"{method} {path}: {exc.code} {said}", detail_vi=f"{method} {path}: {said}"
        ) from exc
    except urllib.error.URLError as exc:
        raise errors.RemoteUnavailable(
            f"{base} does not answer ({exc.reason}); is `make run` running?",
            detail_vi=f"{base} không trả lời ({exc.reason}); `make run` có đang chạy không?",
        ) from exc
