"""Plays one role towards VNPost's public-administration post: carrier of parcels."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, SecretStr

from lienthong.connectors import base, http, postal
from lienthong.connectors.vnpost_hcc import auth, wire
from lienthong.core import errors, money, records


class Settings(postal.Settings):
    """The settings of the connection; hosts and paths are configuration only, so every path can be changed."""

    form: Literal["paths", "facade"] = Field(default="paths", description="one path a call, or ?service=NAME")
    facade_path: str = ""
    token_path: str = "/" + wire.SERVICES["token"]
    price_path: str = "/" + wire.SERVICES["price"]
    order_path: str = "/" + wire.SERVICES["order"]
    document_path: str = "/" + wire.SERVICES["document"]
    cancel_path: str = "/" + wire.SERVICES["cancel"]
    tracking_path: str = "/" + wire.SERVICES["tracking"]
    token_header: Literal["authorization", "access_token"] = "authorization"  # noqa: S105  (a header)
    customer_key: str = ""
    secret_key: SecretStr = SecretStr("")
    access_token: SecretStr = Field(default=SecretStr(""), description="a token given for good; then none is got")
    customer_code: str = ""
    variant: Literal["order", "document", "hanoi_cls"] = "order"
    flag_config: int | None = Field(default=None, description="unset: not sent")
    document_state: str = Field(default="", description="only in the variant document; empty: not sent")
    order_number: Literal["dossier", "parcel"] = "dossier"
    before_retry: Literal["feed", "cancel"] = Field(default="feed", description="what is done after a lost answer")
    page_size: int = Field(default=50, ge=1, le=500)
    look_pages: int = Field(default=40, ge=1, le=1000, description="pages of the feed that a retry looks through")


class Connector:
    """VNPost's public-administration post. Tries once; only a token that ran out is got anew."""

    name = wire.SYSTEM

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings = settings
        self._client = base.client(self.name, settings, around)
        self._places = postal.places_of(self.name, settings)
        self._token = postal.token(self._obtain_token, around.clock)

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    # ------------------------------------------------------------------------------------------------ parcels

    async def price(self, order: money.ParcelOrder) -> int:
        """Ask what a parcel costs, in đồng."""
        written, _ = self._written(order)
        body = wire.price_question(written)
        return wire.price(await self._post("price", self._settings.price_path, body, changes=False))

    async def book(
        self, order: money.ParcelOrder, *, look_first: bool = False, cursor: str = ""
    ) -> money.ParcelBooked:
        """Book a parcel; after a lost answer the feed is asked first, or a cancellation sent (contracts §8.1).

        101 is success that binds no waybill: what comes back then holds none, and it returns to the pool.
        """
        service, path, body = self._message(order)
        if look_first:
            held = await self._settle_earlier_try(order, cursor=cursor)
            if held is not None:
                return held
        sending = self._post(service, path, body, changes=True)
        reply = await postal.carried_out(sending, system=self.name, operation=service)
        found = wire.answer(reply, operation=service)
        number = self._number(order)
        if wire.is_accepted(found):
            return money.ParcelBooked(
                carrier_reference=number, waybill=order.waybill if wire.is_bound(found) else ""
            )
        if postal.says(found.message, self._settings.duplicate_words):
            return money.ParcelBooked(carrier_reference=number, waybill=order.waybill, duplicate=True)
        raise wire.refused(found)

    async def cancel(self, order: money.ParcelOrder, *, carrier_reference: str) -> None:
        """Cancel a parcel that was not collected yet. Safe to repeat."""
        query = {
            wire.NAMES["customer"]: self._settings.customer_code,
            wire.NAMES["number"]: carrier_reference or self._number(order),
        }
        reply = await self._call("GET", "cancel", self._settings.cancel_path, query=query)
        found = wire.answer(reply, operation="cancel")
        if not wire.is_accepted(found):
            raise wire.refused(found)

    async def follow(self, *, cursor: str) -> money.TrackingPage:
        """Give the next page of the feed of all parcels of this customer; an empty page is the last."""
        at = cursor or wire.FIRST
        query = {wire.NAMES["page_size"]: str(self._settings.page_size), wire.NAMES["last_id"]: at}
        return wire.page(await self._call("GET", "tracking", self._settings.tracking_path, query=query), cursor=at)

    async def track(self, waybill: str) -> money.TrackingPage:
        """Refuse: only the feed tells."""
        raise postal.not_offered(self.name, "track")

    # -------------------------------------------------------------------------------------------- lost answers

    async def _settle_earlier_try(self, order: money.ParcelOrder, *, cursor: str) -> money.ParcelBooked | None:
        if self._settings.before_retry == "feed":
            return await self._look(order, cursor=cursor)
        # Refused, it never arrived or is on its way already: the order that follows is answered accordingly.
        with contextlib.suppress(errors.RemoteRefused):
            await self.cancel(order, carrier_reference="")
        return None

    async def _look(self, order: money.ParcelOrder, *, cursor: str) -> money.ParcelBooked | None:
        """Look for the order in the feed; the feed's own cursor, which others keep, is not moved."""
        number, at, latest = self._number(order), cursor, None
        for _ in range(self._settings.look_pages):
            try:
                page = await self.follow(cursor=at)
            except errors.RemoteGarbled as garbled:
                raise self._unknown() from garbled
            if page.is_last:
                break
            same = [it for it in page.events if it.number == number and _is_same_waybill(it, order)]
            latest, at = max([*same, *([latest] if latest else [])], key=_when, default=None), page.cursor
        else:
            raise self._unknown()
        if latest is None or latest.state == "cancelled":
            return None
        return money.ParcelBooked(carrier_reference=number, waybill=latest.waybill, duplicate=True)

    def _unknown(self) -> errors.OutcomeUnknown:
        return postal.unknown(system=self.name, operation="tracking", code="not looked through")

    # ------------------------------------------------------------------------------------------------ messages

    def _number(self, order: money.ParcelOrder) -> str:
        return order.dossier_code if self._settings.order_number == "dossier" else order.number

    def _written(self, order: money.ParcelOrder) -> tuple[money.ParcelOrder, Any]:
        places = self._places.of(order.sender, role="sender"), self._places.of(order.receiver, role="receiver")
        numbered = postal.in_numbers(order, *places)
        return numbered.model_copy(update={"number": self._number(order)}), places

    def _message(self, order: money.ParcelOrder) -> tuple[str, str, dict[str, Any]]:
        """Give the service, its path and the body of an order, in the variant of the province."""
        settings = self._settings
        if settings.variant == "hanoi_cls":
            return "order", settings.order_path, wire.hanoi_cls(order)
        written, places = self._written(order)
        if settings.variant == "document":
            body = wire.document(
                written, customer=settings.customer_code, state=settings.document_state, places=places
            )
            return "document", settings.document_path, body
        body = wire.order(written, customer=settings.customer_code, flag=settings.flag_config)
        return "order", settings.order_path, body

    async def _post(self, service: str, path: str, body: dict[str, Any], *, changes: bool) -> http.Reply:
        return await self._call("POST", service, path, body=body, changes=changes)

    async def _call(
        self,
        method: str,
        service: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
        changes: bool = False,
    ) -> http.Reply:
        asked = dict(query or {})
        if self._settings.form == "facade":
            path, asked = self._settings.facade_path, {wire.NAMES["service"]: wire.SERVICES[service], **asked}

        async def send(token: str) -> http.Reply:
            headers = auth.call_headers(token, header=self._settings.token_header)
            if method == "GET":
                return await self._client.get(path, operation=service, headers=headers, query=asked)
            return await self._client.post_json(
                path, body, operation=service, headers=headers, query=asked, idempotent=not changes
            )

        return await postal.with_token(self._token, send, system=self.name, operation=service)

    async def _obtain_token(self) -> tuple[str, float]:
        given = self._settings.access_token.get_secret_value()
        if given:
            return given, 86_400.0
        headers = auth.token_headers(self._settings.customer_key, self._settings.secret_key.get_secret_value())
        reply = await self._client.request(
            "POST",
            self._settings.token_path,
            operation="token",
            content=auth.GRANT,
            headers=headers,
            idempotent=True,
            returns=(),
        )
        return auth.read_token(reply)

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings, get a token, read a page of the feed. Changes nothing over there."""
        has_token = bool(self._settings.access_token.get_secret_value())
        needed = ("base_url", "customer_code", *(() if has_token else ("customer_key", "secret_key")))
        found = [base.settings_check(self._settings, needed=needed)]
        try:
            await self.follow(cursor="")
        except errors.HubError as error:
            return [*found, base.failed_check("read", error)]
        vi, en = "Đọc được nguồn tin hành trình.", "The tracking feed can be read."
        return [*found, base.passed_check("read", vi, en)]


def _is_same_waybill(event: money.ParcelEvent, order: money.ParcelOrder) -> bool:
    return not event.waybill or not order.waybill or event.waybill == order.waybill


def _when(event: money.ParcelEvent) -> Any:
    return event.occurred_at
