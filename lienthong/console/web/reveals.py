"""What stands masked on a page and is read in clear only after a reason was given, which is written down first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from lienthong.api_keys import officials
from lienthong.console.web import places
from lienthong.console.web.visit import Visit
from lienthong.core import errors, journal

# Gives what is shown, by the key of its word. The second argument is the object, e.g. an official's code.
Source = Callable[[Visit, str], Awaitable[Mapping[str, str]]]
_sources: dict[str, Source] = {}


def source(name: str) -> Callable[[Source], Source]:
    """Register where masked values come from; `places.REVEALS` says who may ask. Raises Misconfigured."""
    if name not in places.REVEALS or name in _sources:
        raise errors.Misconfigured(f"console/web/places.py, REVEALS must name {name}, and once only")

    def register(found: Source) -> Source:
        _sources[name] = found
        return found

    return register


async def read(visit: Visit, name: str, subject: str, *, reason: str) -> Mapping[str, str]:
    """Give what is masked, once it is written down who reads it and why. Raises NotGranted, InvalidRequest."""
    if name not in _sources or not visit.may_reveal(name):
        raise errors.NotGranted(
            "your role may not read this", detail_vi="Vai trò của bạn không được xem nội dung này."
        )
    if len(reason.strip()) < 5:
        vi, en = "Hãy nêu lý do xem (ít nhất 5 ký tự).", "Say why you read it (5 characters at least)."
        raise errors.InvalidRequest(problems=(errors.FieldProblem("reason", vi, en),))
    async with visit.hub.storage.transaction() as tx:
        await journal.write_act(
            tx, f"read.{name}", subject, actor=visit.who.name, now=visit.now, reason=reason.strip()
        )
    return await _sources[name](visit, subject)


@source("official.contact")
async def _contact(visit: Visit, code: str) -> Mapping[str, str]:
    """Read how an official is reached, out of the sealed record of the register."""
    found = await officials.find(visit.hub.storage, visit.hub.vault, code)
    if found is None:
        raise errors.NotFound()
    return {
        "search.full_name": found.full_name,
        "search.phone": found.phone,
        "search.email": found.email,
        "search.position": found.position,
    }
