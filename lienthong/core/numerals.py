"""Numbers as they are written here: a comma before decimals, points between thousands."""

from __future__ import annotations

_SWAPPED = str.maketrans(",.", ".,")


def vi(value: float, form: str = "") -> str:
    """Write a number in Vietnamese by a format of Python's: `vi(0.015, ".1%")` is `1,5%`."""
    return format(value, form).translate(_SWAPPED)


def whole(value: float) -> str:
    """Write a count in Vietnamese: 12345.4 is `12.345`."""
    return vi(value, ",.0f")
