"""Who looked at this person: a number and a reason are posted, digested at once, the list printed."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from lienthong.console.web import grant_matrix, security_reading
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors
from lienthong.monitoring import search

routes = Routes()
DAYS = (30, 90, 365, 730)
_SHORTEST_REASON = 5


@routes.page("people.lookers")
async def form(visit: Visit) -> Response:
    """Ask for the number and the reason; the number is never part of an address."""
    return visit.page("security/people.html", looks=None, days=DAYS, chosen=search.WHO_DAYS, reason="")


@routes.act("people.look")
async def look(visit: Visit) -> Response:
    """Say who looked at a person; that it was asked, by whom and why, is written down first."""
    reason, number = visit.text("reason"), visit.text("number").replace(" ", "").replace(".", "")
    problems = []
    if not (number.isascii() and number.isdigit() and len(number) in (9, 12)):
        vi, en = "Số định danh có 12 chữ số (chứng minh cũ: 9).", "A citizen number has 12 digits (an old one 9)."
        problems.append(errors.FieldProblem("number", vi, en))
    if len(reason) < _SHORTEST_REASON:
        vi = f"Hãy nêu lý do (ít nhất {_SHORTEST_REASON} ký tự)."
        problems.append(errors.FieldProblem("reason", vi, f"Say why ({_SHORTEST_REASON} characters at least)."))
    if number and number in reason.replace(" ", "").replace(".", ""):
        vi, en = "Không ghi số định danh vào lý do.", "Leave the number out of the reason."
        problems.append(errors.FieldProblem("reason", vi, en))
    if problems:
        raise errors.InvalidRequest(problems=tuple(problems))
    given = visit.text("days")
    days = int(given) if given in {str(it) for it in DAYS} else search.WHO_DAYS
    reader = search.Reader(visit.who.name, reason)
    looks = await search.who(
        security_reading.sources(visit.hub), visit.hub.subjects, number, reader=reader, now=visit.now, days=days
    )
    names = await security_reading.key_names(visit.hub, (row["key_id"] for row in looks.lookers))
    told = {row["operation"]: grant_matrix.told(row["operation"], visit.words) for row in looks.rows}
    values: dict[str, Any] = {"days": DAYS, "chosen": days, "reason": reason, "names": names, "told": told}
    return visit.page("security/people.html", looks=looks, **values)
