"""Windows of detection: late, repeated and unordered records do no harm."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lienthong.monitoring import calls, detection, windows

BEGIN = 1_767_578_400.0  # a Monday, 09:00 in Vietnam


def call(at: float, *, number: int = 0, subject: str | None = None, **given: object) -> calls.Call:
    """Make one call of a key."""
    made = calls.Call(at, "key-1", None, "10.0.0.1", None, "procedures.get", calls.OK, 12.0, 700, 1, subject, None)
    return made._replace(node="n1" if number else "", number=number, **given)


def test_a_window_adds_up_its_minutes():
    window = windows.Window()
    for minute in (10, 11, 11, 14, 70):
        window.add(minute, call(minute * 60.0))
    assert [window.requests(14, 5), window.requests(70, 60), window.requests(70, 61)] == [4, 4, 5]


spread = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 400)), min_size=1, max_size=80)


@settings(max_examples=60, deadline=None)
@given(spread, st.randoms(use_true_random=False))
def test_late_and_repeated_records_give_the_same_windows_as_sorted_ones(moments, random):
    records = [
        call(BEGIN + second, number=place + 1, subject=f"s{who}", official="CB01")
        for place, (second, who) in enumerate(moments)
    ]
    # Each is late by less than the stated lateness, and some come twice.
    late = sorted(records, key=lambda one: one.at + random.random() * (windows.LATENESS_S - 1))
    late += random.sample(late, len(late) // 2)
    in_order, as_it_came = heard(sorted(records, key=lambda one: one.at)), heard(late)
    assert as_it_came == in_order


def heard(records: list[calls.Call]) -> object:
    """Feed records, and then one much later, so that every window is closed."""
    watching = detection.Detection(lambda _finding, _opens: None)
    for record in records:
        watching.feed(record)
    key = watching.keys["key-1"]
    last = max(pane.minute for pane in key.after.panes)
    others = (
        watching.operations["procedures.get"],
        watching.addresses["10.0.0.1"],
        watching.officials["CB01"].after,
    )
    counts = [window.counts(last, minutes) for window in (key.after, *others) for minutes in (1, 5, 60)]
    watching.feed(call(BEGIN + 3 * 3600))
    samples = {place: list(cell) for place, cell in key.bounds.cells.items()}
    return counts, samples, watching.records


@given(st.lists(st.text(min_size=1, max_size=8), max_size=400))
@settings(max_examples=40, deadline=None)
def test_distinct_texts_are_counted_whatever_their_order(texts):
    one, other = windows.Distinct(), windows.Distinct()
    for text in texts:
        one.add(text)
    for text in reversed(texts):
        other.add(text)
    assert len(one) == len(other)
    assert abs(len(one) - len(set(texts))) <= max(1, 0.1 * len(set(texts)))


def test_a_record_that_is_later_than_stated_is_counted_as_such():
    watching = detection.Detection(lambda _finding, _opens: None)
    watching.feed(call(BEGIN + 1000))
    watching.feed(call(BEGIN))
    assert (watching.late, watching.records) == (1, 1)


def test_nothing_is_taken_for_absence():
    found = []
    watching = detection.Detection(lambda finding, _opens: found.append(finding))
    for place in range(5000):
        watching.feed(calls.from_json({"time": f"2026-01-05T{9 + place // 1000:02d}:{place % 60:02d}:00+07:00"}))
    assert found == []


def test_of_a_person_only_the_digest_that_came_is_kept():
    watching = detection.Detection(lambda _finding, _opens: None)
    for place in range(50):
        watching.feed(call(BEGIN + place, subject="0a1b2c3d4e5f6071", official="CB01", dossier="H1"))
    kept = watching.keys["key-1"].kept()
    assert "0a1b2c3d4e5f6071" not in str(kept)
    assert "CB01" not in str(kept)
