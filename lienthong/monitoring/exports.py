"""An export for an officer: records as they were sealed, what proves them, and checking it all offline.

A folder for each log: `leaves.jsonl` (the exact bytes, a record a line), `rows.jsonl` (the same with names),
`hashes.txt`, `proof.json`, `checkpoints.jsonl`, `verifier`. `docs/verify_journal.py` checks it too.
"""

from __future__ import annotations

import asyncio
import bisect
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from lienthong.core import access_record, errors, storage, tables
from lienthong.monitoring import (
    checkpoints,
    log_check,
    log_files,
    merkle,
    retired,
    seals,
    stamps,
    verification,
    witnesses,
)

FORMAT = 1
_t, _a = tables.exchanges, tables.admin_acts


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds of one log: leaves `first` to `first + count - 1` of a tree of `size`."""

    log: str
    first: int
    count: int
    size: int


async def export(
    home: Path,
    store: storage.Storage,
    out: Path,
    *,
    since: datetime,
    until: datetime,
    days: verification.DayRows | None = None,
) -> list[Exported]:
    """Write everything that was recorded from `since` until before `until` into a new folder.

    What is exported has no holes: between the first and the last record of that time, all that were sealed; and it
    reaches to the checkpoints around that time, so that nothing can be left out at its ends. Raises Conflict where
    the folder is not empty, and StorageUnavailable where a record is not as it was sealed.
    """
    await asyncio.to_thread(_make_empty, out)
    public = seals.signer(home).public
    done: list[Exported] = []
    for name in (seals.ACCESS, seals.ADMIN):
        report = log_check.Report()
        log = await asyncio.to_thread(log_check.read_log, home, name, public, report)
        if report.findings:
            raise log_files.not_sound(report.findings[0].where)
        if log is None:
            raise errors.NotFound(
                f"nothing of {name} has been sealed yet; run `lienthong journal seal`",
                detail_vi=f"Sổ {name} chưa có gì được niêm phong; hãy chạy `lienthong journal seal`.",
            )
        chosen = await _chosen(log, store, since, until, days)
        done.append(await asyncio.to_thread(_write, log, chosen, out / name, home))
    return done


def _make_empty(out: Path) -> None:
    # Who asked about whom stands in it: for its owner's eyes, as the record is.
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(out.iterdir()):
        raise errors.Conflict(f"the folder {out.name} is not empty", detail_vi=f"Thư mục {out.name} không trống.")


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What goes into an export of one log: the leaves from `first` until before `end` that are still there."""

    since: datetime
    until: datetime
    first: int
    end: int
    leaves: dict[int, bytes]


async def _chosen(
    log: log_check.Log,
    store: storage.Storage,
    since: datetime,
    until: datetime,
    days: verification.DayRows | None,
) -> _Chosen:
    """Give the leaves of the period by their place in the log, and all that lie between them."""
    until = min(until, log.last.at)  # what is later than the last checkpoint, nobody can vouch for
    stated = [checkpoints.parse(checkpoints.parts(note)[0]) for note in log.notes]
    low, high = _reach(stated, since, until)
    wanted = [run for run in log.order.runs if _day(since) <= run.day <= _day(until)]
    # Between the first and the last leaf of the period may stand some of a neighbouring day: a clock put back.
    start = min([low, *(run.start for run in wanted)])
    stop = max([high, *(run.start + run.count for run in wanted)])
    span = {run.day for run in log.order.runs if run.start < stop and run.start + run.count > start}
    found: dict[int, bytes] = {}
    inside: list[int] = []
    async for at_us, index, data in _sealed_leaves(log, store, span, days):
        found[index] = data
        if access_record.micros(since) <= at_us < access_record.micros(until):
            inside.append(index)
    first, end = min([low, *inside]), max([high, *(index + 1 for index in inside)])
    gone = [index for index in range(first, end) if index not in found and not log.retired.has(index)]
    if gone:
        raise log_files.not_sound(f"{log.order.name(gone[0])} was removed")
    leaves = {index: found[index] for index in range(first, end) if index in found}
    return _Chosen(since, until, first, end, leaves)


def _reach(stated: Sequence[checkpoints.Checkpoint], since: datetime, until: datetime) -> tuple[int, int]:
    """Say how far an export of a period must reach: a record is sealed after it was made, so none lies beyond.

    From the size of the last checkpoint before the period to that of the first one at its end or after it.
    """
    low, high = 0, stated[-1].size if stated else 0
    for one in stated:
        if one.at > since:
            break
        low = one.size
    for one in reversed(stated):
        if one.at < until:
            break
        high = one.size
    return low, max(low, high)


async def _sealed_leaves(
    log: log_check.Log, store: storage.Storage, span: set[str], days: verification.DayRows | None
) -> Any:
    if log.name == seals.ADMIN:
        async with store.reading() as conn:
            for row in await storage.every(conn, sa.select(_a).order_by(_a.c.number)):
                index = log.order.index_of(seals.ADMIN, row["number"])
                if index is not None:
                    yield access_record.micros(row["at"]), index, _checked(log, index, seals.act_bytes(row))
        return
    if not span:
        return
    begun = datetime.fromisoformat(min(span)).date()
    async for row in verification.hot_rows(store, since=begun):
        data = access_record.from_row(row)
        if (placed := _placed(log, data, span)) is not None:
            yield placed
    for day in sorted(span & set(days.days() if days else [])):
        for data in days.rows(day) if days else ():
            if (placed := _placed(log, data, span)) is not None:
                yield placed


def _placed(log: log_check.Log, data: bytes, span: set[str]) -> tuple[int, int, bytes] | None:
    node, number, at_us = access_record.place_of(data)
    index = log.order.index_of(node, number)
    if index is None or log.order.place_of(index).day not in span:
        return None
    return at_us, index, _checked(log, index, data)


def _checked(log: log_check.Log, index: int, data: bytes) -> bytes:
    if not log.leaf_is(index, data):
        raise log_files.not_sound(f"{log.order.name(index)} was altered")
    return data


def _write(log: log_check.Log, chosen: _Chosen, folder: Path, home: Path) -> Exported:
    folder.mkdir(mode=0o700)
    found, first, end = chosen.leaves, chosen.first, chosen.end
    size = log.last.size
    held = sorted(found)
    outside = _outside(held, size)
    name_of = _act_json if log.name == seals.ADMIN else access_record.as_json
    with (folder / "leaves.jsonl").open("wb") as leaves, (folder / "rows.jsonl").open("wb") as rows:
        for index in held:
            leaves.write(found[index] + b"\n")
            rows.write(orjson.dumps({"leaf": index, **name_of(found[index])}) + b"\n")
    hashes = (merkle.leaf_hash(found[index]).hex() for index in held)
    (folder / "hashes.txt").write_text("".join(f"{one}\n" for one in hashes))
    proof = {
        "format": FORMAT,
        "origin": log.verifier.name,
        "since": chosen.since.isoformat(),
        "until": chosen.until.isoformat(),
        "size": size,
        "first": first,
        "count": end - first,
        "missing": [index for index in range(first, end) if index not in found],
        "nodes": [[level, place, log.tiles.read(level, place).hex()] for level, place in outside],
        "retired": sorted(path.name for path in (home / "seals" / log.name / "retired").glob("*.note")),
    }
    (folder / "proof.json").write_bytes(orjson.dumps(proof, option=orjson.OPT_INDENT_2))
    (folder / "checkpoints.jsonl").write_bytes(b"".join(orjson.dumps(note) + b"\n" for note in log.notes))
    (folder / "verifier").write_text(log.verifier.text + "\n")
    witnesses.copy_cosignatures(home / "seals" / log.name, folder)
    stamps.copy_stamps(home / "seals" / log.name, folder)
    if proof["missing"]:
        shutil.copytree(home / "seals" / log.name / "retired", folder / "retired")
    return Exported(log.name, first, len(found), size)


def _outside(held: Sequence[int], size: int) -> list[tuple[int, int]]:
    """Give the subtrees that hold none of these leaves: with the leaves they lead to the root."""
    found: list[tuple[int, int]] = []
    at = 0
    for index in (*held, size):
        found += merkle.subtrees(at, index)
        at = index + 1
    return found


def _act_json(data: bytes) -> dict[str, Any]:
    _, _, number, at_us, *rest = orjson.loads(data)
    names = ("actor", "act", "object", "reason", "before", "after", "outcome")
    return {"number": number, "at": access_record.moment(at_us).isoformat(), **dict(zip(names, rest, strict=True))}


def _day(at: datetime) -> str:
    return access_record.day_of(access_record.micros(at))


# ------------------------------------------------------------------------------------------------------ checking


def check(folder: Path, *, key: str | None = None) -> log_check.Report:
    """Check an export; `key` is the hub's public key as it was handed out, where one is at hand."""
    report = log_check.Report()
    if not key:
        report.notes.append("chưa đối chiếu khoá / KEY NOT COMPARED: --key")
    for name in (seals.ACCESS, seals.ADMIN):
        if not (folder / name).is_dir():
            report.find(f"{folder.name}/{name}", vi="Bản xuất thiếu sổ này.", en="The export lacks this log.")
            continue
        try:
            _check_log(folder / name, key, report)
        except _Broken as exc:
            report.find(f"{name}: {exc}", vi="Không khớp với niêm phong.", en="It does not fit the seal.")
        except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as exc:
            report.find(
                f"{name}: {type(exc).__name__}",
                vi="Thiếu tệp hoặc tệp không đọc được.",
                en="A file is missing or broken.",
            )
    return report


class _Broken(Exception):
    """An export that does not hold; the text names the place."""


def _check_log(folder: Path, key: str | None, report: log_check.Report) -> None:
    who = checkpoints.verifier((folder / "verifier").read_text(encoding="utf-8"))
    if key and checkpoints.verifier(key).public != who.public:
        raise _Broken("verifier: it is not the key that was handed out")
    if not who.name.endswith(f"/{folder.name}"):
        raise _Broken(f"verifier: it is of another log, {who.name}")
    proof = orjson.loads((folder / "proof.json").read_bytes())
    stated = list(_stated(folder, who))
    _check_period(stated, proof)
    leaves = _lines(folder / "leaves.jsonl")
    held = _held(proof, retired.read(folder, who))
    if len(held) != len(leaves):
        raise _Broken(f"leaves.jsonl: {len(leaves)} records where {len(held)} belong")
    _check_hashes(folder, leaves)
    _check_numbers(folder.name, leaves, proof)
    _check_readable(folder, leaves, held)
    nodes = _outer_nodes(proof, held)
    nodes |= {(0, index): merkle.leaf_hash(data) for index, data in zip(held, leaves, strict=True)}
    _check_roots(stated, nodes, proof)
    report.checked[folder.name] = len(leaves)
    report.checked[f"{folder.name}.checkpoints"] = len(stated)
    period = f"{folder.name}: {proof['since']} → {proof['until']}"
    report.notes += [period, f"{folder.name}: {who.text}", *witnesses.described(folder)]
    stamps.look(folder, [orjson.loads(line) for line in _lines(folder / "checkpoints.jsonl")], None, report)


def _lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        raise _Broken(f"{path.name}: the last line is cut")
    return data.split(b"\n")[:-1]


def _stated(folder: Path, who: checkpoints.Verifier) -> Iterator[checkpoints.Checkpoint]:
    for number, line in enumerate(_lines(folder / "checkpoints.jsonl"), 1):
        try:
            found = checkpoints.read(orjson.loads(line), who)
        except (checkpoints.NotANote, orjson.JSONDecodeError) as exc:
            raise _Broken(f"checkpoint {number}: {exc}") from exc
        if found.number != number:
            raise _Broken(f"checkpoint {number} is missing")
        yield found


def _check_period(stated: Sequence[checkpoints.Checkpoint], proof: dict[str, Any]) -> None:
    """Check that the export reaches as far as its period demands: less could hide what was asked for."""
    since, until = (datetime.fromisoformat(proof[name]) for name in ("since", "until"))
    if not stated or stated[-1].size != proof["size"] or stated[-1].at < until:
        raise _Broken("checkpoints.jsonl: the last checkpoint is not that of the proof, or comes before its end")
    low, high = _reach(stated, since, until)
    first, end = proof["first"], proof["first"] + proof["count"]
    if not 0 <= first <= low <= high <= end <= proof["size"]:
        raise _Broken(
            f"proof.json: leaves {first} to {end - 1} are not all of the period, or more than were sealed"
        )


def _held(proof: dict[str, Any], gone: retired.Retired) -> list[int]:
    """Give the places of the records that belong here; only what retention signed for may be missing."""
    missing = set(proof["missing"])
    for index in sorted(missing):
        if not gone.has(index):
            raise _Broken(f"proof.json: leaf {index} is left out, and no signed statement of retention names it")
    return [index for index in range(proof["first"], proof["first"] + proof["count"]) if index not in missing]


def _outer_nodes(proof: dict[str, Any], held: Sequence[int]) -> dict[tuple[int, int], bytes]:
    """Read the hashes of the subtrees around the records; one above a record would stand in for it."""
    nodes: dict[tuple[int, int], bytes] = {}
    for level, place, value in proof["nodes"]:
        at = bisect.bisect_left(held, place << level)
        if at < len(held) and held[at] < (place + 1) << level:
            raise _Broken(f"proof.json: node {place} of level {level} hides leaf {held[at]}")
        nodes[level, place] = bytes.fromhex(value)
    return nodes


def _check_hashes(folder: Path, leaves: Sequence[bytes]) -> None:
    said = [line.decode() for line in _lines(folder / "hashes.txt")]
    for line, (data, digest) in enumerate(zip(leaves, said, strict=False), 1):
        if merkle.leaf_hash(data).hex() != digest:
            raise _Broken(f"leaves.jsonl line {line} ({_named(data)}): the record or its hash was altered")
    if len(said) != len(leaves):
        raise _Broken(f"hashes.txt line {min(len(said), len(leaves)) + 1}: as many hashes as records belong there")


def _named(data: bytes) -> str:
    try:
        _, node, number, *_ = orjson.loads(data)
        return f"{node} no. {number}"
    except (orjson.JSONDecodeError, ValueError, TypeError):
        return "cannot be read"


def _check_numbers(log: str, leaves: Sequence[bytes], proof: dict[str, Any]) -> None:
    """Check that a node's numbers follow each other; what is missing must be what retention took."""
    if log == seals.ADMIN or proof["missing"]:
        return
    last: dict[str, int] = {}
    for line, data in enumerate(leaves, 1):
        node, number, _ = access_record.place_of(data)
        if number <= last.get(node, number - 1):
            raise _Broken(f"leaves.jsonl line {line}: {node} no. {number} comes after no. {last[node]}")
        last[node] = number


def _check_readable(folder: Path, leaves: Sequence[bytes], held: Sequence[int]) -> None:
    name_of = _act_json if folder.name == seals.ADMIN else access_record.as_json
    rows = _lines(folder / "rows.jsonl")
    for line, (row, data, index) in enumerate(zip(rows, leaves, held, strict=False), 1):
        if row != orjson.dumps({"leaf": index, **name_of(data)}):
            raise _Broken(f"rows.jsonl line {line} ({_named(data)}): it does not say what the record says")
    if len(rows) != len(leaves):
        raise _Broken(f"rows.jsonl line {min(len(rows), len(leaves)) + 1}: as many rows as records belong there")


def _check_roots(
    stated: Iterable[checkpoints.Checkpoint], nodes: dict[tuple[int, int], bytes], proof: dict[str, Any]
) -> None:
    """Work out the root of every checkpoint that lies within what is exported, the whole tree's above all."""

    def read(level: int, place: int) -> bytes:
        known = nodes.get((level, place))
        if known is None:
            if level == 0:
                raise KeyError(place)
            known = nodes[level, place] = merkle.node_hash(
                read(level - 1, 2 * place), read(level - 1, 2 * place + 1)
            )
        return known

    last, end, is_whole = 0, proof["first"] + proof["count"], False
    missing = set(proof["missing"])
    for one in stated:
        if one.size < last:
            raise _Broken(f"checkpoint {one.number}: it states fewer leaves than the one before it")
        last = one.size
        is_edge_gone = {one.size - 1, one.size} <= missing
        if one.size != proof["size"] and (is_edge_gone or not proof["first"] <= one.size <= end):
            continue
        try:
            root = merkle.root(one.size, read)
        except KeyError as exc:
            raise _Broken(f"checkpoint {one.number}: leaf {exc} is in no proof") from exc
        if root != one.root:
            raise _Broken(f"checkpoint {one.number} ({one.at.isoformat()}): the records do not lead to its root")
        is_whole = is_whole or one.size == proof["size"]
    if not is_whole:
        raise _Broken(f"checkpoints.jsonl: no checkpoint states the {proof['size']} leaves of the proof")
