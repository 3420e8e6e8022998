"""The borders of the house: who may catch all, print, read the environment, and speak another system's words."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ROOT / "lienthong"
CONNECTORS = HOUSE / "connectors"
SYSTEMS = HOUSE / "mappings" / "systems"

# The only places that catch whatever comes; everywhere else an error has a name.
CATCH_ALL = {
    "lienthong/bus/gateway/front.py": "the entry of a call: nobody gets a traceback, the journal gets its row",
    "lienthong/bus/jobs.py": "the run of a task: the timetable goes on",
    "lienthong/bus/delivery.py": "the run of a task: a defect with one message must not stop the others",
    "lienthong/console/beside.py": "the run of a task: record, seals and dispatcher last as the door does",
    "lienthong/bus/worker.py": "the loop of the watcher: a broker that is away costs one tick",
}
PRINTERS = ("lienthong/console/", "lienthong/sandbox/__main__.py")
READERS_OF_ENVIRONMENT = ("lienthong/bus/worker.py", "lienthong/console/")
# Packages whose __init__ is more than a docstring.
WITH_CODE = {
    "lienthong/core/migrations/__init__.py": "2026-11-21: the module `migrations`, its steps beside it",
}
CONTRACTS = sorted(path.stem for path in SYSTEMS.glob("*.yml"))


@cache
def trees() -> dict[str, ast.Module]:
    paths = sorted(path for path in HOUSE.rglob("*.py") if "versions" not in path.parts)
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def handlers(kind: str) -> Iterator[tuple[str, ast.ExceptHandler]]:
    """Give every handler that names an exception, or for `bare` none."""
    for name, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                caught = [part.id for part in ast.walk(node.type or node) if isinstance(part, ast.Name)]
                if kind in (caught if node.type else ["bare"]):
                    yield f"{name}:{node.lineno}", node


def calls(*names: str) -> Iterator[str]:
    """Give every place that uses one of these names, outside what runs as a tool of the developer."""
    for name, tree in trees().items():
        for node in tree.body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
                continue
            for part in ast.walk(node):
                if isinstance(part, ast.Name | ast.Attribute) and ast.unparse(part) in names:
                    yield f"{name}:{part.lineno}"


def test_only_three_kinds_of_place_catch_whatever_comes() -> None:
    found = [where for where, _ in handlers("Exception") if where.partition(":")[0] not in CATCH_ALL]
    found += [where for where, _ in handlers("bare")]
    assert not found, f"name the errors, or let them reach the entry (CATCH_ALL): {found}"


def test_every_place_that_may_catch_all_still_does() -> None:
    places = {where.partition(":")[0] for where, _ in handlers("Exception")}
    assert places == set(CATCH_ALL), "CATCH_ALL must name exactly the places there are"


def test_who_catches_even_a_cancellation_raises_again() -> None:
    silent = [where for where, node in handlers("BaseException") if not isinstance(node.body[-1], ast.Raise)]
    assert not silent, f"`except BaseException` must end in `raise`: {silent}"


def test_nothing_is_suppressed_wholesale() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress")
        if {"Exception", "BaseException"} & {ast.unparse(arg) for arg in node.args}
    ]
    assert not found, f"name what is suppressed: {found}"


def test_only_the_console_and_the_sandbox_print() -> None:
    found = [where for where in calls("print") if not where.startswith(PRINTERS)]
    assert not found, f"write to the log, or raise an error that says it: {found}"


def test_only_the_edges_read_the_environment() -> None:
    names = ("os.environ", "os.getenv", "os.environb")
    found = [where for where in calls(*names) if not where.startswith(READERS_OF_ENVIRONMENT)]
    assert not found, f"take settings as an argument; they are read once, at the start: {found}"


def test_every_module_says_what_it_is() -> None:
    silent = [name for name, tree in trees().items() if not ast.get_docstring(tree)]
    assert not silent, f"begin with a docstring of one to three lines: {silent}"


def test_the_first_file_of_a_package_says_what_lives_there_and_nothing_else() -> None:
    folders = {path.parent for path in HOUSE.rglob("*.py") if path.parent.name != "versions"}
    bare = [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file()]
    assert not bare, f"give the folder an __init__.py with a docstring: {bare}"
    busy = [name for name, tree in trees().items() if name.endswith("__init__.py") and len(tree.body) > 1]
    assert set(busy) <= set(WITH_CODE), f"move the code into a module with a name: {busy}"


# ----------------------------------------------------------------------------------------------- foreign words


# Words of theirs that anybody may say: English ones, and what everybody calls the thing.
ORDINARY_WORDS = {"Count", "Member", "Message", "Status", "TechID"}


def foreign_words() -> set[str]:
    """Collect the names that only another system uses: those of the mapping files that could not be ours."""
    found: set[str] = set()
    for contract in CONTRACTS:
        mapping = yaml.safe_load((SYSTEMS / f"{contract}.yml").read_text(encoding="utf-8"))
        found |= {*mapping.get("envelope", {}).values(), *mapping.get("services", {}).values()}
        found |= set(_wire_names(mapping.get("messages", {})))
    found -= ORDINARY_WORDS
    return {word for word in found if re.fullmatch(r"\w{5,}", word) and re.search(r"[A-Z]", word)}


def _wire_names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "wire" and isinstance(value, str):
                yield from re.split(r"\W+", value)
            elif key == "ignored" and isinstance(value, dict):
                yield from (part for name in value for part in re.split(r"\W+", name))
            yield from _wire_names(value)
    elif isinstance(node, list):
        for item in node:
            yield from _wire_names(item)


def test_the_mapping_files_have_words_to_look_for() -> None:
    assert {"MaHoSo", "TrangThaiHoSo", "MATTHC", "submissionMethod"} <= foreign_words()


# A door whose whole purpose is to take in what others spell that way.
COMPATIBILITY_DOOR = HOUSE / "bus" / "gateway" / "compat.py"


def test_foreign_field_names_stand_only_at_the_border() -> None:
    foreign = foreign_words()
    found = []
    for path in sorted((*HOUSE.rglob("*.py"), *HOUSE.rglob("*.lua"))):
        if path.is_relative_to(HOUSE / "sandbox") or path == COMPATIBILITY_DOOR:
            continue
        if path.parent.parent == CONNECTORS and path.name == "wire.py":
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if words := foreign & set(re.findall(r"\w+", line)):
                found.append(f"{path.relative_to(ROOT)}:{number} {sorted(words)}")
    assert not found, "spell it in mappings/systems/*.yml and use our own word here:\n" + "\n".join(found)


# -------------------------------------------------------------------------------------------------- connectors


def import_contracts() -> dict[str, dict[str, Any]]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return {contract["name"]: contract for contract in contracts["contracts"]}


def test_each_contract_has_a_folder_and_each_folder_a_mapping_file() -> None:
    folders = sorted(path.name for path in CONNECTORS.iterdir() if (path / "__init__.py").is_file())
    assert folders == CONTRACTS, "connectors/<contract>/ and mappings/systems/<contract>.yml go together"


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("file", ["__init__.py", "connector.py", "auth.py", "wire.py", "README.md"])
def test_a_connector_has_its_five_files(contract: str, file: str) -> None:
    path = CONNECTORS / contract / file
    assert path.is_file(), f"add {file}: see house.md, a connector"
    assert path.read_text(encoding="utf-8").strip(), f"{path} is empty"


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_connector_has_its_line_in_the_registry(contract: str) -> None:
    registry = (CONNECTORS / "registry.py").read_text(encoding="utf-8")
    assert re.search(rf'^    "{contract}": ', registry, re.MULTILINE), f"add {contract} to CONNECTORS"


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_connector_has_an_imitation_in_the_sandbox(contract: str) -> None:
    sandbox = "".join(path.read_text(encoding="utf-8") for path in (HOUSE / "sandbox").glob("*.py"))
    assert f'"{contract}"' in sandbox, f"the sandbox must answer under /{contract}/"


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_connector_is_a_stranger_to_the_others_and_to_the_house(contract: str) -> None:
    module = f"lienthong.connectors.{contract}"
    contracts = import_contracts()
    assert module in contracts["Connectors are strangers to each other"]["modules"]
    assert module in contracts["Only the registry opens a connector's folder"]["forbidden_modules"]


def test_what_connectors_share_may_not_open_their_folders() -> None:
    shared = {f"lienthong.connectors.{path.stem}" for path in CONNECTORS.glob("*.py")}
    shared -= {"lienthong.connectors.__init__", "lienthong.connectors.registry"}
    listed = set(import_contracts()["Only the registry opens a connector's folder"]["source_modules"])
    assert shared <= listed, f"add to that contract in pyproject.toml: {sorted(shared - listed)}"
