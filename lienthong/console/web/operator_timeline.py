"""One line of time for a dossier: every step of every story as an item, the newest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lienthong.console.web import forms, grant_matrix, operator_outbox
from lienthong.console.web.operator_story import Story
from lienthong.console.web.visit import Visit

STORIES = ("status", "targets", "payment", "post", "lookups", "deadlines", "refused")


@dataclass(frozen=True, slots=True)
class Item:
    """One step: when, of which story, what in words, and the page behind it."""

    at: datetime
    story: str
    title: str
    detail: str = ""
    state: str = ""
    area: str = "states"
    href: str = ""
    is_ahead: bool = False


def items(visit: Visit, story: Story) -> list[Item]:
    """Put the steps of all stories in order."""
    makers = (_status, _targets, _payment, _refunds, _post, _lookups, _deadlines, _refused)
    found = [item for maker in makers for item in maker(visit, story)]
    return sorted(found, key=lambda item: item.at, reverse=True)


def _status(visit: Visit, story: Story) -> Iterator[Item]:
    t, row = visit.words, story.row
    yield Item(row["created_at"], "status", t("dossier.declared", organisation=row["organisation"]))
    for change in story.changes:
        late_s = (change["accepted_at"] - change["occurred_at"]).total_seconds()
        told = t("dossier.told_late", span=forms.span(late_s, t)) if late_s > 3600 else ""
        unusual = change["unusual"]
        yield Item(
            change["accepted_at"],
            "status",
            t("dossier.changed", number=change["number"], organisation=row["organisation"]),
            " · ".join(part for part in (told, unusual) if part),
            change["status"],
            "status",
            visit.link("messages.one", None, id=change["message_id"]),
        )


def _targets(visit: Visit, story: Story) -> Iterator[Item]:
    t = visit.words
    by_id = {row["id"]: row for row in story.messages}
    for row in story.messages:
        system, href = t.of("systems", row["target"]), visit.link("messages.one", None, id=row["id"])
        yield Item(row["created_at"], "targets", t("dossier.promised", system=system), "", "", "states", href)
        if row["state"] in ("dead", "dropped") and row["settled_at"]:
            cause = operator_outbox.cause(row["last_code"], t) or row["last_code"] or ""
            title = t(f"dossier.{row['state']}_at", system=system)
            yield Item(row["settled_at"], "targets", title, cause, row["state"], "states", href)
        elif row["state"] == "pending" and row["attempts"]:
            title = t("dossier.next_try", system=system, number=row["attempts"] + 1)
            yield Item(row["due_at"], "targets", title, "", "pending", "states", href, row["due_at"] > visit.now)
    for each in story.tries:
        row = by_id[each["message_id"]]
        system, href = t.of("systems", row["target"]), visit.link("messages.one", None, id=row["id"])
        cause = operator_outbox.cause(each["code"], t) if each["outcome"] != "delivered" else ""
        facts = [part for part in (cause, each["detail"], f"{each['took_ms']:.0f} ms") if part]
        title = t("dossier.tried", system=system, number=each["number"])
        yield Item(each["started_at"], "targets", title, " · ".join(facts), each["outcome"], "states", href)


def _payment(visit: Visit, story: Story) -> Iterator[Item]:
    t = visit.words
    for owed in story.obligations:
        facts = {"name": t.of("obligations", owed["name"]), "amount": _money(visit, owed["amount_vnd"])}
        yield Item(owed["created_at"], "payment", t("dossier.owed", **facts))
    for row in story.payments:
        provider, href = t.of("systems", row["provider"]), visit.link("payments.one", None, id=row["id"])
        amount = _money(visit, row["amount_vnd"])
        title = t("dossier.payment_begun", provider=provider, amount=amount)
        yield Item(row["created_at"], "payment", title, row["reference"], "", "payment_states", href)
        if row["paid_at"]:
            title = t("dossier.payment_paid", provider=provider, amount=_money(visit, row["received_vnd"]))
            yield Item(row["paid_at"], "payment", title, "", row["state"], "payment_states", href)
        elif row["closed_at"]:
            title = t("dossier.payment_ended", provider=provider)
            # Where a person must decide, the question stands beside it and says so.
            state = "" if row["state"] == "needs_person" else row["state"]
            yield Item(row["closed_at"], "payment", title, row["last_code"], state, "payment_states", href)
    for row in story.heard:
        title, href = t("dossier.payment_heard"), visit.link("payments.one", None, id=row["payment_id"])
        told = " · ".join(part for part in (t.of("callback_outcomes", row["verdict"]), row["reason"]) if part)
        yield Item(row["at"], "payment", title, told, "", "payment_states", href)


def _refunds(visit: Visit, story: Story) -> Iterator[Item]:
    t = visit.words
    for row in story.questions:
        title, href = t.of("payment_kinds", row["kind"]), visit.link("payments.one", None, id=row["payment_id"])
        yield Item(row["asked_at"], "payment", title, "", "needs_person", "payment_states", href)
        if row["closed_at"]:
            told = f"{row['closed_by']}: {row['reason']}"
            yield Item(row["closed_at"], "payment", title, told, "done", "states", href)
    for row in story.refunds:
        href = visit.link("payments.one", None, id=row["payment_id"])
        amount = _money(visit, row["amount_vnd"])
        title = t("dossier.refund_asked", amount=amount, name=row["requested_by"])
        yield Item(row["requested_at"], "payment", title, row["reason"], "", "refund_states", href)
        if row["finished_at"]:
            title = t("dossier.refund_ended", amount=amount)
            yield Item(row["finished_at"], "payment", title, "", row["state"], "refund_states", href)


def _post(visit: Visit, story: Story) -> Iterator[Item]:
    t = visit.words
    by_id = {row["id"]: row for row in story.parcels}
    for row in story.parcels:
        carrier, href = t.of("systems", row["carrier"]), visit.link("parcels.one", None, id=row["id"])
        title = t(f"dossier.{row['direction']}", carrier=carrier)
        yield Item(row["created_at"], "post", title, row["number"], "", "parcel_states", href)
        for name in ("late_at", "lost_at"):
            if row[name]:
                state = "late" if name == "late_at" else "dead"
                yield Item(row[name], "post", t(f"dossier.parcel_{name}"), "", state, "states", href)
    for each in story.parcel_events:
        row = by_id[each["parcel_id"]]
        carrier, href = t.of("systems", row["carrier"]), visit.link("parcels.one", None, id=row["id"])
        title = t("dossier.parcel_said", carrier=carrier)
        # As on the page of parcels: what came back is not what a citizen got.
        state = "sent_back" if each["state"] == "returned" else each["state"]
        yield Item(each["occurred_at"], "post", title, row["number"], state, "parcel_states", href)


def _lookups(visit: Visit, story: Story) -> Iterator[Item]:
    t = visit.words
    for row in story.lookups:
        who = row["official_code"] or row["organisation"]
        title = t("dossier.looked_up", who=who, system=t.of("systems", row["system"]))
        groups = ", ".join(t.of("field_groups", name) for name in row["field_groups"] or ())
        told = " · ".join(part for part in (row["purpose"], groups) if part)
        state = "answered" if row["outcome"] == "ok" else "" if row["outcome"] == "asked" else "refused"
        href = visit.link("officials.one", None, code=row["official_code"]) if row["official_code"] else ""
        yield Item(row["at"], "lookups", title, told, state, "states", href)
    for row in story.papers:
        title = t("dossier.paper_used", paper=row["paper_code"], who=row["official_code"] or row["organisation"])
        yield Item(row["at"], "lookups", title, row["agency"])


def _deadlines(visit: Visit, story: Story) -> Iterator[Item]:
    row = story.row
    is_over = bool(row["finished_at"] or row["returned_at"] or row["rejected_at"])
    for name in ("due_at", "answer_by", "supplement_by"):
        at: datetime | None = row[name]
        if at is None or (name == "answer_by" and row["received_at"]) or (name == "supplement_by" and is_over):
            continue
        kept = row["finished_at"] is not None and row["finished_at"] <= at
        state = "" if kept or at > visit.now else "late"
        yield Item(at, "deadlines", visit.words(f"dossier.{name}"), "", state, is_ahead=at > visit.now)


def _refused(visit: Visit, story: Story) -> Iterator[Item]:
    t = visit.words
    for row in story.calls:
        who = row["organisation"] or t("dossier.somebody")
        title = t("dossier.call_refused", organisation=who, operation=grant_matrix.told(row["operation"], t))
        told = operator_outbox.cause(row["outcome"], t) or row["outcome"]
        yield Item(row["at"], "refused", title, told)


def _money(visit: Visit, amount: int | None) -> str:
    return forms.money(amount, visit.words)


def counted(found: list[Item]) -> Mapping[str, int]:
    """Count the items by story, for the filter."""
    counts: dict[str, Any] = dict.fromkeys(STORIES, 0)
    for item in found:
        counts[item.story] += 1
    return counts
