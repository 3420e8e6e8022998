"""The token of the platform: got with a pair of keys, attached as it says, or in the header of a façade (§8.1)."""

from __future__ import annotations

from lienthong.connectors import http, postal
from lienthong.connectors.vnpost_hcc import wire

GRANT = b"grant_type=client_credentials"
_USUAL_LIFE_S = 3600.0


def token_headers(customer_key: str, secret_key: str) -> dict[str, str]:
    """Make the headers of the call for a token."""
    return {
        "content-type": "application/x-www-form-urlencoded",
        "authorization": postal.basic(customer_key, secret_key),
    }


def call_headers(token: str, *, header: str) -> dict[str, str]:
    """Attach a token, which holds its type before a blank, in the header that the platform reads."""
    if header == wire.NAMES["access_token"]:
        return {header: token.rpartition(" ")[2]}
    return {"authorization": token if " " in token else f"Bearer {token}"}


def read_token(reply: http.Reply) -> tuple[str, float]:
    """Read a token with its type, and its seconds of life; an hour where they are not said."""
    value, kind, life = wire.token(reply)
    return f"{kind} {value}", life if life > 0 else _USUAL_LIFE_S
