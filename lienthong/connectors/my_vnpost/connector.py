"""Plays one role towards my.vnpost: carrier of parcels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field, SecretStr

from lienthong.connectors import base, http, postal
from lienthong.connectors.my_vnpost import auth, wire
from lienthong.core import errors, money, records


class Settings(postal.Settings):
    """The settings of the connection to my.vnpost."""

    token_path: str = "/" + wire.SERVICES["token"]
    price_path: str = "/" + wire.SERVICES["price"]
    order_path: str = "/" + wire.SERVICES["order"]
    cancel_path: str = "/" + wire.SERVICES["cancel"]
    track_path: str = Field(default="", description="holds {id}; empty: there is no call that follows a parcel")
    username: str = ""
    password: SecretStr = SecretStr("")
    token_life_s: float = Field(default=3000.0, gt=0)
    service_name: str = "EMS"
    address_kind: int = 1
    pickup_type: int = 1
    wide_cm: int = Field(default=0, ge=0)
    long_cm: int = Field(default=0, ge=0)
    high_cm: int = Field(default=0, ge=0)
    is_viewable: bool = False
    receiver_pays: bool = False
    notice_of_delivery: bool = False
    invoice: bool = False
    sms_before: bool = False
    sms_after: bool = False
    wards: bool = Field(default=False, description="refuse an address whose ward has no number of VNPost's")
    resend_unknown: bool = Field(default=False, description="send again after a lost answer; needs VNPost's word")


class Connector:
    """my.vnpost. Tries once; only a token that ran out is got anew."""

    name = wire.SYSTEM

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings = settings
        self._client = base.client(self.name, settings, around)
        self._places = postal.places_of(self.name, settings)
        self._token = postal.token(self._obtain_token, around.clock)

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def price(self, order: money.ParcelOrder) -> int:
        """Ask what a parcel costs by the service of the settings, in đồng."""
        body = wire.price_question(self._written(order, wards=False), extras=self._extras())
        reply = await self._post("price", self._settings.price_path, body, changes=False)
        return wire.price(reply, service=self._settings.service_name)

    async def book(
        self, order: money.ParcelOrder, *, look_first: bool = False, cursor: str = ""
    ) -> money.ParcelBooked:
        """Book a parcel. After a lost answer nobody can be asked: unknown, unless RESEND_UNKNOWN is set."""
        if look_first and not self._settings.resend_unknown:
            raise postal.unknown(system=self.name, operation="order", code="cannot be asked")
        extras = {
            **self._extras(),
            "receiver_kind": self._settings.address_kind,
            "service": self._settings.service_name,
            "viewable": self._settings.is_viewable,
            "pickup": self._settings.pickup_type,
        }
        body = wire.order(self._written(order, wards=self._settings.wards), extras=extras)
        sending = self._post("order", self._settings.order_path, body, changes=True)
        reply = await postal.carried_out(sending, system=self.name, operation="order")
        return wire.booked(reply, duplicate_words=self._settings.duplicate_words)

    async def cancel(self, order: money.ParcelOrder, *, carrier_reference: str) -> None:
        """Cancel a parcel by VNPost's own number of it. Safe to repeat."""
        if not carrier_reference:
            raise errors.RemoteRefused(
                "the carrier's own number of the parcel is not known, so that it cannot be cancelled",
                detail_vi="Chưa biết số đơn hàng của bưu chính nên không huỷ được.",
                system=self.name,
                remote_code="no reference",
            )
        body = {wire.NAMES["order_id"]: carrier_reference}
        wire.cancelled(await self._post("cancel", self._settings.cancel_path, body, changes=False))

    async def follow(self, *, cursor: str) -> money.TrackingPage:
        """Refuse: there is no feed."""
        raise postal.not_offered(self.name, "follow")

    async def track(self, waybill: str) -> money.TrackingPage:
        """Give how one parcel stands, by VNPost's number of it, where TRACK_PATH says how to ask."""
        if not self._settings.track_path:
            raise postal.not_offered(self.name, "track")

        async def send(token: str) -> http.Reply:
            return await self._client.get(
                self._settings.track_path,
                operation="track",
                headers=auth.call_headers(token),
                path_values={"id": waybill},
            )

        reply = await postal.with_token(self._token, send, system=self.name, operation="track")
        return wire.way(reply)

    # ------------------------------------------------------------------------------------------------ messages

    def _written(self, order: money.ParcelOrder, *, wards: bool) -> money.ParcelOrder:
        return postal.in_numbers(
            order,
            self._places.of(order.sender, role="sender", ward_needed=wards),
            self._places.of(order.receiver, role="receiver", ward_needed=wards),
        )

    def _extras(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "wide": settings.wide_cm,
            "long": settings.long_cm,
            "high": settings.high_cm,
            "receiver_pays": settings.receiver_pays,
            "worth": 0,
            "notice_of_delivery": settings.notice_of_delivery,
            "invoice": settings.invoice,
            "sms_before": settings.sms_before,
            "sms_after": settings.sms_after,
        }

    async def _post(self, service: str, path: str, body: dict[str, Any], *, changes: bool) -> http.Reply:
        async def send(token: str) -> http.Reply:
            headers = auth.call_headers(token)
            return await self._client.post_json(
                path, body, operation=service, headers=headers, idempotent=not changes
            )

        return await postal.with_token(self._token, send, system=self.name, operation=service)

    async def _obtain_token(self) -> tuple[str, float]:
        body = auth.login(self._settings.username, self._settings.password.get_secret_value())
        reply = await self._client.post_json(
            self._settings.token_path, body, operation="token", idempotent=True, returns=()
        )
        return auth.read_token(reply, life_s=self._settings.token_life_s)

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings and get a token. Changes nothing over there."""
        found = [base.settings_check(self._settings, needed=("base_url", "username", "password"))]
        try:
            await self._token.current(refused=await self._token.current())
        except errors.HubError as error:
            return [*found, base.failed_check("token", error)]
        return [*found, base.passed_check("token", "Lấy được token.", "A token is given.")]
