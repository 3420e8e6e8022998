"""Reading the catalogue of procedures: searching it, one procedure with its versions, facts for a dossier."""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import orjson
import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus.flows import folding, procedure_changes
from lienthong.core import clock, errors, records, tables

if TYPE_CHECKING:
    from lienthong.bus.hub import Hub

_p = tables.procedures
_v = tables.procedure_versions

# Made once: putting such a statement together costs more than the database's answer to it.
_KNOWN = sa.select(_p).where(_p.c.code == sa.bindparam("code"))
_ONE = (
    sa.select(
        _p.c.version.label("latest_version"),
        *(_p.c[name] for name in ("status", "changed_at", "withdrawn_at", "oddities")),
        *(_v.c[name] for name in ("version", "record", "valid_from", "set_up_by", "opened_by", "source")),
    )
    .select_from(_p)
    .outerjoin(
        _v,
        (_v.c.code == _p.c.code)
        & (_v.c.version == sa.func.coalesce(sa.bindparam("version", type_=sa.Integer), _p.c.version)),
    )
    .where(_p.c.code == sa.bindparam("code"))
)

Position = tuple[int, int, str]
_PREFIX = "thu tuc "


class Answer(BaseModel):
    """What all answers of this flow share."""

    model_config = ConfigDict(frozen=True)


class ProcedureQuery(BaseModel):
    """What a caller looks for in the catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: str = Field("", max_length=200, description="Từ khoá hoặc mã thủ tục; không cần dấu")
    field: str = Field("", max_length=200, description="Lĩnh vực: mã hoặc tên")
    agency: str = Field("", max_length=200, description="Cơ quan công bố hoặc thực hiện: mã hoặc tên")
    level: records.Level | None = Field(None, description="Cấp thực hiện")
    status: Literal["active", "withdrawn", "all"] = Field("active", description="Trạng thái")
    changed_since: AwareDatetime | None = Field(None, description="Có thay đổi từ thời điểm này")
    limit: int = Field(50, ge=1, le=200, description="Số dòng mỗi trang")
    cursor: str = Field("", max_length=500, description="Con trỏ của trang trước")


class ProcedureLine(Answer):
    """One procedure in a list."""

    code: str = Field(description="Mã thủ tục")
    name: str = Field(description="Tên thủ tục")
    field_code: str = Field(description="Mã lĩnh vực")
    field_name: str = Field(description="Lĩnh vực")
    agency_code: str = Field(description="Mã cơ quan công bố")
    agency_name: str = Field(description="Cơ quan công bố")
    levels: tuple[records.Level, ...] = Field(description="Cấp thực hiện")
    status: Literal["active", "withdrawn"] = Field(description="Trạng thái")
    version: int = Field(description="Phiên bản")
    changed_at: AwareDatetime = Field(description="Thời điểm thay đổi gần nhất")
    withdrawn_at: AwareDatetime | None = Field(None, description="Thời điểm bãi bỏ")


class ProcedurePage(Answer):
    """A page of the catalogue; `next_cursor` is empty on the last one."""

    items: tuple[ProcedureLine, ...] = Field(description="Thủ tục")
    next_cursor: str | None = Field(None, description="Con trỏ của trang sau")
    total: int = Field(description="Tổng số thủ tục phù hợp")


class ProcedureView(Answer):
    """A procedure as published, with what the hub knows of it."""

    procedure: records.Procedure = Field(description="Nội dung công bố")
    version: int = Field(description="Phiên bản")
    latest_version: int = Field(description="Phiên bản mới nhất")
    status: Literal["active", "withdrawn"] = Field(description="Trạng thái hiện nay")
    valid_from: AwareDatetime = Field(description="Trục nhận phiên bản này lúc")
    changed_at: AwareDatetime = Field(description="Thời điểm thay đổi gần nhất")
    withdrawn_at: AwareDatetime | None = Field(None, description="Thời điểm bãi bỏ")
    set_up_by: date | None = Field(None, description="Hạn cấu hình dịch vụ (NA 14)")
    opened_by: date | None = Field(None, description="Hạn kiểm tra, mở dịch vụ (NA 14)")
    source: str = Field(description="Nguồn")
    oddities: tuple[records.Oddity, ...] = Field((), description="Điểm bất thường của bản ghi")


class ChangedField(Answer):
    """One field that a version changed."""

    field: str = Field(description="Trường")
    label_vi: str = Field(description="Tên trường")
    old: str = Field(description="Giá trị cũ")
    new: str = Field(description="Giá trị mới")


class VersionLine(Answer):
    """One version of a procedure."""

    version: int = Field(description="Phiên bản")
    valid_from: AwareDatetime = Field(description="Trục nhận phiên bản này lúc")
    changes: tuple[ChangedField, ...] = Field(description="Thay đổi so với phiên bản trước")
    set_up_by: date | None = Field(None, description="Hạn cấu hình dịch vụ (NA 14)")
    opened_by: date | None = Field(None, description="Hạn kiểm tra, mở dịch vụ (NA 14)")
    digest: str = Field(description="Dấu vết nội dung (SHA-256)")
    run_id: str = Field(description="Lần đồng bộ")


class VersionList(Answer):
    """Every version of a procedure, the newest first."""

    items: tuple[VersionLine, ...] = Field(description="Phiên bản")


# ---------------------------------------------------------------------------------------------------- reading


async def list_procedures(hub: Hub, query: ProcedureQuery) -> ProcedurePage:
    """Find procedures, the best match first, in an order that does not change between pages.

    Where `q` is a code, that procedure comes first; then names that are the phrase, begin with it, contain it;
    last, names that contain every word.
    """
    after = _read_cursor(query)
    rank, length = _ranking(query.q)
    wanted = _conditions(query)
    order = (rank, length, _p.c.code)
    page = sa.select(
        *(_p.c[name] for name in ProcedureLine.model_fields), rank.label("rank"), length.label("length")
    )
    page = page.where(*wanted).order_by(*order).limit(query.limit + 1)
    if after is not None:
        page = page.where(sa.tuple_(*order) > sa.tuple_(*(sa.literal(part) for part in after)))
    async with hub.storage.reading() as conn:
        total = (await conn.execute(sa.select(sa.func.count()).select_from(_p).where(*wanted))).scalar_one()
        rows = (await conn.execute(page)).mappings().all()
    more = len(rows) > query.limit
    shown = rows[: query.limit]
    last = shown[-1] if more else None
    return ProcedurePage(
        items=tuple(_line(row) for row in shown),
        next_cursor=_write_cursor(query, (last["rank"], last["length"], last["code"])) if last else None,
        total=total,
    )


async def get_procedure(hub: Hub, code: str, version: int | None = None) -> ProcedureView:
    """Give one procedure, withdrawn ones too, as it stands or as an earlier version had it."""
    named = {"code": _spelled(code), "version": _possible(version)}
    async with hub.storage.reading() as conn:
        row = (await conn.execute(_ONE, named)).first()
    if row is None:
        raise _unknown()
    if row.record is None:
        raise _no_version(version)
    return ProcedureView(
        procedure=records.Procedure.model_validate(procedure_changes.unpack(row.record)),
        version=row.version,
        latest_version=row.latest_version,
        status=row.status,
        valid_from=row.valid_from,
        changed_at=row.changed_at,
        withdrawn_at=row.withdrawn_at,
        set_up_by=row.set_up_by,
        opened_by=row.opened_by,
        source=row.source,
        oddities=tuple(row.oddities) if row.version == row.latest_version else (),
    )


async def list_versions(hub: Hub, code: str) -> VersionList:
    """Give every version of a procedure with what it changed."""
    columns = (_v.c[name] for name in VersionLine.model_fields)
    async with hub.storage.reading() as conn:
        row = await _find(conn, code)
        if row is None:
            raise _unknown()
        found = await conn.execute(
            sa.select(*columns).where(_v.c.code == row["code"]).order_by(_v.c.version.desc())
        )
        return VersionList(items=tuple(VersionLine.model_validate(dict(item)) for item in found.mappings()))


async def facts_for_dossier(conn: AsyncConnection, code: str) -> records.ProcedureFacts:
    """Give what a new dossier needs of the procedure in force.

    Raises InvalidRequest naming `procedure_code` where there is none, or none any more.
    """
    row = await _find(conn, code)
    if row is None:
        raise _refused(
            vi="không có thủ tục này trong danh mục đã đồng bộ từ cơ sở dữ liệu quốc gia",
            en="there is no such procedure in the catalogue synced from the national database",
        )
    if row["status"] != "active":
        gone_on = row["withdrawn_at"].astimezone(clock.VIETNAM).date()
        raise _refused(
            vi=f"thủ tục {row['code']} đã bị bãi bỏ, không còn trong danh mục quốc gia từ ngày {gone_on:%d/%m/%Y}",
            en=f"procedure {row['code']} was withdrawn; it is not in the national catalogue since {gone_on}",
        )
    return records.ProcedureFacts(**{name: row[name] for name in records.ProcedureFacts.model_fields})


async def facts_of_version(conn: AsyncConnection, code: str, version: int) -> records.ProcedureFacts:
    """Give the same facts as one version had them: a dossier keeps the version that it was received under."""
    found = await _version(conn, code, version)
    content = procedure_changes.unpack(found["record"])
    first: dict[str, str] = next(iter(content.get("fields", ())), {})
    return records.ProcedureFacts(
        code=code,
        name=content["name"],
        field_code=first.get("code", ""),
        field_name=first.get("name", ""),
        version=version,
    )


async def _find(conn: AsyncConnection, code: str) -> sa.RowMapping | None:
    return (await conn.execute(_KNOWN, {"code": _spelled(code)})).mappings().first()


async def _version(conn: AsyncConnection, code: str, version: int) -> sa.RowMapping:
    wanted = sa.select(_v).where(_v.c.code == code, _v.c.version == _possible(version))
    row = (await conn.execute(wanted)).mappings().first()
    if row is None:
        raise _no_version(version)
    return row


def _spelled(code: str) -> str:
    """Give a code as it would stand in the catalogue; PostgreSQL refuses NUL in a text, and no code holds it."""
    return "" if "\x00" in code else code.strip()


def _possible(version: int | None) -> int | None:
    """Keep to what a column of versions can hold; there is no version 0."""
    return version if version is None or 0 < version < 2**31 else 0


def _unknown() -> errors.NotFound:
    return errors.NotFound(
        "there is no procedure with this code in the catalogue",
        detail_vi="Không có thủ tục với mã này trong danh mục.",
    )


def _no_version(version: int | None) -> errors.NotFound:
    return errors.NotFound(
        f"the procedure has no version {version}", detail_vi=f"Thủ tục không có phiên bản {version}."
    )


def _refused(*, vi: str, en: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        en, detail_vi=vi[0].upper() + vi[1:] + ".", problems=(errors.FieldProblem("procedure_code", vi=vi, en=en),)
    )


def _line(row: sa.RowMapping) -> ProcedureLine:
    values = {name: row[name] for name in ProcedureLine.model_fields}
    values["levels"] = tuple(level for level in row["levels"].split(",") if level)
    return ProcedureLine.model_validate(values)


# -------------------------------------------------------------------------------------------------- searching


def _conditions(query: ProcedureQuery) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = []
    if query.q.strip():
        wanted.append(_matches(query.q))
    for column, text in ((_p.c.fields_folded, query.field), (_p.c.agencies_folded, query.agency)):
        if text.strip():
            wanted.append(_has(column, f"% {folding.fold(text)} %") if folding.fold(text) else sa.false())
    if query.level is not None:
        wanted.append(_has(sa.literal(",") + _p.c.levels + ",", f"%,{query.level.value},%"))
    if query.status != "all":
        wanted.append(_p.c.status == query.status)
    if query.changed_since is not None:
        wanted.append(_p.c.changed_at >= query.changed_since)
    return wanted


def _matches(q: str) -> sa.ColumnElement[bool]:
    """Every word begins a word of the name, or the whole begins the code."""
    words = folding.fold(q).split()
    if not words:
        return sa.false()
    return sa.or_(_begins(q), sa.and_(*(_has(sa.literal(" ") + _p.c.folded, f"% {word}%") for word in words)))


def _ranking(q: str) -> tuple[sa.ColumnElement[int], sa.ColumnElement[int]]:
    """Say how good a match is (0 is best), and the length of its name, the shorter being the nearer."""
    phrase = folding.fold(q)
    if not phrase:
        return sa.literal(0) + sa.literal(0), sa.literal(0) + sa.literal(0)
    whole = (phrase, _PREFIX + phrase)
    rank = sa.case(
        (_p.c.code == _typed(q), 0),
        (_begins(q), 1),
        (_p.c.folded.in_(whole), 2),
        (sa.or_(*(_has(_p.c.folded, f"{start} %") for start in whole)), 3),
        (_has(sa.literal(" ") + _p.c.folded + " ", f"% {phrase} %"), 4),
        else_=5,
    )
    return rank, sa.func.length(_p.c.folded)


def _typed(q: str) -> str:
    return q.replace("\x00", " ").strip()


def _begins(q: str) -> sa.ColumnElement[bool]:
    return _p.c.code.ilike(f"{folding.as_pattern(_typed(q))}%", escape="\\")


def _has(column: Any, pattern: str) -> sa.ColumnElement[bool]:
    found: sa.ColumnElement[bool] = column.like(pattern, escape="\\")
    return found


def _write_cursor(query: ProcedureQuery, position: Position) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([_mark(query), *position])).decode().rstrip("=")


def _read_cursor(query: ProcedureQuery) -> Position | None:
    """Give where the page before ended; raises InvalidRequest for a cursor that is not of this very query."""
    if not query.cursor:
        return None
    try:
        padded = query.cursor + "=" * (-len(query.cursor) % 4)
        mark, rank, length, code = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError):
        mark = rank = length = code = None
    if mark != _mark(query) or not _is_position(rank, length, code):
        vi, en = "con trỏ không đúng hoặc thuộc câu hỏi khác", "the cursor is not right, or of another query"
        problem = errors.FieldProblem("cursor", vi=vi, en=en)
        raise errors.InvalidRequest(
            en, detail_vi="Con trỏ không đúng hoặc thuộc câu hỏi khác.", problems=(problem,)
        )
    return rank, length, code


def _is_position(rank: Any, length: Any, code: Any) -> bool:
    numbers = all(type(number) is int and 0 <= number < 1_000_000 for number in (rank, length))
    return numbers and isinstance(code, str) and "\x00" not in code


def _mark(query: ProcedureQuery) -> str:
    asked = query.model_dump_json(exclude={"cursor", "limit"}).encode()
    return hashlib.sha256(asked).hexdigest()[:12]
