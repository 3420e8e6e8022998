"""What makes two published forms of a procedure the same, and what is different between them. Pure."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypedDict

import orjson

from lienthong.core import records

# The source's own numbers and times; a new number over there is no change of the procedure.
_NOT_CONTENT = frozenset({"source_id", "source_created_at", "source_updated_at"})
LONGEST_TEXT = 400
_STATUS_VI = "Trạng thái"

Content = dict[str, Any]


class Change(TypedDict):
    """One field that differs: its name, its Vietnamese term, and both values as people read them."""

    field: str
    label_vi: str
    old: str
    new: str


def content_of(procedure: records.Procedure) -> Content:
    """Give a procedure as plain values, without what stands at its default.

    Leaving defaults out means that a field added to the record later changes no digest.
    """
    return procedure.model_dump(mode="json", exclude_defaults=True)


def digest_of(content: Content) -> str:
    """Make the digest of what a procedure says (SHA-256), whatever numbers the source gives to it."""
    return hashlib.sha256(orjson.dumps(_published(content), option=orjson.OPT_SORT_KEYS)).hexdigest()


def pack(content: Content) -> bytes:
    """Compress a content for `procedure_versions.record`."""
    return zlib.compress(orjson.dumps(content), 1)


def unpack(packed: bytes) -> Content:
    """Give back the content that was packed."""
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
