"""Carries the callbacks of the imitated intermediaries to the hub: in time, late, twice, out of order or never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import httpx

from lienthong.sandbox import faults, imitation

# How often a callback is sent that was not taken. The contract page is silent; the real ones try for hours.
TRIES = 3
_TIMEOUT_S = 15.0


class Told(Protocol):
    """What a callback is about: a payment or a parcel; `callbacks` remembers what became of each."""

    system: str
    callbacks: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Message:
    """One callback; `is_taken` reads the answer as the intermediary would, `moods` say what is wrong with it."""

    about: Told
    method: str
    url: str
    body: bytes = b""
    is_taken: Callable[[int, bytes], bool] = field(default=lambda status, body: status == 200)
    headers: tuple[tuple[str, str], ...] = ()
    moods: tuple[str, ...] = ()


class Courier:
    """Sends in the background; `addresses` says where to, by system, and can be changed at any time."""

    def __init__(
        self,
        addresses: dict[str, str] | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        retry_s: float = 2.0,
    ) -> None:
        """Send over this transport; without one over the network, to this machine only."""
        self.addresses = dict(addresses or {})
        self._transport = transport
        self._retry_s = retry_s
        self._held: dict[str, list[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None

    def send(self, message: Message, chosen: faults.Chosen) -> None:
        """Send a callback as the moods of its payment have it."""
        system = message.about.system
        message = replace(message, moods=tuple(name for name in chosen if name.startswith("callback_")))
        if not message.url or not imitation.may_return_to(message.url):
            _note(message, "nowhere to send it")
        elif "callback_lost" in chosen:
            _note(message, "lost")
        elif "callback_reordered" in chosen and not self._held.get(system):
            self._held[system] = [message]
            _note(message, "held")
        else:
            waiting = [message, *self._held.pop(system, [])]
            times = int(chosen.get("callback_twice", {}).get("times", 1))
            self._start(waiting[:1] * max(1, times) + waiting[1:], _late_s(chosen))

    async def ask(self, url: str, body: bytes) -> tuple[int, bytes]:
        """Ask the hub something and give its answer; status 0 where none came."""
        if not imitation.may_return_to(url):
            return 0, b""
        try:
            answer = await self._sender().post(url, content=body, headers={"content-type": "application/json"})
        except httpx.HTTPError:
            return 0, b""
        return answer.status_code, answer.content

    def forget(self) -> None:
        """Forget what is held or on its way."""
        self._held.clear()
        for task in self._tasks:
            task.cancel()

    async def wait(self) -> None:
        """Wait until nothing is on its way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop sending and give back the connections."""
        self.forget()
        await self.wait()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _start(self, messages: list[Message], late_s: float) -> None:
        task = asyncio.get_running_loop().create_task(self._carry(messages, late_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, messages: list[Message], late_s: float) -> None:
        await asyncio.sleep(late_s)
        for message in messages:
            for attempt in range(TRIES):
                await asyncio.sleep(self._retry_s if attempt else 0.0)
                if await self._deliver(message):
                    break

    def _sender(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(transport=self._transport, timeout=_TIMEOUT_S, trust_env=False)
        return self._client

    async def _deliver(self, message: Message) -> bool:
        kind = {"content-type": "application/json"} if message.body else {}
        try:
            answer = await self._sender().request(
                message.method,
                message.url,
                content=message.body or None,
                headers={**kind, **dict(message.headers)},
            )
        except httpx.HTTPError as problem:
            _note(message, type(problem).__name__)
            return False
        is_taken = message.is_taken(answer.status_code, answer.content)
        _note(message, answer.status_code, answer=answer.text[:200], taken=is_taken)
        return is_taken


def _late_s(chosen: faults.Chosen) -> float:
    return float(chosen.get("callback_late", {}).get("late_s", 0))


def _note(message: Message, outcome: object, **more: Any) -> None:
    moods = {"moods": list(message.moods)} if message.moods else {}
    message.about.callbacks.append({"outcome": outcome, **more, **moods})
