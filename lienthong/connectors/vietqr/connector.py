"""Plays one role: intermediary that carries payments, though nobody is called and nobody calls back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from pydantic import SecretStr

from lienthong.connectors import bank_qr, base
from lienthong.connectors.vietqr import auth, wire
from lienthong.core import errors, money, records

_SHORTEST_KEY = 32


class Settings(base.Settings):
    """The account that is paid into where the order names none, and the key that makes notes unguessable."""

    bank_bin: str = ""
    account: str = ""
    service: bank_qr.Service = "account"
    reference_key: SecretStr = SecretStr("")


class Connector:
    """Codes for bank transfers. Makes them itself; waits for nobody."""

    name = wire.SYSTEM
    callback_name = ""

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings = settings
        self._key = settings.reference_key.get_secret_value()

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    async def start(self, order: money.PaymentOrder) -> money.PaymentStarted:
        """Make the code of an attempt; its note is the `provider_reference` that a statement will show."""
        if len(self._key) < _SHORTEST_KEY:
            raise errors.Misconfigured(
                "VietQR needs a REFERENCE_KEY of 32 characters: without it a note could be guessed.",
                detail_vi="VietQR cần REFERENCE_KEY từ 32 ký tự: thiếu nó thì nội dung chuyển khoản đoán được.",
                system=self.name,
            )
        given = order.beneficiary
        note = auth.note(order.reference, self._key)
        code = wire.Code(
            bank=given.bank_code if given.account else self._settings.bank_bin,
            account=given.account or self._settings.account,
            amount_vnd=order.amount_vnd,
            note=note,
            service=self._settings.service,
            is_dynamic=True,
        )
        return money.PaymentStarted(
            qr_text=wire.text_of(code), provider_reference=note, expires_at=order.expires_at
        )

    def read_callback(self, request: money.CallbackRequest) -> money.PaymentNews:
        """Raise NotOffered: whatever comes here, no bank sent it."""
        self._not_offered()

    def reply(self, request: money.CallbackRequest, outcome: money.CallbackOutcome) -> money.CallbackReply:
        """Say that there is nothing here."""
        return money.CallbackReply(status=404, body=b"{}")

    async def query(self, order: money.PaymentOrder) -> money.PaymentNews:
        """Raise NotOffered: only the bank's statement tells."""
        self._not_offered()

    async def refund(self, order: money.RefundOrder) -> money.RefundNews:
        """Raise NotOffered: the treasurer transfers it back."""
        self._not_offered()

    async def receipt(self, order: money.PaymentOrder) -> money.ReceiptFile:
        """Raise NotOffered: a code is no receipt."""
        self._not_offered()

    def _not_offered(self) -> NoReturn:
        raise errors.NotOffered(
            "A bank transfer by QR code has no such call; the bank's statement tells.",
            detail_vi="Chuyển khoản bằng mã QR không có lời gọi này; hãy xem sao kê của ngân hàng.",
            system=self.name,
        )

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings; there is nobody to ask."""
        return [base.settings_check(self._settings, needed=("bank_bin", "account", "reference_key"))]
