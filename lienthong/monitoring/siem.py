"""Following the record for a SIEM: every record of every node in order, each at least once, whoever is away."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from lienthong.core import clock, errors, storage, tables
from lienthong.monitoring import asking, day_columns, siem_targets

_log = logging.getLogger("lienthong.siem")
_t = tables.exchanges
BATCH = 500
POLL_S = 1.0
LONGEST_PAUSE_S = 60.0
GAP_PATIENCE = timedelta(minutes=5)
Form = Callable[[Mapping[str, Any]], bytes]
Position = dict[str, int]


class Follower:
    """Reads on from a saved position and hands over, a batch at a time; holds no more than one batch.

    The position is the last number of each node that was surely delivered. A stream's last batch is sure only when
    the connection still stood afterwards, so after a break that batch is sent again.
    """

    def __init__(
        self, sources: asking.Sources, target: siem_targets.Target, *, form: Form, position_file: Path
    ) -> None:
        self._sources, self._target, self._form, self._file = sources, target, form, position_file
        self._sure = _read_position(position_file)
        self._sent = dict(self._sure)
        self.delivered = 0
        self.gaps: list[tuple[str, int, int]] = []

    async def run(self, *, clock_now: clock.Clock = clock.now, poll_s: float = POLL_S) -> None:
        """Follow until cancelled; a target that is away is tried again, ever more seldom, up to once a minute."""
        pause_s = poll_s
        try:
            while True:
                try:
                    took = await self.step(now=clock_now())
                    pause_s = poll_s
                except (OSError, TimeoutError) as exc:
                    _log.warning("the SIEM does not take records", extra={"why": type(exc).__name__})
                    took, pause_s = 0, min(pause_s * 2, LONGEST_PAUSE_S)
                except errors.StorageUnavailable:
                    took, pause_s = 0, min(pause_s * 2, LONGEST_PAUSE_S)
                if not took:
                    await asyncio.sleep(pause_s)
        finally:
            await self._target.close()

    async def step(self, *, now: datetime) -> int:
        """Deliver the next batch of every node and say how many records that were."""
        taken = 0
        for node in await self._nodes():
            rows = await self._next(node, now=now)
            if rows:
                await self._deliver(node, rows)
                taken += len(rows)
        if not taken and self._sent != self._sure and await self._target.is_alive():
            self._be_sure()
        return taken

    async def _deliver(self, node: str, rows: Sequence[Mapping[str, Any]]) -> None:
        try:
            await self._target.send([self._form(row) for row in rows])
        except (OSError, TimeoutError):
            self._sent = dict(self._sure)
            raise
        self._be_sure()  # what went before this batch: the connection has outlived it
        self._sent[node] = rows[-1]["number_in_node"]
        self.delivered += len(rows)

    def _be_sure(self) -> None:
        if self._sent != self._sure:
            self._sure = dict(self._sent)
            _write_position(self._file, self._sure)

    async def _nodes(self) -> list[str]:
        """Name every node that has records, stepping through the index instead of reading it."""
        parts = await asyncio.to_thread(self._sources.archive.parts)
        nodes = {node for part in parts for node in part.nodes}
        last: str | None = ""
        async with self._sources.store.reading() as conn:
            while last is not None:
                asked = sa.select(sa.func.min(_t.c.node)).where(_t.c.node > last)
                last = (await conn.execute(asked)).scalar()
                nodes |= {last} if last is not None else set()
        return sorted(nodes)

    async def _next(self, node: str, *, now: datetime) -> list[dict[str, Any]]:
        """Give the records of one node that come next, without a gap between them."""
        after = self._sent.get(node)
        if after is None:
            after = await self._before_first(node)
        hot = await self._hot(node, after)
        if hot and hot[0]["number_in_node"] == after + 1:
            return _run(hot, after)
        cold = await asyncio.to_thread(self._cold, node, after)
        found = sorted([*hot, *cold], key=lambda row: int(row["number_in_node"]))
        if not found or found[0]["number_in_node"] == after + 1:
            return _run(found, after)
        return self._over_gap(node, after, found, now=now)

    def _over_gap(
        self, node: str, after: int, found: list[dict[str, Any]], *, now: datetime
    ) -> list[dict[str, Any]]:
        """Wait for a missing number, for a while; then say so and go on. The seals say what became of it."""
        first = found[0]["number_in_node"]
        if found[0]["at"] > now - GAP_PATIENCE:
            return []
        self.gaps.append((node, after + 1, first - 1))
        _log.error("numbers are missing in the record", extra={"node": node, "from": after + 1, "to": first - 1})
        return _run(found, first - 1)

    async def _before_first(self, node: str) -> int:
        parts = await asyncio.to_thread(self._sources.archive.parts)
        firsts = [part.nodes[node][0] for part in parts if node in part.nodes]
        async with self._sources.store.reading() as conn:
            asked = sa.select(sa.func.min(_t.c.number_in_node)).where(_t.c.node == node)
            hot = (await conn.execute(asked)).scalar()
        return min([*firsts, *([hot] if hot is not None else [])], default=1) - 1

    async def _hot(self, node: str, after: int) -> list[dict[str, Any]]:
        asked = sa.select(_t).where(_t.c.node == node, _t.c.number_in_node > after)
        async with self._sources.store.reading() as conn:
            return await storage.every(conn, asked.order_by(_t.c.number_in_node).limit(BATCH))

    def _cold(self, node: str, after: int) -> list[dict[str, Any]]:
        archive = self._sources.archive
        parts = [part for part in archive.parts() if part.nodes.get(node, (0, -1))[1] > after]
        # The earliest files that can hold the next number, of every kind: kinds share the numbers of a node.
        first = min((max(part.nodes[node][0], after + 1) for part in parts), default=0)
        files = [archive.file(part) for part in parts if part.nodes[node][0] <= first + BATCH]
        text = f"""select * from {{files}} where node = $node and number_in_node > $after
            order by number_in_node limit {BATCH}"""
        return [day_columns.row(row) for row in archive.query(text, {"node": node, "after": after}, files)]


def _run(rows: Sequence[dict[str, Any]], after: int) -> list[dict[str, Any]]:
    """Take rows as long as no number is missing; a row that is in two places is taken once."""
    taken: list[dict[str, Any]] = []
    for row in rows:
        if row["number_in_node"] == after + 1:
            taken.append(row)
            after += 1
        elif row["number_in_node"] > after + 1:
            break
    return taken[:BATCH]


def _read_position(path: Path) -> Position:
    try:
        told: Position = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except orjson.JSONDecodeError as exc:
        raise errors.StorageUnavailable(
            f"the position file {path.name} cannot be read; remove it to begin from the first record",
            detail_vi=f"Không đọc được tệp vị trí {path.name}; xoá nó để bắt đầu lại từ bản ghi đầu tiên.",
        ) from exc
    return told


def _write_position(path: Path, position: Position) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(orjson.dumps(position))
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
