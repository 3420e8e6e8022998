"""The token of the account, got with its name and password and sent in a header of its own (contracts §8.2)."""

from __future__ import annotations

from lienthong.connectors import http
from lienthong.connectors.my_vnpost import wire


def login(username: str, password: str) -> dict[str, str]:
    """Write what a token is got with."""
    return {wire.NAMES["username"]: username, wire.NAMES["password"]: password}


def call_headers(token: str) -> dict[str, str]:
    """Attach a token."""
    return {wire.NAMES["token_header"]: token}


def read_token(reply: http.Reply, *, life_s: float) -> tuple[str, float]:
    """Read a token; how long it lives is not said, so it is used for `life_s` or until it is refused."""
    return wire.token(reply), life_s
