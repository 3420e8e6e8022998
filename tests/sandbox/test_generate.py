"""Invented catalogues are the same for the same seed, of the size asked for, and served like any other."""

from __future__ import annotations

from pathlib import Path

from lienthong.sandbox import catalogue, generate


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path):
    for name, seed in (("a", 4), ("b", 4), ("c", 5)):
        generate.main(["--count", "50", "--seed", str(seed), "--out", str(tmp_path / f"{name}.jsonl.gz")])
    first, same, other = ((tmp_path / f"{name}.jsonl.gz").read_bytes() for name in "abc")
    assert first == same != other


def test_a_generated_catalogue_is_loaded_with_distinct_codes(tmp_path: Path):
    generate.write(tmp_path / "many.jsonl", count=3000, seed=1)
    loaded = catalogue.of_file(tmp_path / "many.jsonl")
    assert len(loaded.by_code) == len(loaded.place_of_id) == 3000
    assert all(entry.fields and entry.promulgator.code.startswith("G") for entry in loaded.entries)
