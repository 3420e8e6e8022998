"""Plays one role towards VNPAY: intermediary that carries payments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from pydantic import SecretStr

from lienthong.connectors import answers, base, callbacks
from lienthong.connectors.vnpay import wire
from lienthong.core import errors, money, records

_CALLBACK, _RETURN = "ipn", "return"
_PROBE = "LIENTHONGCHECK000000"


class Settings(base.Settings):
    """The settings of the connection to VNPAY; an address may be whole or its beginning only."""

    tmn_code: str = ""
    hash_secret: SecretStr = SecretStr("")
    pay_url: str = ""
    api_url: str = ""
    return_url: str = ""
    bank_code: str = ""
    order_type: str = "other"
    locale: Literal["vn", "en"] = "vn"
    hub_address: str = "127.0.0.1"


class Connector:
    """VNPAY. Tries once."""

    name = wire.SYSTEM
    callback_name = "ipn"

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings, self._clock = settings, around.clock
        root = wire.address_of(settings.api_url, settings.base_url, "transaction")
        root = root.removesuffix(wire.SERVICES["transaction"])
        self._client = base.client(self.name, settings.model_copy(update={"base_url": root}), around)
        self._secret = settings.hash_secret.get_secret_value()

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def start(self, order: money.PaymentOrder) -> money.PaymentStarted:
        """Make the address where the payer pays; VNPAY hears of it only when the payer goes there."""
        settings = self._settings
        page = wire.address_of(settings.pay_url, settings.base_url, "pay")
        if not page or not settings.tmn_code or not self._secret:
            raise errors.Misconfigured(
                "VNPAY needs PAY_URL, TMN_CODE and HASH_SECRET.",
                detail_vi="VNPAY cần cấu hình PAY_URL, TMN_CODE và HASH_SECRET.",
                system=self.name,
            )
        fields = wire.pay_fields(
            order,
            terminal=settings.tmn_code,
            address=order.payer.address_of_device or settings.hub_address,
            return_url=order.return_url or settings.return_url,
            bank=settings.bank_code,
            category=settings.order_type,
            locale=settings.locale,
        )
        query = wire.signed_query(fields, self._secret)
        return money.PaymentStarted(pay_url=f"{page}?{query}", expires_at=order.expires_at)

    def read_callback(self, request: money.CallbackRequest) -> money.PaymentNews:
        """Verify and read what VNPAY itself calls (IPN); what a browser brings is refused here."""
        if request.name != _CALLBACK:
            raise callbacks.forged(self.name, "no such callback")
        return self._read(request)

    def read_return(self, request: money.CallbackRequest) -> money.PaymentNews:
        """Verify and read what the payer's browser brings back: for a page to show, never for the book."""
        if request.name != _RETURN:
            raise callbacks.forged(self.name, "no such callback")
        return self._read(request)

    def _read(self, request: money.CallbackRequest) -> money.PaymentNews:
        return wire.callback(request, secret=self._secret, terminal=self._settings.tmn_code)

    def reply(self, request: money.CallbackRequest, outcome: money.CallbackOutcome) -> money.CallbackReply:
        """Write the code and the message that VNPAY wants to hear."""
        return wire.reply(outcome)

    async def query(self, order: money.PaymentOrder) -> money.PaymentNews:
        """Ask how an attempt stands.

        VNPAY does not know an attempt whose payer never went to its page: pending while the payer still may,
        expired after that, and only where VNPAY signed it.
        """
        fields, is_signed = await self._ask_about(order)
        if fields["code"] == "00":
            return wire.answered_news(fields, order, terminal=self._settings.tmn_code)
        meant = wire.meaning("query_code", fields["code"])
        if meant != "absent":
            raise wire.refused(meant, fields)
        is_over = is_signed and self._clock() > order.expires_at
        return money.PaymentNews(
            reference=order.reference,
            partner=self._settings.tmn_code,
            state="expired" if is_over else "pending",
            provider_code=fields["code"],
            provider_message=base.safe_text(fields["message"]),
        )

    async def _ask_about(self, order: money.PaymentOrder) -> tuple[dict[str, str], bool]:
        settings = self._settings
        fields = wire.query_fields(
            order, terminal=settings.tmn_code, address=settings.hub_address, now=self._clock()
        )
        body = wire.signed_body(fields, self._secret)
        path = wire.SERVICES["transaction"]
        reply = await self._client.post_json(path, body, operation="query", idempotent=True, returns=())
        return wire.answer(reply.json(), command=wire.QUERY, secret=self._secret)

    async def refund(self, order: money.RefundOrder) -> money.RefundNews:
        """Ask for money to be given back. Raises OutcomeUnknown where the answer is lost or cannot be believed."""
        settings = self._settings
        address = order.address_of_device or settings.hub_address
        body = wire.signed_body(
            wire.refund_fields(order, terminal=settings.tmn_code, address=address), self._secret
        )
        path = wire.SERVICES["transaction"]
        reply = await self._client.post_json(path, body, operation="refund", returns=())
        try:
            fields, _ = wire.answer(reply.json(), command=wire.REFUND, secret=self._secret)
        except errors.RemoteGarbled as garbled:
            raise errors.OutcomeUnknown(
                system=self.name, remote_code="garbled", reason=garbled.facts.get("reason", "")
            ) from garbled
        return self._refund_news(fields, order)

    def _refund_news(self, fields: dict[str, str], order: money.RefundOrder) -> money.RefundNews:
        meant = wire.meaning("refund_code", fields["code"])
        if meant == "unknown" or (meant == "accepted" and fields["reference"] != order.reference):
            raise errors.OutcomeUnknown(system=self.name, remote_code=fields["code"])
        if meant in ("forbidden", "refused_message"):
            raise wire.refused(meant, fields)
        state = wire.refund_state(fields["state"]) if meant == "accepted" else meant
        return money.RefundNews(
            state=cast(Literal["accepted", "done", "refused", "already"], state),
            provider_reference=fields["number"],
            provider_code=fields["code"],
            provider_message=base.safe_text(fields["message"]),
        )

    async def query_refund(self, order: money.RefundOrder) -> money.RefundNews:
        """Ask how an accepted refund stands.

        VNPAY is asked about the payment; its answer counts only where it is about a refund of this amount, and by
        its number where that is known: of anything else it says nothing of this refund.
        """
        asked = answers.never_made(order.reference, now=order.started_at or order.paid_at)
        fields, is_signed = await self._ask_about(asked)
        if fields["code"] != "00":
            raise wire.refused(wire.meaning("query_code", fields["code"]), fields)
        state = wire.refund_heard(fields, order, terminal=self._settings.tmn_code) if is_signed else "accepted"
        return money.RefundNews(
            state=cast(Literal["pending", "done", "refused"], "pending" if state == "accepted" else state),
            provider_reference=fields["number"] if state != "accepted" else order.refund_reference,
            provider_code=f"{fields['state']}/{fields['kind']}",
            provider_message=base.safe_text(fields["message"]),
        )

    async def receipt(self, order: money.PaymentOrder) -> money.ReceiptFile:
        """Raise NotOffered: VNPAY issues no receipt of a fee."""
        raise errors.NotOffered(
            "VNPAY issues no receipt.", detail_vi="VNPAY không phát hành biên lai.", system=self.name
        )

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings, and ask about a payment that never was: VNPAY answers only its partners."""
        needed = ["tmn_code", "hash_secret"]
        needed += [] if self._settings.base_url else ["pay_url", "api_url"]
        found = [base.settings_check(self._settings, needed=tuple(needed))]
        try:
            await self.query(answers.never_made(_PROBE, now=self._clock()))
        except errors.HubError as error:
            return [*found, base.failed_check("credentials", error)]
        vi, en = "VNPAY chấp nhận tài khoản.", "VNPAY accepts the account."
        return [*found, base.passed_check("credentials", vi, en)]
