"""Plays one role towards PayGov: intermediary of payments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, SecretStr

from lienthong.connectors import base, callbacks, http, lgsp
from lienthong.connectors.paygov import auth, wire
from lienthong.core import errors, money, records


class Settings(lgsp.Settings):
    """The settings of the connection to PayGov."""

    variant: Literal["checksum", "plain"] = Field(default="checksum", description="as Hậu Giang, or as Đồng Tháp")
    pay_path: str = ""
    receipt_path: str = ""
    partner_code: str = ""
    access_key: str = ""
    secret_key: SecretStr = SecretStr("")
    unit_code: str = Field(default="", description="begins an order's number; empty: the collecting unit's code")
    service_code: str = Field(default="", description="only with a checksum")
    beneficiary_code: str = Field(default="", description="only without a checksum; empty: the collecting unit's")
    account_pay: str = Field(default="", description="only without a checksum; empty: the collecting account")
    callback_check: Literal["none", "recipe", "lgsp"] = Field(
        default="none", description="who says that a callback is genuine; none: every callback is refused"
    )
    callback_recipe: tuple[str, ...] = Field(
        default=(), description="names of fields in their order, with @secret_key and @access_key"
    )
    callback_separator: str = ""
    callback_digest: auth.Digest = "sha256"
    check_path: str = "/api/v1/PayGov/CheckSumUrlReturn"
    check_answer_field: str = "error_code"
    check_answer_value: str = "SUCCESSFUL"


class Connector:
    """PayGov behind an integration platform. Tries once; only a platform token that ran out is got anew."""

    name = wire.SYSTEM
    callback_name = "result"

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings, self._agency_code = settings, around.agency_code
        self._secret = settings.secret_key.get_secret_value()
        self._recipe = _recipe(settings)
        self._client = base.client(self.name, settings, around)
        self._way = lgsp.Way(
            self._client, settings, wire.NAMES, agency_code=around.agency_code, clock=around.clock
        )

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def start(self, order: money.PaymentOrder) -> money.PaymentStarted:
        """Ask for a payment and give PayGov's page."""
        settings, unit = self._settings, order.beneficiary
        body = wire.payment(
            order,
            partner=settings.partner_code,
            unit_code=settings.unit_code or unit.unit_code or self._agency_code,
            return_url=order.return_url,
        )
        if settings.variant == "checksum":
            body = wire.with_checksum(
                body, access_key=settings.access_key, service_code=settings.service_code, secret=self._secret
            )
        else:
            body = wire.with_account(
                body,
                beneficiary_code=settings.beneficiary_code or unit.unit_code,
                account=settings.account_pay or unit.account,
            )
        reply = await self._post(settings.pay_path, body, operation="start", changes=True)
        return money.PaymentStarted(pay_url=wire.pay_url(reply))

    def read_callback(self, request: money.CallbackRequest) -> money.PaymentNews:
        """Hold a callback against the recipe that the settings name, then read it; without one it is refused."""
        fields = callbacks.read_fields(request, system=self.name)
        if self._recipe is None:
            raise callbacks.forged(self.name, "no recipe is set")
        wire.verify(fields, self._recipe, secret=self._secret, access_key=self._settings.access_key)
        return wire.read_callback(fields, partner=self._settings.partner_code)

    async def ask_callback(self, request: money.CallbackRequest) -> money.PaymentNews:
        """Let the platform check a callback where the settings say so, else check it here."""
        if self._settings.callback_check != "lgsp":
            return self.read_callback(request)
        fields = callbacks.read_flat(request, system=self.name)
        try:
            news = wire.read_callback(fields, partner=self._settings.partner_code)
        except errors.RemoteGarbled:
            # Nobody has vouched for it yet, so it is no intermediary that is to be told of.
            raise callbacks.forged(self.name, "no callback") from None
        reply = await self._post(self._settings.check_path, fields, operation="check_callback", changes=False)
        said = wire.answer(reply, changes=False).get(self._settings.check_answer_field)
        if not isinstance(said, str) or said != self._settings.check_answer_value:
            raise callbacks.forged(self.name, "the platform does not vouch for it")
        return news

    def reply(self, request: money.CallbackRequest, outcome: money.CallbackOutcome) -> money.CallbackReply:
        """Answer in PayGov's words."""
        return wire.callback_reply(outcome)

    async def query(self, order: money.PaymentOrder) -> money.PaymentNews:
        """Refuse: no such call is public (contracts §7.3)."""
        raise _not_offered("asking how a payment stands", "tra cứu giao dịch")

    async def refund(self, order: money.RefundOrder) -> money.RefundNews:
        """Refuse: no such call is public (contracts §7.3)."""
        raise _not_offered("refunds", "hoàn tiền")

    async def receipt(self, order: money.PaymentOrder) -> money.ReceiptFile:
        """Ask for the receipt; PayGov gives an address. Needs the intermediary's number of the payment."""
        settings = self._settings
        if not settings.receipt_path:
            raise _not_offered("receipts (RECEIPT_PATH is not set)", "in biên lai (chưa đặt RECEIPT_PATH)")
        if not order.provider_reference:
            raise errors.InvalidRequest(
                "a receipt needs the intermediary's number of the payment",
                detail_vi="Lấy biên lai cần số giao dịch của trung gian.",
            )
        body = wire.receipt(
            order, partner=settings.partner_code, access_key=settings.access_key, secret=self._secret
        )
        reply = await self._post(settings.receipt_path, body, operation="receipt", changes=False)
        return money.ReceiptFile(url=wire.receipt_url(reply))

    async def _post(self, path: str, body: Mapping[str, Any], *, operation: str, changes: bool) -> http.Reply:
        async def call(headers: dict[str, str]) -> http.Reply:
            return await self._client.post_json(
                path, body, operation=operation, headers=headers, idempotent=not changes, returns=()
            )

        return await self._way.send(call)

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings, and get a token of the platform. Nothing else can be asked without a payment."""
        settings = self._settings
        keys = ("access_key", "secret_key", "service_code") if settings.variant == "checksum" else ()
        found = [base.settings_check(settings, needed=("base_url", "pay_path", "partner_code", *keys))]
        found.append(self._callback_line())
        if not settings.lgsp_token_path:
            return found
        try:
            await self._way.token(refused=await self._way.token())
        except errors.HubError as error:
            return [*found, base.failed_check("token", error)]
        return [*found, base.passed_check("token", "Lấy được token.", "A token is given.")]

    def _callback_line(self) -> records.CheckResult:
        if self._settings.callback_check != "none":
            return base.passed_check("callback", "Kết quả trả về được kiểm tra.", "Callbacks are verified.")
        return records.CheckResult(
            name="callback",
            ok=False,
            vi="Chưa đặt CALLBACK_CHECK: mọi kết quả trả về đều bị từ chối.",
            en="CALLBACK_CHECK is not set: every callback is refused.",
        )


def _recipe(settings: Settings) -> auth.Recipe | None:
    if settings.callback_check != "recipe":
        return None
    recipe = auth.Recipe(settings.callback_recipe, settings.callback_separator, settings.callback_digest)
    fault = recipe.fault(must_cover=wire.MUST_BE_SIGNED)
    if fault:
        raise errors.Misconfigured(
            f"systems.paygov.callback_recipe: {fault}",
            detail_vi="CALLBACK_RECIPE của PayGov không chứng minh được điều trục phải tin.",
            contract=wire.SYSTEM,
            setting="callback_recipe",
        )
    return recipe


def _not_offered(en: str, vi: str) -> errors.NotOffered:
    return errors.NotOffered(
        f"PayGov offers no known call for {en}.",
        detail_vi=f"PayGov chưa có giao tiếp {vi} được biết.",
        system=wire.SYSTEM,
    )
