"""Files that only grow: what a full disk left half written is not what the next line is added to."""

from __future__ import annotations

from pathlib import Path

from lienthong.monitoring import log_files


def test_a_line_after_half_a_line_was_joined_to_it(tmp_path: Path) -> None:
    path = tmp_path / "stamps.jsonl"
    log_files.append_lines(path, [b'{"number":1}'])
    with path.open("ab") as file:
        file.write(b'{"number":2,"sta')  # as far as the disk had room
    log_files.append_lines(path, [b'{"number":3}'])
    assert log_files.whole_lines(path) == [b'{"number":1}', b'{"number":3}']


def test_where_nothing_but_half_a_line_was_written_the_next_one_is_the_first(tmp_path: Path) -> None:
    path = tmp_path / "stamps.jsonl"
    path.write_bytes(b'{"number"')
    log_files.append_lines(path, [b'{"number":1}'])
    assert log_files.whole_lines(path) == [b'{"number":1}']
