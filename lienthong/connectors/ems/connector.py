"""Plays two roles towards EMS: carrier of parcels, and caller that tells of their events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, SecretStr

from lienthong.connectors import base, http, postal
from lienthong.connectors.ems import auth, wire
from lienthong.core import errors, money, records


class Settings(postal.Settings):
    """The settings of the connection to EMS."""

    price_path: str = "/" + wire.SERVICES["price"]
    order_path: str = "/" + wire.SERVICES["order"]
    track_path: str = "/" + wire.SERVICES["track"] + "/{code}"
    merchant_token: SecretStr = SecretStr("")
    token_in: Literal["query", "header"] = Field(default="query", description="where the token travels")
    service: int = Field(default=14, description="EMS's number of the service")
    wards: bool = Field(default=False, description="refuse an address whose ward has no number of EMS's")


class Connector:
    """EMS. Tries once."""

    name = wire.SYSTEM

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings = settings
        self._client = base.client(self.name, settings, around)
        self._places = postal.places_of(self.name, settings)

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def price(self, order: money.ParcelOrder) -> int:
        """Ask what a parcel costs, in đồng."""
        body = wire.price_question(self._written(order, wards=False), service=self._settings.service)
        return wire.price(await self._post("price", self._settings.price_path, body, changes=False))

    async def book(
        self, order: money.ParcelOrder, *, look_first: bool = False, cursor: str = ""
    ) -> money.ParcelBooked:
        """Book a parcel; after a lost answer its tracking is asked first, by our number.

        EMS says of a number that it has already that it exists, so that sending again does no harm.
        """
        body = wire.order(self._written(order, wards=self._settings.wards), service=self._settings.service)
        if look_first:
            held = await self._look(order)
            if held is not None:
                return held
        sending = self._post("order", self._settings.order_path, body, changes=True)
        reply = await postal.carried_out(sending, system=self.name, operation="order")
        return wire.booked(reply, number=order.number, duplicate_words=self._settings.duplicate_words)

    async def _look(self, order: money.ParcelOrder) -> money.ParcelBooked | None:
        try:
            events = (await self.track(order.number)).events
        except errors.RemoteRefused:
            return None
        except (errors.RemoteGarbled, errors.MappingError) as error:
            raise postal.unknown(system=self.name, operation="track", code="garbled") from error
        waybill = next((it.waybill for it in events if it.waybill and it.waybill != order.number), "")
        if not waybill:
            return None
        return money.ParcelBooked(carrier_reference=order.number, waybill=waybill, duplicate=True)

    async def cancel(self, order: money.ParcelOrder, *, carrier_reference: str) -> None:
        """Refuse: no call for it is public."""
        raise postal.not_offered(self.name, "cancel")

    async def follow(self, *, cursor: str) -> money.TrackingPage:
        """Refuse: EMS calls the hub, there is no feed."""
        raise postal.not_offered(self.name, "follow")

    async def track(self, waybill: str) -> money.TrackingPage:
        """Give the way of one parcel, oldest first."""
        options = self._options()
        options["path_values"] = {"code": waybill}
        reply = await self._client.get(self._settings.track_path, operation="track", **options)
        return wire.way(reply, waybill=waybill)

    def read_event(self, request: money.CallbackRequest) -> money.ParcelEvent:
        """Read one event; it carries no signature, so the door has checked the address and the secret path."""
        return wire.event(request)

    def reply(self, request: money.CallbackRequest, outcome: money.CallbackOutcome) -> money.CallbackReply:
        """Write what EMS wants to hear."""
        return wire.reply(request, outcome)

    # ------------------------------------------------------------------------------------------------ messages

    def _written(self, order: money.ParcelOrder, *, wards: bool) -> money.ParcelOrder:
        return postal.in_numbers(
            order,
            self._places.of(order.sender, role="sender", ward_needed=wards),
            self._places.of(order.receiver, role="receiver", ward_needed=wards),
        )

    def _options(self) -> http.Options:
        token = self._settings.merchant_token.get_secret_value()
        options = auth.options(token, place=self._settings.token_in)
        options["returns"] = ()
        return options

    async def _post(self, service: str, path: str, body: dict[str, Any], *, changes: bool) -> http.Reply:
        options = self._options()
        options["idempotent"] = not changes
        return await self._client.post_json(path, body, operation=service, **options)

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings and ask after a parcel that does not exist. Changes nothing over there."""
        found = [base.settings_check(self._settings, needed=("base_url", "merchant_token"))]
        try:
            await self.track("KIEMTRA")
        except errors.RemoteRefused:
            pass  # as it should be
        except errors.HubError as error:
            return [*found, base.failed_check("read", error)]
        return [*found, base.passed_check("read", "Hỏi được hành trình.", "Tracking can be asked.")]
