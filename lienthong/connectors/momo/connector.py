"""Plays one role towards MoMo: intermediary that carries payments."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import Field, SecretStr

from lienthong.connectors import answers, base, callbacks, http
from lienthong.connectors.momo import wire
from lienthong.core import errors, money, records

_CALLBACK, _RETURN = "ipn", "return"
_PROBE = "LIENTHONGCHECK000000"
_NUMBER = re.compile(r"[0-9]{1,18}")


class Settings(base.Settings):
    """The settings of the connection to MoMo; it asks for at least 30 seconds of patience."""

    partner_code: str = ""
    access_key: SecretStr = SecretStr("")
    secret_key: SecretStr = SecretStr("")
    request_type: str = "captureWallet"
    language: Literal["vi", "en"] = "vi"
    return_url: str = ""
    callback_url: str = ""
    read_timeout_s: float = Field(default=35.0, gt=0)
    total_timeout_s: float = Field(default=40.0, gt=0)


class Connector:
    """MoMo. Tries once."""

    name = wire.SYSTEM
    callback_name = "ipn"

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings, self._clock = settings, around.clock
        self._client = base.client(self.name, settings, around)
        self._keys = {
            "access_key": settings.access_key.get_secret_value(),
            "secret": settings.secret_key.get_secret_value(),
        }

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def start(self, order: money.PaymentOrder) -> money.PaymentStarted:
        """Ask for a payment; the same attempt twice is refused over there, whatever became of the first."""
        settings = self._settings
        callback_url = order.callback_url or settings.callback_url
        self._refuse(order, callback_url=callback_url)
        fields = {
            "partner": settings.partner_code,
            "request_number": order.reference,
            "order": order.reference,
            "amount": order.amount_vnd,
            "description": wire.plain(order.description) or order.reference,
            "return_url": order.return_url or settings.return_url,
            "callback_url": callback_url,
            "extra": "",
            "request_kind": settings.request_type,
            "language": settings.language,
        }
        body = await self._changing("create", fields)
        if wire.code(body) != "0":
            raise wire.refused(body)
        pay_url, qr_text = body.get(wire.NAMES["pay_url"]), body.get(wire.NAMES["qr_text"]) or ""
        if not _is_address(pay_url) or not isinstance(qr_text, str):
            raise errors.OutcomeUnknown(system=self.name, remote_code="garbled", reason="no address to pay at")
        return money.PaymentStarted(pay_url=pay_url, qr_text=qr_text)

    def _refuse(self, order: money.PaymentOrder, *, callback_url: str) -> None:
        problems = []
        if not _is_address(callback_url) or "?" in callback_url:
            problems.append(
                errors.FieldProblem(
                    "callback_url",
                    "MoMo cần địa chỉ nhận kết quả http(s), không có phần truy vấn.",
                    "MoMo needs an http(s) address for its callback, without a query.",
                )
            )
        if not _is_address(order.return_url or self._settings.return_url):
            problems.append(
                errors.FieldProblem(
                    "return_url", "MoMo cần địa chỉ quay về http(s).", "MoMo needs an http(s) return address."
                )
            )
        if problems:
            raise errors.InvalidRequest(problems=tuple(problems))

    def read_callback(self, request: money.CallbackRequest) -> money.PaymentNews:
        """Verify and read what MoMo itself calls (IPN); what a browser brings is refused here."""
        if request.name != _CALLBACK or request.method.upper() != "POST":
            raise callbacks.forged(self.name, "no such callback")
        fields = callbacks.read_object(request.body, system=self.name)
        return wire.callback(fields, partner=self._settings.partner_code, as_texts=False, **self._keys)

    def read_return(self, request: money.CallbackRequest) -> money.PaymentNews:
        """Verify and read what the payer's browser brings back: for a page to show, never for the book."""
        if request.name != _RETURN or request.method.upper() != "GET":
            raise callbacks.forged(self.name, "no such callback")
        fields = callbacks.read_form(request.query.encode("utf-8", "replace"), system=self.name)
        return wire.callback(fields, partner=self._settings.partner_code, as_texts=True, **self._keys)

    def reply(self, request: money.CallbackRequest, outcome: money.CallbackOutcome) -> money.CallbackReply:
        """Answer with a status alone, as MoMo wants it."""
        return wire.reply(outcome)

    async def query(self, order: money.PaymentOrder) -> money.PaymentNews:
        """Ask how an attempt stands; the answer has no signature, but repeats the number of the question."""
        answer = await self._ask("query", order.reference)
        if wire.means("trouble", answer) == "absent":
            return self._absent(order, answer)
        if wire.means("trouble", answer):
            raise wire.refused(answer)
        return wire.news(answer)

    async def _ask(self, service: str, number: str) -> dict[str, Any]:
        """Ask about an order of ours; each question has a number of its own, or the answer would be an old one."""
        fields = {
            "partner": self._settings.partner_code,
            "request_number": f"Q{number}"[:34] + secrets.token_hex(8),
            "order": number,
            "language": self._settings.language,
        }
        body = self._body(service, fields)
        return wire.answer(await self._post(service, body, idempotent=True), sent=body)

    def _absent(self, order: money.PaymentOrder, answer: Mapping[str, Any]) -> money.PaymentNews:
        return money.PaymentNews(
            reference=order.reference,
            partner=self._settings.partner_code,
            state="expired" if self._clock() > order.expires_at else "pending",
            provider_code=wire.code(answer),
            provider_message=wire.said(answer),
        )

    async def refund(self, order: money.RefundOrder) -> money.RefundNews:
        """Ask for money to be given back. Raises OutcomeUnknown where the answer is lost or cannot be read."""
        if not _NUMBER.fullmatch(order.provider_reference):
            problem = errors.FieldProblem(
                "provider_reference", "Cần số giao dịch của MoMo.", "MoMo's own number of the payment is needed."
            )
            raise errors.InvalidRequest(problems=(problem,))
        fields = {
            "partner": self._settings.partner_code,
            "order": order.request_number,
            "request_number": order.request_number,
            "amount": order.amount_vnd,
            "number": int(order.provider_reference),
            "language": self._settings.language,
            "reason": wire.plain(order.reason) or order.reference,
        }
        answer = await self._changing("refund", fields)
        state = wire.means("refund_state", answer)
        if state == "unknown":
            raise errors.OutcomeUnknown(system=self.name, remote_code=wire.code(answer))
        if not state:
            raise wire.refused(answer)
        return money.RefundNews(
            state=cast(Literal["done", "refused", "already", "pending"], state),
            provider_reference=str(answer.get(wire.NAMES["number"]) or ""),
            provider_code=wire.code(answer),
            provider_message=wire.said(answer),
        )

    async def query_refund(self, order: money.RefundOrder) -> money.RefundNews:
        """Ask how a refund stands; an answer that does not name it and its amount says nothing of it."""
        return wire.refund_heard(await self._ask("refund_query", order.request_number), order)

    async def receipt(self, order: money.PaymentOrder) -> money.ReceiptFile:
        """Raise NotOffered: MoMo issues no receipt of a fee."""
        raise errors.NotOffered(
            "MoMo issues no receipt.", detail_vi="MoMo không phát hành biên lai.", system=self.name
        )

    def _body(self, service: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return wire.signed_body(service, fields, **self._keys)

    async def _post(self, service: str, body: Mapping[str, Any], *, idempotent: bool) -> http.Reply:
        return await self._client.post_json(
            wire.SERVICES[service],
            body,
            operation=service,
            idempotent=idempotent,
            returns=wire.ANSWERING_STATUSES,
        )

    async def _changing(self, service: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        body = self._body(service, fields)
        reply = await self._post(service, body, idempotent=False)
        try:
            return wire.answer(reply, sent=body)
        except errors.RemoteGarbled as garbled:
            raise errors.OutcomeUnknown(
                system=self.name, remote_code="garbled", reason=garbled.facts.get("reason", "")
            ) from garbled

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings, and ask about a payment that never was: MoMo answers only its partners."""
        needed = ("base_url", "partner_code", "access_key", "secret_key")
        found = [base.settings_check(self._settings, needed=needed)]
        try:
            await self.query(answers.never_made(_PROBE, now=self._clock()))
        except errors.HubError as error:
            return [*found, base.failed_check("credentials", error)]
        vi, en = "MoMo chấp nhận tài khoản.", "MoMo accepts the account."
        return [*found, base.passed_check("credentials", vi, en)]


def _is_address(text: Any) -> bool:
    return isinstance(text, str) and re.fullmatch(r"https?://[!-~]{1,2000}", text) is not None
