"""Plays one role towards KeyPay: intermediary of payments; and reads old records of version 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, SecretStr

from lienthong.connectors import base, callbacks, http
from lienthong.connectors.keypay import auth, wire
from lienthong.core import errors, money, records

_NO_REFERENCE = "CHECK000000000000000"


class Settings(base.Settings):
    """The settings of the connection to KeyPay."""

    create_path: str = ""
    query_path: str = ""
    refund_path: str = ""
    client_id: str = ""
    request_key: SecretStr = Field(default=SecretStr(""), description="key 1: what the hub sends")
    callback_key: SecretStr = Field(default=SecretStr(""), description="key 2: what KeyPay sends")
    environment: Literal["web", "app"] = "web"
    service_suffix: str = Field(default=".01", description="makes a service code out of a procedure's")
    query_command: str = "PAY"
    refund_command: str = "REFUND"
    believe_callback_status: bool = Field(
        default=False, description="no checksum covers the status: unless set, every callback is asked about"
    )
    old_secret: SecretStr = Field(default=SecretStr(""), description="version 1, only to read old records")
    old_digest: Literal["md5", "sha256"] = "md5"
    viettelpay_key: SecretStr = SecretStr("")


class Connector:
    """KeyPay, version 3. Tries once."""

    name = wire.SYSTEM
    callback_name = "result"

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings = settings
        self._request_key = settings.request_key.get_secret_value()
        self._callback_key = settings.callback_key.get_secret_value()
        self._client = base.client(self.name, settings, around)

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def start(self, order: money.PaymentOrder) -> money.PaymentStarted:
        """Ask for a payment and give KeyPay's page."""
        settings = self._settings
        body = wire.payment(
            order,
            partner=settings.client_id,
            environment=settings.environment,
            service_suffix=settings.service_suffix,
            key=self._request_key,
        )
        return wire.started(await self._post(settings.create_path, body, operation="start", changes=True))

    def read_callback(self, request: money.CallbackRequest) -> money.PaymentNews:
        """Verify the checksum with key 2, then read. The state stays `pending` unless the status is believed."""
        return wire.read_callback(
            self._verified(request), is_status_believed=self._settings.believe_callback_status
        )

    async def ask_callback(self, request: money.CallbackRequest) -> money.PaymentNews:
        """Verify a callback, then ask KeyPay what it is about, as no checksum covers its status."""
        if self._settings.believe_callback_status:
            return self.read_callback(request)
        return await self._ask(self._verified(request)["reference"])

    def _verified(self, request: money.CallbackRequest) -> dict[str, str]:
        fields = callbacks.read_fields(request, system=self.name)
        return wire.verified(fields, partner=self._settings.client_id, key=self._callback_key)

    def reply(self, request: money.CallbackRequest, outcome: money.CallbackOutcome) -> money.CallbackReply:
        """Answer 0 for what is recorded, now or before, and -1 for the rest."""
        return wire.callback_reply(is_taken=outcome in ("recorded", "already"))

    async def query(self, order: money.PaymentOrder) -> money.PaymentNews:
        """Ask how an attempt stands."""
        return await self._ask(order.reference)

    async def _ask(self, reference: str) -> money.PaymentNews:
        settings = self._settings
        if not settings.query_path:
            raise _not_offered(
                "asking how a payment stands (QUERY_PATH is not set)", "tra cứu (chưa đặt QUERY_PATH)"
            )
        body = wire.question(
            reference, partner=settings.client_id, command=settings.query_command, key=self._request_key
        )
        found = await self._post(settings.query_path, body, operation="query", changes=False)
        return wire.read_state(found, reference=reference, partner=settings.client_id)

    async def refund(self, order: money.RefundOrder) -> money.RefundNews:
        """Ask for money to be given back; how it ends is not told."""
        settings = self._settings
        if not settings.refund_path:
            raise _not_offered("refunds (REFUND_PATH is not set)", "hoàn tiền (chưa đặt REFUND_PATH)")
        body = wire.refund(
            order, partner=settings.client_id, command=settings.refund_command, key=self._request_key
        )
        try:
            await self._post(settings.refund_path, body, operation="refund", changes=True)
        except errors.RemoteRefused as refused:
            if refused.remote_code.startswith("HTTP "):
                raise
            return money.RefundNews(state="refused", provider_code=refused.remote_code)
        return money.RefundNews(state="accepted", provider_code="0")

    async def receipt(self, order: money.PaymentOrder) -> money.ReceiptFile:
        """Refuse: no such call is public (contracts §7.2)."""
        raise _not_offered("receipts", "biên lai")

    def is_old_record_true(self, values: Mapping[str, str]) -> bool:
        """Tell whether a stored message of version 1, of before 2019, is signed by the secret of then."""
        secret = self._settings.old_secret.get_secret_value()
        return wire.is_old_record_true(values, secret=secret, digest=self._settings.old_digest)

    def sign_viettelpay(self, text: str) -> str:
        """Sign the text of a ViettelPay QR; which fields make the text is for ViettelPay to say."""
        return auth.viettelpay_checksum(text, key=self._settings.viettelpay_key.get_secret_value())

    async def _post(self, path: str, body: Mapping[str, Any], *, operation: str, changes: bool) -> dict[str, Any]:
        reply: http.Reply = await self._client.post_json(
            path, body, operation=operation, idempotent=not changes, returns=()
        )
        return wire.answer(reply, changes=changes)

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings, and ask about a payment that cannot exist: a refusal shows that it is read."""
        needed = ("base_url", "create_path", "query_path", "client_id", "request_key", "callback_key")
        found = [base.settings_check(self._settings, needed=needed)]
        try:
            await self._ask(_NO_REFERENCE)
        except (errors.RemoteRefused, errors.UnmappedCode) as refused:
            if isinstance(refused, errors.RemoteRefused) and refused.remote_code.startswith("HTTP "):
                return [*found, base.failed_check("query", refused)]
        except errors.HubError as error:
            return [*found, base.failed_check("query", error)]
        return [*found, base.passed_check("query", "KeyPay có trả lời.", "KeyPay answers.")]


def _not_offered(en: str, vi: str) -> errors.NotOffered:
    return errors.NotOffered(
        f"KeyPay offers no known call for {en}.",
        detail_vi=f"KeyPay chưa có giao tiếp {vi} được biết hoặc được cấu hình.",
        system=wire.SYSTEM,
    )
