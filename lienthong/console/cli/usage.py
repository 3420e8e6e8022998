"""What is said in both languages where a command was typed wrong; typer itself speaks English only."""

from __future__ import annotations

from typing import Any

import typer
import typer.core

# The class of every error of usage; typer gives it no public name.
_UsageError: Any = typer.BadParameter.__mro__[1]


class Group(typer.core.TyperGroup):
    """Commands whose errors of usage are told in Vietnamese first."""

    def make_context(self, *args: Any, **given: Any) -> Any:
        """Read what was typed."""
        try:
            return super().make_context(*args, **given)
        except _UsageError as exc:
            raise _told(exc) from None

    def invoke(self, ctx: Any) -> Any:
        """Read what was typed behind the group, and run it."""
        try:
            return super().invoke(ctx)
        except _UsageError as exc:
            raise _told(exc) from None


def _told(exc: Any) -> Any:
    if isinstance(exc, _Told) or type(exc).__name__ == "NoArgsIsHelpError":  # the help itself, which has both
        return exc
    return _Told(f"{_in_vietnamese(exc)}\n{exc.format_message()}", ctx=exc.ctx)


class _Told(_UsageError):  # type: ignore[misc]
    """An error of usage that has both languages already."""


def _in_vietnamese(exc: Any) -> str:
    kind, param = type(exc).__name__, getattr(exc, "param", None)
    name = getattr(exc, "option_name", "") or (param.opts[0] if param is not None and param.opts else "")
    if param is not None and param.param_type_name == "argument":
        name = (param.name or "").upper()
    said = {
        "NoSuchOption": f"Không có tuỳ chọn {name}.",
        "MissingParameter": f"Thiếu {name}.",
        "BadParameter": f"Giá trị của {name} không đúng.",
        "BadOptionUsage": f"Tuỳ chọn {name} dùng không đúng.",
    }
    if exc.message.startswith("No such command"):
        return "Không có lệnh này."
    return said.get(kind, "Lệnh gõ chưa đúng; xem --help.")
