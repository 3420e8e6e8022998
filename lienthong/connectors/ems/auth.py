"""The token that EMS gives a customer for good: a parameter of a call, or a bearer header (§8.3 names neither).

A call by EMS carries no signature: its address and the secret in its path are for the gateway to check.
"""

from __future__ import annotations

from lienthong.connectors import http
from lienthong.connectors.ems import wire


def options(token: str, *, place: str) -> http.Options:
    """Attach the token where this connection sends it; the journal keeps paths without their parameters."""
    if place == "header":
        return {"headers": {"authorization": f"Bearer {token}"}}
    return {"query": {wire.NAMES["token_parameter"]: token}}
