"""What called back, kept as it came: sealed, with a digest that tells two messages apart without opening any."""

from __future__ import annotations

import orjson

from lienthong.bus.flows import payment_records
from lienthong.bus.hub import Hub
from lienthong.core import money


def sealed(hub: Hub, request: money.CallbackRequest) -> tuple[bytes, str]:
    """Seal a message, all but its address, which may be a secret; gives the sealed bytes and the digest."""
    content_type = payment_records.plain(request.headers.get("content-type", ""), 200)
    head = orjson.dumps([payment_records.plain(request.method, 20), content_type])
    raw = b"\n".join((head, request.query.encode("utf-8", "backslashreplace"), request.body))
    return hub.vault.seal(raw, purpose="callback"), hub.vault.digest(raw, purpose="callback")
