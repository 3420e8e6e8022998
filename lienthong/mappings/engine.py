"""Loads mapping files and turns records into what goes over the wire, and back.

Every message is compiled once, when its file is loaded; nothing of the YAML is looked at afterwards.
"""

from __future__ import annotations

import functools
from operator import attrgetter
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from lienthong.core import errors, records
from lienthong.mappings import oddities, pairs, paths, reading, requiring, schema, soundness, writing

SYSTEMS = Path(__file__).parent / "systems"


class Message:
    """One message of a contract, in both directions."""

    def __init__(self, name: str, *, spec: schema.MappingSpec, contract: str) -> None:
        self.name = name
        self.contract = contract
        self.spec = spec.messages[name]
        self.record_class = paths.record_class(self.spec.record)
        self._who = spec.authority
        self._status = attrgetter(self.spec.status) if self.spec.status else None
        self._writers: list[writing.Writer] = []
        self._readers: list[reading.Reader] = []
        self._checks: list[requiring.Check] = []
        self._parents = self._parent_paths()
        self._known, self._deep_known = _known(spec, self.spec)
        self._constants = tuple(
            (self._spot(path), it.read_as) for path, it in self.spec.not_sent.items() if it.read_as is not None
        )
        self._empty = tuple((name, reading.fetcher(name)) for name, it in self.spec.ignored.items() if it.empty)

    # --------------------------------------------------------------------------------------- what callers use

    def to_wire(self, record: records.Record) -> dict[str, Any]:
        """Write a record as the other side spells it. Raises UnmappedCode."""
        try:
            return self.write(record)
        except writing.Undeclared as undeclared:
            raise errors.UnmappedCode(
                f"{self.contract} has no code for {undeclared.field}",
                contract=self.contract,
                message=self.name,
                field=undeclared.field,
                value=undeclared.value,
            ) from undeclared

    def from_wire(self, wire: Any) -> Any:
        """Read what the other side sent as a record; what was odd is dropped. See `read_wire`."""
        return self.read_wire(wire)[0]

    def read_wire(self, wire: Any) -> tuple[Any, tuple[records.Oddity, ...]]:
        """Read what the other side sent as a record, with what was odd about it.

        Raises UnmappedCode or UnmappedField where our dictionary is incomplete, RemoteGarbled where the message
        itself is broken. No value but an unknown code is ever part of the error.
        """
        if not isinstance(wire, dict):
            self._garbled(field="", why="not an object")
        notes: reading.Notes = []
        try:
            record = self.record_class.model_validate(self.read(wire, notes))
        except reading.Unreadable as unreadable:
            self._refuse(unreadable)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            self._garbled(field=".".join(str(part) for part in first["loc"]), why=first["type"])
        return record, tuple(oddities.oddity(kind, field, seen) for kind, field, seen in notes)

    def problems(self, record: records.Record) -> list[errors.FieldProblem]:
        """Name what the other side would refuse in a record, in the words of our own callers. Pure."""
        found: list[errors.FieldProblem] = []
        status = self._status(record) if self._status else None
        for check in self._checks:
            check(record, status not in requiring.NOT_YET_RECEIVED, self._spoken, found)
        return found

    # ------------------------------------------------------------------------------- what shapes do for others

    def write(self, record: Any) -> dict[str, Any]:
        """Write a record of this shape."""
        out: dict[str, Any] = {}
        self.write_into(record, out)
        return out

    def write_into(self, record: Any, out: dict[str, Any]) -> None:
        """Write a record of this shape into an object that others write into too."""
        for writer in self._writers:
            writer(record, out)

    def read(self, wire: dict[str, Any], notes: reading.Notes) -> dict[str, Any]:
        """Read an object of this shape; names that are not known are reported or refused."""
        out = self.read_part(wire, notes)
        strange = wire.keys() - self._known
        for outer, inner in self._deep_known:
            box = wire.get(outer)
            if isinstance(box, dict):
                strange |= {f"{outer}.{name}" for name in box.keys() - inner}
        for name, fetch in self._empty:
            if fetch(wire) not in (None, "", [], {}, 0, False):
                strange.add(name)
        for name in sorted(strange):
            if self.spec.unknown == "raise":
                raise reading.Unreadable("field", field=name, seen=name)
            notes.append((oddities.Kind.UNKNOWN_FIELD, name, ""))
        return out

    def read_part(self, wire: dict[str, Any], notes: reading.Notes) -> dict[str, Any]:
        """Read the fields of this shape out of an object that holds others too."""
        boxes: reading.Boxes = [{} for _ in self._parents]
        for spot, value in self._constants:
            boxes[spot.box][spot.leaf] = value
        for reader in self._readers:
            reader(wire, boxes, notes)
        for number in range(len(boxes) - 1, 0, -1):
            above, leaf = self._parents[number]
            boxes[above][leaf] = boxes[number]
        return boxes[0]

    # -------------------------------------------------------------------------------------------- compilation

    def compile(self, spec: schema.MappingSpec, shapes: dict[str, Message]) -> None:
        """Make the functions of this message. Called once, after all messages of the file exist."""
        self._shapes = shapes
        for field in self.spec.fields:
            self._compile_field(field, spec)

    def _compile_field(self, field: schema.FieldSpec, spec: schema.MappingSpec) -> None:
        spots = tuple(self._spot(path) for path in field.record)
        manner = reading.Manner(
            report=self.spec.unknown == "report", text_to=self._spot(field.text_to) if field.text_to else None
        )
        if field.pair is not None:
            self._compile_pair(field, spec, spots=spots)
        elif field.items is not None:
            shape = self._shapes[field.items]
            self._writers.append(writing.rows(field, write=shape.write))
            self._readers.append(
                reading.rows(field, spot=spots[0], manner=manner, read=shape.read, bare=shape.spec.bare)
            )
            self._checks.append(requiring.rows(field, checks=shape.compiled_checks()))
        elif field.one is not None:
            shape = self._shapes[field.one]
            self._writers.append(writing.one(field, write=shape.write))
            self._readers.append(reading.one(field, spot=spots[0], manner=manner, read=shape.read))
        elif field.inline is not None:
            shape = self._shapes[field.inline]
            self._writers.append(writing.inline(field, write=shape.write_into))
            self._readers.append(reading.inline(spot=spots[0], read=shape.read_part))
        elif field.each is not None or field.many:
            self._writers.append(writing.values(field))
            self._readers.append(reading.values(field, spot=spots[0], manner=manner))
        else:
            self._compile_value(field, spec, spot=spots[0], manner=manner)

    def _compile_value(
        self, field: schema.FieldSpec, spec: schema.MappingSpec, *, spot: reading.Spot, manner: reading.Manner
    ) -> None:
        label = paths.resolve(self.record_class, field.record[0]).description or field.record[0]
        if field.codes is None:
            self._writers.append(writing.scalar(field))
            self._readers.append(reading.scalar(field, spot=spot, manner=manner))
        else:
            codes = spec.codes[field.codes]
            write_codes = {value: code for code, value in codes.values.items()}
            self._writers.append(writing.coded(field, codes=write_codes))
            self._readers.append(reading.coded(field, spot=spot, codes=_reading_codes(codes), fold=codes.fold))
            self._checks.append(requiring.declared(field, label=label, who=self._who, codes=write_codes))
        if field.required != "never":
            self._checks.append(requiring.presence(field, label=label, who=self._who))
        if field.max is not None and not field.cut:
            self._checks.append(requiring.length(field, label=label, who=self._who))

    def _compile_pair(
        self, field: schema.FieldSpec, spec: schema.MappingSpec, *, spots: tuple[reading.Spot, ...]
    ) -> None:
        codes = spec.codes[field.codes] if field.codes else schema.CodeList(values={})
        first: dict[Any, str] = {}
        for code, value in codes.values.items():
            first.setdefault(value, code)
        pair = pairs.PAIRS[field.pair or ""](
            pairs.Settings(
                keys=field.keys,
                ignored_keys=field.ignored_keys,
                read_codes=_reading_codes(codes),
                write_codes=first,
            )
        )
        uses = tuple(self._spot(path) for path in field.uses)
        self._writers.append(writing.paired(field, pair=pair))
        self._readers.append(reading.paired(field, spots=spots, uses=uses, pair=pair))
        self._checks.append(requiring.paired(field, pair=pair, who=self._who))

    def compiled_checks(self) -> list[requiring.Check]:
        """Give the checks of this shape; the list fills up while the file is compiled."""
        return self._checks

    def _parent_paths(self) -> list[tuple[int, str]]:
        self._boxes: dict[str, int] = {"": 0}
        parents: list[tuple[int, str]] = [(0, "")]
        every = [path for it in self.spec.fields for path in (*it.record, *it.uses, it.text_to or "")]
        every += self.spec.not_sent
        for path in every:
            above = ""
            for part in path.split(".")[:-1]:
                here = f"{above}.{part}".lstrip(".")
                if here not in self._boxes:
                    self._boxes[here] = len(parents)
                    parents.append((self._boxes[above], part))
                above = here
        return parents

    def _spot(self, path: str) -> reading.Spot:
        above, _, leaf = path.rpartition(".")
        return reading.Spot(box=self._boxes[above], leaf=leaf, path=path)

    def _spoken(self, path: str) -> str:
        return path.removeprefix(f"{self.spec.caller_root}.") if self.spec.caller_root else path

    # ------------------------------------------------------------------------------------------------- errors

    def _refuse(self, unreadable: reading.Unreadable) -> NoReturn:
        facts: dict[str, Any] = {"contract": self.contract, "message": self.name, "field": unreadable.field}
        if unreadable.why == "code":
            raise errors.UnmappedCode(
                f"{self.contract}: {unreadable.field} has a code that is not mapped",
                value=unreadable.seen[:30],
                **facts,
            ) from None
        if unreadable.why == "field":
            raise errors.UnmappedField(f"{self.contract}: {unreadable.field} is not mapped", **facts) from None
        self._garbled(field=unreadable.field, why=unreadable.why)

    def _garbled(self, *, field: str, why: str) -> NoReturn:
        raise errors.RemoteGarbled(
            f"{self.contract}: {self.name}: {field or 'message'}: {why}",
            system=self.contract,
            message=self.name,
            field=field,
            why=why,
        ) from None


class Mapping:
    """All messages of one contract, and the names of its envelope."""

    def __init__(self, spec: schema.MappingSpec) -> None:
        soundness.check(spec)
        self.contract = spec.contract
        self.spec = spec
        self.envelope = dict(spec.envelope)
        self.services = dict(spec.services)
        self._messages = {name: Message(name, spec=spec, contract=spec.contract) for name in spec.messages}
        for message in self._messages.values():
            message.compile(spec, self._messages)

    def message(self, name: str) -> Message:
        """Give one message by name. Raises Misconfigured where the file has none."""
        try:
            return self._messages[name]
        except KeyError as error:
            raise errors.Misconfigured(f"{self.contract}.yml has no message {name}") from error


@functools.cache
def load(name: str) -> Mapping:
    """Load the mapping file of a contract, once. Raises Misconfigured naming file, line and field."""
    return Mapping(schema.read(SYSTEMS / f"{name}.yml"))


def contracts() -> list[str]:
    """Name every contract that has a mapping file."""
    return sorted(path.stem for path in SYSTEMS.glob("*.yml"))


def _reading_codes(codes: schema.CodeList) -> dict[str, Any]:
    found = {**codes.values, **codes.also}
    return {code.casefold(): value for code, value in found.items()} if codes.fold else found


def _known(
    spec: schema.MappingSpec, message: schema.MessageSpec
) -> tuple[frozenset[str], tuple[tuple[str, frozenset[str]], ...]]:
    names = {*soundness.wire_names(spec, message), *message.ignored}
    deep: dict[str, set[str]] = {}
    for name in names:
        outer, _, inner = name.partition(".")
        if inner:
            deep.setdefault(outer, set()).add(inner)
    return frozenset(name.partition(".")[0] for name in names), tuple(
        (outer, frozenset(inner)) for outer, inner in deep.items()
    )
