"""Whether a mapping file is sound: every field accounted for, every name known. Found at load, named by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from lienthong.core import errors, records
from lienthong.mappings import pairs, paths, schema, transforms

_FORMS = ("items", "one", "inline", "each", "pair")


def check(spec: schema.MappingSpec) -> None:
    """Refuse a mapping file that is not sound. Raises Misconfigured naming file, line and field."""
    for name, message in spec.messages.items():
        for line, field, why in _faults(spec, message):
            place = f"{spec.contract}.yml:{line}" if line else f"{spec.contract}.yml"
            raise errors.Misconfigured(
                f"{place}: {name}: {field}: {why}", file=f"{spec.contract}.yml", line=line, field=field
            )
    for example in spec.examples:
        if example.message not in spec.messages:
            raise errors.Misconfigured(f"{spec.contract}.yml: example of unknown message {example.message}")


def _faults(spec: schema.MappingSpec, message: schema.MessageSpec) -> Iterator[tuple[int, str, str]]:
    try:
        record = paths.record_class(message.record)
    except KeyError:
        yield 0, message.record, "no such record"
        return
    for field in message.fields:
        for name, why in _field_faults(spec, field, record=record):
            yield field.line, name, why
    yield from _record_faults(message, record)
    yield from _wire_faults(spec, message)


def _field_faults(
    spec: schema.MappingSpec, field: schema.FieldSpec, *, record: type[records.Record]
) -> Iterator[tuple[str, str]]:
    label = " + ".join(field.wire or field.record)
    if sum(getattr(field, form) is not None for form in _FORMS) > 1 or (field.codes and field.items):
        yield label, "more than one form"
    if field.pair is None and (len(field.record) != 1 or (field.inline is None and len(field.wire) != 1)):
        yield label, "one name on each side, unless a pair is named"
    if field.pair is not None and (field.required != "never" or field.max is not None):
        yield label, "a pair states its own requirements"
    if field.transform is not None and field.transform not in transforms.TRANSFORMS:
        yield label, f"no transform {field.transform}"
    if field.pair is not None and field.pair not in pairs.PAIRS:
        yield label, f"no pair {field.pair}"
    if field.codes is not None and field.codes not in spec.codes:
        yield label, f"no code list {field.codes}"
    for path in (*field.record, *field.uses, *((field.text_to,) if field.text_to else ())):
        try:
            paths.resolve(record, path)
        except KeyError:
            yield path, f"{record.__name__} has no such field"
            return
    yield from _type_faults(spec, field, record=record)


def _type_faults(
    spec: schema.MappingSpec, field: schema.FieldSpec, *, record: type[records.Record]
) -> Iterator[tuple[str, str]]:
    shape = field.items or field.inline or field.one
    if shape is not None:
        info = paths.resolve(record, field.record[0])
        inner = paths.item_class(info) if field.one is None else paths.optional_class(info)
        if shape not in spec.messages:
            yield field.record[0], f"no shape {shape}"
        elif inner is None or inner.__name__ != spec.messages[shape].record:
            kind = "list of" if field.one is None else "optional"
            yield field.record[0], f"is no {kind} {spec.messages[shape].record}"
    if field.codes is not None and field.codes in spec.codes and field.pair is None:
        values = list(spec.codes[field.codes].values.values())
        known = set(values)
        if len(known) < len(values):
            yield field.record[0], f"{field.codes} gives one value two codes; put the others under `also`"
        for value in paths.members(paths.resolve(record, field.record[0])):
            if value not in known:
                yield field.record[0], f"no code for {value}"


def _record_faults(message: schema.MessageSpec, record: type[records.Record]) -> Iterator[tuple[int, str, str]]:
    mapped = Counter(path for field in message.fields for path in field.record)
    for path, times in mapped.items():
        if times > 1:
            yield 0, path, "mapped twice"
    for path in message.not_sent:
        if path in mapped:
            yield 0, path, "mapped and listed as not sent"
        try:
            paths.resolve(record, path)
        except KeyError:
            yield 0, path, f"{message.record} has no such field"
    texts = {field.text_to for field in message.fields if field.text_to}
    for path in paths.uncovered(record, {*mapped, *message.not_sent, *texts}):
        yield 0, path, "neither mapped nor listed as not sent"


def _wire_faults(spec: schema.MappingSpec, message: schema.MessageSpec) -> Iterator[tuple[int, str, str]]:
    names = Counter(wire_names(spec, message))
    for name, times in names.items():
        if times > 1:
            yield 0, name, "stands twice on the wire"
        if name in message.ignored:
            yield 0, name, "mapped and ignored"


def wire_names(spec: schema.MappingSpec, message: schema.MessageSpec) -> Iterator[str]:
    """Give every name that a message has on the wire, those of shapes at the same level too."""
    for field in message.fields:
        yield from field.wire
        if field.inline is not None and field.inline in spec.messages:
            yield from wire_names(spec, spec.messages[field.inline])
