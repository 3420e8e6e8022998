"""Payments and parcels in the table of operations; `operations.py` reads these rows with the others."""

from __future__ import annotations

from pydantic import BaseModel

from lienthong.bus import operation_places
from lienthong.bus.flows import (
    payment,
    payment_refund,
    payment_views,
    payment_watch,
    postal,
    postal_views,
)
from lienthong.bus.hub import Hub
from lienthong.bus.operation_shape import Asked, Call, Operation


async def _start_payment(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await payment.start(hub, asked.body, caller=call.caller, request_id=call.request_id)


async def _get_payment(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await payment.get(hub, asked.path["id"], caller=call.caller)


async def _refund_payment(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await payment_refund.request(hub, asked.path["id"], asked.body, caller=call.caller, repeat=call.repeat)


async def _get_receipt(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await payment_watch.receipt(hub, asked.path["id"], caller=call.caller)


async def _book_parcel(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await postal.book(hub, asked.body, caller=call.caller, request_id=call.request_id)


async def _get_parcel(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await postal.get(hub, asked.path["id"], caller=call.caller)


async def _cancel_parcel(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await postal.cancel(hub, asked.path["id"], caller=call.caller)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "payments.start",
        "POST",
        "/v1/payments",
        "Tạo lần thanh toán phí, lệ phí của một hồ sơ; nhận trang thanh toán hoặc mã QR",
        "Begin to pay the fees of a dossier; gives the page to pay at, or a QR code",
        payment_views.PaymentView,
        _start_payment,
        personal=True,
        body=payment_views.PaymentRequest,
        success=201,
    ),
    Operation(
        "payments.get",
        "GET",
        "/v1/payments/{id}",
        "Xem một lần thanh toán",
        "Read an attempt to pay",
        payment_views.PaymentView,
        _get_payment,
        personal=True,
        place=operation_places.PaymentPath,
    ),
    Operation(
        "payments.refund",
        "POST",
        "/v1/payments/{id}/refunds",
        "Đề nghị hoàn tiền; trên mức đã định phải có người thứ hai duyệt",
        "Ask for money to be given back; above a set amount a second person must approve",
        payment_views.RefundView,
        _refund_payment,
        personal=False,
        place=operation_places.PaymentPath,
        body=payment_views.RefundRequest,
        success=202,
    ),
    Operation(
        "payments.receipt",
        "GET",
        "/v1/payments/{id}/receipt",
        "Lấy biên lai, chứng từ của lần thanh toán",
        "Fetch the receipt or voucher of a payment",
        payment_views.ReceiptView,
        _get_receipt,
        personal=True,
        place=operation_places.PaymentPath,
    ),
    Operation(
        "parcels.book",
        "POST",
        "/v1/parcels",
        "Đặt bưu chính thu gom hồ sơ tại địa chỉ, hoặc phát kết quả, có thể kèm thu hộ",
        "Have the post collect a dossier at an address, or deliver a result, also with cash on delivery",
        postal_views.ParcelView,
        _book_parcel,
        personal=True,
        body=postal_views.ParcelRequest,
        success=201,
    ),
    Operation(
        "parcels.get",
        "GET",
        "/v1/parcels/{id}",
        "Theo dõi một bưu gửi và hành trình của nó",
        "Follow a parcel and its way so far",
        postal_views.ParcelView,
        _get_parcel,
        personal=True,
        place=operation_places.ParcelPath,
    ),
    Operation(
        "parcels.cancel",
        "POST",
        "/v1/parcels/{id}/cancel",
        "Huỷ một bưu gửi khi bưu chính chưa thu gom",
        "Cancel a parcel that the carrier has not collected yet",
        postal_views.ParcelView,
        _cancel_parcel,
        personal=True,
        place=operation_places.ParcelPath,
    ),
)
