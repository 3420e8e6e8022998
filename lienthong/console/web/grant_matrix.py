"""Grants as people read them: every right there is by group, and through what a key has it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from lienthong.api_keys import grants
from lienthong.bus import operations
from lienthong.console.web.words import Words

SERVICES = "service"
_OPERATIONS = {it.name: it for it in operations.OPERATIONS}


@dataclass(frozen=True, slots=True)
class Right:
    """One right: its grant, its short name, what it is, and the grant through which it is held, if it is."""

    grant: str
    name: str
    about: str
    through: str | None
    is_personal: bool = False
    is_special: bool = False

    @property
    def is_held(self) -> bool:
        """Whether it is held at all."""
        return self.through is not None

    @property
    def is_named(self) -> bool:
        """Whether it is held by its own name, not through a wider grant."""
        return self.through == self.grant


@dataclass(frozen=True, slots=True)
class Group:
    """Rights that belong together, and the grant that stands for all of them."""

    name: str
    whole: Right
    rights: tuple[Right, ...]

    @property
    def word(self) -> str:
        """Give the name as the words have it."""
        return self.name.replace(":", "_")


def matrix(held: Collection[str], words: Words) -> list[Group]:
    """Give every right there is but those of services, by group."""
    by_group: dict[str, list[str]] = {}
    for name in sorted({*operations.NAMES, *grants.EXTRA}):
        by_group.setdefault(name.partition(".")[0], []).append(name)
    for name in grants.FIELD_GROUPS:
        by_group.setdefault(grants.FIELDS + name.partition(".")[0], []).append(grants.FIELDS + name)
    return [
        Group(
            group,
            _right(f"{group}.*", held, words),
            tuple(_right(name, held, words) for name in names),
        )
        for group, names in by_group.items()
    ]


def services(held: Iterable[str]) -> list[str]:
    """Give the grants of published services among those that are held."""
    return sorted(name for name in held if name.startswith(grants.SERVICE))


def about(name: str, words: Words) -> str:
    """Say what a grant opens."""
    operation = _OPERATIONS.get(name)
    if operation is not None:
        return operation.summary_en if words.language == "en" else operation.summary_vi
    if name.startswith(grants.FIELDS) and not name.endswith("*"):
        return words.of("field_groups", name.removeprefix(grants.FIELDS))
    known = {grants.ALL: "grants.everything", grants.ANY_ORGANISATION: "grants.any_organisation"}
    if name in known:
        return words(known[name])
    return words("grants.whole_group" if name.endswith(".*") else "grants.service")


def told(operation: str, words: Words) -> str:
    """Say what an operation does; one that this hub does not know keeps its name."""
    return about(operation, words) if operation in _OPERATIONS else operation


def _right(name: str, held: Collection[str], words: Words) -> Right:
    operation = _OPERATIONS.get(name)
    is_personal = operation.personal if operation else name.startswith(grants.FIELDS)
    short, through = name.partition(".")[2], grants.granted_by(held, name)
    return Right(name, short, about(name, words), through, is_personal, name in grants.EXTRA)
