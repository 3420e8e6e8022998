"""Sealing, digests and the master key."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lienthong.core import crypto, errors

VAULT = crypto.Vault.from_master(bytes(range(32)))


def test_what_is_sealed_for_a_purpose_opens_for_that_purpose() -> None:
    sealed = VAULT.seal("Trần Thị Ví Dụ".encode(), purpose="dossier")
    assert VAULT.open(sealed, purpose="dossier").decode() == "Trần Thị Ví Dụ"


def test_a_value_sealed_for_one_column_does_not_open_in_another() -> None:
    sealed = VAULT.seal(b"x", purpose="dossier")
    with pytest.raises(errors.StorageUnavailable):
        VAULT.open(sealed, purpose="message")


def test_a_sealed_value_shows_nothing_and_is_never_the_same_twice() -> None:
    first, second = (VAULT.seal(b"001099000001", purpose="dossier") for _ in range(2))
    assert first != second
    assert b"001099000001" not in first


@pytest.mark.parametrize("where", [0, 1, 5, 13, -1])
def test_one_changed_byte_keeps_a_value_shut(where: int) -> None:
    sealed = bytearray(VAULT.seal(b"0123456789", purpose="dossier"))
    sealed[where] ^= 1
    with pytest.raises(errors.StorageUnavailable):
        VAULT.open(bytes(sealed), purpose="dossier")


@pytest.mark.parametrize("length", [0, 1, 2, 8, 13, 20])
def test_a_value_cut_short_is_a_named_error(length: int) -> None:
    with pytest.raises(errors.StorageUnavailable):
        VAULT.open(VAULT.seal(b"0123456789", purpose="dossier")[:length], purpose="dossier")


def test_another_master_key_opens_nothing_and_makes_other_digests() -> None:
    other = crypto.Vault.from_master(bytes(32))
    with pytest.raises(errors.StorageUnavailable):
        other.open(VAULT.seal(b"x", purpose="dossier"), purpose="dossier")
    assert other.digest(b"x", purpose="key") != VAULT.digest(b"x", purpose="key")


def test_a_digest_depends_on_value_and_purpose_only() -> None:
    digest = VAULT.digest(b"x", purpose="key")
    assert digest == crypto.Vault.from_master(bytes(range(32))).digest(b"x", purpose="key")
    assert len({digest, VAULT.digest(b"y", purpose="key"), VAULT.digest(b"x", purpose="citizen")}) == 3
    assert (len(digest), digest == digest.lower()) == (64, True)


def test_a_purpose_does_not_run_over_into_the_value() -> None:
    assert VAULT.digest(b"bc", purpose="a") != VAULT.digest(b"c", purpose="ab")


def test_secrets_are_compared_whatever_their_letters() -> None:
    assert crypto.is_same("khoá", "khoá")
    assert not crypto.is_same("khoá", "khoa")


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_master_key_of_another_length_stops_the_start(length: int) -> None:
    with pytest.raises(errors.Misconfigured) as caught:
        crypto.Vault.from_master(bytes(length))
    assert "32 byte" in caught.value.detail("vi")


def test_the_master_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    made = crypto.load_or_create_master(path, create=True)
    assert crypto.load_or_create_master(path, create=True) == made == path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_master_key_is_not_made_where_it_must_exist(tmp_path: Path) -> None:
    with pytest.raises(errors.Misconfigured) as caught:
        crypto.load_or_create_master(tmp_path / "master.key", create=False)
    assert "lienthong init" in caught.value.detail("vi")
    assert not list(tmp_path.iterdir())


def test_a_draft_that_a_killed_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    for number in (1, 7):
        (tmp_path / f"master.key.{number}").touch()
    assert len(crypto.load_or_create_master(path, create=True)) == crypto.MASTER_KEY_BYTES


def test_processes_that_start_together_end_with_the_same_key(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from lienthong.core import crypto; sys.stdin.read()\n"
        "print(crypto.load_or_create_master(pathlib.Path(sys.argv[1]), create=True).hex())"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "master.key")]
    pipe = subprocess.PIPE
    starting = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    for each in starting:
        assert each.stdin is not None
        each.stdin.close()
        each.stdin = None
    assert len({each.communicate(timeout=120)[0] for each in starting}) == 1
    assert [each.returncode for each in starting] == [0, 0, 0]
