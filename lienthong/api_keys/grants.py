"""What a key may call (quyền gọi): operations, published services by path, and groups of personal fields.

Denied unless granted. `dossiers.put`, a whole group `dossiers.*`, `service:NAME` or `service:NAME:/path`,
`fields:residents.basic`, or `all`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from urllib.parse import unquote

from lienthong.core import errors

ALL = "all"
ANY_ORGANISATION = "dossiers.any_organisation"
# Rights that are no operation of their own. A group does not carry them: they must be named (or `all`).
EXTRA = frozenset({ANY_ORGANISATION})
FIELDS, SERVICE = "fields:", "service:"

# The closed list of groups of personal data; a look-up gives back only the groups that the key was granted.
FIELD_GROUPS: dict[str, str] = {
    "residents.identity": "số định danh, loại và ngày cấp giấy tờ",
    "residents.basic": "họ tên, ngày sinh, giới tính, dân tộc, quốc tịch",
    "residents.residence": "thường trú, tạm trú, nơi ở hiện tại",
    "residents.birth": "nơi sinh, quê quán, đăng ký khai sinh",
    "residents.family": "cha, mẹ, vợ hoặc chồng, con, chủ hộ và quan hệ",
    "residents.status": "tình trạng hôn nhân, đã mất, mất tích",
    "residents.sensitive": "tôn giáo, nhóm máu",
    "residents.contact": "điện thoại, thư điện tử",
    "enterprises.basic": "mã số, tên, địa chỉ, ngành nghề, tình trạng",
    "enterprises.people": "người đại diện, chủ sở hữu, thành viên góp vốn",
    "dossiers.applicant": "người nộp hồ sơ và liên hệ",
    "payments.payer": "người nộp tiền",
}

_SERVICE_SHAPE = re.compile(r"service:([a-z0-9][a-z0-9-]{0,39})(?::(/\S{0,200}))?")


def is_granted(grants: frozenset[str], operation: str) -> bool:
    """Whether a set of grants covers an operation or an extra right."""
    return granted_by(grants, operation) is not None


def granted_by(grants: Collection[str], wanted: str) -> str | None:
    """Name the grant through which an operation, an extra right or a field group is allowed, if any.

    A service is asked for as `service:NAME:/path`.
    """
    if wanted in grants:
        return wanted
    if ALL in grants:
        return ALL
    if wanted.startswith(SERVICE):
        name, _, path = wanted.removeprefix(SERVICE).partition(":")
        return _service_grant(grants, name, path or "/")
    group = f"{wanted.partition('.')[0]}.*"
    return group if wanted not in EXTRA and group in grants else None


def may_reach(grants: Collection[str], service: str, path: str) -> bool:
    """Whether a published service may be called at a path. Pure; what could be read as another path is denied."""
    return granted_by(grants, f"{SERVICE}{service}:{path}") is not None


def field_groups(grants: Collection[str]) -> frozenset[str]:
    """Give the groups of personal fields that these grants open; `all` opens every one."""
    return frozenset(name for name in FIELD_GROUPS if granted_by(grants, FIELDS + name) is not None)


def problems(grants: Iterable[str], *, known: Collection[str]) -> list[errors.FieldProblem]:
    """Name every grant that means nothing, with the nearest one that does."""
    wanted = list(grants)
    if not wanted:
        return [
            errors.FieldProblem(
                "grants",
                "Khoá phải được cấp ít nhất một quyền gọi, ví dụ procedures.list.",
                "A key must be granted at least one operation, for example procedures.list.",
            )
        ]
    valid = names(known)
    found = (_problem(grant, valid) for grant in wanted if grant not in valid)
    return [problem for problem in found if problem is not None]


def names(known: Collection[str]) -> list[str]:
    """Give every grant there is but those of services, which are named after what is published."""
    groups = {f"{name.partition('.')[0]}.*" for name in known}
    fields = {FIELDS + name for name in FIELD_GROUPS}
    field_wide = {f"{name.partition('.')[0]}.*" for name in fields}
    return sorted({ALL, *EXTRA, *groups, *known, *fields, *field_wide})


def _service_grant(grants: Collection[str], service: str, path: str) -> str | None:
    parts = _parts(path)
    for grant in grants:
        match = _SERVICE_SHAPE.fullmatch(grant)
        if parts is None or match is None or match[1] != service:
            continue
        # Part by part, so that `/so` opens `/so/1` and not `/so-khac`.
        prefix = _parts(match[2] or "/") or []
        if parts[: len(prefix)] == prefix:
            return grant
    return None


def _parts(path: str) -> list[str] | None:
    """Split a path that means the same to everybody who reads it; None where it might not."""
    decoded = unquote(path, errors="replace")
    if decoded.count("/") != path.count("/") or "//" in path or not path.startswith("/"):
        return None
    if set(decoded) & set("\\?#%\x00"):
        return None
    parts = decoded.strip("/").split("/")
    # Some servers read `..;x=1` as `..`.
    if {".", ".."} & {part.partition(";")[0] for part in parts}:
        return None
    return [part for part in parts if part]


def _problem(grant: str, valid: list[str]) -> errors.FieldProblem | None:
    if grant.startswith(SERVICE):
        return _service_problem(grant)
    nearest = difflib.get_close_matches(grant, valid, n=1, cutoff=0.3)
    near = nearest[0] if nearest else ALL
    return errors.FieldProblem(
        "grants",
        f"Không có quyền gọi tên “{grant}”; gần nhất là “{near}”.",
        f"There is no grant called “{grant}”; the nearest is “{near}”.",
    )


def _service_problem(grant: str) -> errors.FieldProblem | None:
    match = _SERVICE_SHAPE.fullmatch(grant)
    if match is not None and (match[2] is None or ("%" not in match[2] and _parts(match[2]) is not None)):
        return None
    return errors.FieldProblem(
        "grants",
        f"Không hiểu “{grant}”; viết service:TÊN hoặc service:TÊN:/đường/dẫn: tên gồm chữ thường, số, gạch nối; "
        "đường dẫn bắt đầu bằng /, không có “..”, “//”, “%”.",
        f"“{grant}” cannot be read; write service:NAME or service:NAME:/path: the name in lower-case letters, "
        "digits, hyphens; the path begins with / and has no “..”, “//”, “%”.",
    )
