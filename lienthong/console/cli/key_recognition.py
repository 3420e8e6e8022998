"""`lienthong keys recognise`: what a found text is, without a database, a setting or a network."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lienthong.api_keys import key_text
from lienthong.console.cli import context, output

_VERDICTS = {
    "key": "KHOÁ THẬT: đủ dài, mã kiểm tra đúng / a key: checksum right",
    "checksum": "không phải khoá thật: gõ sai hoặc bịa, mã kiểm tra sai / mistyped or invented: checksum wrong",
    "short": "một phần của khoá, thiếu phần cuối / a part of a key, cut short",
    "long": "dài quá: có chữ dính vào sau khoá / too long: letters stuck to its end",
}
_COLUMNS = {"prefix": "Phần đầu", "issuer": "Nơi cấp", "environment": "Môi trường", "said": "Kết luận"}


def recognise(
    text: Annotated[
        str | None,
        typer.Argument(help="Chuỗi nhặt được; bỏ trống: đọc từ đầu vào / text found; else read from input."),
    ] = None,
    json: context.Json = False,
) -> None:
    """Nhận ra khoá của trục trong một chuỗi, không cần cơ sở dữ liệu / recognise a key of the hub offline."""
    found = key_text.recognise(text if text is not None else _typed())
    if json:
        output.as_json([each.as_json() for each in found])
    elif found:
        rows = [
            {
                "prefix": f"{each.prefix}…",
                "issuer": "trục Liên thông",
                "environment": "vận hành thật (live)" if each.environment == "live" else "dùng thử (test)",
                "said": _VERDICTS[each.verdict],
            }
            for each in found
        ]
        output.table("Nhận ra / recognised", _COLUMNS, rows)
        real = next((each.prefix for each in found if each.verdict == "key"), None)
        if real is not None:
            output.console.print(
                f"Nếu nhặt được ở nơi không nên có, chạy ngay / if it leaked: "
                f"lienthong keys suspend {real} --reason …, rồi keys rotate {real} --overlap 0d hoặc keys revoke."
            )
    else:
        output.problems.print("Không thấy khoá nào của trục trong chuỗi này / no key of the hub in this text.")
    if not any(each.verdict == "key" for each in found):
        raise typer.Exit(1)


def _typed() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Dán chuỗi (không hiện lên màn hình) / paste the text", hide_input=True))
    return sys.stdin.read(key_text.MOST_SEARCHED)
