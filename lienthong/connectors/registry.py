"""Every connector there is, by the name of its contract. The only module that opens a connector folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from pydantic import ValidationError

from lienthong.connectors import base, http, roles
from lienthong.connectors.dvcqg_adapter import connector as dvcqg_adapter
from lienthong.connectors.dvcqg_payment import connector as dvcqg_payment
from lienthong.connectors.dvcqg_portal import connector as dvcqg_portal
from lienthong.connectors.dvcqg_sso import connector as dvcqg_sso
from lienthong.connectors.dvcqg_store import connector as dvcqg_store
from lienthong.connectors.ems import connector as ems
from lienthong.connectors.keypay import connector as keypay
from lienthong.connectors.momo import connector as momo
from lienthong.connectors.my_vnpost import connector as my_vnpost
from lienthong.connectors.ngsp import connector as ngsp
from lienthong.connectors.paygov import connector as paygov
from lienthong.connectors.population_c06 import connector as population_c06
from lienthong.connectors.population_lgsp import connector as population_lgsp
from lienthong.connectors.vietqr import connector as vietqr
from lienthong.connectors.vnpay import connector as vnpay
from lienthong.connectors.vnpost_hcc import connector as vnpost_hcc
from lienthong.core import errors


@dataclass(frozen=True, slots=True)
class Entry:
    """What a contract consists of: the settings of its section, and the class that plays its roles."""

    settings: type[base.Settings]
    connector: Callable[[Any, base.Surroundings], roles.Connector]


CONNECTORS: dict[str, Entry] = {
    "dvcqg_adapter": Entry(dvcqg_adapter.Settings, dvcqg_adapter.Connector),
    "dvcqg_payment": Entry(dvcqg_payment.Settings, dvcqg_payment.Connector),
    "dvcqg_portal": Entry(dvcqg_portal.Settings, dvcqg_portal.Connector),
    "ems": Entry(ems.Settings, ems.Connector),
    "keypay": Entry(keypay.Settings, keypay.Connector),
    "momo": Entry(momo.Settings, momo.Connector),
    "my_vnpost": Entry(my_vnpost.Settings, my_vnpost.Connector),
    "paygov": Entry(paygov.Settings, paygov.Connector),
    "dvcqg_sso": Entry(dvcqg_sso.Settings, dvcqg_sso.Connector),
    "dvcqg_store": Entry(dvcqg_store.Settings, dvcqg_store.Connector),
    "ngsp": Entry(ngsp.Settings, ngsp.Connector),
    "population_c06": Entry(population_c06.Settings, population_c06.Connector),
    "population_lgsp": Entry(population_lgsp.Settings, population_lgsp.Connector),
    "vietqr": Entry(vietqr.Settings, vietqr.Connector),
    "vnpay": Entry(vnpay.Settings, vnpay.Connector),
    "vnpost_hcc": Entry(vnpost_hcc.Settings, vnpost_hcc.Connector),
}


def settings_class(name: str) -> type[base.Settings]:
    """Give the settings of a contract's section. Raises Misconfigured where there is no such contract."""
    return _entry(name).settings


def callback_addresses(name: str, section: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the addresses that a contract's callbacks may come from; none: any. Raises Misconfigured."""
    return _settings(name, _entry(name), section).callback_addresses


def open_connector(
    name: str,
    section: base.Settings | Mapping[str, Any],
    *,
    agency_code: str,
    on_exchange: Callable[[http.Exchange], None] | None,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
) -> roles.Connector:
    """Open the connector of a contract with its own section of the settings; the caller closes it.

    Raises Misconfigured where the contract is unknown or its section wrong; no value is repeated.
    """
    entry = _entry(name)
    around = base.Surroundings(agency_code, on_exchange, clock, transport)
    return entry.connector(_settings(name, entry, section), around)


def check_names(name: str, section: Mapping[str, Any]) -> None:
    """Stop the start where a section names a contract or a setting that does not exist, enabled or not."""
    entry = _entry(name)
    unknown = sorted(set(section) - set(entry.settings.model_fields))
    if unknown:
        setting = f"LIENTHONG_SYSTEMS__{name.upper()}__{unknown[0].upper()}"
        raise errors.Misconfigured(
            f"{setting} is not a setting of the system {name}",
            detail_vi=f"{setting} không phải là tên cấu hình của hệ thống {name}.",
            contract=name,
        )


def _entry(name: str) -> Entry:
    try:
        return CONNECTORS[name]
    except KeyError as error:
        known = ", ".join(sorted(CONNECTORS))
        raise errors.Misconfigured(f"no contract {name}; there are {known}", contract=name) from error


def _settings(name: str, entry: Entry, section: base.Settings | Mapping[str, Any]) -> base.Settings:
    if isinstance(section, base.Settings):
        return section
    try:
        return entry.settings.model_validate(dict(section))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        setting = ".".join(str(part) for part in first["loc"])
        raise errors.Misconfigured(
            f"systems.{name}.{setting}: {first['msg']}", contract=name, setting=setting
        ) from error
