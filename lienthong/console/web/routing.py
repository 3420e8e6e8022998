"""How a page module registers its routes: by the name of a place, and by nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from starlette.responses import Response

from lienthong.console.web import places
from lienthong.console.web.visit import Visit
from lienthong.core import errors

Handler = Callable[[Visit], Awaitable[Response]]
Register = Callable[[Handler], Handler]


class Routes:
    """The routes of one module of pages. Path, method and roles come from `places.PLACES`."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}

    def page(self, name: str) -> Register:
        """Register what shows a page. Raises Misconfigured where the table of places has no such page."""
        return self._register(name, "page")

    def act(self, name: str) -> Register:
        """Register what does an act, posted by a form. Raises Misconfigured as `page` does."""
        return self._register(name, "act")

    def _register(self, name: str, kind: places.Kind) -> Register:
        if places.place(name).kind != kind:
            raise errors.Misconfigured(f"console/web/places.py says that {name} is no {kind}")

        def register(handler: Handler) -> Handler:
            if name in self.handlers:
                raise errors.Misconfigured(f"the place {name} has two routes")
            self.handlers[name] = handler
            return handler

        return register


def together(modules: Iterable[Routes]) -> dict[str, Handler]:
    """Put the routes of all modules together, in the order of the table of places. Raises Misconfigured."""
    found: dict[str, Handler] = {}
    for each in modules:
        if twice := found.keys() & each.handlers.keys():
            raise errors.Misconfigured(f"the places {sorted(twice)} have two routes")
        found |= each.handlers
    return {name: found[name] for name in places.PLACES if name in found}
