"""Desks served from a thread, a browser that is signed in to them, and one visit that looks at all of a page."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import builders
import desk
import uvicorn
from axe_playwright_python.sync_playwright import Axe

from lienthong.console.web import app

SIZES = {"1366": (1366, 768), "1920": (1920, 1080), "390": (390, 844)}
AGENCY = {"code": "000.00.00.H38", "name": "Tỉnh Thử Nghiệm"}
# What is folded away is looked at as well; menus and confirmations stay shut, for they lie over the page.
_UNFOLD = "document.querySelectorAll('main details:not(.menu, .confirm)').forEach((it) => { it.open = true; })"
BEYOND = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_AXE = Axe().axe_script
# WCAG 2.2 AA has a rule that axe leaves off by itself.
_EVERY = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
_COLOURS = {"resultTypes": ["violations"], "runOnly": ["color-contrast"]}
# axe looks at each element: of what a page repeats, what begins a table or a map shows as much as hundreds more.
_REPEATED = {"exclude": [["tbody tr:nth-child(n+13)"], ["svg.heat > :nth-child(n+61)"]]}

# What a test plays in a home, for desks at an address: the hub, and the addresses of single things by name.
Played = tuple[Any, dict[str, str]]
Play = Callable[[Path, str], AbstractAsyncContextManager[Played]]


def played(fill: Callable[[Any], Awaitable[Mapping[str, str] | None]]) -> Play:
    """Play a hub of nobody's systems that is filled before its desks are served."""

    @asynccontextmanager
    async def play(home: Path, _address: str) -> AsyncIterator[Played]:
        async with builders.running_hub(home, agency=AGENCY, systems=builders.NOBODY) as hub:
            yield hub, dict(await fill(hub) or {})

    return play


@dataclass
class Desks:
    """Desks that answer at an address, with the sign-ins that the tests of a module share."""

    address: str
    paths: dict[str, str]
    _signed_in: dict[str, Any] = field(default_factory=dict, repr=False)

    @contextmanager
    def visited(self, chromium: Any, name: str = "", **named: Any) -> Iterator[Any]:
        """Open a page, signed in where a name is given; it may ask no other host and have no error of its own."""
        state = self._state(chromium, name) if name else None
        named = {"viewport": {"width": 1366, "height": 768}, "locale": "vi-VN", **named}
        context = chromium.new_context(base_url=self.address, storage_state=state, **named)
        page, asked, wrong = context.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        try:
            yield page
            hosts = {urllib.parse.urlsplit(url).netloc for url in asked}
            assert hosts <= {urllib.parse.urlsplit(self.address).netloc}, "a page asked another host"
            assert [said for said in wrong if "status of 4" not in said] == []
        finally:
            context.close()

    def _state(self, chromium: Any, name: str) -> Any:
        """Sign somebody in once; every page of theirs begins with that session."""
        if name not in self._signed_in:
            with self.visited(chromium) as page:
                sign_in(page, name)
                self._signed_in[name] = page.context.storage_state()
        return self._signed_in[name]


@contextmanager
def serving(home: Path, play: Play, *, host: str = "127.0.0.1") -> Iterator[Desks]:
    """Serve the desks of what is played in a home, from a thread: the browser keeps a loop in this one."""
    listening = socket.create_server(("127.0.0.1", 0))
    desks = Desks(f"http://{host}:{listening.getsockname()[1]}", {})
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with play(home, desks.address) as (hub, paths):
            desks.paths = paths
            server = uvicorn.Server(uvicorn.Config(app.create_app(hub), log_config=None, lifespan="off"))
            task = asyncio.create_task(server.serve(sockets=[listening]))
            ready.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            await task

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(90)
    yield desks
    stop.set()
    thread.join(30)


def sign_in(page: Any, name: str) -> None:
    """Sign in by keyboard alone, from the moment when the page takes what is typed."""
    page.goto("/sign-in")
    # A browser moves to the field when it draws the page, which may be after it has loaded; what is typed until
    # then goes nowhere.
    page.wait_for_function("document.activeElement?.name === 'name'")
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(desk.PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("nav.rail, main [role=alert]")
    assert page.locator("nav.rail").count(), page.inner_text("main")


def look(page: Any, **chosen: str) -> None:
    """Choose language or theme, as the desk's own form does, for all pages."""
    # For the whole desk: with the address of a page the cookie would hold below that page only.
    whole = page.evaluate("location.origin")
    cookies = [{"name": f"desk_{name}", "value": value, "url": whole} for name, value in chosen.items()]
    page.context.add_cookies(cookies)


def serious(page: Any, *, only_colours: bool = False) -> list[str]:
    """Say what axe finds serious or critical on the page as it is."""
    if page.evaluate("typeof window.axe") == "undefined":
        page.evaluate(_AXE)
    given = [_REPEATED, _COLOURS if only_colours else _EVERY]
    found = page.evaluate("async (given) => (await axe.run(...given)).violations", given)
    return [
        f"{it['id']}: {node['html'][:160]}"
        for it in found
        if it["impact"] in ("serious", "critical")
        for node in it["nodes"][:3]
    ]


def faults(page: Any, paths: Mapping[str, str], *, kind: str) -> dict[str, Any]:
    """Visit each page once in each language: axe in light and dark, three sizes, pictures where asked for.

    The theme is one attribute of the page and the size is the window's, so neither needs the page anew.
    """
    wrong: dict[str, Any] = {}
    for language, theme in (("vi", "light"), ("en", "dark")):
        look(page, language=language, theme=theme)
        for name, path in paths.items():
            page.set_viewport_size({"width": 1366, "height": 768})
            page.goto(path)
            settle(page)
            found = _over_the_edge(page, f"{kind}-{name}-{language}-{theme}")
            page.evaluate(_UNFOLD)
            if language == "vi":
                found += serious(page)
                page.evaluate("document.documentElement.dataset.theme = 'dark'")
                found += [f"dark: {it}" for it in serious(page, only_colours=True)]
            if found:
                wrong[f"{path} {language}"] = found
    return wrong


def settle(page: Any) -> None:
    """Wait for the parts that a page fetches once after it is there."""
    if page.locator("[data-load]:not([data-every])").count():
        page.wait_for_load_state("networkidle")


def _over_the_edge(page: Any, name: str) -> list[str]:
    """Show the page at each size, the usual one last; say where it is wider than the screen."""
    found = []
    for size in ("1920", "390", "1366"):
        page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        beyond = page.evaluate(BEYOND)
        if beyond > 0:
            found.append(f"{beyond} px over the edge at {size}")
        picture(page, f"{name}-{size}", full_page=size == "390")
    return found


def picture(page: Any, name: str, *, full_page: bool = False) -> None:
    """Keep a picture for whoever looks at it, where LIENTHONG_PICTURES names a folder."""
    if folder := os.environ.get("LIENTHONG_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=full_page)


def named(*paths: str) -> dict[str, str]:
    """Name pages after their addresses, for pictures."""
    return {re.sub(r"[^\w.]+", "-", path.strip("/"))[:50] or "overview": path for path in paths}
