"""`lienthong parcels`: where the parcels of dossiers are, what a person must decide, reading the carriers now."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Annotated, Any

import typer

from lienthong.bus.flows import postal, postal_booking, postal_records, postal_views, postal_watch
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, output

app = typer.Typer(no_args_is_help=True, help="Bưu gửi thu gom hồ sơ, phát kết quả / parcels of dossiers.")

_COLUMNS = {
    "id": "Số bưu gửi",
    "dossier_code": "Hồ sơ",
    "direction": "Chiều",
    "carrier": "Bưu chính",
    "state": "Trạng thái",
    "state_at": "Lúc",
    "waybill": "Vận đơn",
    "cod_vnd": "Thu hộ (đ)",
    "late_at": "Trễ từ",
}
_ROW = (*_COLUMNS, "number", "carrier_reference", "payment_id", "lost_at", "last_code", "created_at", "booked_at")
_WORDS_OF_REPORT = {
    "pages": "Trang đã đọc",
    "events": "Sự kiện mới",
    "repeated": "Sự kiện lặp",
    "foreign": "Sự kiện của bưu gửi khác",
    "unread": "Dòng không đọc được",
    "asked": "Bưu gửi đã hỏi",
    "returned": "Hồ sơ đã trả",
    "late": "Trễ",
    "lost": "Coi như thất lạc",
    "failed": "Lần hỏi lỗi",
}


_QUESTIONS = {
    "two_ends": "hai kết cục khác nhau",
    "moves_after_end": "còn tin sau khi xong",
    "refused_but_moves": "đã từ chối mà vẫn chuyển",
    "booking_unknown": "không rõ bưu chính có đơn không",
    "dossier_refuses": "hồ sơ không nhận kết quả phát",
    "cod_unexpected": "thu tiền ngoài dự kiến",
}


class Decision(StrEnum):
    """How a question about a parcel ends."""

    BOOKED = "booked"
    REFUSED = "refused"
    NOTED = "noted"


@app.command("list")
def listed(
    state: Annotated[str, typer.Option("--state", help="Chỉ trạng thái này / only this state.")] = "",
    carrier: Annotated[str, typer.Option("--carrier", help="Chỉ bưu chính này / only this carrier.")] = "",
    dossier: Annotated[str, typer.Option("--dossier", help="Chỉ hồ sơ này / only this dossier.")] = "",
    is_open: Annotated[bool, typer.Option("--open", help="Chỉ bưu gửi chưa xong / only those under way.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help=context.MOST_ROWS)] = 100,
    json: context.Json = False,
) -> None:
    """Liệt kê bưu gửi, mới nhất trước / list parcels, the newest first."""
    rows = context.run(
        lambda hub: postal_records.listed(
            hub, state=state, carrier_name=carrier, dossier=dossier, is_open=is_open, limit=limit
        )
    )
    if json:
        output.as_json([{name: row[name] for name in _ROW} for row in rows])
        return
    shown = [{**row, "state": postal_views.STATE_VI.get(row["state"], row["state"])} for row in rows]
    output.table("Bưu gửi", _COLUMNS, shown)


@app.command()
def show(
    parcel: Annotated[str, typer.Argument(help="Số hoặc mã bưu gửi / id or number.")], json: context.Json = False
) -> None:
    """Xem một bưu gửi với hành trình / show a parcel with its way so far."""

    async def work(hub: Hub) -> dict[str, Any]:
        row = await postal_records.read(hub, parcel)
        return (await postal_records.view(hub, row)).model_dump()

    found = context.run(work)
    if json:
        output.as_json(found)
        return
    events = found.pop("events")
    output.facts(
        "Bưu gửi", {_COLUMNS.get(name, name): value for name, value in found.items() if name != "repeated"}
    )
    headings = {
        "occurred_at": "Lúc",
        "state_vi": "Trạng thái",
        "carrier_code": "Mã của bưu chính",
        "carrier_message": "Lời của bưu chính",
        "place": "Bưu cục",
    }
    output.table("Hành trình", headings, events)


@app.command()
def cancel(
    parcel: Annotated[str, typer.Argument(help="Số hoặc mã bưu gửi / id or number.")],
    reason: context.Reason,
    json: context.Json = False,
) -> None:
    """Huỷ một bưu gửi khi bưu chính chưa thu gom / cancel a parcel before it is collected."""
    view = context.run(lambda hub: postal.cancel_by_hand(hub, parcel, by=context.actor(), reason=reason))
    if json:
        output.as_json(view.model_dump(include={"id", "number", "state", "state_at"}))
    else:
        output.console.print(f"{view.number}: {view.state_vi}")


@app.command()
def watch(
    carrier: Annotated[str, typer.Option("--carrier", help="Chỉ bưu chính này / only this carrier.")] = "",
    json: context.Json = False,
) -> None:
    """Đọc tin hành trình ngay bây giờ / read the carriers now, without waiting for the timetable."""
    with output.problems.status("Đang đọc hành trình của các đơn vị bưu chính…"):
        report = context.run(lambda hub: postal_watch.run(hub, carrier=carrier))
    counts = dataclasses.asdict(report)
    if json:
        output.as_json(counts)
    else:
        output.facts("Một lượt theo dõi", {_WORDS_OF_REPORT[name]: value for name, value in counts.items()})


@app.command()
def questions(json: context.Json = False) -> None:
    """Những việc về bưu gửi chờ người quyết định / what a person must decide about parcels."""
    rows = context.run(postal_records.questions)
    if json:
        names = ("id", "parcel_id", "kind", "facts", "asked_at")
        output.as_json([{name: row[name] for name in names} for row in rows])
        return
    told = [
        {**row, "said": f"{row['kind']}: {_QUESTIONS.get(row['kind'], '')}", "facts": output.pairs(row["facts"])}
        for row in rows
    ]
    headings = {"id": "Số việc", "parcel_id": "Bưu gửi", "said": "Việc", "facts": "Dữ kiện", "asked_at": "Từ lúc"}
    output.table("Việc chờ người", headings, told)


@app.command()
def decide(
    question: Annotated[str, typer.Argument(help="Số việc / id of the question.")],
    decision: Annotated[
        Decision,
        typer.Argument(help="Kết luận / decision: booked, refused (đơn chưa rõ, unknown booking), noted."),
    ],
    reason: context.Reason,
) -> None:
    """Kết luận một việc, có lý do / close a question with a reason."""
    context.run(
        lambda hub: postal_booking.decide(
            hub, question, decision=decision.value, by=context.actor(), reason=reason
        )
    )
    output.console.print(f"{question}: {decision.value}")


@app.command()
def codes(json: context.Json = False) -> None:
    """Mã trạng thái của bưu chính chưa có trong bảng ánh xạ / status codes that the mapping does not know."""
    rows = context.run(postal_records.unknown_codes)
    if json:
        output.as_json(rows)
        return
    headings = {"carrier": "Bưu chính", "carrier_code": "Mã", "events": "Số sự kiện", "last_at": "Gần nhất"}
    output.table("Mã chưa biết", headings, rows)
