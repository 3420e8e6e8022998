"""What stories of lookups share: a register that counts its questions, an official, a dossier, an assertion."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import builders
import jwt
import orjson
import signing
import sqlalchemy as sa

from lienthong.api_keys import assertions, keys, officials
from lienthong.bus import hub as hubs
from lienthong.bus.flows import dossier_status, resident_lookup, resident_views
from lienthong.connectors import roles
from lienthong.core import access_record, clock, errors, people, records, storage, tables

CODE = "000.00.00.H38-260115-0001"
UNIT = "000.00.00.H38"
OFFICIAL, ACCOUNT = "CB000123", "cb000123"
NUMBER = "001099000001"
AGENCY = "000.00.00.H38"
NOW = datetime(2026, 1, 15, 9, 0, tzinfo=clock.VIETNAM)
ALL_GROUPS = ("residents.*", "fields:residents.*")


@dataclass
class Register:
    """The population database as a flow sees it. Counts, and fails when told to."""

    name: str = "population_c06"
    questions: list[tuple[str, people.ResidentQuestion, people.Errand]] = field(default_factory=list)
    fails: errors.HubError | None = None
    person: people.Resident | None = field(
        default_factory=lambda: people.Resident(
            citizen_id=NUMBER,
            full_name="NGUYỄN VĂN MẪU",
            gender="male",
            birth=people.Birth(year=1999),
            ethnicity="01",
            religion="00",
            nationality="VN",
            marital_status="married",
            permanent_residence=people.PlaceOfResident(province_code="38", commune_code="14758", detail="Tổ 1"),
            father=people.Relative(full_name="NGUYỄN VĂN CHA"),
        )
    )

    async def verify(self, question: people.ResidentQuestion, *, errand: people.Errand) -> bool:
        self._take("verify", question, errand)
        return self.person is not None

    async def look_up(self, question: people.ResidentQuestion, *, errand: people.Errand) -> people.Resident | None:
        self._take("look_up", question, errand)
        return self.person

    def _take(self, what: str, question: people.ResidentQuestion, errand: people.Errand) -> None:
        self.questions.append((what, question, errand))
        if self.fails is not None:
            raise self.fails

    async def check(self) -> list[records.CheckResult]:
        return []

    async def close(self) -> None:
        return None


@dataclass
class Town:
    """A hub with a register, a key, its signing system, one official and one open dossier."""

    hub: hubs.Hub
    register: Register
    caller: keys.Caller
    kid: str
    signer: Any
    clock: list[datetime]
    key: str = ""

    def assertion(self, **changed: Any) -> str:
        at = int(self.clock[0].timestamp())
        claims = {
            "iss": "Phần mềm hộ tịch",
            "sub": OFFICIAL,
            "aud": f"lienthong:{AGENCY}",
            "iat": at,
            "exp": at + 120,
            "jti": uuid.uuid4().hex,
            **changed,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {"typ": assertions.TYPE, "kid": self.kid}
        return jwt.encode(claims, self.signer, algorithm="EdDSA", headers=headers)

    def asking(self, operation: str = "residents.look_up", **changed: Any) -> resident_lookup.Asking:
        given: dict[str, Any] = {
            "caller": self.caller,
            "request_id": clock.new_id(),
            "language": "vi",
            "operation": operation,
            "assertion": self.assertion(),
            "claimed_official": None,
            "told": access_record.Told(),
        }
        return resident_lookup.Asking(**{**given, **changed})

    async def look_up(self, asking: resident_lookup.Asking | None = None, **changed: Any) -> Any:
        return await resident_lookup.look_up(self.hub, wanted(**changed), asking or self.asking())

    async def book(self) -> list[dict[str, Any]]:
        async with self.hub.storage.reading() as conn:
            return await storage.every(conn, sa.select(tables.lookups).order_by(tables.lookups.c.at))


def wanted(**changed: Any) -> resident_views.LookUpRequest:
    given: dict[str, Any] = {
        "dossier_code": CODE,
        "purpose": "Đối chiếu người yêu cầu đăng ký khai sinh",
        "citizen": {"citizen_id": NUMBER, "full_name": "Nguyễn Văn Mẫu", "birth": {"year": 1999}},
    }
    return resident_views.LookUpRequest.model_validate({**given, **changed})


async def register_official(hub: hubs.Hub, **changed: Any) -> str:
    """Put an official into the register as it lies in the database."""
    held = {"full_name": "Lê Thị Cán", "phone": "0900000009", "email": "", "position": "Công chức"}
    given: dict[str, Any] = {
        "id": clock.new_id(),
        "code": OFFICIAL,
        "account": ACCOUNT,
        "unit_code": UNIT,
        "unit_name": "Sở Tư pháp",
        "procedures": ["1.0*"],
        "valid_from": hub.now() - timedelta(days=30),
        "valid_until": hub.now() + timedelta(days=300),
        "record": hub.vault.seal(orjson.dumps(held), purpose=officials.PURPOSE),
        "registered_at": hub.now() - timedelta(days=30),
        "registered_by": "test",
        "changed_at": hub.now() - timedelta(days=30),
        **changed,
    }
    async with hub.storage.transaction() as tx:
        await tx.execute(tables.officials.insert().values(**given))
    return str(given["id"])


async def declare(hub: hubs.Hub, caller: keys.Caller, **changed: Any) -> None:
    now = hub.now()
    given: dict[str, Any] = {
        "code": CODE,
        "procedure_code": "1.000001",
        "applicant": {"kind": "citizen", "name": "Nguyễn Văn Mẫu", "citizen_id": NUMBER, "phone": "0900000001"},
        "summary": "Đăng ký khai sinh",
        "channel": "online",
        "submitted_at": now - timedelta(hours=1),
        "received_at": now - timedelta(minutes=30),
        "due_at": now + timedelta(days=3),
        "agency": UNIT,
        **changed,
    }
    await dossier_status.put(hub, records.Dossier.model_validate(given), caller=caller, request_id=clock.new_id())


@asynccontextmanager
async def opened(
    home: Path,
    *,
    database_url: str = "",
    grants: Any = ALL_GROUPS,
    begun: datetime = NOW,
    systems: Any = None,
    transports: Any = None,
    **sections: Any,
) -> AsyncIterator[Town]:
    """Open a hub where one official may look residents up for one dossier.

    The register is a double that counts, unless `systems` names a real connector for it.
    """
    at = [begun]
    async with builders.running_hub(
        home,
        database_url=database_url,
        now=lambda: at[0],
        agency={"code": AGENCY},
        systems={**builders.NOBODY, **(systems or {})},
        transports=transports,
        **sections,
    ) as hub:
        register = Register()
        hub.systems = {register.name: register, **hub.systems}
        await builders.seed_procedure(hub)
        issued = await builders.issue_key(hub, grants=(*grants, "dossiers.*"), days=300)
        caller = issued.record.caller(_first(issued))
        signer = signing.new_key()
        kid = await _register_signer(hub, caller, signer)
        await register_official(hub)
        await declare(hub, caller)
        yield Town(hub, register, caller, kid, signer, at, issued.key)


def _first(issued: keys.Issued) -> Any:
    return keys.Generation(issued.record.id, 1, issued.record.prefix, "", issued.record.issued_at, "test")


async def _register_signer(hub: hubs.Hub, caller: keys.Caller, signer: Any) -> str:
    number = clock.new_id()
    row = {
        "id": number,
        "key_id": caller.key_id,
        "kind": assertions.KIND,
        "name": "Phần mềm hộ tịch",
        "algorithm": "ed25519",
        "public_key": signing.pem(signer).decode(),
        "thumbprint": "0" * 64,
        "added_at": datetime.now(UTC),
        "added_by": "test",
    }
    async with hub.storage.transaction() as tx:
        await tx.execute(tables.key_proofs.insert().values(**row))
    return number


@dataclass
class Businesses:
    """The business register, with one enterprise in it."""

    name: str = "ngsp"
    questions: list[str] = field(default_factory=list)

    async def find_enterprise(self, code: str, *, errand: people.Errand) -> people.Enterprise | None:
        self.questions.append(code)
        if code != "0100000001":
            return None
        return people.Enterprise(
            code=code,
            name="CÔNG TY TNHH MẪU",
            legal_representatives=("TRẦN VĂN VÍ DỤ",),
            members=(people.EnterpriseMember(name="TRẦN VĂN VÍ DỤ"),),
        )

    def catalogue_names(self) -> list[str]:
        return ["madantoc", "magioitinh"]

    async def catalogue_rows(self, name: str) -> list[dict[str, str]]:
        if name not in self.catalogue_names():
            raise errors.RemoteRefused(system=self.name, remote_code="HTTP 404")
        return [{"MA": "01", "TEN": "Kinh"}, {"MA": "02", "TEN": "Tày"}]

    async def catalogue_columns(self, name: str) -> list[roles.CatalogueColumn]:
        return [roles.CatalogueColumn(code=it, name=it, type="String") for it in ("MA", "TEN")]

    async def close(self) -> None:
        return None
