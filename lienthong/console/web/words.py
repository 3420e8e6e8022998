"""Every text of the desks, by key, in Vietnamese and English; one file for what belongs together."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

LANGUAGES = ("vi", "en")
_FOLDER = resources.files("lienthong.console.web").joinpath("words")


@functools.cache
def every() -> Mapping[str, Mapping[str, str]]:
    """Read all texts: `accounts.title` is `title` in `accounts.yml`, with one text for each language."""
    found: dict[str, Mapping[str, str]] = {}
    for file in sorted(_FOLDER.iterdir(), key=lambda path: path.name):
        if file.name.endswith(".yml"):
            area = file.name.removesuffix(".yml")
            told: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            found |= {f"{area}.{name}": texts for name, texts in told.items()}
    return found


class Words:
    """The texts in one language; call it with a key and the facts of the sentence."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else LANGUAGES[0]

    def __call__(self, key: str, **facts: Any) -> str:
        """Give a text. Raises KeyError for a key that is nowhere: a page must not be half told."""
        text = every()[key][self.language]
        return text.format(**facts) if facts else text

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in every()

    def of(self, area: str, name: str) -> str:
        """Give the word for a code (`states`, `active`), or the code itself where it has none."""
        key = f"{area}.{name.replace('.', '_')}"
        return self(key) if self.has(key) else name
