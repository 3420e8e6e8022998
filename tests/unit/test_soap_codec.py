"""Records in XML and back: nothing is lost, the schema agrees, and what is wrong is said as it is over REST."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal

import orjson
import pytest
import soap_samples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lxml import etree
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer

from lienthong.bus import operations
from lienthong.bus.gateway import rest, soap_codec, soap_reading, soap_schema, soap_types
from lienthong.core import errors

PLAN = soap_types.Plan(operations.OPERATIONS)
CODEC = soap_codec.Codec(PLAN)
READER = soap_reading.Reader(PLAN, CODEC)
SCHEMA = etree.XMLSchema(etree.fromstring(soap_schema.schema(PLAN)))
PATIENT = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
NAMES = sorted(PLAN.calls)


def operation(answer: type[BaseModel] = operations.VersionQuery, **facts: Any) -> operations.Operation:
    async def run(hub: Any, call: Any, asked: Any) -> BaseModel:
        raise NotImplementedError

    return operations.Operation("notes.put", "PUT", "/v1/notes", "x", "x", answer, run, personal=False, **facts)


def read(call: soap_types.Call, content: str) -> operations.Asked:
    name = call.operation.name
    return READER.read(call, etree.fromstring(f'<{name} xmlns="urn:lienthong:v1">{content}</{name}>'))[0]


@pytest.mark.parametrize("model", sorted(PLAN.records, key=lambda model: model.__name__), ids=lambda m: m.__name__)
@given(data=st.data())
@PATIENT
def test_every_record_comes_back_as_it_went_out(model: type[BaseModel], data: st.DataObject):
    record = PLAN.records[model]
    made = data.draw(soap_samples.records(record))
    try:
        before = model.model_validate_json(orjson.dumps(made), strict=True)
    except ValidationError:
        assume(False)
    out: list[str] = []
    CODEC._record_writer(record)(before, out)
    node = etree.fromstring(f'<a xmlns="urn:lienthong:v1">{"".join(out)}</a>')
    after = model.model_validate_json(orjson.dumps(CODEC._record_reader(record)(node)), strict=True)
    assert after == before


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@PATIENT
def test_every_request_is_read_as_rest_would_read_it(name: str, data: st.DataObject):
    call = PLAN.calls[name]
    made = data.draw(soap_samples.records(call.request))
    content = "".join(_written(element, made.get(element.name)) for element in call.request.elements)
    parts = {
        part: {
            element.name: made[element.name]
            for element in call.request.elements
            if element.name in made and element.part == part
        }
        for part in ("path", "query", "body")
    }
    body = {**parts["body"], **{part: parts["path"][part] for part in call.operation.from_path}}
    try:
        wanted = None if call.operation.query is None else call.operation.query.model_validate(parts["query"])
        record = (
            None
            if call.operation.body is None
            else call.operation.body.model_validate_json(orjson.dumps(body), strict=True)
        )
        if call.operation.place is not None:
            call.operation.place.model_validate(parts["path"])
        assume(
            not any(
                letter < " " or "\x7f" <= letter <= "\x9f"
                for value in (*parts["path"].values(), *parts["query"].values())
                for letter in str(value)
            )
        )
    except ValidationError:
        with pytest.raises(errors.InvalidRequest):
            read(call, content)
        return
    asked = read(call, content)
    assert (asked.query, asked.body) == (wanted, record)


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_what_the_schema_says(name: str):
    answer = soap_samples.sample_answer(PLAN.calls[name].answer)
    node = etree.fromstring(CODEC.write(name, answer))
    assert SCHEMA.validate(node), SCHEMA.error_log
    read_back = CODEC._record_reader(PLAN.calls[name].answer)(node)
    assert soap_samples.differences(orjson.loads(answer.model_dump_json()), read_back) == []


STATUS = "<code>000.00.00.H38-260115-0001</code><status>received</status>"
WHEN = "<occurred_at>2026-01-15T09:30:00+07:00</occurred_at><handled_by>Trần Thị Ví Dụ</handled_by>"


@pytest.mark.parametrize(
    ("content", "field", "said"),
    [
        (STATUS.replace("received", "lost") + WHEN, "status", "must be one of"),
        (STATUS + WHEN.replace("+07:00", ""), "occurred_at", "no time zone"),
        (STATUS + WHEN.replace("2026-01-15T09:30:00+07:00", "1768444200"), "occurred_at", "with a time zone"),
        (STATUS + WHEN + "<notes>x</notes>", "notes", "Did you mean note?"),
        (STATUS + WHEN + "<note>x</note><note>y</note>", "note", "sent twice"),
        (STATUS + WHEN + "<note><b>x</b></note>", "note", "not the right form"),
        (WHEN + STATUS, "occurred_at", "out of its order"),
        (STATUS + WHEN + "text", "dossiers.report_status", "out of its order"),
        (STATUS + WHEN.replace("<handled_by>", "<handled_by role='x'>"), "handled_by", "out of its order"),
        (STATUS + WHEN + '<note xmlns="">x</note>', "note", "namespace"),
        (STATUS, "occurred_at", "is missing"),
        (STATUS.replace("000.00", "abc") + WHEN, "code", "right form"),
    ],
)
def test_a_wrong_part_is_named_and_never_repeated(content: str, field: str, said: str):
    with pytest.raises(errors.InvalidRequest) as caught:
        read(PLAN.calls["dossiers.report_status"], content)
    problems = {problem.field: problem for problem in caught.value.problems}
    assert said in problems[field].en
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("name", ["dossiers.put", "dossiers.report_status", "residents.look_up"])
def test_a_wrong_body_is_told_in_the_same_words_at_both_doors(name: str):
    call = PLAN.calls[name]
    with pytest.raises(errors.InvalidRequest) as over_rest:
        rest.read_body(call.operation, b"{}", {"code": None}, depth_limit=9)
    with pytest.raises(errors.InvalidRequest) as over_soap:
        read(call, "<code>000.00.00.H38-260115-0001</code>" if call.operation.place else "")
    told = {problem.field: problem.vi for problem in over_rest.value.problems if problem.field != "code"}
    assert told == {problem.field: problem.vi for problem in over_soap.value.problems}


def test_what_may_be_null_is_left_out_or_sent_as_nil():
    nil = '<due_at xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:nil="true"/>'
    call = PLAN.calls["dossiers.report_status"]
    assert read(call, STATUS + WHEN + nil) == read(call, STATUS + WHEN)


def test_a_day_may_carry_the_zone_that_some_clients_put_behind_it():
    node = etree.fromstring("<day>1990-05-01+07:00</day>")
    assert soap_codec.leaf_reader(soap_types.Leaf("date"))(node) == "1990-05-01"


def test_blanks_around_a_value_are_no_reason_to_refuse_it():
    asked = read(
        PLAN.calls["procedures.list"],
        "<level> province </level><limit> 7 </limit>".replace(" province ", "province"),
    )
    assert asked.query.limit == 7


def test_letters_that_xml_has_no_place_for_become_a_sign_that_something_was_there():
    assert soap_codec.text("a\x00b\x1fc\ufffe") == "a\ufffdb\ufffdc\ufffd"
    assert soap_codec.text("<a> & b\r\n") == "&lt;a&gt; &amp; b&#13;\n"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^\d{9}$", r"\d{9}"),
        (r"^\d{10}(-?\d{3})?$|^\d{12}$", r"\d{10}(-?\d{3})?|\d{12}"),
        (r"^(?:a|b)$", "(a|b)"),
        (r"^[^|]+$", "[^|]+"),
        (r"^a\|b$", r"a\|b"),
        (r"\d+", ""),
        (r"^(?=x)x$", ""),
        (r"^a+?$", ""),
        ("", ""),
    ],
)
def test_a_pattern_goes_into_the_schema_only_where_it_means_the_same(pattern: str, expected: str):
    assert soap_schema.xsd_pattern(pattern) == expected


class Branch(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(description="Tên")
    branches: tuple[Branch, ...] = ()
    parent: Branch | None = None


class Rich(BaseModel):
    """Everything that the house does not use yet."""

    model_config = ConfigDict(extra="forbid")
    either: Branch | operations.VersionQuery | None = None
    value: int | str | None = None
    anything: dict[str, Any] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
    weights: Annotated[tuple[float, ...], Field(max_length=4)] = ()
    grade: Literal[1, 2] = 1


@pytest.mark.parametrize("model", [Branch, Rich])
def test_a_record_may_hold_itself_a_choice_or_anything(model: type[BaseModel]):
    made: dict[type[BaseModel], BaseModel] = {
        Branch: Branch(name="a", branches=(Branch(name="b"),), parent=Branch(name="c")),
        Rich: Rich(
            either=Branch(name="a"), value="5", anything={"a": [1]}, counts={"b": 2}, weights=(1.5,), grade=2
        ),
    }
    plan = soap_types.Plan([operation(model, body=model)])
    codec, [call] = soap_codec.Codec(plan), plan.calls.values()
    node = etree.fromstring(codec.write("notes.put", made[model]))
    assert etree.XMLSchema(etree.fromstring(soap_schema.schema(plan))).validate(node)
    node.tag = "{urn:lienthong:v1}notes.put"
    reader = soap_reading.Reader(plan, codec)
    assert reader.read(call, node)[0].body == made[model]


def test_two_records_of_one_name_are_told_apart():
    other = type("Branch", (BaseModel,), {"__doc__": "Another.", "__annotations__": {"size": int}})
    plan = soap_types.Plan([operation(other, body=Branch)])
    assert [record.name for record in plan.records.values()] == ["Branch", "Branch2"]


def test_names_that_clash_stop_the_start():
    with pytest.raises(errors.Misconfigured, match="name twice"):
        soap_types.Plan([operation(body=Branch, query=Branch)])


def test_a_record_that_writes_itself_stops_the_start():
    class Own(BaseModel):
        """Writes itself."""

        size: int

        @field_serializer("size")
        def _own(self, value: int) -> str:
            return f"{value} m"

    with pytest.raises(errors.Misconfigured, match="serializers"):
        soap_types.Plan([operation(Own)])


def test_a_moment_with_seconds_in_its_zone_is_written_in_utc():
    old = datetime(1900, 1, 1, 7, 6, 30, tzinfo=timezone(timedelta(hours=7, minutes=6, seconds=30)))
    assert soap_codec._moment(old) == datetime(1900, 1, 1, tzinfo=UTC).isoformat()


def _written(element: soap_types.Element, value: Any) -> str:
    """Write what was made up as a client would, from JSON."""
    if value is None:
        return ""
    items = value if element.is_list else [value]
    return "".join(f"<{element.name}>{_content(element.kind, item)}</{element.name}>" for item in items)


def _content(kind: soap_types.Kind, value: Any) -> str:
    if isinstance(kind, soap_types.Record):
        return "".join(_written(element, value.get(element.name)) for element in kind.elements)
    if isinstance(kind, soap_types.Entries):
        pairs = (
            f"<key>{soap_codec.text(key)}</key><value>{_content(kind.value, one)}</value>"
            for key, one in value.items()
        )
        return "".join(f"<entry>{pair}</entry>" for pair in pairs)
    return str(value).lower() if isinstance(value, bool) else soap_codec.text(str(value))


QUICK = sorted(name for name in NAMES if READER._quick[name] is not None)
ODDITIES = ("", " ", "\n", "\u00a0", "x", "1", "+1", "1.5", "true", "9" * 19, "1.000001", "<b/>", "<!--x-->")
SPOILT = ("{}", "{}{}", "", " {} ", "x{}", "{}x", "\u00a0{}")


@pytest.mark.parametrize("name", QUICK)
@given(data=st.data())
@PATIENT
def test_what_the_quick_reader_takes_the_schema_takes_too_and_reads_alike(name: str, data: st.DataObject):
    """Values that the schema minds are for the models, at both: only the form is compared."""
    call = PLAN.calls[name]
    parts = []
    for element in data.draw(st.permutations(call.request.elements) | st.just(call.request.elements)):
        attribute = data.draw(st.sampled_from(["", "", "", "", " a='1'", " xmlns=''", NIL_TRUE]))
        value = data.draw(st.sampled_from(ODDITIES))
        shape = data.draw(st.sampled_from(["{}", "{}", "{}", *SPOILT]))
        parts.append(shape.replace("{}", f"<{element.name}{attribute}>{value}</{element.name}>"))
    node = etree.fromstring(f'<{name} xmlns="urn:lienthong:v1">{"".join(parts)}</{name}>')
    found = READER._quick[name](node)
    is_right = SCHEMA.validate(node)
    if found is not None:
        assert is_right or all(one.type_name in soap_reading._OF_VALUES for one in SCHEMA.error_log)
        assert found == CODEC.readers[name](node)


NIL_TRUE = ' xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"'


def test_the_quick_reader_is_there_for_what_is_asked_most():
    assert {"procedures.get", "procedures.versions", "dossiers.get", "enquiries.get", "payments.get"} <= set(QUICK)
