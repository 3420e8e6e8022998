"""Resident lookup: written down before it is asked, asked once, answered only in the groups that may go out.

The order is the promise: who and for what (a refusal is recorded, in words) → the intention in one transaction →
the question → the outcome → the answer. Where the book cannot be written, no question goes out and no answer.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import keys, officials
from lienthong.bus.flows import lookup_book, lookup_ground, lookup_places, lookup_policy, resident_views
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import access_record, clock, errors, journal, people

Answer = TypeVar("Answer")

NOTE_VI = (
    "Không tìm thấy công dân, hoặc thông tin không khớp; cơ sở dữ liệu quốc gia không cho biết là trường hợp nào. "
    "Hãy kiểm tra lại số, họ tên (đủ dấu) và ngày sinh."
)
NOTE_EN = (
    "No such resident, or the data do not agree; the national database does not say which. Check the number, the "
    "name with its diacritics, and the birth."
)


@dataclasses.dataclass(slots=True)
class Asking:
    """One question on its way: who asks, for what, what the record of the request is told."""

    caller: keys.Caller
    request_id: str
    language: str
    operation: str
    assertion: str | None
    claimed_official: str | None
    told: access_record.Told


@dataclasses.dataclass(frozen=True, slots=True)
class Allowed:
    """A question that may be asked, as it stands in the book."""

    question: lookup_book.Question
    official: officials.Official
    service_code: str
    earlier: lookup_book.Earlier

    def about(self) -> dict[str, object]:
        """Give what every answer says about the question."""
        last = self.earlier
        repeated = None
        if last.last_id is not None and last.last_at is not None:
            repeated = resident_views.Repeated(lookup_id=last.last_id, asked_at=last.last_at)
        return {
            "lookup_id": self.question.id,
            "number": self.question.number,
            "official": self.official.code,
            "dossier_code": self.question.dossier_code or "",
            "repeated": repeated,
            "asked_before": last.count,
        }

    def errand(self) -> people.Errand:
        """Give what the national register wants to know of who asks (contracts §5.3)."""
        procedure_code = self.question.procedure_code
        # A longer code is none of the register's; cut off, it might be another procedure's.
        own = procedure_code if len(procedure_code) <= people.LONGEST_SERVICE_CODE else ""
        return people.Errand(
            number=self.question.number,
            service_code=self.service_code or own,
            official_code=self.official.code,
            official_account=self.official.account,
            official_phone=self.official.phone,
            unit_code=self.official.unit_code,
            dossier_code=self.question.dossier_code or "",
            purpose=self.question.purpose,
        )


async def verify(hub: Hub, wanted: resident_views.VerifyRequest, asking: Asking) -> resident_views.VerifyAnswer:
    """Ask whether such a person exists; nothing of the person comes back."""
    source = hub.settings.residents.source
    allowed = await allow(hub, wanted, asking, subject=wanted.citizen.number, system=source)
    holds = await put(
        hub,
        allowed.question,
        asking,
        lambda: _registry(hub).verify(wanted.citizen, errand=allowed.errand()),
        outcome=lambda found: ("ok", 1) if found else ("not_found", 0),
    )
    note = "" if holds else _note(asking)
    return resident_views.VerifyAnswer.model_validate({**allowed.about(), "verified": holds, "note": note})


async def look_up(hub: Hub, wanted: resident_views.LookUpRequest, asking: Asking) -> resident_views.LookUpAnswer:
    """Ask for a person's record, and give back only the groups that procedure, key and request all allow."""
    source = hub.settings.residents.source
    allowed = await allow(
        hub,
        wanted,
        asking,
        subject=wanted.citizen.number,
        system=source,
        fields=wanted.fields,
        needs_groups=True,
    )
    found = await put(
        hub,
        allowed.question,
        asking,
        lambda: _registry(hub).look_up(wanted.citizen, errand=allowed.errand()),
        outcome=lambda person: ("not_found", 0) if person is None else ("ok", 1),
    )
    about, groups = allowed.about(), allowed.question.field_groups
    if found is None:
        return resident_views.LookUpAnswer.model_validate({**about, "found": False, "note": _note(asking)})
    named = await lookup_places.with_names(hub, found)
    asking.told.field_groups = groups
    view = resident_views.resident_view(named, groups)
    return resident_views.LookUpAnswer.model_validate(
        {**about, "found": True, "field_groups": groups, "resident": view}
    )


async def allow(
    hub: Hub,
    wanted: resident_views.Occasion,
    asking: Asking,
    *,
    subject: str | None,
    system: str,
    digest: str | None = None,
    fields: tuple[str, ...] = (),
    needs_groups: bool = False,
) -> Allowed:
    """Decide whether the question may be asked, and write the intention; a refusal is written, too.

    `subject` is the number of whom the question is about; where only its digest is known, `digest`.
    """
    now = hub.now()
    about = digest if subject is None else hub.subjects.digest(subject, at=now)
    question = _begun(hub, wanted, asking, now=now, subject=about, system=system)
    told = asking.told
    told.subject, told.purpose, told.dossier_code = question.subject, wanted.purpose, wanted.dossier_code

    async def decide(tx: AsyncConnection) -> Allowed:
        # In one transaction, so that what the decision leans on still holds when the intention is written.
        return await _decided(hub, tx, wanted, asking, question, fields=fields, needs_groups=needs_groups)

    try:
        # Together with other questions of this moment; the commit has happened when it comes back.
        return await hub.storage.together(decide)
    except (errors.NotGranted, errors.ProofRejected, _Refused) as exc:
        known = exc.question if isinstance(exc, _Refused) else question
        said = exc.why if isinstance(exc, _Refused) else exc
        await lookup_book.refuse(hub, known, said)
        raise said from None


class _Refused(Exception):
    """A refusal, with what was known of the question by then."""

    def __init__(self, question: lookup_book.Question, why: errors.HubError) -> None:
        self.question = question
        self.why = why
        super().__init__()


async def _decided(
    hub: Hub,
    tx: AsyncConnection,
    wanted: resident_views.Occasion,
    asking: Asking,
    question: lookup_book.Question,
    *,
    fields: tuple[str, ...],
    needs_groups: bool,
) -> Allowed:
    """Find out who asks, and write the intention. Waits for nothing but the database."""
    now = question.at
    who = await lookup_ground.named(
        hub,
        tx,
        asking.caller,
        assertion=asking.assertion,
        plain=wanted.official or asking.claimed_official,
        dossier_code=wanted.dossier_code,
        purpose=wanted.purpose,
    )
    registered = await lookup_ground.official(hub, tx, who)
    if registered is not None:
        asking.told.official = registered.code
        question = dataclasses.replace(
            question,
            official_id=registered.id,
            official_code=registered.code,
            unit_code=registered.unit_code,
            named_by=who.named_by,
            assertion=who.asserted.digest if who.asserted else None,
        )
    try:
        official = lookup_policy.must_be_in_force(registered, now=now)
    except (errors.NotGranted, errors.ProofRejected) as exc:
        raise _Refused(question, exc) from None
    return await _intended(
        hub, tx, wanted, asking, question, official=official, fields=fields, needs_groups=needs_groups
    )


async def _intended(
    hub: Hub,
    tx: AsyncConnection,
    wanted: resident_views.Occasion,
    asking: Asking,
    question: lookup_book.Question,
    *,
    official: officials.Official,
    fields: tuple[str, ...],
    needs_groups: bool,
) -> Allowed:
    """Hold the question against its dossier and write the intention. Waits for nothing but the database."""
    try:
        ground = await lookup_ground.dossier(hub, tx, wanted.dossier_code, caller=asking.caller)
        question = dataclasses.replace(question, procedure_code=ground.procedure_code)
        lookup_policy.must_be_open(ground)
        set_down = await lookup_book.set_down(
            tx, question, official_id=official.id, within_s=hub.settings.residents.repeat_within_s
        )
        exception_id = lookup_policy.must_fit(
            official, ground, set_down.exceptions, procedure_code=wanted.procedure_code, now=question.at
        )
        groups = set_down.field_groups
        if needs_groups:
            groups = lookup_policy.groups_for(fields, by_procedure=groups, by_key=asking.caller.field_groups)
        question = dataclasses.replace(
            question, exception_id=exception_id, field_groups=groups if needs_groups else ()
        )
        await lookup_book.intend(tx, question, repeats=set_down.earlier.last_id)
    except (errors.NotGranted, errors.ProofRejected) as exc:
        raise _Refused(question, exc) from None
    return Allowed(question, official, set_down.service_code, set_down.earlier)


async def put(
    hub: Hub,
    question: lookup_book.Question,
    asking: Asking,
    call: Callable[[], Awaitable[Answer]],
    *,
    outcome: Callable[[Answer], tuple[str, int]],
) -> Answer:
    """Put a question whose intention is written: ask once, write down how it ended, only then give the answer."""
    told = asking.told
    about = journal.About(asking.request_id, question.dossier_code, question.official_code)
    token = journal.about.set(about)
    began = time.perf_counter()
    said, rows = "Server.Hub.Interrupted", None
    try:
        answer = await call()
        said, rows = outcome(answer)
    except errors.HubError as exc:
        said = exc.code
        _say_who_asks_again(exc)
        raise
    finally:
        journal.about.reset(token)
        took_ms = round((time.perf_counter() - began) * 1000)
        told.upstream.append(access_record.Attempt(question.system, said, took_ms))
        told.rows = rows
        await lookup_book.settle(hub, question, outcome=said, rows=rows, now=hub.now())
    return answer


def _say_who_asks_again(exc: errors.HubError) -> None:
    """Tell the caller that this question is not sent again by the hub, as a promised message would be."""
    if isinstance(exc, errors.RemoteError) and exc.retry and not exc.detail_en:
        exc.detail_en = (
            "The national register does not answer at the moment. The hub does not ask again; call later."
        )
        exc.detail_vi = "Cơ sở dữ liệu quốc gia tạm thời không trả lời. Trục không tự hỏi lại; hãy gọi lại sau."


def _begun(
    hub: Hub,
    wanted: resident_views.Occasion,
    asking: Asking,
    *,
    now: datetime,
    subject: str | None,
    system: str,
) -> lookup_book.Question:
    return lookup_book.Question(
        id=clock.new_id(),
        number=lookup_book.numbered(hub.settings.agency.code, now=now, serial=uuid.uuid4().int),
        at=now,
        request_id=asking.request_id,
        key_id=asking.caller.key_id,
        organisation=asking.caller.organisation,
        operation=asking.operation,
        system=system,
        purpose=wanted.purpose,
        subject=subject,
        dossier_code=wanted.dossier_code,
    )


def _registry(hub: Hub) -> roles.ResidentRegistry:
    found: roles.ResidentRegistry = hub.offered(hub.settings.residents.source)
    return found


def _note(asking: Asking) -> str:
    return NOTE_EN if asking.language == "en" else NOTE_VI
