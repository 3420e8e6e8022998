"""`lienthong vietqr`: the text of a bank transfer's QR code, and its picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lienthong.connectors import bank_qr, callbacks
from lienthong.console.cli import context, output
from lienthong.core import errors

app = typer.Typer(help="Mã QR chuyển khoản VietQR / a bank transfer's QR code.")

Picture = Annotated[Path | None, typer.Option("--png", dir_okay=False, help="Ghi hình PNG / write the picture.")]
Drawing = Annotated[Path | None, typer.Option("--svg", dir_okay=False, help="Ghi hình SVG / write it as SVG.")]
_OPTIONS = {"bank": "--bank", "account": "--account", "amount_vnd": "--amount", "note": "--note"}


@app.callback(invoke_without_command=True)
def make(
    bank: Annotated[str, typer.Option("--bank", help="Mã BIN của ngân hàng, 6 chữ số / the bank's BIN.")],
    account: Annotated[str, typer.Option("--account", help="Số tài khoản / account.")],
    amount: Annotated[int | None, typer.Option("--amount", help="Số tiền, đồng / amount in đồng.")] = None,
    note: Annotated[str, typer.Option("--note", help="Nội dung, tối đa 25 ký tự; tự bỏ dấu / note.")] = "",
    png: Picture = None,
    svg: Drawing = None,
    json: context.Json = False,
) -> None:
    """In nội dung mã VietQR; có số tiền thì là mã động / print a code's text; with an amount it is dynamic."""
    code = bank_qr.BankCode(
        bank=bank,
        account=account,
        amount_vnd=amount,
        note=callbacks.plain_ascii(note),
        is_dynamic=amount is not None,
    )
    try:
        text = bank_qr.text_of(code)
    except errors.InvalidRequest as wrong:
        problem = wrong.problems[0]
        raise typer.BadParameter(f"{problem.vi} / {problem.en}", param_hint=_OPTIONS[problem.field]) from wrong
    for path, draw in ((png, bank_qr.png), (svg, bank_qr.svg)):
        if path is not None:
            _write(path, draw(text))
    if json:
        output.as_json({"text": text, "note": code.note, "png": png, "svg": svg})
    else:
        typer.echo(text)


def _write(path: Path, picture: bytes) -> None:
    try:
        path.write_bytes(picture)
    except OSError as error:
        output.problems.print(f"không ghi được {path} / cannot write: {error.strerror}", markup=False)
        raise typer.Exit(1) from error
