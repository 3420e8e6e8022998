"""Parcels as the imitated carriers hold them, and what the control routes need of a carrier."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from lienthong.sandbox import faults


@dataclass(slots=True)
class Parcel:
    """One order at a carrier. `number` is the sender's, `item` the waybill, `at` when its last event happened."""

    system: str
    number: str
    item: str
    cod_vnd: int = 0
    weight_g: int = 0
    is_cancelled: bool = False
    codes: list[int] = field(default_factory=list)
    callbacks: list[dict[str, Any]] = field(default_factory=list)

    def described(self) -> dict[str, Any]:
        """Return the parcel without anybody's name."""
        shown: dict[str, Any] = {"system": self.system, "number": self.number, "item": self.item}
        shown |= {"codes": self.codes, "cancelled": self.is_cancelled, "cod_vnd": self.cod_vnd}
        return shown | {"callbacks": self.callbacks}


class Carrier(Protocol):
    """An imitated carrier, as far as these routes need it."""

    parcels: dict[str, Parcel]

    def event(
        self, number: str, code: int, *, now: float, message: str = "", chosen: faults.Chosen | None = None
    ) -> bool:
        """Let something happen to a parcel; says whether there is one."""
        ...
