"""What goes back to a caller: sentences for every finding, problems in two languages, strict JSON."""

from __future__ import annotations

import json
import typing
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

import orjson
import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import core_schema

from lienthong.api_keys import limits
from lienthong.bus import operations
from lienthong.bus.flows import resident_views
from lienthong.bus.gateway import addresses, answers, bodies, credentials, moments, rest, sentences
from lienthong.core import errors, people, records

NUMBER = "019bc0de-7000-7000-8000-000000000001"


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    code: Annotated[str, StringConstraints(pattern=r"^\d{3}$")] = Field("000", description="Mã")


class Sample(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field("", min_length=2, max_length=5, description="Họ tên")
    count: int = Field(1, ge=1, le=9, description="Số lượng")
    price: Decimal | None = Field(None, max_digits=4, decimal_places=2, description="Giá")
    share: float = Field(0.5, gt=0, lt=1, description="Tỷ lệ")
    colour: Colour = Field(Colour.RED, description="Màu")
    size: Literal["big", "small"] = Field("big", description="Cỡ")
    at: AwareDatetime | None = Field(None, description="Thời điểm")
    day: date | None = Field(None, description="Ngày")
    done: bool = Field(False, description="Xong")
    inner: Inner | None = Field(None, description="Phần trong")
    items: tuple[Inner, ...] = Field((), max_length=2, description="Các phần")
    more: dict[str, str] = Field({}, description="Thêm")


WRONG = [
    ({"name": 5}, "name", "phải là chuỗi", "must be a string"),
    ({"name": "a"}, "name", "ít nhất 2", "at least 2"),
    ({"name": "Nguyễn Văn Mẫu"}, "name", "quá 5 ký tự", "longer than 5"),
    ({"count": "5"}, "count", "số nguyên", "whole number"),
    ({"count": 1.5}, "count", "số nguyên", "whole number"),
    ({"count": True}, "count", "số nguyên", "whole number"),
    ({"count": 0}, "count", "từ 1 trở lên", "at least 1"),
    ({"count": 10}, "count", "không được quá 9", "at most 9"),
    ({"price": "abc"}, "price", "phải là số", "must be a number"),
    ({"price": 123.456}, "price", "chữ số", "digits|decimal"),
    ({"share": 1}, "share", "nhỏ hơn 1", "less than 1"),
    ({"share": 0}, "share", "lớn hơn 0", "greater than 0"),
    ({"colour": "green"}, "colour", "một trong: red, blue", "one of: red, blue"),
    ({"size": "huge"}, "size", "một trong: big, small", "one of: big, small"),
    ({"at": "2026-02-30T09:00:00+07:00"}, "at", "không phải là thời điểm có thật", "not a moment"),
    ({"at": "2026-02-03T09:00:00"}, "at", "thiếu múi giờ", "no time zone"),
    ({"at": 5}, "at", "thời điểm có múi giờ", "a moment with a time zone"),
    ({"day": "2026-13-01"}, "day", "không phải là ngày có thật", "not a date"),
    ({"done": "yes"}, "done", "true hoặc false", "true or false"),
    ({"inner": []}, "inner", "đối tượng JSON", "JSON object"),
    ({"inner": {"code": "12"}}, "inner.code", "không đúng dạng", "right form"),
    ({"inner": {"cod": "123"}}, "inner.cod", "Có phải là code?", "Did you mean code?"),
    ({"items": {}}, "items", "danh sách", "list"),
    ({"items": [{}, {"code": 1}]}, "items.1.code", "phải là chuỗi", "must be a string"),
    ({"items": [{}, {}, {}]}, "items", "quá 2 phần tử", "more than 2 items"),
    ({"more": {"x": 1}}, "more.x", "phải là chuỗi", "must be a string"),
    ([], "body", "Nội dung phải là đối tượng JSON", "The body must be a JSON object"),
]


@pytest.mark.parametrize(("sent", "field", "vi", "en"), WRONG, ids=[str(case[0]) for case in WRONG])
def test_a_wrong_field_is_named_in_words_of_both_languages(sent, field, vi, en):
    with pytest.raises(ValidationError) as refused:
        Sample.model_validate_json(json.dumps(sent), strict=True)
    problem = sentences.problems(refused.value, Sample)[0]
    assert problem.field == field
    assert vi in problem.vi
    assert any(part in problem.en for part in en.split("|"))


def test_a_missing_field_is_named_with_its_vietnamese_term():
    with pytest.raises(ValidationError) as refused:
        records.StatusChange.model_validate_json('{"status": "received"}')
    said = {problem.field: problem for problem in sentences.problems(refused.value, records.StatusChange)}
    assert said["handled_by"].vi == "Thiếu “Người xử lý” (handled_by)."
    assert said["handled_by"].en == "handled_by is missing."


def test_what_was_sent_is_never_repeated():
    sent = {
        "code": "Nguyễn Văn Mẫu", "procedure_code": 5, "summary": "", "channel": "Nguyễn Văn Mẫu",
        "applicant": {"kind": "Nguyễn Văn Mẫu", "name": "", "citizen_id": "00109900000"},
        "submitted_at": "Nguyễn Văn Mẫu", "agency": None,
    }  # fmt: skip
    with pytest.raises(ValidationError) as refused:
        records.Dossier.model_validate_json(json.dumps(sent), strict=True)
    said = str(sentences.problems(refused.value, records.Dossier))
    assert "Nguyễn" not in said
    assert "00109900000" not in said


RULES = [
    ({"purpose": "Tra cứu 0010 9900 0001"}, "purpose", "số giấy tờ", "number of a person"),
    ({"purpose": "Đối chiếu\nhồ sơ"}, "purpose", "một dòng", "one line"),
    ({"citizen": {"birth": {"year": 1999}}}, "citizen.full_name", "Thiếu", "missing"),
    ({"citizen": {"full_name": "Mẫu", "birth": {"year": 1999}}}, "citizen", "đúng một trong hai", "exactly one"),
    ({"citizen": {"full_name": "Mẫu", "citizen_id": "0" * 12, "birth": {}}}, "citizen", "birth.day", "birth.day"),
    ({"citizen": {"birth": {"day": "1999-01-15", "year": 1998}}}, "citizen.birth", "khác year", "is not year"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "field", "vi", "en"), RULES, ids=[case[2] for case in RULES])
def test_a_rule_that_is_broken_is_said_and_not_merely_called_not_valid(sent, field, vi, en):
    asked = {"dossier_code": "000.00.00.H38-260115-0001", "purpose": "Đối chiếu", **sent}
    with pytest.raises(ValidationError) as refused:
        resident_views.LookUpRequest.model_validate(asked)
    said = {problem.field: problem for problem in sentences.problems(refused.value, resident_views.LookUpRequest)}
    assert vi in said[field].vi
    assert en in said[field].en


@pytest.mark.parametrize("moment", ["9999-12-31T23:30:00+07:00", "0001-01-01T00:00:00+14:00"])
def test_a_moment_at_the_end_of_the_calendar_is_refused_before_anything_is_counted_from_it(moment):
    with pytest.raises(ValidationError) as refused:
        records.StatusChange.model_validate({"status": "received", "occurred_at": moment, "handled_by": "x"})
    said = sentences.problems(refused.value, records.StatusChange)
    assert [problem.vi for problem in said] == ["“Thời điểm xử lý” (occurred_at) phải có năm từ 1900 đến 2199."]


def test_digits_of_other_scripts_are_no_number_of_a_person_or_dossier():
    for digit in "٠０०":
        with pytest.raises(ValidationError):
            people.ResidentQuestion(citizen_id=digit * 12, full_name="Mẫu", birth=people.Birth(year=1999))
        with pytest.raises(ValidationError):
            TypeAdapter(records.DossierCode).validate_python(f"H38.15-26080{digit}-0001")
    models = {it.body for it in operations.OPERATIONS if it.body} | {
        it.place for it in operations.OPERATIONS if it.place
    }
    assert [model.__name__ for model in models if r"\\d" in json.dumps(model.model_json_schema())] == []


def test_times_in_the_wrong_order_are_explained():
    sent = {
        "code": "000.00.00.H38-260115-0001", "procedure_code": "1.000001", "summary": "x", "channel": "online",
        "applicant": {"kind": "citizen", "name": "Nguyễn Văn Mẫu"}, "agency": "000.00.00.H38",
        "submitted_at": "2026-01-15T09:00:00+07:00", "due_at": "2026-01-14T09:00:00+07:00",
    }  # fmt: skip
    with pytest.raises(ValidationError) as refused:
        records.Dossier.model_validate_json(json.dumps(sent), strict=True)
    problem = sentences.problems(refused.value, records.Dossier)[0]
    assert problem.field == "due_at"
    assert "không được trước" in problem.vi
    assert "must not be before" in problem.en


# Findings that need a type which no record of the hub has, or input that JSON cannot carry.
NEVER_FROM_JSON = {
    "no_such_attribute", "json_invalid", "json_type", "needs_python_object", "frozen_field", "frozen_instance",
    "get_attribute_error", "dataclass_exact_type", "named_tuple_type", "default_factory_not_called",
    "iteration_error", "string_not_ascii", "frozen_dict_type", "ordered_dict_type", "counter_type", "deque_type",
    "set_item_not_hashable", "bytes_type", "bytes_too_short", "bytes_too_long", "bytes_invalid_encoding",
    "missing_sentinel_error", "ellipsis_error", "is_instance_of", "is_subclass_of", "callable_type",
    "arguments_type", "missing_argument", "unexpected_keyword_argument", "missing_keyword_only_argument",
    "unexpected_positional_argument", "missing_positional_only_argument", "multiple_argument_values",
    "fraction_type", "fraction_parsing", "complex_type", "complex_str_parsing",
}  # fmt: skip


def test_every_finding_that_can_occur_has_a_sentence():
    possible = set(typing.get_args(core_schema.ErrorType)) - NEVER_FROM_JSON
    assert {kind for kind in possible if not sentences.known(kind)} == set()


@pytest.mark.parametrize(
    ("raw", "vi", "en"),
    [
        (b"", "không phải là JSON", "not JSON"),
        (b"{", "dòng 1, cột 2", "line 1, column 2"),
        (b"{'a': 1}", "không phải là JSON", "not JSON"),
        ('{"a": "Mẫu"}'.encode("utf-16"), "UTF-16", "UTF-16"),
        (b'{"a": "M\xe2u"}', "không phải là UTF-8 (byte thứ 9)", "not UTF-8 (byte 9)"),
        (b"\xef\xbb\xbf{}", "BOM", "byte order mark"),
        (b'{"a": NaN}', "NaN", "NaN"),
        (b'{"a": -Infinity}', "Infinity", "Infinity"),
        (b'{"a": 1, "b": 2, "a": 3}', "hai lần", "twice"),
        (b'{"a": {"b": 1, "b": 1}}', "hai lần", "twice"),
        (b'{"a": 1234567890123456789}', "18 chữ số", "18 digits"),
        (b'{"a": 1e999}', "quá lớn", "too large"),
        (b'{"a": 0.' + b"1" * 60 + b"}", "quá nhiều chữ số", "too long"),
        (b'{"a": "x\\u0000y"}', "NUL", "NUL"),
        (b'{"\\u0000": 1}', "NUL", "NUL"),
        (b'{"a": "\\ud800"}', "surrogate", "surrogate"),
        (b"[" * 4 + b"]" * 4, "quá 3 tầng", "deeper than 3"),
        (b'{"a":' * 100_000, "quá 3 tầng", "deeper than 3"),
        (b"[" * 100_000 + b"]" * 100_000, "quá 3 tầng", "deeper than 3"),
    ],
)
def test_a_body_that_is_not_strict_json_is_refused_in_words(raw, vi, en):
    with pytest.raises(errors.InvalidRequest) as refused:
        bodies.parse(raw, depth_limit=3)
    assert vi in refused.value.problems[0].vi
    assert en in refused.value.problems[0].en


@pytest.mark.parametrize(
    "raw", [b"[[[1]]]", b'{"a": "\\\\u0000"}', '{"a": "😀 Mẫu"}'.encode(), b'{"a": "\\ud83d\\ude00"}', b"-12.5e3"]
)
def test_good_json_is_read(raw):
    assert bodies.parse(raw, depth_limit=3) == json.loads(raw)


@pytest.mark.parametrize(
    ("query", "field", "vi"),
    [
        (b"lmit=5", "lmit", "Có phải là limit?"),
        (b"limit=5&limit=6", "limit", "hai lần"),
        (b"limit=", "limit", "số nguyên"),
        (b"limit=201", "limit", "không được quá 200"),
        (b"limit=1.5", "limit", "số nguyên"),
        (b"status=gone", "status", "một trong: active, withdrawn, all"),
        (b"changed_since=2026-01-15T09:30:00", "changed_since", "thiếu múi giờ"),
        (b"changed_since=2026-01-15T09:30:00+07:00", "changed_since", "%2B"),
        (b"changed_since=1700000000", "changed_since", "thời điểm có múi giờ"),
        (b"q=%ff", "query", "UTF-8"),
        (b"q=%00", "q", "ký tự điều khiển"),
        (b"q=" + b"a" * 201, "q", "200"),
        (b"&".join(b"p%d=1" % number for number in range(60)), "query", "quá nhiều"),
    ],
)
def test_a_wrong_parameter_is_named(query, field, vi):
    listing = next(operation for operation in operations.OPERATIONS if operation.name == "procedures.list")
    with pytest.raises(errors.InvalidRequest) as refused:
        rest.read_query(listing, query)
    assert refused.value.problems[0].field == field
    assert vi in refused.value.problems[0].vi


def test_a_bare_number_is_no_moment_at_any_depth():
    inner = {"number": 1, "requested_at": "1700000000"}
    sent = {"submitted_at": " 1.5", "supplements": [inner], "summary": "5"}
    found = moments.problems(sent, records.Dossier)
    assert [problem.field for problem in found] == ["submitted_at", "supplements.0.requested_at"]


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (b"", "vi"),
        (b"en", "en"),
        (b"en-GB,en;q=0.9", "en"),
        (b"vi-VN, en;q=0.8", "vi"),
        (b"vi;q=0.3, en;q=0.8", "en"),
        (b"fr", "vi"),
        (b"en;q=0", "vi"),
        (b"en;q=nan;;,", "vi"),
    ],
)
def test_the_language_follows_accept_language(header, chosen):
    assert answers.language(header) == chosen


@pytest.mark.parametrize("kind", answers.known_errors(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_error_is_a_full_problem_in_both_languages(kind, language):
    answer = answers.problem(kind(secret="001099000001"), language=language, request_id=NUMBER)
    told = orjson.loads(answer.body)
    assert {"type", "title", "status", "detail", "instance", "code", "request_id"} <= set(told)
    assert told["status"] == answer.status == kind.status
    assert told["code"] == answer.outcome == kind.code
    assert told["title"] == kind().sentence(language)
    assert b"001099000001" not in answer.body
    assert dict(answer.headers)[b"content-type"] == b"application/problem+json"
    assert (b"retry-after" in dict(answer.headers)) == (kind.status == 503)


def test_a_spent_limit_says_which_and_until_when():
    policy = limits.Policy("minute", 600, 60, 0, 12.2)
    decision = limits.Decision(False, (policy,), 12.2, ("minute",))
    refused = errors.LimitExceeded(retry_after_s=12.2, decision=decision)
    answer = answers.problem(refused, language="vi", request_id=NUMBER)
    headers = dict(answer.headers)
    assert headers[b"ratelimit-policy"] == b'"minute";q=600;w=60'
    assert headers[b"ratelimit"] == b'"minute";r=0;t=13'
    assert headers[b"retry-after"] == b"13"
    assert orjson.loads(answer.body)["violated-policies"] == ["minute"]


@pytest.mark.parametrize(
    ("connected", "forwarded", "address"),
    [
        ("203.0.113.9", b"198.51.100.1", "203.0.113.9"),
        ("10.0.0.2", b"198.51.100.1", "198.51.100.1"),
        ("10.0.0.2", b"1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.2", b"198.51.100.1, 10.0.0.3", "198.51.100.1"),
        ("10.0.0.2", b"not an address", "10.0.0.2"),
        ("10.0.0.2", b"", "10.0.0.2"),
        ("10.0.0.2", b"10.0.0.9", "10.0.0.9"),
    ],
)
def test_a_forwarded_address_is_believed_only_from_trusted_hops(connected, forwarded, address):
    hops = addresses.Addresses(["10.0.0.0/8"])
    assert hops.of(connected, [(b"x-forwarded-for", forwarded)]) == address


def test_several_forwarding_headers_are_one_list():
    hops = addresses.Addresses(["10.0.0.2"])
    sent = [(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"198.51.100.1")]
    assert hops.of("10.0.0.2", sent) == "198.51.100.1"


def test_a_wrong_trusted_proxy_stops_the_start():
    with pytest.raises(errors.Misconfigured):
        addresses.Addresses(["proxy.example"])


@pytest.mark.parametrize(
    ("path", "query", "found"),
    [
        (b"/v1/procedures", b"q=khai+sinh", False),
        (b"/v1/procedures", b"api_key=x", True),
        (b"/v1/procedures", b"a=1&Access%5FToken=x", True),
        (b"/v1/procedures", b"q=lt_live_abc", True),
        (b"/v1/procedures", b"q=lt%5Ftest%5Fabc", True),
        (b"/v1/dossiers/LT_LIVE_abc", b"", True),
        (b"/v1/dossiers/lt%5flive_abc", b"", True),
        (b"/v1/dossiers/built_live_x", b"", False),
    ],
)
def test_a_key_in_the_address_is_noticed(path, query, found):
    assert credentials.is_in_address(path, query) is found


def test_a_moment_is_written_with_its_zone():
    class Told(BaseModel):
        at: datetime

    told = rest.answer(operations.OPERATIONS[0], Told(at=datetime.fromisoformat("2026-01-15T09:30:00+07:00")))
    assert told.body == b'{"at":"2026-01-15T09:30:00+07:00"}'
