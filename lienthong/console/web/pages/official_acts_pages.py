"""What is done to the register of officials from the desk: register, import a form, change, hand over, revoke."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import UploadFile
from starlette.responses import Response

from lienthong.api_keys import official_acts, official_entries, officials
from lienthong.bus.flows import lookup_book, lookup_policy, official_forms, officials_import
from lienthong.console.web.pages import official_pages
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors, journal

routes = Routes()
_TEXTS = ("code", "account", "unit_code", "unit_name", "full_name", "phone", "email", "position")
_CHANGED = ("account", "unit_code", "unit_name", "phone", "email", "position")
_MOST_BAD = 500
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@routes.act("officials.register")
async def register(visit: Visit) -> Response:
    """Register one official."""
    entry = official_entries.entry(
        {
            **{name: visit.text(name) for name in _TEXTS},
            "procedures": official_entries.procedures(visit.text("procedures")),
            "valid_from": official_entries.begins(visit.day("valid_from")),
            "valid_until": official_entries.ends(visit.day("valid_until")),
        }
    )
    made = await official_acts.register(visit.hub.storage, visit.hub.vault, entry, act=_act(visit))
    return visit.go("officials.one", code=official_pages.address_of(made), said="officials.registered")


@routes.act("officials.change")
async def change(visit: Visit) -> Response:
    """Change a registration; what is left empty stays as it is."""
    changes = _changes(visit, _CHANGED)
    made = await official_acts.change(
        visit.hub.storage, visit.hub.vault, visit.param("code"), changes, act=_act(visit)
    )
    return visit.go("officials.one", code=official_pages.address_of(made), said="officials.changed")


@routes.act("officials.revoke")
async def revoke(visit: Visit) -> Response:
    """End a registration; the next question is refused."""
    made = await official_acts.revoke(visit.hub.storage, visit.hub.vault, visit.param("code"), act=_act(visit))
    return visit.go("officials.one", code=official_pages.address_of(made), said="officials.revoked")


@routes.act("officials.replace")
async def replace(visit: Visit) -> Response:
    """Hand a registration over to a successor in one step."""
    changes = {**_changes(visit, ("code", *_CHANGED)), "full_name": visit.text("full_name")}
    changes["phone"] = visit.text("phone")
    made = await official_acts.replace_holder(
        visit.hub.storage, visit.hub.vault, visit.param("code"), changes, act=_act(visit)
    )
    return visit.go("officials.one", code=official_pages.address_of(made), said="officials.handed_over")


# --------------------------------------------------------------------------------------------------- the form


@routes.page("officials.form")
async def form(visit: Visit) -> Response:
    """Show how a form is taken in; with `file=xlsx` or `csv` give the empty one."""
    kind = visit.query.get("file", "")
    if kind in ("xlsx", "csv"):
        return _file(kind, [], name="bieu-mau-can-bo")
    return visit.page("officials/form.html", report=None, tried=False, bad=[], most=_MOST_BAD)


@routes.act("officials.import")
async def take_in(visit: Visit) -> Response:
    """Check a form, or take it in: all of it, or nothing, or the good rows where that was said."""
    given = visit.form.get("file")
    raw = await given.read(official_forms.MOST_BYTES + 1) if isinstance(given, UploadFile) else b""
    if not raw:
        vi, en = "Hãy chọn tệp .xlsx hoặc .csv.", "Choose an .xlsx or .csv file."
        raise errors.InvalidRequest(problems=(errors.FieldProblem("file", vi, en),))
    is_check = visit.text("do") != "write"
    report = await officials_import.run(
        visit.hub,
        raw,
        reason=visit.text("reason"),
        actor=visit.who.name,
        encoding=visit.text("encoding") or "utf-8",
        good_rows=visit.text("good_rows") == "yes",
        dry_run=is_check,
    )
    told = [
        {"row": it.row, "column": it.column, "why": it.en if visit.words.language == "en" else it.vi}
        for it in report.bad[:_MOST_BAD]
    ]
    return visit.page("officials/form.html", report=report, tried=is_check, bad=told, most=_MOST_BAD)


@routes.act("officials.export")
async def export(visit: Visit) -> Response:
    """Give the register as a filled form, for a unit to look through: names and numbers leave the hub, an act."""
    act, unit = visit.act("officials.export"), visit.text("unit")
    if not act.reason:
        raise official_entries.refused(
            [
                errors.FieldProblem(
                    "reason", "Phải ghi lý do xuất danh sách.", "Say why the register leaves the hub."
                )
            ]
        )
    states: tuple[officials.State, ...] = ("in_force", "not_yet", "expired")
    found = await officials.listed(
        visit.hub.storage, visit.hub.vault, now=act.now, states=states, unit=unit or None
    )
    async with visit.hub.storage.transaction() as tx:
        await journal.write_act(
            tx,
            act.name,
            unit[:35] or "*",
            actor=act.actor,
            now=act.now,
            reason=act.reason,
            after={"rows": len(found)},
        )
    return _file("xlsx", [official_forms.cells_of(it) for it in found], name="can-bo")


def _file(kind: str, rows: list[dict[str, str]], *, name: str) -> Response:
    written = official_forms.as_csv(rows) if kind == "csv" else official_forms.as_workbook(rows)
    media = "text/csv; charset=utf-8" if kind == "csv" else _XLSX
    headers = {"content-disposition": f'attachment; filename="{name}.{kind}"'}
    return Response(written, media_type=media, headers=headers)


# ------------------------------------------------------------------------------------- exceptions and rules


@routes.act("exceptions.grant")
async def grant_exception(visit: Visit) -> Response:
    """Let an official by name ask about a dossier or a unit of others, until a day."""
    found = await officials.find(visit.hub.storage, visit.hub.vault, visit.text("official"))
    if found is None:
        raise errors.NotFound(
            "no official has this code or account", detail_vi="Không có cán bộ nào mang mã hoặc tài khoản này."
        )
    lookup_policy.must_be_in_force(found, now=visit.now)
    await lookup_book.grant_exception(
        visit.hub,
        found.id,
        dossier_code=visit.text("dossier") or None,
        unit_code=visit.text("unit") or None,
        ends_at=official_entries.ends(visit.day("until")),
        reason=visit.text("reason"),
        actor=visit.who.name,
    )
    return visit.go("exceptions", said="officials.exception_granted")


@routes.act("exceptions.end")
async def end_exception(visit: Visit) -> Response:
    """End an exception before its day."""
    await lookup_book.end_exception(visit.hub, visit.param("id"), reason=_reason(visit), actor=visit.who.name)
    return visit.go("exceptions", said="officials.exception_ended")


@routes.act("lookup_rules.set")
async def set_rule(visit: Visit) -> Response:
    """Set which groups of fields a procedure may ask for; none means the least again."""
    await lookup_book.set_rule(
        visit.hub,
        visit.text("procedure"),
        groups=visit.texts("groups"),
        service_code=visit.text("service_code"),
        reason=_reason(visit),
        actor=visit.who.name,
    )
    return visit.go("lookup_rules", said="officials.rule_set")


# ------------------------------------------------------------------------------------------------- inside


def _act(visit: Visit) -> official_acts.Act:
    return official_acts.Act(visit.who.name, visit.now, visit.text("reason"))


def _reason(visit: Visit) -> str:
    reason = visit.text("reason")
    if not reason:
        raise official_entries.refused([errors.FieldProblem("reason", "Phải ghi lý do.", "Say why.")])
    return reason


def _changes(visit: Visit, names: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {name: visit.text(name) for name in names if visit.text(name)}
    if said := visit.text("procedures"):
        found["procedures"] = official_entries.procedures(said)
    if visit.text("valid_from"):
        found["valid_from"] = official_entries.begins(visit.day("valid_from"))
    if visit.text("valid_until"):
        found["valid_until"] = official_entries.ends(visit.day("valid_until"))
    return found
