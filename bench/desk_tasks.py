"""Three tasks of the desks as a person does them: requests and clicks, and in Chromium where there is one.

A click is what a hand does: following a link, sending a form. Typing and reading take a person longer.
"""

from __future__ import annotations

import contextlib
import html
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import figures
import httpx

TASKS = {
    "hop": "from a dossier's code to the reply of the system that refused it",
    "alert": "from an alert to a suspended key",
    "looked": "from a complaint to the printed list of who looked",
}
REASON = "đo thời gian"


@dataclass(slots=True)
class Walk:
    """One task as it was walked: how many clicks and requests, and how long the answers took together."""

    name: str
    clicks: int
    requests: int
    took_s: float


class Person:
    """Somebody who opens pages and sends the forms that are on them, as a browser would."""

    def __init__(self, client: httpx.Client) -> None:
        self.client, self.page, self.took_s, self.requests = client, "", 0.0, 0

    def open(self, path: str) -> str:
        """Follow an address to where it leads."""
        self._ask(lambda: self.client.get(path))
        return self.page

    def send(self, path: str, **fields: str) -> str:
        """Send a form of the open page and follow the answer."""
        found = re.search(r'name="_form" value="([0-9a-f]+)"', self.page)
        assert found, "the open page has no form"
        given = {"_form": found[1], **fields}
        self._ask(
            lambda: self.client.post(path, data=given, headers={"origin": str(self.client.base_url).rstrip("/")})
        )
        return self.page

    def _ask(self, ask: Callable[[], httpx.Response]) -> None:
        begun = time.perf_counter()
        answer = ask()
        self.requests += 1
        while answer.status_code == 303:
            answer = self.client.get(answer.headers["location"])
            self.requests += 1
        self.took_s += time.perf_counter() - begun
        if answer.status_code != 200:
            raise SystemExit(f"{answer.url.path} answered {answer.status_code}")
        self.page = answer.text

    def link(self, pattern: str) -> str:
        """Find a link on the page that is open."""
        found = re.search(f'href="({pattern})"', self.page)
        assert found, f"the open page has no link like {pattern}"
        return html.unescape(found[1])


@contextlib.contextmanager
def signed_in(address: str) -> Iterator[httpx.Client]:
    """Sign in over HTTP as the one who may go everywhere."""
    import desk_town

    with httpx.Client(base_url=address, timeout=60, headers={"user-agent": "bench"}) as client:
        person = Person(client)
        person.open("/sign-in")
        person.send("/sign-in", name=desk_town.NAME, password=desk_town.PASSWORD, to="")
        yield client


def walked(client: httpx.Client, facts: dict[str, Any]) -> list[Walk]:
    """Walk each task once."""
    return [_hop(Person(client), facts), _alert(Person(client), facts), _looked(Person(client))]


def _walk(name: str, person: Person, clicks: int) -> Walk:
    return Walk(name, clicks, person.requests, person.took_s)


def _hop(person: Person, facts: dict[str, Any]) -> Walk:
    person.open("/")
    person.requests, person.took_s = 0, 0.0  # the task begins at the open desk
    dossier, message, reply = facts["stuck"][0]
    person.send("/search", q=dossier)
    page = person.open(person.link(f"/messages/{message}"))
    assert reply in page, "the reply is not there"
    return _walk("hop", person, clicks=2)


def _alert(person: Person, facts: dict[str, Any]) -> Walk:
    person.open("/alerts")
    person.requests, person.took_s = 0, 0.0
    alert = person.link("/alerts/[0-9a-f-]{36}")
    person.open(alert)
    page = person.send(f"{alert}/respond", kind="suspend", span="1h", reason=REASON)
    assert "Đã tạm dừng khoá" in page
    walk = _walk("alert", person, clicks=3)  # the alert, the fold of the act, its button
    person.send(f"{alert}/undo", reason=REASON)
    return walk


def _looked(person: Person) -> Walk:
    import desk_record

    person.open("/")
    person.requests, person.took_s = 0, 0.0
    person.open("/people")
    page = person.send("/people", number=desk_record.COMPLAINANT, reason="đơn của công dân", days="90")
    assert page.count("<tr>") > desk_record.LOOKS, "the list is not whole"
    return _walk("looked", person, clicks=3)  # the place in the rail, the button, printing


# ---- the same in a browser


def browsed(address: str, facts: dict[str, Any]) -> tuple[dict[str, float], str]:
    """Walk the tasks in Chromium; gives the seconds until the last page of each, or why it was not done."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        return {}, "no Chromium on this machine"
    try:
        from playwright import sync_api
    except ImportError:
        return {}, "playwright is not installed"
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_context(base_url=address).new_page()
        _sign_in(page)
        took = {"hop": _timed(page, "/", lambda: _browse_hop(page, facts))}
        took["alert"] = _timed(page, "/alerts", lambda: _browse_alert(page))
        page.click("form[action$='/undo'] button") if page.locator(
            ".toast form[action$='/undo']"
        ).count() else None
        took["looked"] = _timed(page, "/", lambda: _browse_looked(page))
        browser.close()
    return took, ""


def _sign_in(page: Any) -> None:
    import desk_town

    page.goto("/sign-in")
    page.fill("input[name=name]", desk_town.NAME)
    page.fill("input[name=password]", desk_town.PASSWORD)
    page.click("button.main")
    page.wait_for_selector("nav.rail")


def _timed(page: Any, begin: str, walk: Callable[[], None]) -> float:
    page.goto(begin)
    begun = time.perf_counter()
    walk()
    return time.perf_counter() - begun


def _browse_hop(page: Any, facts: dict[str, Any]) -> None:
    dossier, message, reply = facts["stuck"][1]
    page.fill("#q", dossier)
    page.press("#q", "Enter")
    page.locator(f"a[href='/messages/{message}']").first.click()
    page.get_by_text(reply).first.wait_for()


def _browse_alert(page: Any) -> None:
    page.locator("table a[href^='/alerts/']").first.click()
    page.wait_for_selector("#panel:not([hidden]) details.danger")
    page.locator("#panel details.danger summary").first.click()
    page.locator("#panel details.danger input[name=reason]").first.fill(REASON)
    page.locator("#panel details.danger button").first.click()
    page.wait_for_selector(".toast")


def _browse_looked(page: Any) -> None:
    import desk_record

    page.click("nav.rail a[href='/people']")
    page.fill("input[name=number]", desk_record.COMPLAINANT)
    page.fill("form[action='/people'] input[name=reason]", "đơn của công dân")
    page.click("form[action='/people'] button.main")
    page.wait_for_selector("table.list")
    page.pdf()  # what the printer is given


def report(walks: list[Walk], browsed: dict[str, float]) -> None:
    """Print the table of tasks."""
    if not walks:
        return
    rows = [
        (TASKS[walk.name], walk.clicks, walk.requests, walk.took_s, browsed.get(walk.name, "–")) for walk in walks
    ]
    head = ("task", "clicks", "requests", "s, answers", "s, Chromium")
    figures.table("Tasks", head, rows)
