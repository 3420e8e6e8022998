"""One request to a desk: who asks, in which language, what was posted, and the ways to answer."""

from __future__ import annotations

import functools
import string
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from lienthong.api_keys import acts
from lienthong.bus.hub import Hub
from lienthong.console.accounts import register, sessions
from lienthong.console.web import dates, forms, places
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.words import Words
from lienthong.core import errors

if TYPE_CHECKING:
    from lienthong.console.web.desk import Desk

RANGES = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
SAID = "desk_said"
_IN_ADDRESS = ":/%#?=@[]!$&'()*+,;"  # what is quoted already, or means something in an address
_MOST_DIGITS = 18  # what a database takes for a whole number
# Pages that are reached from another, which the rail marks for them.
_STANDS_UNDER = {"refunds": "payments", "systems.one": "overview", "systems.check": "overview"}


@dataclass(slots=True)
class Visit:
    """What a page has in hand. Made by the guard once the visitor may be here."""

    desk: Desk
    request: Request
    place: str
    words: Words
    theme: str
    form_token: str
    now: datetime
    browser: sessions.Browser
    account: register.Account | None = None
    session: sessions.Session | None = None
    token: str = ""
    form: FormData = field(default_factory=FormData)
    visitor: str = ""

    # ------------------------------------------------------------------------------------------------ who and what

    @property
    def hub(self) -> Hub:
        """The running hub."""
        return self.desk.hub

    @property
    def who(self) -> register.Account:
        """The person; only at places for those who are signed in."""
        if self.account is None:
            raise errors.NotGranted("nobody is signed in", detail_vi="Chưa đăng nhập.")
        return self.account

    @property
    def is_part(self) -> bool:
        """Whether the desk's script asks for the inside of the page only (side panel, dialog)."""
        return self.request.headers.get("x-desk-part") == "panel"

    @property
    def query(self) -> dict[str, str]:
        """What the address asks; never personal data."""
        return {name: value[:200] for name, value in self.request.query_params.items()}

    @property
    def after(self) -> int:
        """The number after which this page of a list begins; 0 at the first."""
        given = self.query.get("after", "")
        return int(given) if given.isascii() and given.isdecimal() and len(given) <= _MOST_DIGITS else 0

    @property
    def has_passkeys(self) -> bool:
        """Whether this browser can use passkeys here."""
        return self.desk.has_passkeys(self.request.headers.get("host", ""))

    @property
    def path(self) -> str:
        """The path of this page."""
        return self.request.url.path

    def param(self, name: str) -> str:
        """Give a part of the path."""
        return str(self.request.path_params[name])[:200]

    def text(self, name: str) -> str:
        """Give a field of the form that was posted, without blanks around; empty where it is not there."""
        value = self.form.get(name)
        return value.strip() if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """Give every value of a field that may come several times."""
        return [value.strip() for value in self.form.getlist(name) if isinstance(value, str)]

    def day(self, name: str) -> date:
        """Give a day that was typed in a form. Raises InvalidRequest."""
        found = dates.read_day(self.text(name))
        if found is None:
            raise _mistyped(name, "Viết ngày như 31/12/2026.", "Write the day like 31/12/2026.")
        return found

    def moment(self, name: str) -> datetime:
        """Give a day with its hour, in Vietnam time, that was typed in a form. Raises InvalidRequest."""
        found = dates.read_moment(self.text(name))
        if found is None:
            vi, en = "Viết ngày giờ như 31/12/2026 17:00.", "Write day and hour like 31/12/2026 17:00."
            raise _mistyped(name, vi, en)
        return found

    def act(self, name: str) -> acts.Act:
        """Say for the administrative trail what this person does, with the reason that was posted."""
        return acts.Act(name, self.who.name, self.now, self.text("reason"))

    # ---------------------------------------------------------------------------------------- where one may go

    def may(self, name: str) -> bool:
        """Whether this person may go to a place that exists."""
        if name not in self.desk.handlers:
            return False
        place = places.place(name)
        if self.account is None:
            return place.roles is places.ANYONE
        return place.is_open_to(self.account.roles)

    def may_reveal(self, source: str) -> bool:
        """Whether this person may ask to see masked values of a source; see `reveals`."""
        return self.account is not None and not places.REVEALS[source].isdisjoint(self.account.roles)

    def link(self, name: str, query: Mapping[str, str] | None = None, /, **parts: str) -> str:
        """Give the address of a place, or nothing where there is none for this person: then write no link."""
        if not self.may(name):
            return ""
        path = places.place(name).path
        wanted = {part for _, part, _, _ in string.Formatter().parse(path) if part}
        if wanted - parts.keys():
            return ""
        path = path.format(**{part: urllib.parse.quote(str(value), safe="") for part, value in parts.items()})
        return path + (f"?{urllib.parse.urlencode(query)}" if query else "")

    @property
    def rail(self) -> list[tuple[str, list[tuple[str, str, bool]]]]:
        """The places of this person's roles by group: name, address, whether one is there."""
        here = _STANDS_UNDER.get(self.place, self.place)
        found = []
        for group in places.GROUPS:
            lines = [
                (name, self.link(name), name == here or here.startswith(f"{name}."))
                for name, place in places.PLACES.items()
                if place.group == group and self.may(name)
            ]
            found += [(group, lines)] if lines else []
        return found

    # ------------------------------------------------------------------------------------------ the time range

    @property
    def range(self) -> str:
        """The chosen range: one of `RANGES`, or `own` where from and to are given."""
        if self._given("from") and self._given("to"):
            return "own"
        wanted = self.request.query_params.get("range", "")
        return wanted if wanted in RANGES else "24h"

    @property
    def since(self) -> datetime:
        """Where the chosen range begins."""
        given = self._given("from") if self.range == "own" else None
        return given or self.until - RANGES.get(self.range, RANGES["24h"])

    @property
    def until(self) -> datetime:
        """Where the chosen range ends."""
        given = self._given("to") if self.range == "own" else None
        return given or self.now

    def _given(self, name: str) -> datetime | None:
        return dates.read_moment(self.request.query_params.get(name, ""))

    def figure(self, value: float) -> str:
        """Write a count in this visitor's language, for charts."""
        return forms.number(value, self.words)

    # ------------------------------------------------------------------------------------------------ answers

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Answer with a page; `visit`, `t` (words) and `show` (values) are there in every template."""
        said = self._said()
        html = self.desk.render(
            template,
            visit=self,
            t=self.words,
            show=Shown(self),
            layout="bare.html" if self.is_part else "base.html",
            said=said,
            **values,
        )
        answer = HTMLResponse(html, status_code=status)
        if said is not None:
            answer.delete_cookie(SAID)
        return answer

    def listed(self, listing: Listing, template: str, **values: Any) -> Response:
        """Answer with a list: as a page, or as a CSV file where the address says `export=csv`."""
        if self.request.query_params.get("export") != "csv":
            return self.page(template, listing=listing, **values)
        name = f"{listing.name}-{self.now:%Y%m%d-%H%M}.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(listing.csv(self.words), media_type="text/csv; charset=utf-8", headers=headers)

    def go(self, name: str, /, *, said: str = "", undo: str = "", to: str = "", **parts: str) -> Response:
        """Answer a post: go to a page (303) and say there what was done, by the key of a word.

        `undo` names the act that takes it back; it gets the same parts of the path. `to` is a path instead.
        """
        target = to if is_local(to) else (self.link(name, None, **parts) or "/")
        answer: Response = RedirectResponse(target, status_code=303)
        if "x-desk-form" in self.request.headers:
            # The script goes there itself: were it led there, it would eat what the next page has to say.
            answer = Response(headers={"x-desk-go": urllib.parse.quote(target, safe=_IN_ADDRESS)})
        if said:
            told = urllib.parse.urlencode({"said": said, "undo": undo, **parts})
            self.desk.keep(answer, SAID, told, max_age=60)
        return answer

    def _said(self) -> dict[str, str] | None:
        """Read what the page before did; only our own words, and only acts that this person may do."""
        told = dict(urllib.parse.parse_qsl(self.request.cookies.get(SAID, "")[:500]))
        said, undo = told.pop("said", ""), told.pop("undo", "")
        if self.request.method != "GET" or self.is_part or not self.words.has(said):
            return None
        return {"said": said, "undo": self.link(undo, None, **told) if undo in places.PLACES else ""}


@dataclass(frozen=True, slots=True)
class Shown:
    """How templates write values; see `forms`."""

    visit: Visit

    def number(self, value: float | None) -> str:
        """Write a number."""
        return forms.number(value, self.visit.words)

    def money(self, value: int | None) -> str:
        """Write an amount of đồng."""
        return forms.money(value, self.visit.words)

    def day(self, value: datetime | None) -> str:
        """Write a day."""
        return forms.day(value, self.visit.words)

    def moment(self, value: datetime | None) -> str:
        """Write a moment to the second."""
        return forms.moment(value, self.visit.words)

    def ago(self, value: datetime | None) -> str:
        """Write a moment as seen from now."""
        return forms.ago(value, self.visit.words, now=self.visit.now)

    def span(self, value: timedelta | float | None) -> str:
        """Write how long."""
        return forms.span(value, self.visit.words)

    def typed_day(self, value: date) -> str:
        """Write a day as it is typed into a form."""
        return dates.day(value)

    def typed_moment(self, value: datetime) -> str:
        """Write a moment as it is typed into a form."""
        return dates.moment(value)

    def limits(self, stated: Iterable[str]) -> str:
        """Write how often a key may call."""
        return "; ".join(forms.limit(it, self.visit.words) for it in stated)

    def hours(self, stated: Iterable[str]) -> str:
        """Write when a key may call."""
        return forms.hours(stated, self.visit.words)

    def browser(self, agent: str) -> str:
        """Name a browser."""
        return forms.browser(agent)

    def told(self, sentence: str) -> str:
        """Write a sentence with the commands in it set apart."""
        return forms.told(sentence)

    def masked(self, value: str) -> str:
        """Hide most of a value."""
        return forms.masked(value)

    def plain(self, column: Column, value: Any) -> Any:
        """Write a cell of a table, by the kind of its column."""
        writers = {
            "number": self.number,
            "money": self.money,
            "ago": self.ago,
            "moment": self.moment,
            "day": self.day,
            "span": self.span,
            "hours": functools.partial(forms.hours_left, words=self.visit.words),
        }
        if column.kind == "chart":
            return value or ""
        if column.kind == "words" and isinstance(value, str):
            return self.visit.words.of(column.area, value)
        if column.kind == "setting":
            return forms.setting(value)
        writer: Any = writers.get(column.kind)
        # A word in the place of a figure or a moment stands as it is.
        is_written = writer and not isinstance(value, str)
        return writer(value) if is_written else forms.text(value, self.visit.words)


def _mistyped(name: str, vi: str, en: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(problems=(errors.FieldProblem(name, vi, en),))


def is_local(path: str) -> bool:
    """Whether a path stays on this desk: one that a visitor brings must not lead elsewhere."""
    return (
        path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and all(letter.isprintable() and letter != "\\" for letter in path)
        and len(path) <= 500
    )
