"""Where the documents of a WSDL come from: its own folder, or a pinned set fetched once. Nothing else is opened.

Zeep sees this as its transport; it can load and do nothing more.
"""

from __future__ import annotations

import hashlib
import os
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lienthong.core import errors, xml_reading

MOST_BYTES: Final = 8 * 1024 * 1024
Fetch = Callable[[str], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Description:
    """Where a WSDL is. A file may import from its own folder and below; anything fetched must be pinned.

    `pins`: address or file name → SHA-256 in hex. `kept_in`: the folder where what was fetched is kept.
    """

    location: str
    pins: Mapping[str, str] = field(default_factory=dict)
    kept_in: Path | None = None

    @property
    def is_fetched(self) -> bool:
        """Whether the WSDL itself comes over the network."""
        return is_address(self.location)


class Wanted(Exception):
    """A pinned document is not here yet; `address` is where it is."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__("a pinned document must be fetched first")


class Documents:
    """The documents that one description is made of."""

    def __init__(self, description: Description, *, system: str) -> None:
        self._description, self._system = description, system
        self._held: dict[str, bytes] = {}
        location = description.location
        self.location = location if description.is_fetched else str(Path(location).resolve())
        self._folder = Path(self.location).parent

    def load(self, address: str) -> bytes:
        """Give a document, checked. Raises Misconfigured, or Wanted where it has to be fetched first."""
        if not is_address(address):
            return self._from_folder(Path(urllib.parse.unquote(address.removeprefix("file://"))))
        if address in self._held:
            return self._held[address]
        pin = self._pin(address)
        if not pin:
            raise self._wrong("an import from the network is not pinned by its SHA-256", address)
        kept = self._kept(pin)
        if kept is None or not kept.is_file():
            raise Wanted(address)
        self._held[address] = self._checked(kept.read_bytes(), address)
        return self._held[address]

    async def obtain(self, address: str, fetch: Fetch | None) -> None:
        """Fetch a pinned document and keep it. Raises Misconfigured where its digest differs."""
        if fetch is None:
            raise self._wrong("a document of the description is not here and cannot be fetched", address)
        content = self._checked(await fetch(address), address)
        self._held[address] = content
        kept = self._kept(self._pin(address))
        if kept is not None:
            _keep(kept, content)

    def _from_folder(self, path: Path) -> bytes:
        path = path.resolve()
        if self._description.is_fetched or not path.is_relative_to(self._folder):
            raise self._wrong("an import leads out of the description's folder", path.name)
        try:
            return self._checked(path.read_bytes(), path.name)
        except OSError:
            raise self._wrong("a file of the description cannot be read", path.name) from None

    def _pin(self, address: str) -> str:
        name = address.rstrip("/").rpartition("/")[2]
        return (self._description.pins.get(address) or self._description.pins.get(name) or "").lower()

    def _kept(self, pin: str) -> Path | None:
        folder = self._description.kept_in
        return folder / f"{pin}.xml" if folder is not None and pin else None

    def _checked(self, content: bytes, address: str) -> bytes:
        pin = self._pin(address)
        if pin and hashlib.sha256(content).hexdigest() != pin:
            raise self._wrong("the SHA-256 of a document differs from its pin", address)
        try:
            xml_reading.parse(content, most_bytes=MOST_BYTES)
        except xml_reading.XmlRefused as refused:
            raise self._wrong(f"a document is refused: {refused.reason}", address) from None
        return content

    def _wrong(self, why: str, address: str) -> errors.Misconfigured:
        name = address.rstrip("/").rpartition("/")[2]
        return errors.Misconfigured(
            f"the WSDL of {self._system}: {why}",
            detail_vi=f"Mô tả WSDL của hệ thống {self._system} không dùng được: {why}.",
            system=self._system,
            document=name[:100],
        )


def is_address(location: str) -> bool:
    """Whether a location is on the network."""
    return urllib.parse.urlsplit(location).scheme in ("http", "https")


def _keep(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
