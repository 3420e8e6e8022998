"""Checking a sealed log by itself: its checkpoints, its order and its hashes; and how findings are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import orjson

from lienthong.core import errors
from lienthong.monitoring import checkpoints, log_files, merkle, retired, sealed_log, tiles

MOST_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was sealed: where, and what, in both languages."""

    where: str
    vi: str
    en: str


@dataclass(slots=True)
class Report:
    """What verifying found. `checked` counts what was looked at; `notes` are no alarm."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    more: int = 0

    def find(self, where: str, *, vi: str, en: str) -> None:
        """Add a finding; beyond a hundred they are only counted."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(where, vi, en))
        else:
            self.more += 1

    @property
    def holds(self) -> bool:
        """Whether everything is as it was sealed."""
        return not self.findings


@dataclass(slots=True)
class Log:
    """A sealed log as it was found, up to its last good checkpoint."""

    name: str
    verifier: checkpoints.Verifier
    last: checkpoints.Checkpoint
    order: sealed_log.Order
    tiles: tiles.Tiles
    retired: retired.Retired
    notes: list[str]

    def has_leaf(self, index: int) -> bool:
        """Whether the hash of a leaf is still there: retention takes those of whole files."""
        try:
            return bool(self.tiles.read(0, index))
        except errors.StorageUnavailable:
            return False

    def leaf_is(self, index: int, data: bytes) -> bool:
        """Whether these bytes are what was sealed at this place."""
        try:
            return self.tiles.read(0, index) == merkle.leaf_hash(data)
        except errors.StorageUnavailable:
            return True  # the hash itself is gone, and named elsewhere


def read_log(home: Path, name: str, public: bytes, report: Report) -> Log | None:
    """Read a log and check all that can be checked without the records; findings name the place."""
    folder = home / "seals" / name
    if not (folder / "verifier").exists():
        report.find(f"seals/{name}/verifier", vi="Thiếu sổ niêm phong.", en="The sealed log is not there.")
        return None
    try:
        who = checkpoints.verifier((folder / "verifier").read_text(encoding="utf-8"))
        if who.public != public:
            raise checkpoints.NotANote("the public key is not that of the hub's sealing key")
        if not who.name.endswith(f"/{name}"):
            raise checkpoints.NotANote(f"it is of another log: {who.name}")
        notes, stated = _read_checkpoints(folder, who)
        if not stated and (home / "spool" / f"{name}.sealed").exists():
            raise checkpoints.NotANote("checkpoint 1 and all after it are gone")
        if not stated:
            report.notes.append(f"{name}: chưa có điểm niêm phong / no checkpoint yet")
            return None
        order = sealed_log.read_order(log_files.each_line(folder / "order.jsonl"), size=stated[-1].size)
        gone = retired.read(folder, who)
    except (checkpoints.NotANote, sealed_log.NotInOrder, UnicodeDecodeError) as exc:
        report.find(f"seals/{name}: {exc}", vi="Sổ niêm phong đã bị sửa.", en="The sealed log was altered.")
        return None
    log = Log(name, who, stated[-1], order, tiles.Tiles(folder, stated[-1].size), gone, notes)
    report.checked[f"{name}.checkpoints"] = len(stated)
    report.checked[f"{name}.leaves"] = log.last.size
    _check_latest(folder, log, report)
    _check_tiles(log, report)
    _check_roots(log, stated, report)
    return log


def _read_checkpoints(folder: Path, who: checkpoints.Verifier) -> tuple[list[str], list[checkpoints.Checkpoint]]:
    notes: list[str] = []
    found: list[checkpoints.Checkpoint] = []
    for number, line in enumerate(log_files.whole_lines(folder / "checkpoints.jsonl"), 1):
        try:
            note = orjson.loads(line)
            if not isinstance(note, str) or orjson.dumps(note) != line:
                raise checkpoints.NotANote("the line is not as it is written")
            stated = checkpoints.read(note, who)
        except (checkpoints.NotANote, orjson.JSONDecodeError) as exc:
            raise checkpoints.NotANote(f"checkpoint {number}: {exc}") from exc
        if stated.number != number:
            raise checkpoints.NotANote(f"checkpoint {number} is missing; no. {stated.number} stands in its place")
        if found and stated.size < found[-1].size:
            raise checkpoints.NotANote(f"checkpoint {number} states fewer leaves than the one before it")
        notes.append(note)
        found.append(stated)
    return notes, found


def _check_latest(folder: Path, log: Log, report: Report) -> None:
    """Check the copy of the last checkpoint that is handed out; it may be one behind after a crash."""
    path = folder / "checkpoint"
    if path.exists() and path.read_bytes().decode(errors="replace") not in log.notes:
        report.find(
            f"seals/{log.name}/checkpoint",
            vi="Điểm niêm phong mới nhất không có trong danh sách.",
            en="The latest checkpoint is not one of the list.",
        )


def _check_tiles(log: Log, report: Report) -> None:
    """Work out every tile's hash from those below it; the first that differs in a level names the place."""
    level, count = 0, log.last.size
    while count >= tiles.TILE:
        for place in range(count // tiles.TILE):
            first = place * tiles.TILE
            is_dropped = level == 0 and log.retired.covers(first, first + tiles.TILE)
            try:
                below = log.tiles.hashes(level, first, first + tiles.TILE)
                is_right = merkle.fold(below) == log.tiles.hashes(level + 1, place, place + 1)[0]
            except errors.StorageUnavailable as exc:
                if not (is_dropped and exc.facts.get("level") == 0):
                    _find_tile(log, level, place, report)
                continue
            if not is_right:
                _find_tile(log, level, place, report)
        level, count = level + 1, count // tiles.TILE


def _find_tile(log: Log, level: int, place: int, report: Report) -> None:
    where = f"seals/{log.name}/hashes: tile {place} of level {level}"
    if level == 0:
        where += f", from {log.order.name(place * tiles.TILE)}"
    report.find(where, vi="Giá trị băm bị sửa hoặc thiếu.", en="Its hashes were altered, or are missing.")


def _check_roots(log: Log, stated: list[checkpoints.Checkpoint], report: Report) -> None:
    """Work out the root of every checkpoint, save where retention has taken the leaves at its edge."""
    for one in stated:
        pack = one.size // tiles.PACK
        is_dropped = log.retired.covers(pack * tiles.PACK, min((pack + 1) * tiles.PACK, log.last.size))
        try:
            if log.tiles.root(one.size) == one.root:
                continue
        except errors.StorageUnavailable:
            if is_dropped:
                continue
        report.find(
            f"seals/{log.name}: checkpoint {one.number} ({one.size} leaves, {one.at.isoformat()})",
            vi="Các giá trị băm không cho ra gốc đã ký.",
            en="The hashes do not give the signed root.",
        )
