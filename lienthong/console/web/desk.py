"""What the pages share in one process: the hub, the templates, the routes that exist, and how cookies are set."""

from __future__ import annotations

import functools
import hashlib
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2
from starlette.responses import Response

from lienthong.bus.gateway import addresses
from lienthong.bus.hub import Hub

if TYPE_CHECKING:
    from lienthong.console.web.routing import Handler

STATIC = resources.files("lienthong.console.web").joinpath("static")
# What a machine calls itself: no name server leads here, whoever asks.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(slots=True)
class Desk:
    """The desks of one process."""

    hub: Hub
    handlers: Mapping[str, Handler]
    addresses: addresses.Addresses = field(init=False)

    def __post_init__(self) -> None:
        """Prepare what needs the settings. Raises Misconfigured for a wrong proxy address."""
        self.addresses = addresses.Addresses(self.hub.settings.console.trusted_proxies)

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the desks over https."""
        return self.hub.settings.console.public_url.startswith("https://")

    def origin(self, host: str) -> str:
        """Say how the browser that asked for `host` names these desks: by the public address, where there is one.

        On one machine alone both its names will do, whichever of them is public.
        """
        public = self.hub.settings.console.public_url
        is_here = host_name(f"//{host}") in LOOPBACK and host_name(public) in LOOPBACK and not self.is_secure
        return f"http://{host}" if is_here or not public else public

    def has_passkeys(self, host: str) -> bool:
        """Whether passkeys can be used by a browser that asked for `host`: they know the public address alone."""
        chosen = self.hub.settings.console
        return bool(chosen.passkey_domain) and self.origin(host) == chosen.public_url

    @property
    def session_cookie(self) -> str:
        """The name of the session's cookie; `__Host-` binds it to this host, which needs https."""
        return "__Host-desk" if self.is_secure else "desk"

    def keep(self, answer: Response, name: str, value: str, *, max_age: int | None = None) -> None:
        """Set a cookie: not for scripts, not for requests that another site makes, over https where we have it."""
        answer.set_cookie(
            name, value, max_age=max_age, path="/", httponly=True, samesite="lax", secure=self.is_secure
        )

    def drop(self, answer: Response, name: str) -> None:
        """Take a cookie away."""
        answer.delete_cookie(name, path="/", httponly=True, samesite="lax", secure=self.is_secure)

    def render(self, template: str, **values: Any) -> str:
        """Fill a template."""
        return _templates().get_template(template).render(static=static_address, **values)


def host_name(address: str) -> str:
    """Give the host of an address, in small letters; nothing where there is none."""
    try:
        return urllib.parse.urlsplit(address).hostname or ""
    except ValueError:
        return ""


@functools.cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("lienthong.console.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


@functools.cache
def static_address(name: str) -> str:
    """Give the address of one of our files, which changes with its content so that browsers may keep it."""
    digest = hashlib.sha256(STATIC.joinpath(name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"
