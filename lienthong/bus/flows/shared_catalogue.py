"""Shared catalogues: the national lists of codes, asked for afresh each time and kept nowhere (NA 9.1)."""

from __future__ import annotations

import time

from pydantic import BaseModel, ConfigDict, Field

from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import access_record, errors, journal


class CatalogueNames(BaseModel):
    """The catalogues that can be read."""

    model_config = ConfigDict(frozen=True)

    source: str = Field(description="Hệ thống cung cấp danh mục")
    items: tuple[str, ...] = Field(description="Mã các danh mục dùng chung")


class CatalogueColumn(BaseModel):
    """A column of a catalogue, named as its owner names it."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="Mã cột")
    name: str = Field(description="Tên cột")
    type: str = Field(description="Kiểu dữ liệu theo nơi cung cấp")


class CatalogueRow(BaseModel):
    """A row of a catalogue."""

    model_config = ConfigDict(frozen=True)

    values: dict[str, str] = Field(description="Giá trị theo mã cột; luôn là chuỗi ký tự")


class Catalogue(BaseModel):
    """A whole catalogue, as its owner gives it."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="Mã danh mục dùng chung")
    source: str = Field(description="Hệ thống cung cấp danh mục")
    columns: tuple[CatalogueColumn, ...] = Field(description="Cấu trúc của danh mục")
    rows: tuple[CatalogueRow, ...] = Field(description="Các dòng, theo thứ tự của nơi cung cấp")


def names(hub: Hub) -> CatalogueNames:
    """Name the catalogues that the source is known to keep; asks nobody."""
    return CatalogueNames(source=hub.settings.catalogues.source, items=tuple(_source(hub).catalogue_names()))


async def read(hub: Hub, code: str, *, request_id: str, told: access_record.Told) -> Catalogue:
    """Ask for a catalogue's columns and rows. Raises NotFound where the source has no such catalogue."""
    source = _source(hub)
    token = journal.about.set(journal.About(request_id))
    began, said = time.perf_counter(), "ok"
    try:
        rows = await source.catalogue_rows(code)
        columns = await source.catalogue_columns(code)
    except errors.HubError as exc:
        said = exc.code
        if isinstance(exc, errors.RemoteRefused) and code not in source.catalogue_names():
            raise _unknown(code) from exc
        raise
    finally:
        journal.about.reset(token)
        told.upstream.append(access_record.Attempt(source.name, said, round((time.perf_counter() - began) * 1000)))
    told.rows = len(rows)
    return Catalogue(
        code=code,
        source=source.name,
        columns=tuple(CatalogueColumn(code=it.code, name=it.name, type=it.type) for it in columns),
        rows=tuple(CatalogueRow(values=dict(row)) for row in rows),
    )


def _unknown(code: str) -> errors.NotFound:
    return errors.NotFound(
        f"The source of shared catalogues has none called {code}; GET /v1/catalogues names them.",
        detail_vi=f"Nơi cung cấp danh mục dùng chung không có danh mục {code}; xem tên ở GET /v1/catalogues.",
        reason="catalogue_unknown",
    )


def _source(hub: Hub) -> roles.SharedCatalogues:
    found: roles.SharedCatalogues = hub.offered(hub.settings.catalogues.source)
    return found
