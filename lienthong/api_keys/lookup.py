"""Who a key belongs to, remembered while no act has changed it, so that a revocation holds within a second."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from lienthong.api_keys import bounds, changes, key_records, key_store, keys, limits, responses
from lienthong.core import crypto, storage

REMEMBERED_S = changes.REMEMBERED_S
MOST_UNKNOWN = 10_000
MOST_DIGESTS = 20_000


@dataclass(frozen=True, slots=True)
class Known:
    """A key that exists, ready for the gate."""

    record: key_records.KeyRecord
    generation: key_records.Generation
    caller: key_records.Caller
    limits: tuple[limits.Limit, ...]
    addresses: tuple[bounds.Network, ...]
    hours: tuple[bounds.Span, ...]
    read_at_s: float
    mark: changes.Mark
    held_back: tuple[responses.Response, ...] = ()
    # What came of addresses held against the networks, and of the last minute held against the hours.
    inside: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)
    within: list[tuple[int, bool]] = field(default_factory=lambda: [(-1, False)], repr=False, compare=False)


class Lookup:
    """Finds keys by digest: in memory where no act came since, else in the database, once for all who wait."""

    def __init__(
        self,
        store: storage.Storage,
        vault: crypto.Vault,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._vault = vault
        self._monotonic = monotonic
        self._changes = changes.Changes(store, monotonic=monotonic)
        self._known: dict[str, Known] = {}
        # By a quick digest with a key of this process alone: what is remembered can be used nowhere else.
        self._digests: dict[bytes, str] = {}
        self._quick_key = crypto.random_token(32)
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Known | None]] = {}

    async def find(self, text: str) -> Known | None:
        """Give the key behind a text, expired and revoked ones too. Raises StorageUnavailable."""
        place = self._quick(text)
        digest = self._digests.get(place)
        if digest is not None:
            return await self.find_digest(digest)
        digest = self._vault.digest(text.encode(), purpose=keys.DIGEST_PURPOSE)
        known = await self.find_digest(digest)
        if known is not None:
            if len(self._digests) >= MOST_DIGESTS:
                self._digests.clear()
            self._digests[place] = digest
        return known

    def has_met(self, text: str) -> bool:
        """Whether this very text was found to be a key before, so that its spelling is right."""
        return self._quick(text) in self._digests

    def _quick(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(), key=self._quick_key, digest_size=16).digest()

    async def find_digest(self, digest: str) -> Known | None:
        """As `find`, for who holds the digest only: a token names a generation, not its key."""
        mark, now_s = await self._changes.mark(), self._monotonic()
        known = self._known.get(digest)
        if known is not None and known.mark == mark and now_s - known.read_at_s < changes.REREAD_S:
            return known
        if now_s - self._unknown.get(digest, float("-inf")) < REMEMBERED_S:
            return None
        asking = self._asking.get(digest)
        if asking is None:
            asking = asyncio.get_running_loop().create_task(self._read(digest, mark))
            self._asking[digest] = asking
            asking.add_done_callback(lambda task: self._answered(digest, task))
        # Shielded: one caller who hangs up must not take the answer from the others.
        return await asyncio.shield(asking)

    def forget(self, key_id: str | None = None) -> None:
        """Drop what is remembered of one key, or of all: the next request reads the database."""
        self._unknown.clear()
        self._digests.clear()
        for digest, known in list(self._known.items()):
            if key_id in (None, known.record.id):
                del self._known[digest]

    def _answered(self, digest: str, task: asyncio.Task[Known | None]) -> None:
        self._asking.pop(digest, None)
        if not task.cancelled():
            task.exception()  # those who waited were told; where all of them left, nobody needs to be

    async def _read(self, digest: str, mark: changes.Mark) -> Known | None:
        # The age counts from before the read: a revocation during it is not remembered away.
        asked_at_s = self._monotonic()
        found = await key_store.find(self._store, digest)
        if found is None:
            self._known.pop(digest, None)
            self._unknown[digest] = asked_at_s
            while len(self._unknown) > MOST_UNKNOWN:
                self._unknown.popitem(last=False)
            return None
        record, generation = found
        held_back = await responses.of_key(self._store, record.id)
        known = Known(
            record,
            generation,
            record.caller(generation),
            limits.parse_all(record.limits),
            bounds.networks(record.addresses),
            bounds.spans(record.hours),
            asked_at_s,
            mark,
            held_back,
        )
        self._known[digest] = known
        return known
