"""Plays one role towards the payment platform of the National Public Service Portal: intermediary of payments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, SecretStr

from lienthong.connectors import base, callbacks, http, lgsp
from lienthong.connectors.dvcqg_payment import wire
from lienthong.core import errors, money, records

# Asked about by the self-check: letters and digits as the platform wants them, and never given to a payment.
_NO_REFERENCE = "CHECK000000000000000"


class Settings(lgsp.Settings):
    """The settings of the connection to the payment platform, straight or through an LGSP."""

    init_path: str = ""
    query_path: str = Field(default="", description="empty: as INIT_PATH")
    bill_path: str = Field(default="", description="empty: as INIT_PATH")
    partner_code: str = Field(default="", max_length=50)
    secret_key: SecretStr = SecretStr("")
    version: str = "1.0.6"
    channel: str = "1"
    device: str = "1"
    language: str = "vi-VN"
    bank: str = Field(default="PAYMENT", description="the payer chooses on the platform")
    service_suffix: str = Field(default=".01", description="makes a service code out of a procedure's")
    unit_code: str = Field(default="", description="who collects, where an order names nobody")
    unit_name: str = ""
    account: str = Field(default="", description="where the money goes, where an order names no account")
    account_bank: str = ""
    account_holder: str = ""
    query_answer_signature: Literal["if_present", "required", "never"] = "if_present"
    bill_time: Literal["paid", "created"] = Field(default="paid", description="which time a receipt is asked by")


class Connector:
    """The payment platform of the portal. Tries once; only a platform token that ran out is got anew."""

    name = wire.SYSTEM
    # The names of the contract page (contracts §7.1.3, §7.1.4).
    callback_name = "dpnhankqthanhtoanhs"
    bill_lookup_name = "dptracuuthanhtoanhs"

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings, self._clock = settings, around.clock
        self.tells_bills = bool(settings.callback_addresses)
        self._secret = settings.secret_key.get_secret_value()
        self._client = base.client(self.name, settings, around)
        self._way = lgsp.Way(
            self._client, settings, wire.NAMES, agency_code=around.agency_code, clock=around.clock
        )

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def start(self, order: money.PaymentOrder) -> money.PaymentStarted:
        """Ask for a payment and give the platform's page."""
        settings = self._settings
        given = {
            "version": settings.version,
            "partner": settings.partner_code,
            "channel": settings.channel,
            "device": settings.device,
            "language": settings.language,
            "bank": settings.bank,
            "service_suffix": settings.service_suffix,
        }
        body = wire.init(self._with_account(order), given, secret=self._secret)
        reply = await self._post(settings.init_path, body, operation="start", changes=True)
        return money.PaymentStarted(pay_url=wire.pay_url(wire.answer(reply, changes=True)))

    def read_callback(self, request: money.CallbackRequest) -> money.PaymentNews:
        """Verify the checksum of a result first, then read it."""
        fields = callbacks.read_object(request.body, system=self.name)
        return wire.read_callback(fields, partner=self._settings.partner_code, secret=self._secret)

    def reply(self, request: money.CallbackRequest, outcome: money.CallbackOutcome) -> money.CallbackReply:
        """Answer 00 for what is recorded, now or before, and 99 for the rest; a lookup in its own words."""
        if request.name == self.bill_lookup_name:
            return self.bill_lookup_reply(None, is_known=False, now=self._clock())
        return wire.callback_reply(request, is_taken=outcome in ("recorded", "already"))

    async def query(self, order: money.PaymentOrder) -> money.PaymentNews:
        """Ask how an attempt stands."""
        found = wire.answer(await self._question(wire.QUERY, order.reference, at=order.created_at), changes=False)
        return wire.read_state(
            found,
            reference=order.reference,
            partner=self._settings.partner_code,
            secret=self._secret,
            signature=self._settings.query_answer_signature,
        )

    async def refund(self, order: money.RefundOrder) -> money.RefundNews:
        """Refuse: no such call is public (contracts §13.2)."""
        raise errors.NotOffered(
            "The payment platform of the portal has no known call for refunds.",
            detail_vi="Nền tảng thanh toán Cổng DVCQG chưa có giao tiếp hoàn tiền được biết.",
            system=self.name,
        )

    async def receipt(self, order: money.PaymentOrder) -> money.ReceiptFile:
        """Fetch the receipt: a PDF, or the address of one."""
        at = order.paid_at if self._settings.bill_time == "paid" and order.paid_at else order.created_at
        return wire.read_bill(await self._question(wire.BILL, order.reference, at=at))

    def read_bill_lookup(self, request: money.CallbackRequest) -> str:
        """Read which dossier the portal asks about. Nothing proves who asks: see the operator's sheet."""
        return wire.read_lookup(request)

    def bill_lookup_reply(
        self, order: money.PaymentOrder | None, *, is_known: bool, now: datetime
    ) -> money.CallbackReply:
        """Say what a dossier owes; None where nothing is owed, `is_known` False where there is no such dossier."""
        settings = self._settings
        return wire.lookup_reply(
            self._with_account(order) if order is not None else None,
            is_known=is_known,
            partner=settings.partner_code,
            service_suffix=settings.service_suffix,
            now=now,
        )

    def _with_account(self, order: money.PaymentOrder) -> money.PaymentOrder:
        """Fill in where the money goes, as far as the order does not say it."""
        settings, given = self._settings, order.beneficiary
        filled = money.Beneficiary(
            unit_code=given.unit_code or settings.unit_code,
            unit_name=given.unit_name or settings.unit_name,
            bank_code=given.bank_code if given.account else settings.account_bank,
            account=given.account or settings.account,
            holder=given.holder if given.account else settings.account_holder,
        )
        return order.model_copy(update={"beneficiary": filled})

    async def _question(self, kind: str, reference: str, *, at: datetime) -> http.Reply:
        settings = self._settings
        body = wire.question(
            kind,
            version=settings.version,
            partner=settings.partner_code,
            reference=reference,
            at=at,
            secret=self._secret,
        )
        path, operation = (settings.query_path, "query") if kind == wire.QUERY else (settings.bill_path, "receipt")
        return await self._post(path or settings.init_path, body, operation=operation, changes=False)

    async def _post(self, path: str, body: Mapping[str, Any], *, operation: str, changes: bool) -> http.Reply:
        async def call(headers: dict[str, str]) -> http.Reply:
            if operation == "receipt":
                headers = {**headers, "accept": "application/pdf, application/json"}
            return await self._client.post_json(
                path, body, operation=operation, headers=headers, idempotent=not changes, returns=()
            )

        return await self._way.send(call)

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings, and ask about a payment that cannot exist: a refusal shows that it is read."""
        needed = ("base_url", "init_path", "partner_code", "secret_key")
        found = [base.settings_check(self._settings, needed=needed)]
        try:
            answer = await self._question(wire.QUERY, _NO_REFERENCE, at=self._clock())
            remote_code = wire.code_of(wire.answer(answer, changes=False))
        except errors.HubError as error:
            return [*found, base.failed_check("query", error)]
        vi, en = "Nền tảng thanh toán có trả lời.", "The payment platform answers."
        return [*found, base.passed_check("query", vi, en, remote_code=remote_code)]
