"""Header recipe LGSP-1: a fixed header that names the province, a token got with it, and the official's (§5.5)."""

from __future__ import annotations

import base64

import orjson

from lienthong.connectors.population_lgsp import wire


def platform_token(*, access_key: str, secret_key: str, app_name: str, partner_code: str, for_code: str) -> str:
    """Make the header that names the province: base64 of compact JSON, its keys in this order (vector 12.9)."""
    values = {
        wire.NAMES["access_key"]: access_key,
        wire.NAMES["secret_key"]: secret_key,
        wire.NAMES["app_name"]: app_name,
        wire.NAMES["partner_code"]: partner_code,
        wire.NAMES["partner_code_cus"]: for_code,
    }
    return base64.b64encode(orjson.dumps(values)).decode("ascii")


def official_token(key_name: str, key_pass: str) -> str:
    """Make the official's header; empty where no pair is set."""
    return base64.b64encode(f"{key_name}:{key_pass}".encode()).decode("ascii") if key_name else ""
