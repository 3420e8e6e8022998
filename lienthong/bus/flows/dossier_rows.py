"""A dossier's row: read, opened, sealed, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import keys
from lienthong.bus.flows import dossier_views
from lienthong.bus.hub import Hub
from lienthong.core import errors, records, storage, tables
from lienthong.core.records import Status

ANY_ORGANISATION = "dossiers.any_organisation"
_d = tables.dossiers
_ROW = sa.select(_d).where(_d.c.code == sa.bindparam("code"))


async def row(conn: AsyncConnection, code: str) -> Mapping[str, Any] | None:
    """Read a dossier's row, if there is one."""
    return await storage.first(conn, _ROW, {"code": code})


def found(row: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Insist that there is a row; raises NotFound saying what to do."""
    if row is None:
        raise errors.NotFound(
            "no dossier with this code; declare it with PUT /v1/dossiers/{code} first",
            detail_vi="Không có hồ sơ với mã này; hãy khai hồ sơ bằng PUT /v1/dossiers/{code} trước.",
        )
    return row


def owns(row: Mapping[str, Any], caller: keys.Caller) -> bool:
    """Whether the caller's organisation declared the dossier, or the caller may act on anybody's."""
    return bool(row["organisation"] == caller.organisation) or caller.may(ANY_ORGANISATION)


def must_own(row: Mapping[str, Any], caller: keys.Caller) -> None:
    """Insist on it; raises NotGranted naming the grant that is missing."""
    if not owns(row, caller):
        raise errors.NotGranted(
            "this dossier was declared by another organisation; "
            f"the grant {ANY_ORGANISATION} lets a key act on it",
            detail_vi=(
                "Hồ sơ này do đơn vị khác khai; "
                f"khoá cần được cấp thêm quyền {ANY_ORGANISATION} để cập nhật hồ sơ."
            ),
        )


def sealed(hub: Hub, dossier: records.Dossier) -> dict[str, Any]:
    """Give the columns that hold a dossier's content: sealed, and a keyed digest to compare by."""
    plain = dossier.model_dump_json().encode()
    return {
        "record": hub.vault.seal(plain, purpose="dossier"),
        "digest": hub.vault.digest(plain, purpose="dossier"),
    }


def record(hub: Hub, row: Mapping[str, Any]) -> records.Dossier:
    """Open the content of a dossier's row."""
    return records.Dossier.model_validate_json(hub.vault.open(row["record"], purpose="dossier"))


def seal_change(hub: Hub, change: records.StatusChange, messages: Mapping[str, str]) -> bytes:
    """Seal a change of status together with the messages that it was promised by."""
    plain = orjson.dumps({"change": change.model_dump(mode="json"), "messages": messages})
    return hub.vault.seal(plain, purpose="status_change")


def opened_change(hub: Hub, sealed: bytes) -> dict[str, Any]:
    """Open what `seal_change` sealed: the change, and the messages that it was promised by."""
    held: dict[str, Any] = orjson.loads(hub.vault.open(sealed, purpose="status_change"))
    return held


def view(hub: Hub, row: Mapping[str, Any]) -> dossier_views.DossierView:
    """Show a dossier as its own organisation sees it."""
    status = Status(row["status"])
    return dossier_views.DossierView(
        dossier=record(hub, row),
        status=status,
        status_vi=records.STATUS_VI[status],
        **{
            name: row[name]
            for name in (
                "status_at",
                "procedure_version",
                "organisation",
                "answer_by",
                "supplement_by",
                "finished_at",
                "returned_at",
                "rejected_at",
                "updated_at",
            )
        },
    )


# What another organisation may know of a dossier; everything else may tell of a person.
_PUBLIC = frozenset(
    {
        "code",
        "procedure_code",
        "channel",
        "submitted_at",
        "received_at",
        "due_at",
        "agency",
        "unit",
        "return_by",
        "submitted_on",
        "online_payment",
        "fees",
    }
)


def hidden(shown: dossier_views.DossierView) -> dossier_views.DossierView:
    """Take personal data out of a view: only what is named above stays."""
    dossier = records.Dossier(
        **{name: getattr(shown.dossier, name) for name in _PUBLIC},
        applicant=records.Applicant(kind=shown.dossier.applicant.kind, name="***"),
        summary="***",
    )
    return shown.model_copy(update={"dossier": dossier, "personal_data_hidden": True})
