"""Entry of `lienthong`: puts the groups of commands together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lienthong.console.cli import (
    context,
    grants,
    journal,
    keys,
    lookups,
    messages,
    proofs,
    reports,
    running,
    seals,
    sync,
    targets,
    upkeep,
)

app = typer.Typer(
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
keys.app.add_typer(proofs.app, name="proof")
app.add_typer(keys.app, name="keys")
app.add_typer(grants.app, name="grants")
app.add_typer(lookups.app, name="lookups")
app.add_typer(reports.app, name="report")
app.add_typer(sync.app, name="sync")
app.add_typer(messages.app, name="messages")
app.add_typer(targets.app, name="targets")
seals.add_to(journal.app)
app.add_typer(journal.app, name="journal")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
