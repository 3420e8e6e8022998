"""The client's own name and secret, in the body of the form as this server wants them (contracts §9)."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping

FORM = {"content-type": "application/x-www-form-urlencoded"}


def form(values: Mapping[str, str], *, client_id: str, client_secret: str) -> bytes:
    """Write a form that says who the client is."""
    known = {**values, "client_id": client_id, "client_secret": client_secret}
    return urllib.parse.urlencode(known).encode("ascii")
