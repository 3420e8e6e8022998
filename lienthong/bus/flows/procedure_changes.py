"""What makes two published forms of a procedure the same, and what is different between them. Pure."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypedDict, get_args

import orjson
from pydantic import BaseModel

from lienthong.core import records

# The source's own numbers and times; a new number over there is no change of the procedure.
_NOT_CONTENT = frozenset({"source_id", "source_created_at", "source_updated_at"})
LONGEST_TEXT = 1000
_STATUS_VI = "Trạng thái"

Content = dict[str, Any]


def _left_out(model: type[BaseModel]) -> dict[str, Any]:
    """Say for pydantic what of a record is no content, at every depth."""
    found: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if name in _NOT_CONTENT:
            found[name] = True
            continue
        inner = [part for part in (info.annotation, *get_args(info.annotation)) if _is_record(part)]
        if inner and (below := _left_out(inner[0])):
            found[name] = below if _is_record(info.annotation) else {"__all__": below}
    return found


def _is_record(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, records.Record)


_WRITER = records.Procedure.__pydantic_serializer__
_LEFT_OUT = _left_out(records.Procedure)


class Change(TypedDict):
    """One field that differs: its name, its Vietnamese term, and both values as people read them."""

    field: str
    label_vi: str
    old: str
    new: str


def written(procedure: records.Procedure) -> bytes:
    """Write a procedure as JSON, without what stands at its default.

    Leaving defaults out means that a field added to the record later changes no digest.
    """
    text: bytes = _WRITER.to_json(procedure, exclude_defaults=True)
    return text


def digest_of(procedure: records.Procedure) -> str:
    """Make the digest of what a procedure says (SHA-256), whatever numbers the source gives to it.

    The order of the fields is that of the record, so reordering them there would make every record look changed.
    """
    return hashlib.sha256(_WRITER.to_json(procedure, exclude_defaults=True, exclude=_LEFT_OUT)).hexdigest()


def pack(text: bytes) -> bytes:
    """Compress a written procedure for `procedure_versions.record`."""
    return zlib.compress(text, 1)


def unpack(packed: bytes) -> Content:
    """Give back as plain values what was written and packed."""
    content: Content = orjson.loads(zlib.decompress(packed))
    return content


def compare(old: Content, new: Content) -> list[Change]:
    """Name every field in which two contents differ, in the order of the record.

    Long texts are shortened, and of long lists only what was taken out and put in is told.
    """
    changes: list[Change] = []
    for name, info in records.Procedure.model_fields.items():
        before, after = old.get(name), new.get(name)
        if name in _NOT_CONTENT or before == after:
            continue
        if name == "decision":
            changes += _decision_changes(before or {}, after or {})
        elif _published(before) != _published(after):
            changes.append(_change(name, info.description or name, before, after))
    return changes


def status_change(*, old: str, new: str) -> Change:
    """Tell of a procedure that came back to the list."""
    return Change(field="status", label_vi=_STATUS_VI, old=old, new=new)


def _decision_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    return [
        _change(f"decision.{name}", info.description or name, before.get(name), after.get(name))
        for name, info in records.Decision.model_fields.items()
        if name not in _NOT_CONTENT and before.get(name) != after.get(name)
    ]


def _change(field: str, label_vi: str, before: Any, after: Any) -> Change:
    old, new = _both_readable(before, after)
    return Change(field=field, label_vi=label_vi, old=_shortened(old), new=_shortened(new))


def _both_readable(before: Any, after: Any) -> tuple[str, str]:
    """Write both values for people; where names agree and only codes differ, the codes are shown too."""
    for with_codes in (False, True):
        old, new = _lines(before, with_codes=with_codes), _lines(after, with_codes=with_codes)
        if old != new:
            gone, come = Counter(old) - Counter(new), Counter(new) - Counter(old)
            if gone or come:
                return "; ".join(gone.elements()), "; ".join(come.elements())
            return f"(thứ tự cũ) {'; '.join(old)}", f"(thứ tự mới) {'; '.join(new)}"
    return _compact(before), _compact(after)


def _lines(value: Any, *, with_codes: bool) -> list[str]:
    items = value if isinstance(value, list) else [] if value is None else [value]
    return [_words(item, with_codes=with_codes) for item in items]


def _words(value: Any, *, with_codes: bool) -> str:
    """Write one item: a name where it has one, otherwise everything that it says."""
    if isinstance(value, bool):
        return "có" if value else "không"
    if not isinstance(value, dict):
        return str(value)
    name, code = str(value.get("name") or ""), str(value.get("code") or "")
    if set(value) <= {"name", "code", "source_id"}:
        return f"{name} [{code}]" if with_codes and code else name or code
    return _compact(value)


def _compact(value: Any) -> str:
    if isinstance(value, dict):
        parts = (f"{name}: {_compact(item)}" for name, item in value.items() if name not in _NOT_CONTENT)
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_compact, value)) + "]"
    return "" if value is None else str(value)


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}… (còn {len(text) - LONGEST_TEXT} ký tự)"


def _published(value: Any) -> Any:
    """Take the source's own numbers out of a content, at any depth."""
    if isinstance(value, dict):
        return {name: _published(item) for name, item in value.items() if name not in _NOT_CONTENT}
    if isinstance(value, list):
        return [_published(item) for item in value]
    return value
