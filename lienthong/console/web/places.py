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
    "sign_in.passkey": Place("/sign-in/passkey", ANYONE),
    "sign_in.passkey.try": Place("/sign-in/passkey", ANYONE, "act"),
    "sign_out": Place("/sign-out", SIGNED_IN, "act"),
    "looks": Place("/looks", ANYONE, "act"),
    "own": Place("/own", SIGNED_IN),
    "own.password": Place("/own/password", SIGNED_IN, "act"),
    "own.second_step": Place("/own/second-step", SIGNED_IN),
    "own.second_step.set": Place("/own/second-step", SIGNED_IN, "act"),
    "own.passkeys": Place("/own/passkeys", SIGNED_IN),
    "own.passkeys.begin": Place("/own/passkeys/begin", SIGNED_IN, "act"),
    "own.passkeys.add": Place("/own/passkeys", SIGNED_IN, "act"),
    "own.passkeys.rename": Place("/own/passkeys/{id}/rename", SIGNED_IN, "act"),
    "own.passkeys.remove": Place("/own/passkeys/{id}/remove", SIGNED_IN, "act"),
    "own.sessions.end": Place("/own/sessions/end", SIGNED_IN, "act"),
    # ---- what every desk has
    "search": Place("/search", EVERY_ROLE, "act"),
    "found": Place("/found/{token}", EVERY_ROLE),
    "reveal": Place("/reveal", EVERY_ROLE, "act"),
    "views.save": Place("/views", EVERY_ROLE, "act"),
    "views.drop": Place("/views/drop", EVERY_ROLE, "act"),
    # ---- work
    "overview": Place("/", EVERY_ROLE, "page", "work"),
    # ---- the operator's work: web/pages/operator_*.py
    "dossiers": _page("/dossiers", _OPERATOR, _OFFICER, group="work"),
    "dossiers.one": _page("/dossiers/{code}", _OPERATOR, _OFFICER),
    "messages": _page("/messages", _OPERATOR, group="work"),
    "messages.plan": _page("/messages/plan", _OPERATOR),
    "messages.one": _page("/messages/{id}", _OPERATOR, _OFFICER),
    "messages.retry": _act("/messages/retry", _OPERATOR),
    "messages.drop": _act("/messages/drop", _OPERATOR),
    "targets": _page("/targets", _OPERATOR, group="work"),
    "targets.one": _page("/targets/{name}", _OPERATOR),
    "targets.pause": _act("/targets/{name}/pause", _OPERATOR),
    "targets.resume": _act("/targets/{name}/resume", _OPERATOR),
    "systems.one": _page("/systems/{name}", _OPERATOR, _OFFICER, _ADMIN),
    "systems.check": _page("/systems/{name}/check", _OPERATOR, _ADMIN),
    "systems.plan": _act("/systems/{name}/maintenance", _OPERATOR),
    "systems.cancel": _act("/systems/{name}/maintenance/{id}/cancel", _OPERATOR),
    "sync": _page("/sync", _OPERATOR, group="work"),
    "sync.one": _page("/sync/{id}", _OPERATOR),
    "sync.start": _act("/sync/start", _OPERATOR),
    "sync.accept": _act("/sync/{id}/accept", _OPERATOR),
    "sync.keep": _act("/sync/{id}/keep", _OPERATOR),
    "sync.undo": _act("/sync/{id}/undo", _OPERATOR),
    "payments": _page("/payments", _OPERATOR, group="work"),
    "payments.one": _page("/payments/{id}", _OPERATOR),
    "payments.ask": _act("/payments/{id}/ask", _OPERATOR),
    "payments.decide": _act("/payments/questions/{id}/decide", _OPERATOR),
    "refunds": _page("/refunds", _OPERATOR),
    "refunds.request": _act("/payments/{id}/refunds", _OPERATOR),
    "refunds.approve": _act("/refunds/{id}/approve", _OPERATOR),
    "refunds.decline": _act("/refunds/{id}/decline", _OPERATOR),
    "refunds.resolve": _act("/refunds/{id}/resolve", _OPERATOR),
    "parcels": _page("/parcels", _OPERATOR, group="work"),
    "parcels.one": _page("/parcels/{id}", _OPERATOR),
    "parcels.cancel": _act("/parcels/{id}/cancel", _OPERATOR),
    "parcels.decide": _act("/parcels/questions/{id}/decide", _OPERATOR),
    "reconciliation": _page("/reconciliation", _OPERATOR, group="work"),
    "reconciliation.one": _page("/reconciliation/{id}", _OPERATOR),
    "reconciliation.close": _act("/reconciliation/differences/{id}/close", _OPERATOR),
    "reconciliation.approve": _act("/reconciliation/{id}/approve", _OPERATOR),
    # ---- keys and grants
    "keys": _page("/keys", _KEYS, _OFFICER, _OPERATOR, group="keys"),
    "keys.new": _page("/keys/new", _KEYS),
    "keys.issue": _act("/keys", _KEYS),
    "keys.one": _page("/keys/{id}", _KEYS, _OFFICER, _OPERATOR),
    "keys.use": _page("/keys/{id}/use", _KEYS, _OFFICER, _OPERATOR),
    "keys.grants": _page("/keys/{id}/grants", _KEYS),
    "keys.grant": _act("/keys/{id}/grants", _KEYS),
    "keys.approve": _act("/keys/{id}/approve", _KEYS),
    "keys.rotate": _act("/keys/{id}/rotate", _KEYS),
    "keys.limit": _act("/keys/{id}/limit", _KEYS),
    "keys.confirm": _act("/keys/{id}/confirm", _KEYS),
    "keys.sheet": _act("/keys/{id}/sheet", _KEYS),
    "keys.suspend": _act("/keys/{id}/suspend", _KEYS, _OFFICER),
    "keys.resume": _act("/keys/{id}/resume", _KEYS, _OFFICER),
    "keys.revoke": _act("/keys/{id}/revoke", _KEYS),
    "operations": _page("/operations", _KEYS, _OFFICER, _OPERATOR, group="keys"),
    "operations.one": _page("/operations/{name}", _KEYS, _OFFICER, _OPERATOR),
    # ---- officials who may look people up
    "officials": _page("/officials", _KEYS, _OFFICER, _OPERATOR, group="keys"),
    "officials.form": _page("/officials/form", _KEYS, _OFFICER, _OPERATOR),
    "officials.one": _page("/officials/{code}", _KEYS, _OFFICER, _OPERATOR),
    "officials.register": _act("/officials", _KEYS, _OPERATOR),
    "officials.import": _act("/officials/form", _KEYS, _OPERATOR),
    "officials.export": _act("/officials/export", _KEYS, _OPERATOR),
    "officials.change": _act("/officials/{code}/change", _KEYS, _OPERATOR),
    "officials.replace": _act("/officials/{code}/replace", _KEYS, _OPERATOR),
    "officials.revoke": _act("/officials/{code}/revoke", _KEYS, _OPERATOR, _OFFICER),
    "exceptions": _page("/exceptions", _KEYS, _OFFICER, _OPERATOR, group="keys"),
    "exceptions.grant": _act("/exceptions", _KEYS, _OFFICER),
    "exceptions.end": _act("/exceptions/{id}/end", _KEYS, _OFFICER),
    "lookup_rules": _page("/lookup-rules", _KEYS, _OFFICER, _OPERATOR, group="keys"),
    "lookup_rules.set": _act("/lookup-rules", _KEYS, _OFFICER),
    # ---- what things are called, and whether all is well
    "procedures": _page("/procedures", _OPERATOR, _KEYS, _ADMIN, group="hub"),
    "procedures.one": _page("/procedures/{code}", _OPERATOR, _KEYS, _ADMIN),
    "codes": _page("/codes", _OPERATOR, _ADMIN, group="hub"),
    "codes.one": _page("/codes/{name}", _OPERATOR, _ADMIN),
    "mappings": _page("/mappings", _OPERATOR, _ADMIN, group="hub"),
    "mappings.one": _page("/mappings/{name}", _OPERATOR, _ADMIN),
    "check": _page("/check", _OPERATOR, _ADMIN, group="hub"),
    "check.results": _page("/check/results", _OPERATOR, _ADMIN),
    # ---- the security officer's work: web/pages/security_*.py, records*.py
    "alerts": _page("/alerts", _OFFICER, group="watch"),
    "alerts.one": _page("/alerts/{id}", _OFFICER),
    "alerts.timeline": _page("/alerts/{id}/timeline", _OFFICER),
    "alerts.report": _act("/alerts/report", _OPERATOR, _OFFICER, _KEYS, _ADMIN),
    "alerts.take": _act("/alerts/{id}/take", _OFFICER),
    "alerts.note": _act("/alerts/{id}/note", _OFFICER),
    "alerts.close": _act("/alerts/{id}/close", _OFFICER),
    "alerts.respond": _act("/alerts/{id}/respond", _OFFICER),
    "alerts.undo": _act("/alerts/{id}/undo", _OFFICER),
    "alerts.silence": _act("/alerts/{id}/silence", _OFFICER),
    "records": _page("/records", _OFFICER, group="watch"),
    "records.tops": _page("/records/tops", _OFFICER),
    "records.one": _page("/records/{request}/{number}", _OFFICER),
    "records.verify": _act("/records/{request}/{number}/verify", _OFFICER, _AUDITOR),
    "records.export": _act("/records/export", _OFFICER, _AUDITOR),
    "people.lookers": _page("/people", _OFFICER, group="watch"),
    "people.look": _act("/people", _OFFICER, _AUDITOR),
    "key_risks": _page("/key-risks", _OFFICER, _KEYS, group="watch"),
    "rules": _page("/rules", _OFFICER, group="watch"),
    "rules.one": _page("/rules/{rule}", _OFFICER),
    "rules.set": _act("/rules/{rule}", _OFFICER),
    "silences.add": _act("/silences", _OFFICER),
    "silences.end": _act("/silences/{id}/end", _OFFICER),
    "seals": _page("/seals", _OFFICER, group="watch"),
    "seals.verify": _act("/seals/verify", _OFFICER, _AUDITOR),
    "reviews": _page("/reviews", _OFFICER, group="watch"),
    "reviews.make": _act("/reviews", _OFFICER, _AUDITOR),
    # ---- the hub itself
    "settings": _page("/settings", _OPERATOR, _OFFICER, _ADMIN, group="hub"),
    "accounts": _page("/accounts", _OFFICER, _ADMIN, group="hub"),
    "accounts.one": _page("/accounts/{id}", _OFFICER, _ADMIN),
    "accounts.add": _act("/accounts", _ADMIN),
    "accounts.roles": _act("/accounts/{id}/roles", _ADMIN),
    "accounts.password": _act("/accounts/{id}/password", _ADMIN),
    "accounts.second_step": _act("/accounts/{id}/second-step", _ADMIN),
    "accounts.passkeys": _act("/accounts/{id}/passkeys", _ADMIN),
    "accounts.link": _act("/accounts/{id}/link", _ADMIN),
    "accounts.disable": _act("/accounts/{id}/disable", _ADMIN),
    "accounts.enable": _act("/accounts/{id}/enable", _ADMIN),
    "accounts.sessions.end": _act("/accounts/{id}/sessions/end", _ADMIN, _OFFICER),
    "trail": _page("/trail", _OFFICER, _ADMIN, group="hub"),
}

# Answers that hold no form, and that others on the way may keep: no cookie stands on them.
WITHOUT_FORMS = frozenset({"alive", "fonts", "font"})

# Acts that change nothing of the hub, only what this person sees; also open to those who only read.
ONLY_ONES_OWN = frozenset(
    {
        "search",
        "reveal",
        "views.save",
        "views.drop",
        "records.verify",
        "records.export",
        "people.look",
        "seals.verify",
        "reviews.make",
    }
)

# What may be shown in clear after a reason was given; a masked value names one of these. See web/reveals.py.
REVEALS: dict[str, frozenset[str]] = {
    "dossier.applicant": frozenset({_OPERATOR, _OFFICER, _AUDITOR}),
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
