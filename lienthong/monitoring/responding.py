"""From an alert to a key held back in one step, and undone in one; by itself only where a rule says so."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from lienthong.api_keys import acts, responses
from lienthong.core import errors, storage
from lienthong.monitoring import alert_rules, alerts

_log = logging.getLogger("lienthong.detection")
BY_ITSELF = "lienthong.detection"


async def respond(
    store: storage.Storage,
    alert_id: str,
    kind: str,
    *,
    reason: str,
    until: datetime,
    actor: str,
    now: datetime,
    limit: str = responses.USUAL_CURB,
    automatic: bool = False,
) -> str:
    """Throttle the key of an alert, demand proof of it, or suspend it; gives the response's id.

    Raises NotFound where there is no such alert, Conflict where it names no key, and as `responses.begin`.
    """
    alert = await alerts.show(store, alert_id)
    if not alert["key_id"]:
        raise errors.Conflict(
            "this alert is about no key; nothing can be held back",
            detail_vi="Cảnh báo này không gắn với khoá nào nên không có gì để xử lý.",
        )
    act = acts.Act(f"keys.respond_{kind}", actor, now, reason)
    return await responses.begin(
        store, alert["key_id"], kind, act=act, until=until, limit=limit, alert_id=alert_id, automatic=automatic
    )


async def undo(store: storage.Storage, name: str, *, reason: str, actor: str, now: datetime) -> int:
    """Undo one response, or all that were begun from an alert; gives how many. Raises NotFound."""
    act = acts.Act("keys.respond_undo", actor, now, reason)
    begun = await responses.of_alert(store, name)
    if not begun:
        await responses.undo(store, name, act=act)
        return 1
    on = [row for row in begun if row["undone_at"] is None and row["until"] > now]
    for row in on:
        await responses.undo(store, row["id"], act=act)
    if not on:
        raise errors.Conflict("nothing is in force any more", detail_vi="Không còn biện pháp nào đang áp dụng.")
    return len(on)


async def by_itself(store: storage.Storage, alert_id: str, *, now: datetime) -> str | None:
    """Do what the alert's rule says happens by itself; nothing unless a person switched that on."""
    alert = await alerts.show(store, alert_id)
    async with store.reading() as conn:
        rule = await alert_rules.of(conn, alert["rule"])
    if rule.response is None or rule.mode != alert_rules.ON or not alert["key_id"]:
        return None
    until = now + timedelta(minutes=rule.response_minutes or 15)
    reason = f"tự động theo quy tắc {alert['rule']}"
    try:
        return await respond(
            store,
            alert_id,
            rule.response,
            reason=reason,
            until=until,
            actor=BY_ITSELF,
            now=now,
            limit=rule.response_limit or responses.USUAL_CURB,
            automatic=True,
        )
    except errors.CallerError as exc:
        _log.warning("an automatic response was not possible", extra={"alert": alert_id, "code": exc.code})
        return None
