"""Named pairs for values that are made of several fields: each writes and reads, and may name problems.

Foreign names reach a pair only through `keys` in the mapping file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lienthong.core import records
from lienthong.mappings import transforms
from lienthong.mappings.oddities import Kind

Note = Callable[[Kind, object], None]
"""Reports an oddity met while reading."""

_FAKE_IDENTITIES = frozenset({"000000001", "000000000"})
"""Numbers that some clients send where they know none (contracts §3.2: do not)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a mapping file gives a pair: keys of the objects over there, and a code list."""

    keys: tuple[str, ...]
    ignored_keys: tuple[str, ...]
    read_codes: Mapping[str, Any]
    write_codes: Mapping[Any, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """What a pair would have refused: which of its record paths, and why."""

    path: int
    vi: str
    en: str


class Pair:
    """A pair by name. Values come in the order of the mapping file: wire, record, then `uses`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keys = settings.keys

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Turn the record's values into those of the wire."""
        raise NotImplementedError

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Turn the wire's values, absent ones as None, into the record's."""
        raise NotImplementedError

    def problems(self, *values: Any) -> Iterator[Problem]:
        """Name what is missing for the pair to be written."""
        return iter(())

    def rows(self, value: Any, note: Note) -> Iterator[dict[str, Any]]:
        """Give the objects of a list that may be absent, null or a single object; report what is strange."""
        if value in (None, "", []):
            return
        for row in value if isinstance(value, list) else [value]:
            if not isinstance(row, dict):
                note(Kind.UNEXPECTED_SHAPE, type(row).__name__)
                continue
            for key in row.keys() - set(self.keys) - set(self.settings.ignored_keys):
                note(Kind.UNKNOWN_FIELD, key)
            yield row


class ApplicantIdentity(Pair):
    """One number and a list of typed numbers, from three fields of the applicant.

    The typed list knows only the two numbers of persons; an enterprise is known by its tax code in the single
    number. Which numbers a state body sends is not public: whichever is there.
    """

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give the number that names the applicant, and the typed list."""
        citizen_id, tax_code, other, kind = values
        first, second = (citizen_id, tax_code) if kind == "citizen" else (tax_code, citizen_id)
        number = first or other or (second if kind != "citizen" else "") or ""
        return number, [self._typed(citizen_id)] if citizen_id else []

    def _typed(self, citizen_id: str) -> dict[str, str]:
        kind = "twelve_digits" if len(citizen_id) == 12 else "nine_digits"
        return {self.keys[0]: self.settings.write_codes[kind], self.keys[1]: citizen_id}

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give the applicant's numbers back."""
        number, typed, kind = transforms.plain(values[0] or ""), values[1], values[2]
        citizen_id = next((str(row.get(self.keys[1]) or "") for row in self.rows(typed, note)), None)
        if not number or number == citizen_id:
            return citizen_id, None, None
        if kind == "enterprise" or (kind != "citizen" and number.replace("-", "").isdigit()):
            return citizen_id, number, None
        return citizen_id, None, number

    def problems(self, *values: Any) -> Iterator[Problem]:
        """Ask for the number that the applicant's kind is known by; an invented one is refused too."""
        citizen_id, tax_code, other, kind = values
        path = 1 if kind == "enterprise" else 0 if kind == "citizen" else 2
        given = tax_code if kind == "enterprise" else citizen_id or other or (kind != "citizen" and tax_code)
        if not given:
            yield Problem(path, _NO_IDENTITY_VI[path], _NO_IDENTITY_EN[path])
        for at, number in enumerate((citizen_id, tax_code, other)):
            if number in _FAKE_IDENTITIES:
                yield Problem(at, "Không chấp nhận số giả thay cho số còn thiếu.", "A made-up number is refused.")


_NO_IDENTITY_VI = (
    "{who} yêu cầu số định danh cá nhân của chủ hồ sơ; hãy bổ sung trước khi gửi.",
    "{who} yêu cầu mã số thuế của doanh nghiệp; hãy bổ sung trước khi gửi.",
    "{who} yêu cầu mã số thuế hoặc số giấy tờ của cơ quan, tổ chức; hãy bổ sung trước khi gửi.",
)
_NO_IDENTITY_EN = (
    "{who} requires the applicant's personal identification number.",
    "{who} requires the enterprise's tax code.",
    "{who} requires the tax code or another number of the agency or organisation.",
)


class AnyDigitised(Pair):
    """Whether any paper handed in was digitised; worked out, so nothing is read back."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Look at the components."""
        return ("1" if any(component.digitised for component in values[0]) else "0",)

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give nothing: the components say it."""
        return ()


class NoteOrStatus(Pair):
    """What was done in a step; where the official wrote nothing, the name of the status reached."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give the note, or the Vietnamese name of the status."""
        text, status = values
        return (text or records.STATUS_VI[records.Status(status)],)

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give the text."""
        return (transforms.plain(values[0] or ""),)


class CodeAndKey(Pair):
    """A code that is also what the detail is asked by: the code trimmed, the key exactly as it came."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give the key, which is the source's own spelling."""
        return (values[1],)

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give the code without outer blanks, and the key."""
        raw = values[0] if values[0] is not None else ""
        return transforms.plain(raw), raw if isinstance(raw, str) else transforms.plain(raw)


class CodeTwice(Pair):
    """A code that our record holds twice; the first is written."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give the first."""
        return (values[0],)

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give it to both."""
        code = transforms.plain(values[0] or "")
        return code, code


class UnitOfTime(Pair):
    """A unit of time in free spelling: the unit that it stands for, and the text as it came."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give the source's text, or the first spelling of the unit."""
        unit, text = values
        return (text or (self.settings.write_codes[unit] if unit else ""),)

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give unit and raw text; an unknown spelling has no unit and is reported."""
        text = transforms.plain(values[0] if values[0] is not None else "")
        if not text:
            return None, ""
        unit = self.settings.read_codes.get(text.casefold())
        if unit is None:
            note(Kind.TIME_UNIT_UNKNOWN, text)
        return unit, text


class OneStep(Pair):
    """The steps of a case written as one text."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Join the steps, a line each."""
        return ("\n".join(values[0]),)

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give the text as one step."""
        text = transforms.plain(values[0] or "")
        return ((text,) if text else (),)


class LevelRows(Pair):
    """Levels of government as rows of number and name; the name decides, the number only where it is missing."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give a row for each level, by name."""
        return ([{self.keys[1]: self.settings.write_codes[level]} for level in values[0]],)

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give the levels and, as text, the names as they came."""
        levels: list[str] = []
        names: list[str] = []
        for number, name in self._named(values[0], note):
            level = self.settings.read_codes.get((name or number).casefold())
            if level is None:
                note(Kind.UNMAPPED_CODE, name or number)
            elif level not in levels:
                levels.append(level)
            names.append(name or number)
        return levels, ", ".join(names)

    def _named(self, value: Any, note: Note) -> Iterator[tuple[str, str]]:
        if isinstance(value, str) and value.strip():
            note(Kind.UNEXPECTED_SHAPE, "str")
            yield "", transforms.plain(value)
            return
        for row in self.rows(value, note):
            number, name = (transforms.plain(row.get(key) or "") for key in self.keys)
            yield number, name


class LevelFlags(Pair):
    """Levels of government as one flag each, in the order of `keys`, which are our words."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give a flag for each level."""
        return tuple(level in values[0] for level in self.keys)

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give the levels whose flag is set."""
        flags = zip(self.keys, values, strict=True)
        return ([level for level, flag in flags if transforms.read_flag(flag or "")],)


class TwoAgencyLists(Pair):
    """Agencies in two lists: single agencies, which have codes, and groups of agencies, which have none."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Part the agencies by whether they have a code."""
        ident, code, name = self.keys
        single = [{ident: it.source_id, code: it.code, name: it.name} for it in values[0] if it.code]
        groups = [{ident: it.source_id, name: it.name} for it in values[0] if not it.code]
        return single, groups

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give both lists as one, single agencies first."""
        return ([self._agency(row) for value in values for row in self.rows(value, note)],)

    def _agency(self, row: dict[str, Any]) -> dict[str, str]:
        ident, code, name = (transforms.plain(row.get(key) or "") for key in self.keys)
        return {"source_id": ident, "code": code, "name": name}


class ReturnMethods(Pair):
    """Ways of handing over a result: lists of values by kind, ours as `KIND:VALUE`."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Gather the values of each kind again."""
        kind, value = self.keys
        found: dict[str, list[str]] = {}
        for text in values[0]:
            of, _, one = text.partition(":")
            found.setdefault(of, []).append(one)
        return ([{kind: of, value: ones} for of, ones in found.items()],)

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give each value with its kind."""
        kind, value = self.keys
        rows = self.rows(values[0], note)
        return ([f"{row.get(kind)}:{one}" for row in rows for one in _listed(row.get(value))],)


def _listed(value: Any) -> Iterable[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


class Attachments(Pair):
    """Files of a paper as objects of name and reference; several are joined by a bar."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give an object for each file."""
        names, references = (text.split(" | ") if text else [] for text in values)
        name, reference = self.keys
        return ([{name: n, reference: r} for n, r in zip(names, references, strict=False)],)

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give the names and the references."""
        name, reference = self.keys
        found = [(row.get(name) or "", row.get(reference) or "") for row in self.rows(values[0], note)]
        names, references = zip(*found, strict=True) if found else ((), ())
        return " | ".join(map(str, names)), " | ".join(map(str, references))


class Attachment(Attachments):
    """One file of name and reference, or null."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give the object, or null where there is no file."""
        name, reference = self.keys
        return ({name: values[0], reference: values[1]} if any(values) else None,)


class NameOf(Pair):
    """An object of which only the name matters."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give an object with the name."""
        return ({self.keys[0]: values[0]},)

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give the name."""
        return next(
            ((transforms.plain(row.get(self.keys[0]) or ""),) for row in self.rows(values[0], note)), ("",)
        )


class PersonName(Pair):
    """A name in three parts (family, middle, given), the whole of it often in the last; or mere text."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give the parts with the whole name in the last, as most answers do (contracts §5.4)."""
        *first, last = self.keys
        return ({**dict.fromkeys(first, ""), last: values[0]},)

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Join the parts that are there."""
        if isinstance(values[0], str):
            return (" ".join(transforms.plain(values[0]).split()),)
        for row in self.rows(values[0], note):
            parts = (transforms.plain(row.get(key) or "") for key in self.keys)
            return (" ".join(" ".join(parts).split()),)
        return ("",)


class Verdict(Pair):
    """What codes together say of a payment; what the list does not have needs a person, never paid or failed."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give the codes back as they came."""
        return tuple(values[1].split("/"))

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Look the codes up together."""
        joined = "/".join(transforms.plain("" if value is None else value) for value in values)
        if joined not in self.settings.read_codes:
            note(Kind.UNMAPPED_CODE, joined)
        return self.settings.read_codes.get(joined, "needs_person"), joined


class ParcelStatus(Pair):
    """What a carrier's status means, and the status as it came; one that is not known yet is kept and shown."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give the status back as it came."""
        return (values[1],)

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Look the status up."""
        code = transforms.plain("" if values[0] is None else values[0])
        if code not in self.settings.read_codes:
            note(Kind.UNMAPPED_CODE, code)
        return self.settings.read_codes.get(code, "unknown"), code


class JoinedNames(Pair):
    """Names joined by semicolons, and the same or more as objects; each is kept once, in the order met."""

    def write(self, *values: Any) -> tuple[Any, ...]:
        """Give both forms."""
        return ";".join(values[0]), [{self.keys[0]: name} for name in values[0]]

    def read(self, note: Note, *values: Any) -> tuple[Any, ...]:
        """Give the names of both forms."""
        joined = transforms.plain(values[0] or "").split(";")
        listed = (transforms.plain(row.get(self.keys[0]) or "") for row in self.rows(values[1], note))
        return (list(dict.fromkeys(name.strip() for name in (*joined, *listed) if name.strip())),)


PAIRS: dict[str, type[Pair]] = {
    "applicant_identity": ApplicantIdentity,
    "any_digitised": AnyDigitised,
    "note_or_status": NoteOrStatus,
    "code_and_key": CodeAndKey,
    "code_twice": CodeTwice,
    "unit_of_time": UnitOfTime,
    "one_step": OneStep,
    "level_rows": LevelRows,
    "level_flags": LevelFlags,
    "two_agency_lists": TwoAgencyLists,
    "return_methods": ReturnMethods,
    "attachments": Attachments,
    "attachment": Attachment,
    "name_of": NameOf,
    "parcel_status": ParcelStatus,
    "person_name": PersonName,
    "verdict": Verdict,
    "joined_names": JoinedNames,
}
"""Every pair that a mapping file may name."""
