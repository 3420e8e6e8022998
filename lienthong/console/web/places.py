"""Every page and act of the desks, its path, and who may go there: rail, buttons and server read this table."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from lienthong.console.accounts.register import Role
from lienthong.core import errors

# Who need not have any role: nobody is signed in yet, or it is about oneself.
ANYONE: frozenset[str] = frozenset({"*anyone"})
SIGNED_IN: frozenset[str] = frozenset({"*signed in"})
EVERY_ROLE: frozenset[str] = frozenset(Role)

_OPERATOR, _OFFICER, _KEYS = Role.OPERATOR, Role.SECURITY_OFFICER, Role.KEY_MANAGER
_AUDITOR, _ADMIN = Role.AUDITOR, Role.ADMINISTRATOR

Kind = Literal["page", "act"]
# The groups of the rail, in order; a group without a page of one's role is not there.
GROUPS = ("work", "watch", "keys", "hub")


@dataclass(frozen=True, slots=True)
class Place:
    """One page (GET) or act (POST). `group`: where in the rail it stands; without one it is not in the rail.

    Its name in the rail is the word `places.<name>`, with `.` in the name written as `_`.
    """

    path: str
    roles: frozenset[str]
    kind: Kind = "page"
    group: str = ""

    def is_open_to(self, roles: Collection[str]) -> bool:
        """Whether somebody signed in with these roles may go there."""
        return self.roles in (ANYONE, SIGNED_IN) or not self.roles.isdisjoint(roles)


def _page(path: str, *roles: str, group: str = "") -> Place:
    """Declare a page; auditors read everything that has roles at all."""
    return Place(path, frozenset({*roles, _AUDITOR}), "page", group)


def _act(path: str, *roles: str) -> Place:
    """Declare an act; auditors change nothing."""
    return Place(path, frozenset(roles), "act")


PLACES: dict[str, Place] = {
    # ---- getting in, and oneself
    "alive": Place("/health/live", ANYONE),
    "fonts": Place("/static/fonts.css", ANYONE),
    "font": Place("/static/fonts/{name}", ANYONE),
    "sign_in": Place("/sign-in", ANYONE),
    "sign_in.try": Place("/sign-in", ANYONE, "act"),
    "sign_in.outside": Place("/sign-in/outside", ANYONE),
    "sign_in.back": Place("/sign-in/back", ANYONE),
    "sign_out": Place("/sign-out", SIGNED_IN, "act"),
    "looks": Place("/looks", ANYONE, "act"),
    "own": Place("/own", SIGNED_IN),
    "own.password": Place("/own/password", SIGNED_IN, "act"),
    "own.second_step": Place("/own/second-step", SIGNED_IN),
    "own.second_step.set": Place("/own/second-step", SIGNED_IN, "act"),
    "own.sessions.end": Place("/own/sessions/end", SIGNED_IN, "act"),
    # ---- what every desk has
    "search": Place("/search", EVERY_ROLE, "act"),
    "found": Place("/found/{token}", EVERY_ROLE),
    "reveal": Place("/reveal", EVERY_ROLE, "act"),
    "views.save": Place("/views", EVERY_ROLE, "act"),
    "views.drop": Place("/views/drop", EVERY_ROLE, "act"),
    # ---- work
    "overview": Place("/", EVERY_ROLE, "page", "work"),
    # ---- the hub itself
    "settings": _page("/settings", _OPERATOR, _OFFICER, _ADMIN, group="hub"),
    "accounts": _page("/accounts", _OFFICER, _ADMIN, group="hub"),
    "accounts.one": _page("/accounts/{id}", _OFFICER, _ADMIN),
    "accounts.add": _act("/accounts", _ADMIN),
    "accounts.roles": _act("/accounts/{id}/roles", _ADMIN),
    "accounts.password": _act("/accounts/{id}/password", _ADMIN),
    "accounts.second_step": _act("/accounts/{id}/second-step", _ADMIN),
    "accounts.link": _act("/accounts/{id}/link", _ADMIN),
    "accounts.disable": _act("/accounts/{id}/disable", _ADMIN),
    "accounts.enable": _act("/accounts/{id}/enable", _ADMIN),
    "accounts.sessions.end": _act("/accounts/{id}/sessions/end", _ADMIN, _OFFICER),
    "trail": _page("/trail", _OFFICER, _ADMIN, group="hub"),
}

# Acts that change nothing of the hub, only what this person sees; also open to those who only read.
ONLY_ONES_OWN = frozenset({"search", "reveal", "views.save", "views.drop"})

# What may be shown in clear after a reason was given; a masked value names one of these. See web/reveals.py.
REVEALS: dict[str, frozenset[str]] = {
    "official.contact": frozenset({_OPERATOR, _OFFICER, _AUDITOR}),
}


def place(name: str) -> Place:
    """Give the entry of a page or act. Raises Misconfigured where the table has none."""
    found = PLACES.get(name)
    if found is None:
        raise errors.Misconfigured(
            f"console/web/places.py has no entry {name}: say there who may go there",
            detail_vi=f"console/web/places.py chưa có mục {name}: hãy khai ai được vào.",
        )
    return found
