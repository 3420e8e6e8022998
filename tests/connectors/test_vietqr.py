"""VietQR: the vectors of the page and of the library, reading back, pictures, notes, the command."""

from __future__ import annotations

import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payment_stage import NOW, REFERENCE, Stage, got, order, refund
from typer.testing import CliRunner

from lienthong.connectors import bank_qr
from lienthong.connectors.vietqr import auth
from lienthong.console.cli import main
from lienthong.core import errors

KEY = "an invented key for notes, 32 characters and more"
ACCOUNT = {"bank_bin": "970415", "account": "1234567890", "reference_key": KEY}
VECTOR = (
    "00020101021238540010A00000072701240006970415011012345678900208QRIBFTTA530370454061500005802VN"
    "62210817H56142601150001016304ADDE"
)
CODE = bank_qr.BankCode("970415", "1234567890", amount_vnd=150_000, note=REFERENCE, is_dynamic=True)
CODES = st.builds(
    bank_qr.BankCode,
    bank=st.from_regex(r"[0-9]{6}", fullmatch=True),
    account=st.from_regex(r"[0-9A-Za-z]{1,19}", fullmatch=True),
    amount_vnd=st.none() | st.integers(1, 10**12),
    note=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=25),
    service=st.sampled_from(["account", "card", "merchant"]),
    is_dynamic=st.booleans(),
)


@pytest.fixture
def stage() -> Stage:
    return Stage("vietqr", **ACCOUNT)


# ------------------------------------------------------------------------------------------------------- texts


def test_the_text_is_that_of_the_vector_and_reads_back() -> None:
    assert bank_qr.text_of(CODE) == VECTOR
    assert bank_qr.read(VECTOR) == CODE


def test_the_published_example_has_its_check_digits() -> None:
    """The page names no bank for it; of all a thousand BINs that begin with 970, this one alone fits."""
    code = bank_qr.BankCode("970415", "0011001932418", amount_vnd=120_000, note="ung ho lu lut", is_dynamic=True)
    assert bank_qr.text_of(code).endswith("6304C15C")


def test_codes_of_the_library_are_judged_and_written_alike(shared_data: Path) -> None:
    file = shared_data / "vectors" / "vietqr.jsonl"
    if not file.is_file():
        pytest.skip(f"the library's vectors are not here: {file}")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert rows
    for row in rows:
        assert row["library_valid"]
        assert not row["library_tampered_valid"]
        wanted = bank_qr.BankCode(
            row["bin"], row["account"], amount_vnd=row["amount"], note=row["purpose"], is_dynamic=True
        )
        assert bank_qr.read(row["text"]) == wanted
        with pytest.raises(errors.RemoteGarbled):
            bank_qr.read(row["tampered"])
        if row["bin"]:
            assert bank_qr.text_of(wanted) == row["text"]


@given(code=CODES)
def test_what_was_written_is_read_back(code: bank_qr.BankCode) -> None:
    assert bank_qr.read(bank_qr.text_of(code)) == code


@given(code=CODES, data=st.data())
def test_any_changed_character_is_noticed(code: bank_qr.BankCode, data: st.DataObject) -> None:
    text = bank_qr.text_of(code)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(max_codepoint=0x2FF).filter(lambda it: it != text[place]))
    with pytest.raises(errors.RemoteGarbled):
        bank_qr.read(text[:place] + other + text[place + 1 :])


@given(text=st.text(max_size=200) | st.text(alphabet="0123456789AVNQR", max_size=200))
def test_any_rubbish_is_unreadable_even_with_right_check_digits(text: str) -> None:
    with pytest.raises(errors.RemoteGarbled):
        bank_qr.read(text)
    if text.isascii():
        with pytest.raises(errors.RemoteGarbled):
            bank_qr.read(checked(text))


def checked(fields: str) -> str:
    text = f"{fields}6304"
    return text + bank_qr.check_digits(text)


BODY = VECTOR[:-8]


@pytest.mark.parametrize(
    "fields",
    [
        BODY + "5802VN",
        BODY.replace("5303704", "5303840"),
        BODY.replace("5802VN", "5802US"),
        BODY.replace("5406150000", "5406150.00"[:10]),
        BODY.replace("5406150000", "5406015000"),
        BODY.replace("A000000727", "A000000728"),
        BODY.replace("QRIBFTTA", "QRIBFTTX"),
        BODY.replace("010212", "010213"),
        BODY.replace("01101234567890", "01101234-67890"),
        BODY + "99",
        BODY + "9999x",
    ],
    ids=["twice", "dollars", "country", "decimals", "zero", "scheme", "service", "kind", "account", "cut", "long"],
)
def test_a_code_of_something_else_is_unreadable(fields: str) -> None:
    assert bank_qr.read(checked(BODY)) == CODE
    with pytest.raises(errors.RemoteGarbled):
        bank_qr.read(checked(fields))


def test_check_digits_in_small_letters_are_not_the_form_of_the_page() -> None:
    with pytest.raises(errors.RemoteGarbled):
        bank_qr.read(VECTOR[:-4] + VECTOR[-4:].lower())


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"bank": "97041"}, "bank"),
        ({"bank": "９７０４１５"}, "bank"),
        ({"account": ""}, "account"),
        ({"account": "1" * 20}, "account"),
        ({"amount_vnd": 0}, "amount_vnd"),
        ({"amount_vnd": -5}, "amount_vnd"),
        ({"note": "x" * 26}, "note"),
        ({"note": "lệ phí"}, "note"),
        ({"note": "a\nb"}, "note"),
    ],
)
def test_what_cannot_stand_in_a_code_is_named(changed: dict[str, Any], field: str) -> None:
    given = {"bank": "970415", "account": "1234567890", **changed}
    with pytest.raises(errors.InvalidRequest) as raised:
        bank_qr.text_of(bank_qr.BankCode(**given))
    assert [it.field for it in raised.value.problems] == [field]


# ---------------------------------------------------------------------------------------------------- pictures


def modules(png: bytes) -> list[list[int]]:
    """Read the dark and light squares out of a PNG of one bit a pixel."""
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    assert (depth, colour) == (1, 0)
    parts = re.findall(rb"IDAT", png)
    start = png.index(b"IDAT")
    length = int.from_bytes(png[start - 4 : start], "big")
    assert len(parts) == 1
    rows = zlib.decompress(png[start + 4 : start + 4 + length])
    size = (width + 7) // 8 + 1
    assert all(rows[at * size] == 0 for at in range(height))
    return [[rows[y * size + 1 + x // 8] >> (7 - x % 8) & 1 for x in range(width)] for y in range(height)]


def test_the_picture_has_its_quiet_border_and_three_corners() -> None:
    picture = modules(bank_qr.png(VECTOR, scale=1))
    side = len(picture)
    assert side == len(picture[0])
    light = [1] * side
    assert picture[:4] == picture[-4:] == [light] * 4
    corner = [0, 0, 0, 0, 0, 0, 0]
    assert picture[4][4:11] == picture[4][-11:-4] == picture[-5][4:11] == corner
    assert picture[-5][-11:-4] != corner


def test_a_drawing_is_xml_of_the_same_size() -> None:
    drawing = bank_qr.svg(VECTOR, scale=1).decode()
    side = len(modules(bank_qr.png(VECTOR, scale=1)))
    assert f'width="{side}" height="{side}"' in drawing
    assert drawing.startswith("<?xml")


# --------------------------------------------------------------------------------------------------- connector


async def test_an_attempt_always_has_the_same_code_with_a_note_that_cannot_be_guessed(stage: Stage) -> None:
    started = await stage.connector.start(order())
    again = await stage.open().start(order())
    other = await stage.open(reference_key=KEY + ".").start(order())
    assert started == again
    code = bank_qr.read(started.qr_text)
    assert (code.bank, code.account, code.amount_vnd, code.is_dynamic) == ("970415", "1234567890", 150_000, True)
    assert code.note == started.provider_reference
    assert code.note.startswith(REFERENCE)
    assert other.provider_reference != code.note
    assert started.pay_url == ""
    assert not stage.sent


@given(reference=st.from_regex(r"[0-9A-Za-z]{6,20}", fullmatch=True))
def test_a_note_fits_and_holds_at_least_five_letters_of_ours(reference: str) -> None:
    note = auth.note(reference, KEY)
    assert re.fullmatch(r"[0-9A-Za-z]{25}", note)
    assert note.startswith(reference)
    assert note[len(reference) :] == auth.note(reference.upper(), KEY)[len(reference) :]


async def test_the_orders_own_beneficiary_comes_first_and_needs_a_bin(stage: Stage) -> None:
    named = order(beneficiary={"bank_code": "970436", "account": "0011"})
    assert bank_qr.read((await stage.connector.start(named)).qr_text).bank == "970436"
    with pytest.raises(errors.InvalidRequest):
        await stage.connector.start(order(beneficiary={"bank_code": "VCB", "account": "0011"}))


async def test_without_a_key_nothing_is_started(stage: Stage) -> None:
    for key in ("", "short"):
        with pytest.raises(errors.Misconfigured):
            await stage.open(reference_key=key).start(order())


async def test_nobody_calls_back_and_nobody_is_asked(stage: Stage) -> None:
    for asked in (stage.connector.query(order()), stage.connector.receipt(order())):
        with pytest.raises(errors.NotOffered):
            await asked
    with pytest.raises(errors.NotOffered):
        await stage.connector.refund(refund(created_at=NOW))
    with pytest.raises(errors.NotOffered):
        stage.connector.read_callback(got("a=1"))
    assert stage.connector.reply(got("a=1"), "forged").status == 404
    assert [it.ok for it in await stage.connector.check()] == [True]
    assert KEY not in repr(stage.connector._settings)


# ----------------------------------------------------------------------------------------------------- command


def run(*words: str) -> Any:
    return CliRunner().invoke(main.app, ["vietqr", *words])


def test_the_command_prints_the_text_and_draws_it(tmp_path: Path) -> None:
    png, svg = tmp_path / "code.png", tmp_path / "code.svg"
    done = run(
        *("--bank", "970415", "--account", "1234567890", "--amount", "150000", "--note", REFERENCE),
        *("--png", str(png), "--svg", str(svg)),
    )
    assert (done.exit_code, done.stdout) == (0, VECTOR + "\n")
    assert png.read_bytes() == bank_qr.png(VECTOR)
    assert svg.read_bytes() == bank_qr.svg(VECTOR)


def test_without_an_amount_the_code_is_static_and_accents_are_taken_off() -> None:
    done = run("--bank", "970415", "--account", "1234567890", "--note", "Lệ phí đợt 2", "--json")
    code = bank_qr.read(json.loads(done.stdout)["text"])
    assert (code.is_dynamic, code.amount_vnd, code.note) == (False, None, "Le phi dot 2")


@pytest.mark.parametrize(
    "words",
    [
        ("--account", "1"),
        ("--bank", "9704", "--account", "1"),
        ("--bank", "970415", "--account", "1", "--amount", "0"),
        ("--bank", "970415", "--account", "1", "--amount", "1.5"),
        ("--bank", "970415", "--account", "1", "--note", "x" * 26),
    ],
)
def test_wrong_usage_ends_with_two(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.exit_code, done.stdout) == (2, "")


def test_a_picture_that_cannot_be_written_ends_with_one(tmp_path: Path) -> None:
    done = run("--bank", "970415", "--account", "1", "--png", str(tmp_path / "no" / "code.png"))
    assert (done.exit_code, done.stdout) == (1, "")
