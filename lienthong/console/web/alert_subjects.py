"""Whom or what an alert or a silence is about, in words, and the page of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lienthong.console.web.visit import Visit

# What an event's kind begins with: its page, what the page is asked for (a fact, else the subject), and the list.
_PAGES = {
    "payments": ("payments.one", "id", "payments"),
    "parcels": ("parcels.one", "id", "parcels"),
    "waybills": ("", "", "parcels"),
    "reconciliation": ("reconciliation.one", "id", "reconciliation"),
    "reconcile": ("", "", "reconciliation"),
    "procedures": ("sync.one", "run_id", "sync"),
    "targets": ("targets.one", "name", "targets"),
    "accounts": ("accounts.one", "id", "accounts"),
    "callbacks": ("", "", "payments"),
    "dossier": ("dossiers.one", "code", "dossiers"),
}
# Events about a carrier or a provider as a whole: their subject is no page's.
_OF_NONE = frozenset({"parcels.unread_events", "parcels.feed_unreadable"})
# What people know a matter by, rather than by the number that the hub gave it.
_KNOWN_BY = ("number", "dossier_code", "provider", "account", "source")
_PARTS = re.compile(r"(?:^| )(key|official|address|about)=")


def parted(entity: str) -> dict[str, str]:
    """Take apart the text that names what an alert or a silence is about, into the columns of an alert."""
    parts = _PARTS.split(entity)[1:]
    names = {"key": "key_id", "about": "operation"}
    return {names.get(name, name): value for name, value in zip(parts[::2], parts[1::2], strict=True)}


def about(visit: Visit, alert: Mapping[str, Any], names: Mapping[str, str]) -> tuple[str, str]:
    """Say whom an alert is about, and the address of their page; `names` are of the keys that are registered."""
    key, official, words = alert.get("key_id"), alert.get("official"), visit.words
    of_key = "" if not key else names.get(key) or words("alerts.key_gone", id=key[:8])
    if official:
        told = f"{words('alerts.official')} {official}"
        return f"{told}, {of_key}" if of_key else told, visit.link("officials.one", None, code=official)
    if key:
        return of_key, visit.link("keys.one", None, id=key) if key in names else ""
    if alert.get("address"):
        return f"{words('alerts.address')} {alert['address']}", ""
    if alert.get("operation"):
        return _matter(visit, alert["operation"], alert.get("seen") or {})
    return words("alerts.the_hub"), ""


def _matter(visit: Visit, operation: str, seen: Mapping[str, Any]) -> tuple[str, str]:
    """Say what it is about, without a key or official: a citizen, a matter of a flow, a dossier, an operation."""
    if operation.startswith("subject:"):
        return visit.words("alerts.one_citizen"), ""
    kind, _, subject = operation.partition(" ")
    page, asked, all_of_them = _PAGES.get(kind.partition(".")[0], ("", "", ""))
    if not subject or not all_of_them:
        return f"{visit.words('alerts.operation')} {operation}", ""
    name = next((str(seen[it]) for it in _KNOWN_BY if seen.get(it)), subject)
    told = f"{visit.words(f'places.{all_of_them}')}: {name}"
    if kind in _OF_NONE or not page:
        return told, visit.link(all_of_them)
    values = {("id" if asked == "run_id" else asked): str(seen.get(asked) or subject)}
    return told, visit.link(page, None, **values)
