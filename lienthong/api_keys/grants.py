"""What a key may call (quyền gọi): operation names, a whole group (`dossiers.*`), or everything (`all`)."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from lienthong.core import errors

ALL = "all"
ANY_ORGANISATION = "dossiers.any_organisation"
# Rights that are no operation of their own. A group does not carry them: they must be named (or `all`).
EXTRA = frozenset({ANY_ORGANISATION})


def is_granted(grants: frozenset[str], operation: str) -> bool:
    """Whether a set of grants covers an operation or an extra right."""
    if operation in grants or ALL in grants:
        return True
    return operation not in EXTRA and f"{operation.partition('.')[0]}.*" in grants


def problems(grants: Iterable[str], *, known: Collection[str]) -> list[errors.FieldProblem]:
    """Name every grant that means nothing, with the nearest one that does."""
    groups = {f"{name.partition('.')[0]}.*" for name in known}
    valid = sorted({ALL, *EXTRA, *groups, *known})
    found = []
    wanted = list(grants)
    if not wanted:
        found.append(
            errors.FieldProblem(
                "grants",
                "Khoá phải được cấp ít nhất một quyền gọi.",
                "A key must be granted at least one operation.",
            )
        )
    for grant in wanted:
        if grant not in valid:
            nearest = difflib.get_close_matches(grant, valid, n=1, cutoff=0.3)
            found.append(_unknown(grant, nearest[0] if nearest else ALL))
    return found


def _unknown(grant: str, nearest: str) -> errors.FieldProblem:
    return errors.FieldProblem(
        "grants",
        f"Không có quyền gọi tên “{grant}”; gần nhất là “{nearest}”.",
        f"There is no grant called “{grant}”; the nearest is “{nearest}”.",
    )
