"""What is committed can be given to anybody: no addresses of this workplace, no keys, no copies of shared data."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lienthong.api_keys import key_text

ROOT = Path(__file__).resolve().parents[2]
SHARED_DATA = Path(os.environ.get("LIENTHONG_SHARED_DATA") or ROOT.parent / "shared" / "data")
LARGEST_BYTES = 1_000_000
SMALLEST_COPY_BYTES = 200

# Put together here, so that this file does not name what it looks for.
REGISTRIES = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("npmjs", "org"),
            ("npmjs", "com"),
            ("yarnpkg", "com"),
            ("proxy", "golang", "org"),
            ("crates", "io"),
            ("rubygems", "org"),
        )
    )
    + r"|--(?:extra-)?index-url[= ]+\w+://|\bindex-url\s*=\s*\w+://|://[^\s/]+/(?:[^\s/]+/)*simple/?(?:\s|$)"
)
MACHINE_PATHS = re.compile(r"(?<![\w.}~-])/(?:work|root|home|Users)/\w")
KEYS = re.compile(r"\blt_(?:live|test)_[0-9A-Za-z]{49}\b")


@cache
def committed() -> tuple[Path, ...]:
    """List what git knows, as it lies in the folder now."""
    try:
        command = ["git", "-C", str(ROOT), "ls-files", "-z"]
        listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout: nothing is committed here")
    return tuple(ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file())


def lines() -> Iterator[tuple[str, str]]:
    """Give each line of each text file with where it stands."""
    for path in committed():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            yield f"{path.relative_to(ROOT)}:{number}", line


def test_nothing_names_the_host_of_a_package_registry() -> None:
    found = [where for where, line in lines() if REGISTRIES.search(line)]
    assert not found, f"leave the choice of a registry to the machine: {found}"


def test_nothing_names_a_folder_of_one_machine() -> None:
    found = [where for where, line in lines() if MACHINE_PATHS.search(line)]
    assert not found, f"write a path that holds everywhere, relative to the project: {found}"


def test_no_key_that_could_be_real_is_committed() -> None:
    found = [where for where, line in lines() for key in KEYS.findall(line) if key_text.is_well_formed(key)]
    assert not found, f"revoke the key, then take it out, also of the history: {found}"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_carry_a_hash_for_each_library_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    pinned = re.findall(r"^([\w.\[\]-]+==[^\s;\\]+)((?:.*\\\n)+.*)", text, re.MULTILINE)
    assert pinned
    assert len(pinned) == len(re.findall(r"^\w", text, re.MULTILINE)), "run `make lock`: not all are pinned"
    bare = [library for library, rest in pinned if not re.search(r"--hash=sha256:[0-9a-f]{64}", rest)]
    assert not bare, f"run `make lock`: no hash for {bare}"
    assert "://" not in text, "run `make lock`: a lock file holds an address"


def test_no_committed_file_is_large() -> None:
    found = [str(path.relative_to(ROOT)) for path in committed() if path.stat().st_size > LARGEST_BYTES]
    assert not found, f"over 1 MB; generate it, or let the tests reach it where it lies: {found}"


def test_nothing_is_a_copy_of_shared_data() -> None:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the shared data is not here: {SHARED_DATA}")
    by_size: dict[int, list[Path]] = {}
    for path in (path for path in SHARED_DATA.rglob("*") if path.is_file()):
        by_size.setdefault(path.stat().st_size, []).append(path)
    found = []
    for path in committed():
        size = path.stat().st_size
        alike = by_size.get(size, []) if size >= SMALLEST_COPY_BYTES else []
        if digest(path) in {digest(other) for other in alike}:
            found.append(str(path.relative_to(ROOT)))
    assert not found, f"read it from LIENTHONG_SHARED_DATA instead of copying it: {found}"


def digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes()).hexdigest()


def test_what_must_not_be_committed_would_be_found() -> None:
    host = ".".join(("files", "pythonhosted", "org"))
    assert REGISTRIES.search(f"https://{host}/packages/x.whl")
    assert REGISTRIES.search("--index-" + "url https://mirror.example.vn/")
    assert not REGISTRIES.search("uv pip compile --no-emit-index-url --no-header")
    assert MACHINE_PATHS.search("cd /" + "work/main")
    assert not MACHINE_PATHS.search("https://vi-du.vn/" + "home/x and ./" + "work/x")
    assert key_text.is_well_formed(KEYS.findall(f"x {key_text.new('live')} y")[0])
