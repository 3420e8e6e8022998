"""What is wrong with a field, in words: pydantic's findings as sentences in Vietnamese and English."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lienthong.core import errors, records

# Finding → (Vietnamese, English). {v} and {e} name the field; the rest is the finding's own context, which holds
# what was expected and never what was sent.
_SENTENCES: dict[str, tuple[str, str]] = {
    "missing": ("Thiếu {v}.", "{e} is missing."),
    "extra_forbidden": ("Không có trường này.", "There is no such field."),
    "string_type": ("{v} phải là chuỗi.", "{e} must be a string."),
    "string_unicode": ("{v} không phải là văn bản Unicode.", "{e} is not Unicode text."),
    "string_too_short": (
        "{v} phải có ít nhất {min_length} ký tự.",
        "{e} needs at least {min_length} character(s).",
    ),
    "string_too_long": ("{v} dài quá {max_length} ký tự.", "{e} is longer than {max_length} characters."),
    "string_pattern_mismatch": ("{v} không đúng dạng{form_vi}.", "{e} does not have the right form{form_en}."),
    "enum": ("{v} phải là một trong: {expected}.", "{e} must be one of: {expected}."),
    "literal_error": ("{v} phải là một trong: {expected}.", "{e} must be one of: {expected}."),
    "bool_type": ("{v} phải là true hoặc false.", "{e} must be true or false."),
    "bool_parsing": ("{v} phải là true hoặc false.", "{e} must be true or false."),
    "int_type": ("{v} phải là số nguyên.", "{e} must be a whole number."),
    "int_parsing": ("{v} phải là số nguyên.", "{e} must be a whole number."),
    "int_from_float": ("{v} phải là số nguyên.", "{e} must be a whole number."),
    "int_parsing_size": ("{v} là số quá lớn.", "{e} is too large a number."),
    "float_type": ("{v} phải là số.", "{e} must be a number."),
    "float_parsing": ("{v} phải là số.", "{e} must be a number."),
    "finite_number": ("{v} phải là số hữu hạn.", "{e} must be a finite number."),
    "decimal_type": ("{v} phải là số.", "{e} must be a number."),
    "decimal_parsing": ("{v} phải là số.", "{e} must be a number."),
    "decimal_max_digits": ("{v} có quá {max_digits} chữ số.", "{e} has more than {max_digits} digits."),
    "decimal_max_places": (
        "{v} có quá {decimal_places} chữ số thập phân.",
        "{e} has more than {decimal_places} decimal places.",
    ),
    "decimal_whole_digits": (
        "{v} có quá {whole_digits} chữ số phần nguyên.",
        "{e} has more than {whole_digits} digits before the point.",
    ),
    "greater_than": ("{v} phải lớn hơn {gt}.", "{e} must be greater than {gt}."),
    "greater_than_equal": ("{v} phải từ {ge} trở lên.", "{e} must be at least {ge}."),
    "less_than": ("{v} phải nhỏ hơn {lt}.", "{e} must be less than {lt}."),
    "less_than_equal": ("{v} không được quá {le}.", "{e} must be at most {le}."),
    "multiple_of": ("{v} phải là bội số của {multiple_of}.", "{e} must be a multiple of {multiple_of}."),
    "too_short": ("{v} phải có ít nhất {min_length} phần tử.", "{e} needs at least {min_length} item(s)."),
    "too_long": ("{v} có quá {max_length} phần tử.", "{e} has more than {max_length} items."),
    "list_type": ("{v} phải là danh sách.", "{e} must be a list."),
    "tuple_type": ("{v} phải là danh sách.", "{e} must be a list."),
    "set_type": ("{v} phải là danh sách.", "{e} must be a list."),
    "frozen_set_type": ("{v} phải là danh sách.", "{e} must be a list."),
    "iterable_type": ("{v} phải là danh sách.", "{e} must be a list."),
    "dict_type": ("{v} phải là đối tượng JSON.", "{e} must be a JSON object."),
    "mapping_type": ("{v} phải là đối tượng JSON.", "{e} must be a JSON object."),
    "model_type": ("{v} phải là đối tượng JSON.", "{e} must be a JSON object."),
    "model_attributes_type": ("{v} phải là đối tượng JSON.", "{e} must be a JSON object."),
    "dataclass_type": ("{v} phải là đối tượng JSON.", "{e} must be a JSON object."),
    "invalid_key": ("Tên trường phải là chuỗi.", "A field's name must be a string."),
    "none_required": ("{v} phải bỏ trống.", "{e} must be empty."),
    "date_type": ("{v} phải là ngày, ví dụ 2026-01-15.", "{e} must be a date, for example 2026-01-15."),
    "date_parsing": (
        "{v} không phải là ngày có thật; ví dụ đúng: 2026-01-15.",
        "{e} is not a date that exists; for example 2026-01-15.",
    ),
    "date_from_datetime_parsing": (
        "{v} không phải là ngày có thật; ví dụ đúng: 2026-01-15.",
        "{e} is not a date that exists; for example 2026-01-15.",
    ),
    "date_from_datetime_inexact": ("{v} phải là ngày, không kèm giờ.", "{e} must be a date without a time."),
    "date_past": ("{v} phải là ngày đã qua.", "{e} must be in the past."),
    "date_future": ("{v} phải là ngày sắp tới.", "{e} must be in the future."),
    "datetime_type": (
        "{v} phải là thời điểm có múi giờ, ví dụ 2026-01-15T09:30:00+07:00.",
        "{e} must be a moment with a time zone, for example 2026-01-15T09:30:00+07:00.",
    ),
    "datetime_parsing": (
        "{v} không phải là thời điểm có thật; ví dụ đúng: 2026-01-15T09:30:00+07:00.",
        "{e} is not a moment that exists; for example 2026-01-15T09:30:00+07:00.",
    ),
    "datetime_from_date_parsing": (
        "{v} không phải là thời điểm có thật; ví dụ đúng: 2026-01-15T09:30:00+07:00.",
        "{e} is not a moment that exists; for example 2026-01-15T09:30:00+07:00.",
    ),
    "datetime_object_invalid": ("{v} không phải là thời điểm có thật.", "{e} is not a moment that exists."),
    "datetime_past": ("{v} phải ở quá khứ.", "{e} must be in the past."),
    "datetime_future": ("{v} phải ở tương lai.", "{e} must be in the future."),
    "timezone_aware": (
        "{v} thiếu múi giờ; giờ Việt Nam ghi +07:00 ở cuối.",
        "{e} has no time zone; Vietnam time ends in +07:00.",
    ),
    "timezone_naive": ("{v} không được kèm múi giờ.", "{e} must not have a time zone."),
    "timezone_offset": ("{v} phải có múi giờ khác.", "{e} must have another time zone."),
    "time_type": ("{v} phải là giờ, ví dụ 09:30.", "{e} must be a time, for example 09:30."),
    "time_parsing": ("{v} phải là giờ, ví dụ 09:30.", "{e} must be a time, for example 09:30."),
    "time_delta_type": ("{v} phải là khoảng thời gian.", "{e} must be a length of time."),
    "time_delta_parsing": ("{v} phải là khoảng thời gian.", "{e} must be a length of time."),
    "url_type": ("{v} phải là địa chỉ URL.", "{e} must be a URL."),
    "url_parsing": ("{v} phải là địa chỉ URL.", "{e} must be a URL."),
    "url_syntax_violation": ("{v} phải là địa chỉ URL.", "{e} must be a URL."),
    "url_too_long": ("{v} dài quá {max_length} ký tự.", "{e} is longer than {max_length} characters."),
    "url_scheme": ("{v} phải bắt đầu bằng: {expected_schemes}.", "{e} must begin with: {expected_schemes}."),
    "uuid_type": ("{v} phải là UUID.", "{e} must be a UUID."),
    "uuid_parsing": ("{v} phải là UUID.", "{e} must be a UUID."),
    "uuid_version": (
        "{v} phải là UUID bản {expected_version}.",
        "{e} must be a UUID of version {expected_version}.",
    ),
    "union_tag_invalid": ("{v} phải là một trong: {expected_tags}.", "{e} must be one of: {expected_tags}."),
    "union_tag_not_found": ("{v} thiếu phần cho biết loại.", "{e} does not say of which kind it is."),
    "recursion_loop": ("{v} lồng vào chính nó.", "{e} contains itself."),
    "recursion_depth_exceeded": ("{v} lồng nhau quá sâu.", "{e} is nested too deeply."),
}
_ANY = ("{v} không hợp lệ.", "{e} is not valid.")

# Forms that people know by name, by their pattern.
_CODE_PATTERN = typing.get_args(records.DossierCode)[1].pattern
_FORMS: dict[str, tuple[str, str]] = {
    _CODE_PATTERN: (
        ": mã định danh, ngày tiếp nhận và số thứ tự, ví dụ 000.00.00.H38-260115-0001",
        ": agency identifier, date and number, for example 000.00.00.H38-260115-0001",
    ),
    r"^([0-9]{12}|[0-9]{9})$": (": 12 chữ số, hoặc 9 chữ số của CMND cũ", ": 12 digits, or 9 of the older card"),
    r"^[0-9]{10}(-?[0-9]{3})?$|^[0-9]{12}$": (": 10, 13 hoặc 12 chữ số", ": 10, 13 or 12 digits"),
}
# Rules that a record has of its own, by the words in which it breaks.
_RULES: dict[str, tuple[str, str]] = {
    "the year must be between 1900 and 2199": (
        "{v} phải có năm từ 1900 đến 2199.",
        "{e} must have a year between 1900 and 2199.",
    ),
    "day and year must agree": (
        "{v}: năm của day khác year; chỉ cần một trong hai.",
        "{e}: the year of day is not year; one of them is enough.",
    ),
    "birth needs day or year": (
        "{v}: thiếu birth.day, hoặc birth.year khi chỉ biết năm sinh.",
        "{e}: birth.day is missing, or birth.year where only the year is known.",
    ),
    "give citizen_id or old_id, exactly one of them": (
        "{v}: gửi đúng một trong hai: citizen_id hoặc old_id.",
        "{e}: send citizen_id or old_id, exactly one of them.",
    ),
    "the purpose must not hold the number of a person": (
        "{v} không được chứa số giấy tờ hay số điện thoại (từ 9 chữ số liền nhau): mục đích được lưu trong sổ.",
        "{e} must hold no number of a person or telephone (nine digits in a row): it is kept in the record.",
    ),
    "the purpose must be one line of text": (
        "{v} phải là một dòng chữ, không có ký tự điều khiển.",
        "{e} must be one line of text, without control characters.",
    ),
}
_ORDER_RULE = re.compile(r"(?:Value error, )?(\w+) must not be before (\w+)")


def problems(exc: ValidationError, model: type[BaseModel]) -> tuple[errors.FieldProblem, ...]:
    """Say every finding of a validation in words, one for each field. Never repeats what was sent."""
    found = exc.errors(include_url=False, include_input=False)
    said: dict[str, errors.FieldProblem] = {}
    for finding in found[:100]:
        problem = _problem(finding, model)
        said.setdefault(problem.field, problem)
    return tuple(said.values())


def known(kind: str) -> bool:
    """Whether a kind of finding has a sentence of its own."""
    return kind in _SENTENCES or kind in ("value_error", "assertion_error")


def unknown_name(field: str, valid: Sequence[str]) -> errors.FieldProblem:
    """Say that a name is not known, with the nearest one that is."""
    nearest = difflib.get_close_matches(field.rpartition(".")[2], valid, n=1, cutoff=0.5)
    vi, en = _SENTENCES["extra_forbidden"]
    if nearest:
        vi, en = f"{vi} Có phải là {nearest[0]}?", f"{en} Did you mean {nearest[0]}?"
    return errors.FieldProblem(field, vi, en)


def not_a_moment(field: str) -> errors.FieldProblem:
    """Say that a moment must be written as one."""
    vi, en = _SENTENCES["datetime_type"]
    return errors.FieldProblem(field, vi.format(v=field), en.format(e=field))


def _problem(finding: ErrorDetails, model: type[BaseModel]) -> errors.FieldProblem:
    place = finding["loc"]
    parent, term = _walk(model, place)
    path = ".".join(shown(part) for part in place) or "body"
    kind = finding["type"]
    if kind == "extra_forbidden":
        return unknown_name(path, list(parent.model_fields) if parent else [])
    if kind in ("value_error", "assertion_error"):
        return _own_rule(finding["msg"], path, term, model)
    context: dict[str, Any] = {"form_vi": "", "form_en": "", **finding.get("ctx", {})}
    if "expected" in context:
        context["expected"] = str(context["expected"]).replace(" or ", ", ").replace("'", "")
    if kind == "string_pattern_mismatch":
        context["form_vi"], context["form_en"] = _form(str(context.get("pattern", "")))
    vi, en = _SENTENCES.get(kind, _ANY)
    names = {"v": f"“{term}” ({path})" if term else path, "e": path}
    if path == "body":
        names = {"v": "Nội dung", "e": "The body"}
    return errors.FieldProblem(path, vi.format(**names, **context), en.format(**names, **context))


def _own_rule(message: str, path: str, term: str, model: type[BaseModel]) -> errors.FieldProblem:
    """Say which rule of a record is broken; the rules that records have are known by their wording."""
    order = _ORDER_RULE.fullmatch(message)
    if order is None:
        vi, en = _RULES.get(message.removeprefix("Value error, "), _ANY)
        return errors.FieldProblem(path, vi.format(v=f"“{term}” ({path})" if term else path), en.format(e=path))
    later, earlier = order[1], order[2]
    terms = [_term(model, name) for name in (later, earlier)]
    return errors.FieldProblem(
        later,
        f"“{terms[0]}” ({later}) không được trước “{terms[1]}” ({earlier}).",
        f"{later} must not be before {earlier}.",
    )


def _term(model: type[BaseModel], name: str) -> str:
    field = model.model_fields.get(name)
    return (field.description or "") if field else ""


def _form(pattern: str) -> tuple[str, str]:
    if pattern in _FORMS:
        return _FORMS[pattern]
    return (f": {pattern}", f": {pattern}") if pattern else ("", "")


def _walk(model: type[BaseModel], place: Sequence[int | str]) -> tuple[type[BaseModel] | None, str]:
    """Follow a finding's place through the models: the record it stands in, and its Vietnamese term."""
    current: type[BaseModel] | None = model
    parent: type[BaseModel] | None = model
    term = ""
    for part in place:
        if isinstance(part, int):
            continue
        parent = current
        if current is None or part not in current.model_fields:
            return parent, ""
        field = current.model_fields[part]
        term = (field.description or "").rstrip(".")
        current = _record_in(field.annotation)
    return parent, term


def _record_in(annotation: Any) -> type[BaseModel] | None:
    """Find the record inside a type such as `tuple[Fee, ...]` or `Applicant | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in typing.get_args(annotation):
        found = _record_in(inner)
        if found is not None:
            return found
    return None


def shown(part: int | str) -> str:
    """Show a name that the caller chose, cut short and without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(part)[:60])
