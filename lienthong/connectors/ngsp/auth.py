"""Client credentials at a WSO2 gateway: key and secret as Basic, then a bearer token (contracts §6.2)."""

from __future__ import annotations

import base64

TOKEN_REQUEST = b"grant_type=client_credentials"
FORM = "application/x-www-form-urlencoded"


def basic(key: str, secret: str) -> str:
    """Make the header with which a token is asked for (vector 12.10)."""
    return "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode("ascii")
