"""The desks as a test visits them: the application in this process, and a browser of sorts that keeps cookies."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import builders
import httpx
import sqlalchemy as sa

from lienthong.api_keys import acts
from lienthong.bus import hub as hubs
from lienthong.console.accounts import register
from lienthong.console.web import app
from lienthong.core import clock, storage

NOW = datetime(2026, 3, 9, 9, 30, tzinfo=clock.VIETNAM)
PASSWORD = "mot-mat-khau-du-dai"
URL = "http://127.0.0.1:8081"
BROWSER = "Mozilla/5.0 (invented)"


@dataclass
class Time:
    """A clock that a test sets on."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class Visitor:
    """Somebody with a browser: opens pages, sends the forms that are on them."""

    client: httpx.AsyncClient
    page: str = ""
    last: httpx.Response | None = field(default=None, repr=False)
    origin: str = URL

    async def open(self, path: str, **headers: str) -> httpx.Response:
        answer = await self.client.get(path, headers=headers)
        while answer.status_code == 303:
            answer = await self.client.get(answer.headers["location"])
        self.page, self.last = answer.text, answer
        return answer

    async def send(self, path: str, *, token: str | None = None, **fields: Any) -> httpx.Response:
        """Post a form as the open page would, with its token; the answer is not followed."""
        found = re.search(r'name="_form" value="([0-9a-f]+)"', self.page)
        given = token if token is not None else (found[1] if found else "")
        self.last = await self.client.post(path, data={"_form": given, **fields}, headers={"origin": self.origin})
        return self.last

    async def sign_in(self, name: str, password: str = PASSWORD, code: str = "") -> httpx.Response:
        await self.open("/sign-in")
        answer = await self.send("/sign-in", name=name, password=password, code=code)
        if answer.status_code == 303:
            await self.open(answer.headers["location"])
        return answer

    @property
    def cookie(self) -> str:
        return self.client.cookies.get("desk") or ""


@dataclass
class Stage:
    """The desks of one hub, with people."""

    hub: hubs.Hub
    time: Time
    application: Any

    @asynccontextmanager
    async def visitor(self, agent: str = BROWSER, address: str = "10.0.0.7") -> AsyncIterator[Visitor]:
        transport = httpx.ASGITransport(self.application, client=(address, 5000), raise_app_exceptions=True)
        async with httpx.AsyncClient(
            transport=transport, base_url=URL, headers={"user-agent": agent}, timeout=30
        ) as client:
            yield Visitor(client)

    async def add(self, name: str, *roles: str, must_change: bool = False) -> register.Account:
        """Add an account that has signed in before: its password is its own."""
        act = acts.Act("accounts.add", "test", self.time.now, "a test")
        made = await register.add(
            self.hub.storage,
            name=name,
            full_name=f"Người {name}",
            roles=roles,
            password=PASSWORD,
            act=act,
        )
        if must_change:
            return made
        return await register.set_password(self.hub.storage, made.id, PASSWORD, by_owner=True, act=act)

    async def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        """Read a whole table of the hub's."""
        async with self.hub.storage.reading() as conn:
            return await storage.every(conn, sa.select(table))

    @asynccontextmanager
    async def signed_in(self, name: str, *roles: str) -> AsyncIterator[Visitor]:
        await self.add(name, *roles)
        async with self.visitor() as visitor:
            assert (await visitor.sign_in(name)).status_code == 303
            yield visitor


def stage(hub: hubs.Hub, time: Time) -> Stage:
    return Stage(hub, time, app.create_app(hub))


@asynccontextmanager
async def opened(folder: Path, time: Time | None = None, **chosen: Any) -> AsyncIterator[Stage]:
    """Open a hub that is connected to nobody, with its desks."""
    time = time or Time()
    async with builders.running_hub(folder / "home", now=time, systems=builders.NOBODY, **chosen) as hub:
        yield stage(hub, time)
