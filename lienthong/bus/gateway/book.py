"""The door's book: every request gets its record before its answer is complete (HG 11.1)."""

from __future__ import annotations

from typing import Any

from lienthong.bus.hub import Hub
from lienthong.core import access_record, errors, spool

ROLE = "gateway"
FOLDER = "spool"


class Book:
    """Where one gateway writes its records; opened with the door, closed with it."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._spool: spool.Spool | None = None

    def open(self) -> None:
        """Take up the node of this process and go on with its numbers. Raises StorageUnavailable."""
        chosen = self._hub.settings.spool
        self._spool = spool.Spool(
            self._hub.settings.home / FOLDER, ROLE, segment_bytes=chosen.segment_bytes, grace_s=chosen.grace_s
        )

    def close(self) -> None:
        """Write what is held and give the node back."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def must_be_writable(self, *, personal: bool) -> None:
        """Insist that a request could be recorded, before it is served. Raises StorageUnavailable."""
        if not self._opened.may_serve(personal=personal):
            raise _closed()

    def note(self, record: access_record.Record) -> bool:
        """Write the record of a refusal, or hold it until it can be; false where there is no room for it."""
        return self._opened.hold(record)

    async def write(self, record: access_record.Record, *, personal: bool) -> None:
        """Write a record before its answer; where personal data were served, wait until it is on the disk.

        Raises StorageUnavailable: then the answer must not go out, and the refusal is recorded instead. Where
        `is_recorded` is among its facts the record is written, but may not outlive the power going.
        """
        opened = self._opened
        if not personal:
            if not opened.take(record):
                raise _closed()
            return
        number = opened.append(record)
        try:
            await opened.durable(number)
        except errors.StorageUnavailable as exc:
            raise _closed(is_recorded=True) from exc

    @property
    def _opened(self) -> spool.Spool:
        if self._spool is None:
            self.open()
        if self._spool is None:
            raise _closed()
        return self._spool


def _closed(**facts: Any) -> errors.StorageUnavailable:
    return errors.StorageUnavailable(
        "the access record cannot be written at the moment, so nothing is served; try again",
        detail_vi="Sổ nhật ký đang không ghi được nên trục chưa phục vụ; hãy thử lại.",
        retry_after_s=5,
        **facts,
    )
