"""Enterprise look-up: what the business register knows of a code, cut to the groups of the key (NA 9.1)."""

from __future__ import annotations

import dataclasses
import uuid

from lienthong.bus.flows import lookup_book, resident_lookup, resident_views
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import clock, errors, people

BASIC, PEOPLE = "enterprises.basic", "enterprises.people"
_PEOPLE_FIELDS = ("legal_representatives", "members")


async def look_up(
    hub: Hub, wanted: resident_views.EnterpriseRequest, asking: resident_lookup.Asking
) -> resident_views.EnterpriseAnswer:
    """Ask for one enterprise. The people behind it go out only where the key was granted them by name."""
    groups = tuple(name for name in (BASIC, PEOPLE) if name in asking.caller.field_groups)
    question = _question(hub, wanted, asking, system=hub.settings.residents.enterprises_source, groups=groups)
    asking.told.purpose, asking.told.dossier_code = wanted.purpose, wanted.dossier_code
    if BASIC not in groups:
        refusal = errors.NotGranted(
            "This key has not been granted fields:enterprises.basic.",
            detail_vi="Khoá này chưa được cấp quyền fields:enterprises.basic.",
            reason="fields_by_key",
        )
        await lookup_book.refuse(hub, question, refusal)
        raise refusal
    async with hub.storage.transaction() as tx:
        await lookup_book.intend(tx, question, repeats=None)
    errand = people.Errand(number=question.number, dossier_code=wanted.dossier_code or "", purpose=wanted.purpose)
    found = await resident_lookup.put(
        hub,
        question,
        asking,
        lambda: _register(hub).find_enterprise(_written(wanted.code), errand=errand),
        outcome=lambda enterprise: ("not_found", 0) if enterprise is None else ("ok", 1),
    )
    if found is None:
        return resident_views.EnterpriseAnswer(lookup_id=question.id, found=False)
    asking.told.field_groups = groups
    return resident_views.EnterpriseAnswer(
        lookup_id=question.id, found=True, field_groups=groups, enterprise=_cut(found, groups)
    )


def _written(code: str) -> str:
    """Write the code of a branch with its hyphen, as the register does."""
    plain = code.replace("-", "")
    return plain if len(plain) == 10 else f"{plain[:10]}-{plain[10:]}"


def _register(hub: Hub) -> roles.BusinessRegistry:
    found: roles.BusinessRegistry = hub.offered(hub.settings.residents.enterprises_source)
    return found


def _cut(found: people.Enterprise, groups: tuple[str, ...]) -> people.Enterprise:
    if PEOPLE in groups:
        return found
    return found.model_copy(update=dict.fromkeys(_PEOPLE_FIELDS, ()))


def _question(
    hub: Hub,
    wanted: resident_views.EnterpriseRequest,
    asking: resident_lookup.Asking,
    *,
    system: str,
    groups: tuple[str, ...],
) -> lookup_book.Question:
    now = hub.now()
    return dataclasses.replace(
        lookup_book.Question(
            id=clock.new_id(),
            number=lookup_book.numbered(hub.settings.agency.code, now=now, serial=uuid.uuid4().int),
            at=now,
            request_id=asking.request_id,
            key_id=asking.caller.key_id,
            organisation=asking.caller.organisation,
            operation=asking.operation,
            system=system,
            purpose=wanted.purpose,
        ),
        dossier_code=wanted.dossier_code,
        field_groups=groups,
    )
