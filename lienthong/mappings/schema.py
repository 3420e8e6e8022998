"""The shape of a mapping file: which names stand where, what is left out and why. Strict; no expressions."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lienthong.core import errors

try:  # ten times as quick, and read at every start of every process; not on every machine
    from yaml import CSafeLoader as _Loader
except ImportError:
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]  # the same, in Python


class Part(BaseModel):
    """What all parts of a mapping file share: they cannot be changed, and an unknown word is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class FieldSpec(Part):
    """How one field of a record is spelled over there, and back.

    Exactly one of these forms: a transform (`as`), a code list (`codes`), a list of shapes (`items`), one shape
    or nothing (`one`), a shape at the same level (`inline`), a list of one-key objects (`each`), or a named pair
    (`pair`) for values made of several fields.
    """

    wire: tuple[str, ...] = Field(default=(), description="names over there; a dot goes one object deeper")
    record: tuple[str, ...] = Field(default=(), description="paths in our record")
    uses: tuple[str, ...] = Field(default=(), description="paths that a pair reads and another field carries")
    transform: str | None = Field(default=None, alias="as")
    many: bool = Field(default=False, description="a list of such values")
    codes: str | None = None
    items: str | None = None
    one: str | None = None
    inline: str | None = None
    each: str | None = None
    pair: str | None = None
    keys: tuple[str, ...] = ()
    ignored_keys: tuple[str, ...] = ()
    required: Literal["always", "after_reception", "never"] = "never"
    max: int | None = None
    cut: bool = False
    blame: str | None = Field(default=None, description="the field that a caller can change about it")
    text_to: str | None = Field(default=None, description="where text goes that cannot be read as the field")
    unmapped: Literal["raise", "report"] = "raise"
    watch_blanks: bool = False
    remark: str = ""
    line: int = 0

    @field_validator("wire", "record", "uses", "keys", "ignored_keys", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Ignored(Part):
    """A field of theirs that is received and left, and why. `empty`: it has always been empty so far."""

    reason: str = Field(min_length=3)
    empty: bool = False


class NotSent(Part):
    """A field of ours that the other side does not know, and why; `read_as` is what it gets on reading."""

    reason: str = Field(min_length=3)
    read_as: Any = None


class CodeList(Part):
    """Their codes and our words, one to one, without a default.

    `also`: further spellings that are read and never written. `fold`: spelling is compared without regard to
    case and outer blanks.
    """

    values: dict[str, str | bool]
    also: dict[str, str | bool] = {}
    fold: bool = False


class MessageSpec(Part):
    """One message, or one shape that messages are made of."""

    record: str
    fields: tuple[FieldSpec, ...]
    not_sent: dict[str, NotSent] = {}
    ignored: dict[str, Ignored] = {}
    unknown: Literal["raise", "report"] = "raise"
    status: str | None = Field(default=None, description="path of the status that `after_reception` looks at")
    caller_root: str = Field(default="", description="part of the path that a caller does not see")
    bare: str | None = Field(default=None, description="field that takes a row given as mere text")

    @field_validator("ignored", "not_sent", mode="before")
    @classmethod
    def _reason_alone(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {"reason": it} if isinstance(it, str) else it for name, it in value.items()}


class Example(Part):
    """One record beside what goes over the wire; `also_read` are further spellings of the same record."""

    message: str
    title: str
    record: dict[str, Any]
    wire: dict[str, Any]
    also_read: tuple[dict[str, Any], ...] = ()


class Authority(Part):
    """Who asks for what the file calls required."""

    vi: str
    en: str


class MappingSpec(Part):
    """A whole mapping file."""

    contract: str
    title: str
    authority: Authority
    envelope: dict[str, str] = {}
    services: dict[str, str] = {}
    refused: dict[str, str] = Field(default={}, description="operations over there that policy refuses, and why")
    codes: dict[str, CodeList] = {}
    messages: dict[str, MessageSpec]
    examples: tuple[Example, ...] = ()


class _Lines(_Loader):
    """Reads YAML, remembers the line of each entry under `fields`, and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands twice", key.start_mark)
            seen.add(key.value)
        found = super().construct_mapping(node, deep=deep)
        if "wire" in found and ("record" in found or "uses" in found) and "message" not in found:
            found["line"] = node.start_mark.line + 1
        return found


def read(path: Path) -> MappingSpec:
    """Read one mapping file. Raises Misconfigured naming the file and the place."""
    try:
        with path.open(encoding="utf-8") as file:
            content = yaml.load(file, Loader=_Lines)  # noqa: S506  (_Lines is a SafeLoader)
        spec = MappingSpec.model_validate(content)
    except (OSError, yaml.YAMLError) as error:
        raise errors.Misconfigured(f"{path.name}: {error}", file=path.name) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise errors.Misconfigured(f"{path.name}: {place}: {first['msg']}", file=path.name) from error
    if spec.contract != path.stem:
        raise errors.Misconfigured(f"{path.name}: contract must be {path.stem}", file=path.name)
    return spec
