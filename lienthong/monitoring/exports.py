"""An export for an officer: records as they were sealed, what proves them, and checking it all offline.

A folder for each log: `leaves.jsonl` (the exact bytes, a record a line), `rows.jsonl` (the same with names),
`hashes.txt`, `proof.json`, `checkpoints.jsonl`, `verifier`. `docs/verify_journal.py` checks it too.
"""

from __future__ import annotations

import asyncio
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
    seals,
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

    What is exported has no holes: between the first and the last record of that time, all that were sealed. Raises
    Conflict where the folder is not empty, and StorageUnavailable where a record is not as it was sealed.
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
            continue
        found = await _chosen(log, store, since, until, days)
        done.append(await asyncio.to_thread(_write, log, found, out / name, home))
    if not done:
        raise errors.NotFound("nothing has been sealed yet", detail_vi="Chưa có gì được niêm phong.")
    return done


def _make_empty(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise errors.Conflict(f"the folder {out.name} is not empty", detail_vi=f"Thư mục {out.name} không trống.")


async def _chosen(
    log: log_check.Log,
    store: storage.Storage,
    since: datetime,
    until: datetime,
    days: verification.DayRows | None,
) -> dict[int, bytes]:
    """Give the leaves of the period by their place in the log, and all that lie between them."""
    wanted = [run for run in log.order.runs if _day(since) <= run.day <= _day(until)]
    if not wanted:
        return {}
    # Between the first and the last leaf of the period may stand some of a neighbouring day: a clock put back.
    low, high = wanted[0].start, wanted[-1].start + wanted[-1].count
    span = {run.day for run in log.order.runs if run.start < high and run.start + run.count > low}
    found: dict[int, bytes] = {}
    inside: list[int] = []
    async for at_us, index, data in _sealed_leaves(log, store, span, days):
        found[index] = data
        if access_record.micros(since) <= at_us < access_record.micros(until):
            inside.append(index)
    if not inside:
        return {}
    first, last = min(inside), max(inside)
    gone = [index for index in range(first, last + 1) if index not in found]
    unexplained = [index for index in gone if not log.retired.has(index)]
    if unexplained:
        raise log_files.not_sound(f"{log.order.name(unexplained[0])} was removed")
    return {index: found[index] for index in range(first, last + 1) if index in found}


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


def _write(log: log_check.Log, found: dict[int, bytes], folder: Path, home: Path) -> Exported:
    folder.mkdir()
    first, end = (min(found), max(found) + 1) if found else (0, 0)
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
    logs = [name for name in (seals.ACCESS, seals.ADMIN) if (folder / name).is_dir()]
    if not logs:
        report.find(folder.name, vi="Không phải là thư mục xuất.", en="This is no export.")
    for name in logs:
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
    proof = orjson.loads((folder / "proof.json").read_bytes())
    stated = list(_stated(folder, who))
    leaves = _lines(folder / "leaves.jsonl")
    held = _held(proof)
    if len(held) != len(leaves):
        raise _Broken(f"leaves.jsonl: {len(leaves)} records where {len(held)} belong")
    _check_hashes(folder, leaves)
    _check_numbers(folder.name, leaves, proof)
    _check_readable(folder, leaves, held)
    nodes = {(level, place): bytes.fromhex(value) for level, place, value in proof["nodes"]}
    nodes |= {(0, index): merkle.leaf_hash(data) for index, data in zip(held, leaves, strict=True)}
    _check_roots(stated, nodes, proof)
    report.checked[folder.name] = len(leaves)
    report.checked[f"{folder.name}.checkpoints"] = len(stated)
    report.notes += [f"{folder.name}: {who.text}", *witnesses.described(folder)]


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


def _held(proof: dict[str, Any]) -> list[int]:
    missing = set(proof["missing"])
    return [index for index in range(proof["first"], proof["first"] + proof["count"]) if index not in missing]


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
    for one in stated:
        if one.size < last:
            raise _Broken(f"checkpoint {one.number}: it states fewer leaves than the one before it")
        last = one.size
        if not (proof["first"] <= one.size <= end or one.size == proof["size"]):
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
