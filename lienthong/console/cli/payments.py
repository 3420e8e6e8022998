"""`lienthong payments`: attempts to pay, what waits for a person, and money given back by two people."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import typer

from lienthong.bus.flows import (
    payment_desk,
    payment_records,
    payment_refund,
    payment_views,
    payment_watch,
)
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, output, payment_words

app = typer.Typer(no_args_is_help=True, help="Thanh toán: xem, quyết định, hoàn tiền / payments.")
refund_app = typer.Typer(no_args_is_help=True, help="Hoàn tiền / money given back.")
app.add_typer(refund_app, name="refund")

Number = Annotated[str, typer.Argument(help="Số hoặc mã tham chiếu của lần thanh toán / number or reference.")]
Refund = Annotated[str, typer.Argument(help="Số yêu cầu hoàn tiền / number of the refund.")]


@app.command("list")
def listed(
    state: Annotated[
        str | None, typer.Option(help="Trạng thái / state: pending, paid, failed, expired, needs_person …")
    ] = None,
    provider: Annotated[str | None, typer.Option(help="Trung gian / intermediary.")] = None,
    dossier: Annotated[str | None, typer.Option(help="Mã hồ sơ / dossier.")] = None,
    days: Annotated[int, typer.Option(min=1, help="Bao nhiêu ngày gần đây / the last days.")] = 30,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help=context.MOST_ROWS)] = 50,
    json: context.Json = False,
) -> None:
    """Các lần thanh toán, mới nhất trước / attempts to pay, newest first."""
    rows = context.run(
        lambda hub: payment_desk.listed(
            hub, state=state, provider=provider, dossier=dossier, days=days, limit=limit
        )
    )
    if json:
        output.as_json(rows)
    else:
        payment_words.table(rows)


@app.command()
def show(number: Number, json: context.Json = False) -> None:
    """Một lần thanh toán với mọi điều đã biết / one attempt with all that is known of it."""
    found = context.run(lambda hub: payment_desk.shown(hub, number))
    if json:
        output.as_json(found)
    else:
        payment_words.one(found)


@app.command()
def questions(
    closed: Annotated[bool, typer.Option("--all", help="Cả việc đã giải quyết / closed ones too.")] = False,
    json: context.Json = False,
) -> None:
    """Việc chờ người có thẩm quyền quyết định / what waits for a person."""
    rows = context.run(lambda hub: payment_records.questions(hub, is_open=not closed))
    if json:
        output.as_json(rows)
    else:
        payment_words.questions(rows)


@app.command()
def decide(
    question: Annotated[str, typer.Argument(help="Số việc / number of the question.")],
    reason: context.Reason,
    accept: Annotated[bool, typer.Option("--accept", help="Tính số tiền đã vào / let the money count.")] = False,
    noted: Annotated[bool, typer.Option("--noted", help="Chỉ ghi nhận / only take note.")] = False,
) -> None:
    """Giải quyết một việc; hoàn tiền là lệnh riêng / close a question; refunds have a command of their own."""
    if accept == noted:
        raise typer.BadParameter("chọn --accept hoặc --noted / choose --accept or --noted")
    decision: Literal["accept", "noted"] = "accept" if accept else "noted"
    context.run(
        lambda hub: payment_refund.close_question(
            hub, question, decision=decision, by=context.actor(), reason=_said(reason)
        )
    )
    output.console.print(f"{question}: {decision}")


@app.command()
def query(number: Number, json: context.Json = False) -> None:
    """Hỏi trung gian ngay / ask the intermediary now."""
    row = context.run(lambda hub: payment_desk.ask(hub, number))
    if json:
        output.as_json(row)
    else:
        payment_words.table([row])


@app.command()
def watch(json: context.Json = False) -> None:
    """Chạy một lượt theo dõi: hỏi lại, hết hạn, biên lai, hoàn tiền / one round of the watch."""

    async def work(hub: Hub) -> dict[str, Any]:
        return dataclasses.asdict(await payment_watch.run(hub))

    done = context.run(work, is_long=True)
    if json:
        output.as_json(done)
    else:
        output.facts("Theo dõi thanh toán / the watch", done)


# ------------------------------------------------------------------------------------------------- refunds


@refund_app.command("list")
def refunds(
    ended: Annotated[bool, typer.Option("--all", help="Cả yêu cầu đã xong / ended ones too.")] = False,
    json: context.Json = False,
) -> None:
    """Các yêu cầu hoàn tiền chưa xong / refunds without an end."""
    rows = context.run(lambda hub: payment_desk.refunds(hub, open_only=not ended))
    if json:
        output.as_json([payment_words.refund_told(row) for row in rows])
    else:
        payment_words.refunds(rows)


@refund_app.command()
def request(
    number: Number,
    reason: context.Reason,
    amount: Annotated[
        int | None, typer.Option(min=1, help="Số đồng; bỏ trống là tất cả / đồng; all of it.")
    ] = None,
    json: context.Json = False,
) -> None:
    """Đề nghị hoàn tiền; trên mức quy định thì chờ người thứ hai / ask for a refund."""

    async def work(hub: Hub) -> payment_views.RefundView:
        found = (await payment_desk.shown(hub, number))["payment"]
        by, why = context.actor(), _said(reason)
        return await payment_refund.request_at_desk(hub, found["id"], amount_vnd=amount, reason=why, by=by)

    _tell(context.run(work), json=json)


@refund_app.command()
def approve(
    refund: Refund,
    reason: Annotated[str, typer.Option(help="Căn cứ, nếu có / why, if there is more to say.")] = "",
    json: context.Json = False,
) -> None:
    """Duyệt, là người khác với người đề nghị / approve, as another person than who asked."""
    by, why = context.actor(), reason.strip()[:500]
    _tell(context.run(lambda hub: payment_refund.approve(hub, refund, by=by, reason=why)), json=json)


@refund_app.command()
def decline(refund: Refund, reason: context.Reason, json: context.Json = False) -> None:
    """Không duyệt / decline."""
    by, why = context.actor(), _said(reason)
    _tell(context.run(lambda hub: payment_refund.decline(hub, refund, by=by, reason=why)), json=json)


@refund_app.command()
def resolve(
    refund: Refund,
    reason: context.Reason,
    done: Annotated[bool, typer.Option("--done", help="Tiền đã về / the money went back.")] = False,
    refused: Annotated[bool, typer.Option("--refused", help="Tiền chưa về / it did not.")] = False,
    json: context.Json = False,
) -> None:
    """Kết luận một yêu cầu mà trung gian không trả lời / say how a refund ended that nobody told of."""
    if done == refused:
        raise typer.BadParameter("chọn --done hoặc --refused / choose --done or --refused")
    outcome: Literal["done", "refused"] = "done" if done else "refused"
    by, why = context.actor(), _said(reason)
    _tell(
        context.run(lambda hub: payment_refund.resolve(hub, refund, outcome=outcome, by=by, reason=why)),
        json=json,
    )


def _tell(found: payment_views.RefundView, *, json: bool) -> None:
    if json:
        output.as_json(found.model_dump(mode="json"))
    else:
        said = payment_words.REFUND_STATES.get(found.state, found.state)
        output.console.print(f"{found.id}: {found.amount_vnd} đ, {said} / {found.state}")


def _said(reason: str) -> str:
    if not reason.strip():
        raise typer.BadParameter("cần --reason / --reason is needed")
    return reason.strip()[:500]
