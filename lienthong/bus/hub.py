"""What a running process of the hub holds: settings, storage, vault, journal and the systems it talks to."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from lienthong.connectors import http, registry, roles
from lienthong.core import (
    clock,
    crypto,
    errors,
    journal,
    migrations,
    paper_signatures,
    settings,
    storage,
    subjects,
    working_days,
)


@dataclass(slots=True)
class Hub:
    """Everything a flow may use. Made once in a process by `opened`, passed as an argument from there."""

    settings: settings.Settings
    storage: storage.Storage
    vault: crypto.Vault
    journal: journal.Journal
    calendar: working_days.Calendar
    systems: Mapping[str, roles.Connector]
    subjects: subjects.Subjects
    anchors: paper_signatures.Anchors = field(default_factory=paper_signatures.Anchors)
    now: clock.Clock = clock.now
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{os.urandom(3).hex()}")
    # Called with the name of a target as soon as a message for it is committed.
    on_message: list[Callable[[str], None]] = field(default_factory=list)

    def system(self, name: str) -> Any:
        """Give the connector of an enabled system; raises Misconfigured naming the setting to make."""
        found = self.systems.get(name)
        if found is None:
            raise errors.Misconfigured(
                f"the system {name} is not enabled; set LIENTHONG_SYSTEMS__{name.upper()}__ENABLED and BASE_URL",
                detail_vi=(
                    f"Hệ thống {name} chưa được bật; "
                    f"hãy đặt LIENTHONG_SYSTEMS__{name.upper()}__ENABLED và BASE_URL."
                ),
                system=name,
            )
        return found

    def offered(self, name: str) -> Any:
        """Give the connector that an operation of a caller needs; else raises NotOffered."""
        found = self.systems.get(name)
        if found is None:
            raise errors.NotOffered(system=name)
        return found

    def announce(self, target: str) -> None:
        """Tell whoever delivers that a message waits for `target`; losing the call loses only time."""
        for listener in self.on_message:
            listener(target)


@asynccontextmanager
async def opened(
    chosen: settings.Settings,
    *,
    now: clock.Clock = clock.now,
    transports: Mapping[str, httpx.AsyncBaseTransport] | None = None,
) -> AsyncIterator[Hub]:
    """Open storage, vault and every enabled connector; close them in the end with the journal written.

    `transports` puts another transport under a connector, by contract name (for tests).
    """
    _make_home(chosen.home)
    store = storage.Storage(chosen.database_url)
    book = journal.Journal(store)
    systems: dict[str, roles.Connector] = {}
    try:
        vault = crypto.Vault.from_master(_master(chosen, create=not await migrations.is_begun(store)))
        calendar = working_days.load(chosen.holidays)
        anchors = paper_signatures.Anchors.load(chosen.documents.trust_folder)
        for name, section in sorted(chosen.systems.items()):
            registry.check_names(name, section)
            if not _is_enabled(section):
                continue
            systems[name] = _open(name, section, chosen, book, now, (transports or {}).get(name))
        yield Hub(chosen, store, vault, book, calendar, systems, subjects.Subjects(chosen.home), anchors, now)
    finally:
        for connector in systems.values():
            await connector.close()
        try:
            await book.flush()
        finally:
            await store.close()


def _open(
    name: str,
    section: Mapping[str, Any],
    chosen: settings.Settings,
    book: journal.Journal,
    now: clock.Clock,
    transport: httpx.AsyncBaseTransport | None,
) -> roles.Connector:
    """Open one connector; what is wrong with its settings is said with the name of its section."""
    try:
        return registry.open_connector(
            name,
            section,
            agency_code=chosen.agency.code,
            on_exchange=lambda exchange: book.write(_as_row(exchange)),
            clock=now,
            transport=transport,
        )
    except errors.Misconfigured as exc:
        where = f"LIENTHONG_SYSTEMS__{name.upper()}"
        raise errors.Misconfigured(
            f"{where}: {exc.detail('en')}", detail_vi=f"{where}: {exc.detail('vi')}", **exc.facts
        ) from exc


def _is_enabled(section: Mapping[str, Any]) -> bool:
    """Whether a system is to be used: as set, or where nothing is set, when it has an address."""
    said = section.get("enabled")
    if said is None:
        return bool(section.get("base_url"))
    return str(said).strip().lower() in ("true", "1", "yes", "on")


def _make_home(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as exc:
        raise errors.Misconfigured(
            f"LIENTHONG_HOME cannot be made: {home} ({exc.strerror})",
            detail_vi=f"Không tạo được thư mục LIENTHONG_HOME: {home} ({exc.strerror}).",
        ) from exc


def _master(chosen: settings.Settings, *, create: bool) -> bytes:
    """Read the master key. A new one is made for an empty database only: it would open nothing of an old one."""
    given = chosen.keys.master_key
    if given is None:
        return crypto.load_or_create_master(chosen.home / "keys" / "master.key", create=create)
    try:
        return bytes.fromhex(given.get_secret_value())
    except ValueError as exc:
        raise errors.Misconfigured(
            "LIENTHONG_KEYS__MASTER_KEY is not hexadecimal",
            detail_vi="LIENTHONG_KEYS__MASTER_KEY không phải là chuỗi thập lục phân.",
        ) from exc


def _as_row(exchange: http.Exchange) -> journal.Exchange:
    """Turn what a connector tells of one call into a row of the book."""
    about = journal.about.get()
    return journal.Exchange(
        at=exchange.started_at,
        direction="out",
        request_id=about.request_id if about else clock.new_id(),
        dossier_code=about.dossier_code if about else None,
        message_id=exchange.message_id,
        system=exchange.system,
        operation=exchange.operation,
        method=exchange.method,
        route=exchange.path,
        status=exchange.status,
        outcome=exchange.outcome,
        took_ms=exchange.took_ms,
        bytes_in=exchange.bytes_in,
        bytes_out=exchange.bytes_out,
    )
