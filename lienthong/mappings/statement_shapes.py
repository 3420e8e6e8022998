"""The shapes of statements: which column of an intermediary's file says what, one YAML file a shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lienthong.core import errors

SHAPES = Path(__file__).parent / "statements"
# What a provider's file is taken for where nothing is said; the others have the hub's own shape.
OF_PROVIDER = {"vnpay": "vnpay", "momo": "momo", "dvcqg_payment": "dvcqg_payment", "vietqr": "bank"}
_LONGEST = 64_000

Column = Literal[
    "our_reference",
    "provider_reference",
    "amount",
    "credit",
    "debit",
    "occurred_at",
    "kind",
    "state",
    "fee",
    "memo",
]
State = Literal["paid", "pending", "failed", "reversed", "suspect", "refunded"]


class Shape(BaseModel):
    """How to read one kind of file. `source` says whether its headings are known or assumed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    title: Mapping[Literal["vi", "en"], str]
    source: Literal["ours", "known", "assumed"]
    columns: Mapping[Column, tuple[str, ...]]
    needed: tuple[Column, ...]
    times: tuple[str, ...]
    hundredths: tuple[str, ...] = ()
    kinds: Mapping[str, Literal["payment", "refund"]] = {}
    states: Mapping[str, State] = {}
    memo_pattern: str = ""

    @model_validator(mode="after")
    def _is_whole(self) -> Shape:
        if not set(self.needed) <= self.columns.keys() or "occurred_at" not in self.needed:
            raise ValueError("needed columns must be declared, the time among them")
        has_amount = {"amount", "state", "our_reference"} <= self.columns.keys()
        if not has_amount and not {"credit", "memo"} <= self.columns.keys():
            raise ValueError("either our_reference, amount and state, or credit and memo")
        if "memo" in self.columns and not self.memo_pattern:
            raise ValueError("a memo needs memo_pattern")
        re.compile(self.memo_pattern)
        return self


@cache
def named(name: str) -> Shape:
    """Give a shape that comes with the hub. Raises NotFound."""
    if name not in names():
        said = ", ".join(names())
        raise errors.NotFound(f"no such shape; there are: {said}", detail_vi=f"Không có mẫu này; hiện có: {said}.")
    return read(SHAPES / f"{name}.yml")


def names() -> tuple[str, ...]:
    """Name the shapes that come with the hub."""
    return tuple(sorted(path.stem for path in SHAPES.glob("*.yml")))


def read(path: Path) -> Shape:
    """Read a shape from a file, ours or the operator's. Raises InvalidRequest."""
    try:
        raw = path.read_bytes()
        if len(raw) > _LONGEST:
            raise ValueError
        return Shape.model_validate(yaml.safe_load(raw))
    except (OSError, ValueError, yaml.YAMLError, ValidationError, re.error):
        raise errors.InvalidRequest(
            f"{path.name} is no shape of a statement; see lienthong/mappings/statements",
            detail_vi=f"{path.name} không phải là mẫu sao kê; xem lienthong/mappings/statements.",
        ) from None
