"""Entry of `lienthong`: puts the groups of commands together."""

from __future__ import annotations

import importlib
from collections import UserDict
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main

from lienthong.console.cli import context, running, upkeep, usage

# The name of each group, and its module where that is called otherwise.
_GROUPS = {
    "accounts": "accounts",
    "keys": "keys",
    "grants": "grants",
    "officials": "officials",
    "lookups": "lookups",
    "sync": "sync",
    "messages": "messages",
    "targets": "targets",
    "journal": "journal",
    "report": "reports",
    "payments": "payments",
    "fees": "fees",
    "reconcile": "reconcile",
    "parcels": "parcels",
    "waybills": "waybills",
    "vietqr": "vietqr",
    "detect": "detect",
    "alerts": "alerts",
}


class _Commands(UserDict[str, Any]):
    """Commands by name; a group is imported when it is asked for, as some of them take a second to start."""

    def __getitem__(self, name: str) -> Any:
        if self.data[name] is None:
            module = importlib.import_module(f"lienthong.console.cli.{_GROUPS[name]}")
            self.data[name] = typer.main.get_group(module.app)
            self.data[name].name = name
        return self.data[name]


class _Program(usage.Group):
    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Commands({**self.commands, **dict.fromkeys(_GROUPS)})


app = typer.Typer(
    cls=_Program,
    name="lienthong",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Trục liên thông dữ liệu của tỉnh / the data bus of a Vietnamese province.",
)


@app.callback()
def _options(
    config: Annotated[
        Path | None, typer.Option("--config", help="Tệp cấu hình TOML / settings file.", dir_okay=False)
    ] = None,
) -> None:
    context.use_config(config)


running.add_to(app)
upkeep.add_to(app)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
