"""Where operations are: the parts of their paths, as models."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from lienthong.core import records


class ProcedurePath(BaseModel):
    """Which procedure."""

    code: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)] = Field(
        description="Mã thủ tục"
    )


class CataloguePath(BaseModel):
    """Which shared catalogue."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{2,60}$")] = Field(
        description="Mã danh mục dùng chung"
    )


class DossierPath(BaseModel):
    """Which dossier."""

    code: records.DossierCode = Field(description="Mã hồ sơ")


class MessagePath(BaseModel):
    """Which message."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")] = Field(
        description="Số thông điệp"
    )


class ParcelPath(BaseModel):
    """Which parcel."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")] = Field(
        description="Số bưu gửi"
    )


class PaymentPath(BaseModel):
    """Which attempt to pay."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")] = Field(
        description="Số lần thanh toán"
    )
