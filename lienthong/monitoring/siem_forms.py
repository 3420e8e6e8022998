"""A record in the words of a SIEM: ECS field names in JSON, and syslog (RFC 5424). No personal data in clear."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

ECS_VERSION = "8.17.0"
APP_NAME = "lienthong"
_AUDIT = 13  # facility "log audit", RFC 5424 §6.2.1
_ERROR, _WARNING, _INFO = 3, 4, 6
_UNPRINTABLE = "-"
Pseudonym = Callable[[str], str]


def ecs(row: Mapping[str, Any], *, pseudonym: Pseudonym) -> dict[str, Any]:
    """Give a row under the names of the Elastic Common Schema; what it has no name for is under `lienthong`.

    An official goes as a digest (`user.hash`), a person as the digest that the record has; purpose, dossier and
    the caller's own request number may hold anything and stay at home: `event.id` finds them there.
    """
    is_ok = row["outcome"] == "ok"
    told = {
        "@timestamp": row["at"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ecs": {"version": ECS_VERSION},
        "event": {
            "id": row["request_id"],
            "kind": "event",
            "dataset": "lienthong.access",
            "category": ["web"],
            "type": ["access"] if is_ok else ["access", "error"],
            "action": row["operation"],
            "outcome": "success" if is_ok else "failure",
            "code": None if is_ok else row["outcome"],
            "reason": row.get("rule"),
            "duration": round(row["took_ms"] * 1_000_000),
            "sequence": row.get("number_in_node"),
        },
        "http": {
            "request": {"method": row["method"], "bytes": row["bytes_in"]},
            "response": {"status_code": row["status"], "bytes": row["bytes_out"]},
        },
        "network": {"direction": "inbound" if row["direction"] == "in" else "outbound"},
        "organization": {"name": row["organisation"]},
        "service": {"name": APP_NAME, "node": {"name": row.get("node")}},
        "source": {"address": row["address"]},
        "user": {"hash": pseudonym(row["official"]) if row.get("official") else None},
        "lienthong": {
            "key_id": row["key_id"],
            "generation": row.get("generation"),
            "door": row.get("door"),
            "system": row["system"],
            "route": row["route"],
            "rows": row.get("rows"),
            "field_groups": row.get("field_groups"),
            "subject": row.get("subject"),
        },
    }
    return _without_nothing(told)


def _without_nothing(tree: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in tree.items():
        inner = _without_nothing(value) if isinstance(value, dict) else value
        if inner not in (None, {}):
            kept[name] = inner
    return kept


def json_line(row: Mapping[str, Any], *, pseudonym: Pseudonym) -> bytes:
    """Give a row as one line of JSON in ECS field names."""
    return _compact(ecs(row, pseudonym=pseudonym), ascii_only=False) + b"\n"


def syslog(row: Mapping[str, Any], *, pseudonym: Pseudonym, host: str) -> bytes:
    """Give a row as one syslog message (RFC 5424); its text is the ECS record in JSON, ASCII only."""
    severity = _INFO if row["outcome"] == "ok" else _ERROR if row["outcome"].startswith("Server.") else _WARNING
    told = ecs(row, pseudonym=pseudonym)
    head = (
        f"<{_AUDIT * 8 + severity}>1 {told['@timestamp']} {_name(host, 255)} {APP_NAME} "
        f"{_name(row.get('node') or _UNPRINTABLE, 128)} {_name(row['operation'], 32)} - "
    )
    return head.encode("ascii") + _compact(told, ascii_only=True)


def counted(message: bytes) -> bytes:
    """Frame a syslog message for a stream by counting its octets (RFC 6587 §3.4.1, RFC 5425 §4.3)."""
    return b"%d %b" % (len(message), message)


def _compact(told: Mapping[str, Any], *, ascii_only: bool) -> bytes:
    return json.dumps(told, ensure_ascii=ascii_only, separators=(",", ":")).encode()


def _name(text: str, longest: int) -> str:
    """Fit a text into a header field of syslog: printable ASCII without spaces."""
    kept = "".join(letter for letter in text if "!" <= letter <= "~")
    return kept[:longest] or _UNPRINTABLE
