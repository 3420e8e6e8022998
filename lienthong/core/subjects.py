"""Digests of a person's number, by a key of the year that can be destroyed; the number itself is never kept."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from pathlib import Path

from lienthong.core import clock, crypto, errors

DIGEST_CHARACTERS = 16  # 64 bits: chance meetings are rare even among a hundred million people
_SPACES = re.compile(r"[\s.\-]+")
_NUMBER = re.compile(r"[0-9A-Za-z]{6,20}")


class Subjects:
    """The yearly keys, in a folder that every process of the hub shares.

    A year's key is made when the first digest of that year is asked for. Once destroyed it is never made again:
    a marker stays, so that the digests of that year can no longer be tied to a person by anybody.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / "keys" / "subjects"
        self._keys: dict[int, bytes] = {}

    def digest(self, number: str, *, at: datetime) -> str:
        """Digest a person's number as it stands in the records of that moment's year (Vietnam time)."""
        year = at.astimezone(clock.VIETNAM).year
        if self.is_forgotten(year):
            raise errors.Conflict(
                f"the key of {year} has been destroyed; no digest of that year can be made",
                detail_vi=f"Khoá của năm {year} đã bị huỷ; không tạo được mã băm của năm đó nữa.",
            )
        return _made(self._key(year, create=True), number)

    def digests(self, number: str, *, since: datetime, until: datetime) -> dict[int, str | None]:
        """Digest a number for every year of a range; nothing for a year that has no key (any more)."""
        first, last = (moment.astimezone(clock.VIETNAM).year for moment in (since, until))
        return {year: self._known(year, number) for year in range(first, last + 1)}

    def forget(self, year: int) -> bool:
        """Destroy a year's key for good; false where it was destroyed before."""
        if self.is_forgotten(year):
            return False
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._forgotten(year).touch(mode=0o600)
        path = self._path(year)
        if path.exists():
            with path.open("r+b") as file:
                file.write(bytes(crypto.MASTER_KEY_BYTES))
            path.unlink()
        self._keys.pop(year, None)
        return True

    def is_forgotten(self, year: int) -> bool:
        """Whether a year's key has been destroyed, by whichever process."""
        return self._forgotten(year).exists()

    def _known(self, year: int, number: str) -> str | None:
        if self.is_forgotten(year) or not self._path(year).exists():
            return None
        return _made(self._key(year, create=False), number)

    def _key(self, year: int, *, create: bool) -> bytes:
        if year not in self._keys:
            self._keys[year] = crypto.load_or_create_master(self._path(year), create=create)
        return self._keys[year]

    def _path(self, year: int) -> Path:
        return self.folder / f"{year}.key"

    def _forgotten(self, year: int) -> Path:
        return self.folder / f"{year}.forgotten"


def cleaned(number: str) -> str:
    """Take away what people type between digits; refuses what cannot be a person's number."""
    plain = _SPACES.sub("", number).upper()
    if not _NUMBER.fullmatch(plain):
        raise errors.InvalidRequest(
            "a person's number has 6 to 20 letters and digits",
            detail_vi="Số định danh có 6 đến 20 chữ cái và chữ số.",
        )
    return plain


def _made(key: bytes, number: str) -> str:
    return hmac.new(key, cleaned(number).encode(), hashlib.sha256).hexdigest()[:DIGEST_CHARACTERS]
