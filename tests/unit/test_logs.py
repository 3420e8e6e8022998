"""What the processes print holds nothing that names a person or opens a door."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from lienthong.core import logs

KEY = "lt_test_" + "A1b2C3d4" * 6 + "x"
SECRETS = [
    KEY,
    "001099000001",
    "012345678",
    "0912345678",
    "+84912345678",
    "0912 345 678",
    "0912.345.678",
    "+84 912 345 678",
    "nguyen.van.a+thu@vi-du.vn",
]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def printed(form: str, message: str, *args: object, **facts: object) -> str:
    stream = io.StringIO()
    logs.start("debug", form, stream=stream)
    logging.getLogger("lienthong.test").warning(message, *args, extra=facts)
    return stream.getvalue()


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "số {}.", "(cccd:{})", '{{"cccd":"{}"}}', "cccd={}, ok", "[{}]"])
def test_personal_numbers_keys_and_addresses_are_masked_wherever_they_stand(around: str, secret: str) -> None:
    assert secret not in logs.mask(around.format(secret))


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer phien-bi-mat-1",
        "authorization=Bearer phien-bi-mat-1",
        "sent Bearer phien-bi-mat-1 to the portal",
        '{"session": "phien-bi-mat-1"}',
        "{'password': 'phien-bi-mat-1'}",
        "X-API-Key: phien-bi-mat-1",
        "token=phien-bi-mat-1",
        "SECRET = phien-bi-mat-1",
    ],
)
def test_sessions_and_passwords_are_masked_by_the_word_before_them(text: str) -> None:
    assert "bi-mat" not in logs.mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "000.00.00.H38-251120-0001",
        "H38.15-20261120-00012345",
        "019d2bfd-3fe0-70ac-b9d6-123456789012",
        "1.001193",
        "2026-11-21T10:15:00.123456+07:00",
        "127.0.0.1:8080",
        "took 12345678 ms",
    ],
)
def test_what_operators_search_for_stays_readable(text: str) -> None:
    assert logs.mask(text) == text


@pytest.mark.parametrize("form", ["text", "json"])
def test_facts_are_masked_by_their_name_and_by_their_text(form: str) -> None:
    line = printed(
        form,
        "pushed",
        session="phien-bi-mat-1",
        password="mat-khau",
        said=f"no such citizen {SECRETS[1]}",
        rows=[{"token": "bi-mat-2", "phone": SECRETS[3]}],
        why=ValueError(SECRETS[1]),
    )
    assert not any(secret in line for secret in ("bi-mat", "mat-khau", *SECRETS))


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_arguments_of_a_message_and_a_traceback_are_masked(form: str) -> None:
    stream = io.StringIO()
    logs.start("info", form, stream=stream)
    try:
        raise ValueError(f"cannot read {SECRETS[1]} of {KEY}")
    except ValueError:
        logging.getLogger("lienthong.test").exception("failed for %s", SECRETS[8])
    assert not any(secret in stream.getvalue() for secret in SECRETS)
    assert "ValueError" in stream.getvalue()


def test_a_json_line_is_one_object_with_its_facts_as_they_are() -> None:
    line = printed("json", "đã gửi %d", 3, target="dvcqg_adapter", took_ms=12.5, size=123456789012)
    read = json.loads(line)
    assert (read["event"], read["level"], read["logger"]) == ("đã gửi 3", "warning", "lienthong.test")
    assert (read["target"], read["took_ms"], read["size"]) == ("dvcqg_adapter", 12.5, 123456789012)
    assert read["time"].endswith("+07:00")
    assert line.count("\n") == 1


def test_a_text_line_reads_as_time_level_event_and_facts() -> None:
    line = printed("text", "đã gửi", target="dvcqg_adapter")
    assert line[12:].rstrip() == " warning đã gửi target=dvcqg_adapter"


def test_lines_below_the_level_and_the_chatter_of_libraries_are_not_printed() -> None:
    stream = io.StringIO()
    logs.start("info", "text", stream=stream)
    logging.getLogger("lienthong.test").debug("chi tiết")
    logging.getLogger("httpx").info("GET https://vi-du.vn/?cccd=001099000001")
    assert stream.getvalue() == ""


def test_a_line_that_cannot_be_written_does_not_show_what_was_being_handled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    closed = io.StringIO()
    closed.close()
    for stream, words in ((closed, ("broken",)), (io.StringIO(), ("%d rows", "none"))):
        logs.start("info", "json", stream=stream)
        try:
            raise ValueError(f"about {1099000001:012d}")
        except ValueError:
            logging.getLogger("lienthong.x").exception(*words)
    said = capsys.readouterr().err
    assert said.count("a log line could not be written") == 2
    assert "lienthong.x" in said
    assert f"{1099000001:012d}" not in said
