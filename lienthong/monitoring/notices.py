"""A notice of an alert: what is told outside the desks. Names no person, no official, no dossier.

Who gets it knows the rule, how grave, the key's organisation and where to read on; all else is on the desk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lienthong.core import clock
from lienthong.monitoring.detectors import findings

# Rules whose sentence quotes what an event was about: a payment, a parcel, a dossier.
_QUOTING = frozenset({"flow", "forged_callback"})
_LONG_NUMBER = re.compile(r"\d[\d .-]{7,}\d")
_SYSLOG = {"low": 5, "medium": 4, "high": 2}
_FACILITY = 13  # log audit, RFC 5424 §6.2.1
_UNSAFE = re.compile(r"[^\x21-\x7e]")
MOST_TOGETHER = 20


@dataclass(frozen=True, slots=True)
class Notice:
    """One alert as it is told."""

    id: str
    rule: str
    severity: str
    since: datetime
    found_at: datetime
    vi: str
    en: str
    about: str
    link: str

    def as_json(self) -> dict[str, Any]:
        """Give what the signed webhook carries."""
        return {
            "type": "alert.opened",
            "timestamp": _iso(self.found_at),
            "data": {
                "id": self.id,
                "rule": self.rule,
                "severity": self.severity,
                "since": _iso(self.since),
                "found_at": _iso(self.found_at),
                "sentence": {"vi": self.vi, "en": self.en},
                "about": self.about,
                "link": self.link,
            },
        }

    @property
    def text(self) -> str:
        """Give some lines for people, in both languages."""
        at = f"{self.found_at.astimezone(clock.VIETNAM):%H:%M:%S %d/%m/%Y}"
        lines = [self.vi, self.en, f"{self.about} · {at}" if self.about else at, self.link or f"#{self.id}"]
        return "\n".join(lines)


def of_alert(alert: Mapping[str, Any], *, key: str, desk: str) -> Notice:
    """Make the notice of an alert; `key` names the key, `desk` is the address of the desks, or nothing."""
    rule = findings.RULES.get(alert["rule"])
    titles = (rule.vi, rule.en) if rule else (alert["rule"], alert["rule"])
    told = [_sentence(alert, language) for language in ("vi", "en")]
    return Notice(
        alert["id"],
        alert["rule"],
        alert["severity"],
        alert["since"],
        alert["found_at"],
        f"{titles[0]}: {told[0]}",
        f"{titles[1]}: {told[1]}",
        key,
        f"{desk}/alerts/{alert['id']}" if desk else "",
    )


def _sentence(alert: Mapping[str, Any], language: str) -> str:
    text = str(alert[f"sentence_{language}"])
    if alert["rule"] in _QUOTING:
        text = text.partition(":")[0] + "."
    for name in ("official", "address"):
        if alert[name]:
            text = text.replace(alert[name], "…")
    return _LONG_NUMBER.sub("…", text)


def mail(found: Sequence[Notice], *, agency: str) -> tuple[str, str]:
    """Give subject and text of one mail about several alerts, the gravest first."""
    order = ("high", "medium", "low")
    ranked = sorted(found, key=lambda it: (order.index(it.severity) if it.severity in order else 3, it.found_at))
    first = ranked[0]
    more = f" (+{len(ranked) - 1})" if len(ranked) > 1 else ""
    subject = " ".join(f"[{agency or 'Liên thông'}] {first.vi.partition(':')[0]}{more}".split())
    return subject, "\n\n".join(it.text for it in ranked[:MOST_TOGETHER]) + "\n" + _and_more(ranked)


def together(found: Sequence[Notice]) -> str:
    """Give one text about several alerts, for a chat."""
    return "\n\n".join(it.text for it in found[:5]) + (f"\n+{len(found) - 5}" if len(found) > 5 else "")


def filled(template: str, facts: Mapping[str, str], *, as_json: bool) -> str:
    """Put facts into a template; inside JSON they are written so that they stay texts."""

    def value(match: re.Match[str]) -> str:
        text = facts[match[1]]
        return json.dumps(text, ensure_ascii=False)[1:-1] if as_json else text

    return re.sub(r"\{(" + "|".join(facts) + r")\}", value, template)


def syslog(notice: Notice, *, host: str) -> bytes:
    """Give one syslog message (RFC 5424); its text is JSON in ASCII."""
    at = notice.found_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    priority = _FACILITY * 8 + _SYSLOG.get(notice.severity, 4)
    name = _UNSAFE.sub("-", host)[:255] or "-"
    return f"<{priority}>1 {at} {name} lienthong - ALERT - {json.dumps(notice.as_json())}".encode("ascii")


def _and_more(found: Sequence[Notice]) -> str:
    rest = len(found) - MOST_TOGETHER
    return f"\n… và {rest} cảnh báo nữa / and {rest} more\n" if rest > 0 else ""


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
