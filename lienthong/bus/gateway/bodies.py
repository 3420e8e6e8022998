"""Reading the body of a request: never more than the limit, never longer than the time, and strictly as JSON."""

from __future__ import annotations

import asyncio
import codecs
import collections
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NoReturn

from lienthong.core import errors, settings

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_LONGEST_INTEGER = 18  # digits: fits 64 bits whatever the sign
_LONGEST_NUMBER = 40


async def read(receive: Receive, headers: Mapping[bytes, bytes], limits: settings.Gateway) -> bytes:
    """Take the whole body in. Raises BodyTooLarge, BodyTooSlow, BodyCutOff or UnsupportedMedia."""
    _check_kind(headers)
    return await read_raw(receive, headers, limits.body_limit_bytes, timeout_s=limits.body_timeout_s)


async def read_raw(
    receive: Receive, headers: Mapping[bytes, bytes], limit_bytes: int, *, timeout_s: float
) -> bytes:
    """Take the whole body in, of whatever kind. Raises BodyTooLarge, BodyTooSlow or BodyCutOff."""
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced[:20]) > limit_bytes:
        _too_large(limit_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            return await _read(receive, limit_bytes)
    except TimeoutError:
        raise errors.BodyTooSlow(
            f"The body did not arrive within {timeout_s:g} seconds.",
            detail_vi=f"Nội dung yêu cầu không đến đủ trong {timeout_s:g} giây.",
        ) from None


async def _read(receive: Receive, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise errors.BodyCutOff(bytes_in=size)
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit_bytes:
            _too_large(limit_bytes)
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit_bytes: int) -> NoReturn:
    raise errors.BodyTooLarge(
        f"The body is larger than {limit_bytes} bytes.",
        detail_vi=f"Nội dung yêu cầu lớn hơn {limit_bytes} byte.",
    )


def _check_kind(headers: Mapping[bytes, bytes]) -> None:
    if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
        raise errors.UnsupportedMedia(
            "A compressed body is not accepted; send it without Content-Encoding.",
            detail_vi="Không nhận nội dung nén; hãy gửi không có Content-Encoding.",
        )
    kind, *parameters = headers.get(b"content-type", b"").decode("latin-1").lower().split(";")
    charset = [part.strip().removeprefix("charset=").strip('"') for part in parameters if part.strip()]
    if kind.strip() != "application/json" or any(name not in ("utf-8", "utf8") for name in charset):
        raise errors.UnsupportedMedia(
            "The body must be JSON in UTF-8: Content-Type: application/json.",
            detail_vi="Nội dung phải là JSON mã hoá UTF-8: Content-Type: application/json.",
        )


def parse(raw: bytes, *, depth_limit: int) -> Any:
    """Read strict JSON (RFC 8259). Raises InvalidRequest saying what stands where.

    Refused: another encoding, a byte order mark, NaN and Infinity, a name twice in one object, nesting deeper
    than the limit, numbers no system keeps exactly, the character NUL and halves of surrogate pairs.
    """
    text = _decode(raw)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_no_name_twice,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except json.JSONDecodeError as exc:
        raise _invalid(
            f"Nội dung không phải là JSON: dòng {exc.lineno}, cột {exc.colno}.",
            f"The body is not JSON: line {exc.lineno}, column {exc.colno}.",
        ) from None
    except RecursionError:
        raise _too_deep(depth_limit) from None
    _check_tree(value, depth_limit)
    return value


def _decode(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _invalid(
            "Nội dung được mã hoá UTF-16; hãy gửi bằng UTF-8.", "The body is in UTF-16; send it in UTF-8."
        )
    if raw.startswith(codecs.BOM_UTF8):
        raise _invalid(
            "Nội dung bắt đầu bằng dấu BOM; hãy gửi UTF-8 không có BOM.",
            "The body begins with a byte order mark; send UTF-8 without it.",
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise _invalid(
            f"Nội dung không phải là UTF-8 (byte thứ {exc.start + 1}); có thể đang dùng bảng mã khác như "
            "windows-1258 hoặc TCVN3.",
            f"The body is not UTF-8 (byte {exc.start + 1}); it may be in another encoding such as windows-1258.",
        ) from None


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        name = collections.Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _invalid(
            "Tên này xuất hiện hai lần trong một đối tượng JSON.",
            "This name stands twice in one JSON object.",
            field=_shown(name),
        )
    return value


def _no_constant(text: str) -> NoReturn:
    raise _invalid(f"{text} không phải là số trong JSON.", f"{text} is not a number in JSON.")


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > _LONGEST_INTEGER:
        raise _invalid(
            f"Có số nguyên dài hơn {_LONGEST_INTEGER} chữ số; mã số phải gửi dạng chuỗi.",
            f"There is an integer of more than {_LONGEST_INTEGER} digits; send code numbers as strings.",
        )
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if len(text) > _LONGEST_NUMBER or value in (float("inf"), float("-inf")):
        raise _invalid("Có số quá lớn hoặc quá nhiều chữ số.", "There is a number that is too large or too long.")
    return value


def _check_tree(root: Any, depth_limit: int) -> None:
    """Look at every name and text once, without recursion."""
    level = [root]
    for _ in range(depth_limit):
        deeper: list[Any] = []
        for value in level:
            if type(value) is dict:
                for name, inner in value.items():
                    _check_text(name)
                    deeper.append(inner)
            elif type(value) is list:
                deeper += value
            elif type(value) is str:
                _check_text(value)
        if not deeper:
            return
        level = deeper
    if any(type(value) in (dict, list) for value in level):
        raise _too_deep(depth_limit)
    for value in level:
        if type(value) is str:
            _check_text(value)


def _check_text(text: str) -> None:
    if text.isascii() and "\x00" not in text:
        return
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise _invalid(
            "Có ký tự NUL hoặc nửa cặp thay thế (surrogate), không phải là văn bản.",
            "There is a NUL character or half a surrogate pair, which is not text.",
        )


def _too_deep(depth_limit: int) -> errors.InvalidRequest:
    return _invalid(
        f"JSON lồng nhau quá {depth_limit} tầng.", f"The JSON is nested deeper than {depth_limit} levels."
    )


def _shown(name: str) -> str:
    """Show a name of the caller's, cut short: it may be anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:60])


def _invalid(vi: str, en: str, *, field: str = "") -> errors.InvalidRequest:
    return errors.InvalidRequest(problems=(errors.FieldProblem(field or "body", vi, en),))
