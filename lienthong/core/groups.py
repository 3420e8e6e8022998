"""Who waits for the same thing is served in groups: whoever comes while one is served is in the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from lienthong.core import errors

T = TypeVar("T")

Group = Sequence[tuple[T, asyncio.Future[Any]]]


class Queue(Generic[T]):
    """One line of those who wait. `serve` tells each of a group its own, through its future.

    `turn` is held while a group is served; who comes while others hold it is in the group that waits for it.
    """

    def __init__(self, serve: Callable[[Group[T]], Awaitable[None]], *, turn: asyncio.Lock, most: int) -> None:
        """Serve at most so many together."""
        self._serve_group, self._turn, self._most = serve, turn, most
        self._waiting: deque[tuple[T, asyncio.Future[Any]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def served(self, one: T) -> Any:
        """Wait to be served; gives or raises what it was told. Who stops waiting before its turn is left out."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((one, future))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._serve(), name="groups")
        return await future

    async def close(self) -> None:
        """Serve whoever still waits."""
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task

    async def _serve(self) -> None:
        while self._waiting:
            async with self._turn:
                group: list[tuple[T, asyncio.Future[Any]]] = []
                while self._waiting and len(group) < self._most:
                    one, future = self._waiting.popleft()
                    if not future.done():
                        group.append((one, future))
                if group:
                    await self._serve_group(group)


def fail(future: asyncio.Future[Any], failure: BaseException) -> None:
    """Tell one of a group why all of it failed."""
    if isinstance(failure, errors.StorageUnavailable):
        # One for each: an error that several tasks raise would gather the traces of all.
        failure = errors.StorageUnavailable(**failure.facts)
    future.set_exception(failure)
