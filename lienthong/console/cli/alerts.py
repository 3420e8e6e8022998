"""`lienthong alerts`: what detection found, what became of it, the rules, silences, and holding a key back."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from lienthong.api_keys import responses
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, output
from lienthong.core import errors
from lienthong.monitoring import alert_rules, responding
from lienthong.monitoring import alerts as inbox

app = typer.Typer(no_args_is_help=True, help="Cảnh báo / alerts.")
_SPAN = re.compile(r"(\d{1,4})(m|h|d)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
For = Annotated[str, typer.Option("--for", help="Trong bao lâu / for how long: 30m, 4h, 2d.")]
Alert = Annotated[str, typer.Argument(help="Mã cảnh báo / id of the alert.")]


@app.command("list")
def listed(
    state: Annotated[
        str | None, typer.Option("--state", help="Trạng thái / state: open, acknowledged, closed.")
    ] = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Quy tắc / rule.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Mã khoá / id of a key.")] = None,
    tests: Annotated[bool, typer.Option("--tests", help="Của quy tắc đang thử / of tested rules.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help=context.MOST_ROWS)] = 100,
    json: context.Json = False,
) -> None:
    """Liệt kê cảnh báo, mới nhất trước / list alerts, the newest first."""
    if state is not None and state not in inbox.STATES:
        raise typer.BadParameter(f"--state: {', '.join(inbox.STATES)}")

    async def work(hub: Hub) -> list[dict[str, Any]]:
        return await inbox.listed(hub.storage, state=state, rule=rule, key_id=key, tests=tests, limit=limit)

    rows = context.run(work)
    if json:
        output.as_json(rows)
        return
    headings = {
        "id": "Mã",
        "found_at": "Phát hiện lúc",
        "severity": "Mức",
        "state": "Trạng thái",
        "rule": "Quy tắc",
        "entity": "Đối tượng",
        "sentence_vi": "Nội dung",
    }
    output.table("Cảnh báo", headings, rows)


@app.command()
def show(alert: Alert, json: context.Json = False) -> None:
    """Xem một cảnh báo với ghi chú và biện pháp / show an alert with its notes and responses."""

    async def work(hub: Hub) -> dict[str, Any]:
        return await inbox.show(hub.storage, alert)

    found = context.run(work)
    if json:
        output.as_json(found)
        return
    notes, done = found.pop("notes"), found.pop("responses")
    output.facts(f"Cảnh báo {alert}", found)
    output.table("Ghi chú", {"at": "Lúc", "by": "Người ghi", "text": "Nội dung"}, notes)
    headings = {
        "id": "Mã",
        "kind": "Biện pháp",
        "until": "Đến lúc",
        "begun_by": "Người làm",
        "undone_at": "Gỡ lúc",
    }
    output.table("Biện pháp", headings, done)


@app.command()
def acknowledge(
    alert: Alert,
    assignee: Annotated[str | None, typer.Option("--to", help="Giao cho ai / assigned to.")] = None,
) -> None:
    """Nhận xử lý một cảnh báo / take an alert up."""

    async def work(hub: Hub) -> None:
        who = context.actor()
        await inbox.acknowledge(hub.storage, alert, actor=who, now=hub.now(), assignee=assignee)

    context.run(work)


@app.command()
def close(
    alert: Alert,
    reason: context.Reason,
    kind: Annotated[str, typer.Option("--as", help="Kết luận / verdict: incident, normal, mistake.")],
) -> None:
    """Đóng một cảnh báo; kết luận dạy lại ngưỡng / close an alert; the verdict teaches the thresholds."""

    async def work(hub: Hub) -> None:
        await inbox.close(hub.storage, alert, kind, reason=reason, actor=context.actor(), now=hub.now())

    context.run(work)


@app.command()
def note(alert: Alert, text: Annotated[str, typer.Argument(help="Ghi chú / the note.")]) -> None:
    """Ghi chú vào một cảnh báo / write beside an alert."""

    async def work(hub: Hub) -> None:
        await inbox.note(hub.storage, alert, text, actor=context.actor(), now=hub.now())

    context.run(work)


@app.command()
def silence(
    reason: context.Reason,
    span: For,
    rule: Annotated[str | None, typer.Option("--rule", help="Quy tắc / rule.")] = None,
    entity: Annotated[str | None, typer.Option("--entity", help="Đối tượng / entity, e.g. key=….")] = None,
) -> None:
    """Tạm không mở cảnh báo, có lúc kết thúc / open no alert until an end."""

    async def work(hub: Hub) -> str:
        now = hub.now()
        return await alert_rules.silence(
            hub.storage,
            rule=rule,
            entity=entity,
            until=_until(now, span),
            reason=reason,
            actor=context.actor(),
            now=now,
        )

    typer.echo(context.run(work))


@app.command()
def rules(
    rule: Annotated[str | None, typer.Argument(help="Quy tắc cần đổi / the rule to change.")] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="Chế độ / mode: on, test, off.")] = None,
    least_score: Annotated[
        float | None, typer.Option("--score", help="Từ điểm / from this score, 0 to 1.")
    ] = None,
    response: Annotated[
        str | None, typer.Option("--response", help="Tự động / by itself: throttle, proof, suspend, none.")
    ] = None,
    limit: Annotated[
        str | None, typer.Option("--limit", help="Khi siết / when throttled, e.g. 10/minute.")
    ] = None,
    minutes: Annotated[int | None, typer.Option("--minutes", help="Mấy phút / for how many minutes.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Lý do / why.")] = "",
    json: context.Json = False,
) -> None:
    """Xem các quy tắc, hoặc đổi một quy tắc / list the rules, or change one."""

    async def work(hub: Hub) -> list[dict[str, Any]]:
        if rule is not None:
            async with hub.storage.reading() as conn:
                known = await alert_rules.of(conn, rule)
            wanted = alert_rules.Setting(
                rule,
                mode or known.mode,
                known.least_score if least_score is None else least_score,
                known.response if response is None else None if response == "none" else response,
                limit or known.response_limit,
                minutes or known.response_minutes,
            )
            actor, now = context.actor(), hub.now()
            await alert_rules.change(hub.storage, wanted, reason=reason, actor=actor, now=now)
        counted = await inbox.counts(hub.storage)
        return [{**row, **counted.get(row["rule"], {})} for row in await alert_rules.listed(hub.storage)]

    rows = context.run(work)
    if json:
        output.as_json(rows)
        return
    headings = {
        "rule": "Quy tắc",
        "title_vi": "Nghĩa",
        "mode": "Chế độ",
        "least_score": "Từ điểm",
        "response": "Tự động",
        "response_minutes": "Phút",
        "open": "Đang mở",
        "closed": "Đã đóng",
        "test": "Thử: sẽ báo",
    }
    output.table("Quy tắc", headings, rows)


@app.command()
def respond(
    alert: Alert,
    kind: Annotated[str, typer.Argument(help="Biện pháp / response: throttle, proof, suspend.")],
    reason: context.Reason,
    span: For = "1h",
    limit: Annotated[str, typer.Option("--limit", help="Khi siết / when throttled.")] = responses.USUAL_CURB,
) -> None:
    """Siết, đòi bằng chứng hoặc tạm dừng khoá của cảnh báo / throttle, demand proof of, or suspend its key."""

    async def work(hub: Hub) -> str:
        now = hub.now()
        return await responding.respond(
            hub.storage,
            alert,
            kind,
            reason=reason,
            until=_until(now, span),
            actor=context.actor(),
            now=now,
            limit=limit,
        )

    typer.echo(context.run(work))


@app.command()
def undo(
    name: Annotated[str, typer.Argument(help="Mã biện pháp hoặc cảnh báo / id of a response or an alert.")],
    reason: context.Reason,
) -> None:
    """Gỡ biện pháp / undo what was done against a key."""

    async def work(hub: Hub) -> int:
        return await responding.undo(hub.storage, name, reason=reason, actor=context.actor(), now=hub.now())

    context.run(work)


def _until(now: datetime, span: str) -> datetime:
    match = _SPAN.fullmatch(span.strip().lower())
    if match is None:
        problem = errors.FieldProblem("for", "Ghi như 30m, 4h hoặc 2d.", "Write it like 30m, 4h or 2d.")
        raise errors.InvalidRequest(problems=(problem,))
    return now + timedelta(**{_UNITS[match[2]]: int(match[1])})
