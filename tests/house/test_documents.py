"""What the documents say of the program is true: settings, commands, error codes, links, docker/."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer.main
import yaml
from pydantic import BaseModel

from lienthong.bus import outbox, targets
from lienthong.bus.flows import postal_states, reconciliation_states
from lienthong.connectors import registry
from lienthong.console.cli import main
from lienthong.core import errors, settings
from lienthong.monitoring import event_alerts
from lienthong.monitoring.detectors import findings

ROOT = Path(__file__).parents[2]
READMES = (ROOT / "README.md", ROOT / "README.vi.md")
RUNNING = ROOT / "docs" / "running.md"
ON_CALL = ROOT / "docs" / "on-call.md"
COMPOSE = ROOT / "docker" / "compose.yml"
EXAMPLE = ROOT / "docker" / "env.example"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("docker/*.md"),
        *ROOT.glob("lienthong/**/README.md"),
    ]
)
ROW = re.compile(r"^\| `(LIENTHONG_[A-Z0-9_]+)` \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:^|[`(]|\s)lienthong((?: --?[a-z-]+(?: <[^>]*>| [^\s`-]\S*)?)*(?: [a-z-]+)+)")


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def sections(model: type[BaseModel], prefix: str = "LIENTHONG") -> Iterator[tuple[str, str, str]]:
    """Give name, default and description of every setting that the program declares."""
    for name, field in model.model_fields.items():
        path = f"{prefix}_{name.upper()}" if prefix == "LIENTHONG" else f"{prefix}__{name.upper()}"
        kind = next((part for part in (field.annotation, *get_args(field.annotation)) if _is_section(part)), None)
        value = field.get_default(call_default_factory=True)
        if name == "systems":
            continue
        if kind is not None:
            yield from sections(kind, path)
        elif isinstance(value, dict) and value:
            yield from (
                (f"{path}__{key.upper()}", shown(item), field.description or "") for key, item in value.items()
            )
        else:
            yield path, shown(value), field.description or ""


def _is_section(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


def shown(value: Any) -> str:
    """Write a default as it stands in the table."""
    if value is None or value in ("", (), {}):
        return ""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def of_connectors() -> Iterator[str]:
    for contract, entry in registry.CONNECTORS.items():
        for name in entry.settings.model_fields:
            yield f"LIENTHONG_SYSTEMS__{contract.upper()}__{name.upper()}"


def test_the_settings_table_says_what_the_code_says() -> None:
    told = {name: (default.strip("`"), meaning) for name, default, _, meaning in ROW.findall(text(RUNNING))}
    declared = {
        name: (default, meaning.replace("|", "·")) for name, default, meaning in sections(settings.Settings)
    }
    assert told == declared, "put the table in docs/running.md right: python tests/house/test_documents.py"


def test_every_setting_is_explained_in_vietnamese() -> None:
    assert [name for name, _, vietnamese, _ in ROW.findall(text(RUNNING)) if not vietnamese.strip()] == []


def states() -> Iterator[str]:
    """Give every state, question, rule and event that the desks, the commands and the alerts can show."""
    yield from (*outbox.UNFINISHED, "delivered", "dropped")
    yield from (targets.ACTIVE, targets.SUSPENDED, targets.PAUSED)
    yield from (*findings.RULES, *event_alerts.KINDS)
    words = ROOT / "lienthong" / "console" / "web" / "words"
    for name in ("sync_states", "key_states", "payment_states", "payment_kinds", "refund_states", "parcel_kinds"):
        yield from yaml.safe_load(text(words / f"{name}.yml"))
    yield from reconciliation_states.KINDS_VI
    yield from get_args(postal_states.State)


def test_whoever_is_on_call_finds_every_state_and_what_to_do() -> None:
    told = set(re.findall(r"`([a-z_.]+)`", text(ON_CALL)))
    assert sorted(set(states()) - told) == []


def example_names() -> dict[str, str]:
    found = re.findall(r"^(?:# )?(LIENTHONG_[A-Z0-9_]+)=(.*)$", text(EXAMPLE), re.MULTILINE)
    return dict(found)


def test_the_example_environment_holds_every_setting() -> None:
    wanted = {name for name, _, _ in sections(settings.Settings)} | set(of_connectors())
    assert wanted - example_names().keys() == set()


def test_the_example_environment_is_accepted_and_gives_the_defaults() -> None:
    named = {name: value for name, value in example_names().items() if not name.endswith("_FILE")}
    named.pop("LIENTHONG_KEYS__MASTER_KEY")
    named.pop("LIENTHONG_HOLIDAYS")
    loaded, plain = settings.load(named), settings.load({})
    filled = {"agency", "keys", "systems"}
    assert loaded.model_dump(exclude=filled) == plain.model_dump(exclude=filled)
    for contract, section in loaded.systems.items():
        registry.settings_class(contract).model_validate(section)


def test_files_in_the_example_are_settings_too() -> None:
    wanted = {name for name, _, _ in sections(settings.Settings)} | set(of_connectors())
    files = {name for name in example_names() if name.endswith("_FILE") and name not in wanted}
    assert {name.removesuffix("_FILE") for name in files} <= wanted


def test_the_compose_file_names_only_settings(tmp_path: Path) -> None:
    services: dict[str, Any] = yaml.safe_load(text(COMPOSE))["services"]
    for name, service in services.items():
        given = {
            key: value for key, value in service.get("environment", {}).items() if key.startswith("LIENTHONG_")
        }
        for key in given:
            secret = tmp_path / key
            secret.write_text("0" * 64)
            given[key] = str(secret)
        assert settings.load(given), name


def test_the_compose_file_agrees_with_itself() -> None:
    told: dict[str, Any] = yaml.safe_load(text(COMPOSE))
    for name, service in told["services"].items():
        assert set(service.get("secrets", ())) <= told["secrets"].keys(), name
        assert set(service.get("networks", ())) <= told["networks"].keys(), name
        assert set(service.get("depends_on", ())) <= told["services"].keys(), name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} must not be open to everybody"
        roles = service.get("command", [])
        if roles[:2] == ["serve", "--role"]:
            assert roles[2] in ("gateway", "console", "worker", "beat")


def commands_of(page: str) -> set[str]:
    """Find the commands in a page's code: `lienthong keys issue …` gives `keys issue`."""
    code = re.findall(r"`([^`\n]+)`", page) + re.findall(r"^ {4}\S.*$", page, re.MULTILINE)
    found = set()
    for line in code:
        for words in COMMAND.findall(line):
            found.add(words.strip())
    return found


def command_named(words: str) -> bool:
    """Whether the program knows a command by these words, as far as they are words of commands."""
    group: Any = typer.main.get_command(main.app)
    parts = iter(words.split())
    for word in parts:
        if word == "--config":
            next(parts, None)
            continue
        if not hasattr(group, "commands"):
            options = {option for param in group.params for option in param.opts}
            return {part for part in words.split() if part.startswith("--")} <= options | {"--config"}
        if word not in group.commands:
            return False
        group = group.commands[word]
    return True


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name
)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    assert [words for words in sorted(commands_of(text(page))) if not command_named(words)] == []


def table_commands(page: str) -> list[str]:
    rows = re.findall(r"^\| (`(?:lienthong|make)[^|]*) \|", page, re.MULTILINE)
    return [part for row in rows for part in re.findall(r"`([^`]+)`", row)]


def test_both_readmes_name_the_same_commands() -> None:
    first, second = (table_commands(text(page)) for page in READMES)
    assert first
    assert first == second


def every_command(group: Any, path: str) -> Iterator[str]:
    for name in group.commands:
        below, here = group.commands[name], f"{path} {name}"
        yield from every_command(below, here) if hasattr(below, "commands") else (here,)


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_readmes_name_every_command(page: Path) -> None:
    rows = re.findall(r"^\| (`lienthong [^|]*) \|", text(page), re.MULTILINE)
    named = set(re.findall(r"`([^`]+)`", " ".join(rows)))
    named |= {f"{row.split('`')[1]} {name}" for row in rows for name in row.rpartition("` ")[2].split(", ")}
    assert sorted({*every_command(typer.main.get_command(main.app), "lienthong")} - named) == []


def test_the_readmes_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), re.MULTILINE))
    for page in READMES:
        assert set(re.findall(r"`make ([a-z-]+)", text(page))) <= targets


def all_errors(kind: type[errors.HubError] = errors.HubError) -> Iterator[type[errors.HubError]]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("lienthong."):
            yield child
            yield from all_errors(child)


def test_every_error_code_is_explained_to_operators() -> None:
    page = text(RUNNING)
    declared = {kind.code for kind in all_errors() if kind.__module__ == errors.__name__}
    abstract = {errors.CallerError.code, errors.RemoteError.code, errors.HubFault.code, errors.MappingError.code}
    assert sorted(code for code in declared - abstract if f"`{code}`" not in page) == []


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as code hosts make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", text(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", plain).strip()))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_documents_resolve(page: Path) -> None:
    broken = []
    for link in LINK.findall(text(page)):
        place, _, anchor = link.partition("#")
        if "://" in place or place.startswith("mailto:"):
            continue
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_pictures_are_there() -> None:
    for page in READMES:
        for place in re.findall(r'!\[[^\]]*\]\(([^)]+)\)|<img[^>]+src="([^"]+)"', text(page)):
            assert (ROOT / next(filter(None, place))).exists()


def test_every_library_is_named_with_its_reason() -> None:
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    page = text(ROOT / "docs" / "decisions" / "0007-dependencies.md")
    assert [name for name in wanted if f"`{name.partition('[')[0]}`" not in page] == []


def test_every_decision_is_listed() -> None:
    index = text(ROOT / "docs" / "README.md")
    assert [
        path.name for path in ROOT.glob("docs/decisions/*.md") if f"(decisions/{path.name})" not in index
    ] == []


def rewrite() -> None:
    """Write the settings table anew; what stands in Vietnamese is kept."""
    page = text(RUNNING)
    kept = {name: vietnamese for name, _, vietnamese, _ in ROW.findall(page)}
    rows = "\n".join(
        f"| `{name}` | {f'`{default}`' if default else ''} | {kept.get(name, '')} | {meaning.replace('|', '·')} |"
        for name, default, meaning in sections(settings.Settings)
    )
    head = "| Tên | Mặc định | Nghĩa | In English |\n|---|---|---|---|"
    table = f"<!-- settings -->\n{head}\n{rows}\n<!-- /settings -->"
    done = re.sub(r"<!-- settings -->.*<!-- /settings -->", lambda _: table, page, flags=re.DOTALL)
    RUNNING.write_text(done, encoding="utf-8")


if __name__ == "__main__":
    rewrite()
