"""The names of the places in a resident's record: the register gives codes only (contracts §5.4)."""

from __future__ import annotations

from datetime import date, timedelta

import sqlalchemy as sa

from lienthong.bus.hub import Hub
from lienthong.core import people, tables
from lienthong.mappings import places

_PLACES = ("birth_registered_at", "hometown", "permanent_residence", "current_residence")
_p = tables.places


async def with_names(hub: Hub, found: people.Resident) -> people.Resident:
    """Put our names beside the codes; a code that we do not know stays without one."""
    held = {name: place for name in _PLACES if (place := getattr(found, name)) is not None}
    if not held:
        return found
    codes = {place.commune_code for place in held.values() if place.commune_code}
    communes: dict[str, str] = {}
    if codes:
        async with hub.storage.reading() as conn:
            rows = await conn.execute(sa.select(_p.c.code, _p.c.name).where(_p.c.code.in_(codes)))
            communes = {row.code: row.name for row in rows}
    today = hub.now().date()
    return found.model_copy(
        update={
            name: place.model_copy(
                update={
                    "province_name": _province(place, today=today),
                    "commune_name": communes.get(place.commune_code, ""),
                }
            )
            for name, place in held.items()
        }
    )


def _province(place: people.PlaceOfResident, *, today: date) -> str:
    """Name a province as of the time that the address is of: with a district it is older than July 2025.

    The same code may stand for another area in the other era, so the era is settled first.
    """
    before = places.TWO_LEVELS_SINCE - timedelta(days=1)
    eras = (before, today) if place.district_code else (today, before)
    found = (places.province(place.province_code, on=day) for day in eras)
    return next((province.name for province in found if province is not None), "")
