"""Where the number of an invented person may stand in clear after a run of tests, and why."""

from __future__ import annotations

from fnmatch import fnmatchcase

# Pattern of the place (a file under the tests' folders, `postgresql:table`, `log:…`, `error:…`, `answer:…`,
# `printed:…`), pattern of the test (its node id; of a file, the name of the test's folder), reason.
PLACES: tuple[tuple[str, str, str], ...] = (
    ("*", "*test_a_planted_number*", "planted, so that the search proves that it finds"),
    (
        "error:*",
        "tests/unit/test_answers.py::*",
        "the test hides numbers in facts to show that no answer tells them",
    ),
    (
        "error:UnmappedCode",
        "tests/connectors/test_population_c06.py::test_an_unknown_code_is_an_error_that_does_not_repeat_it",
        "the mapping engine's own error; the connector takes the code out before it leaves, as the test asserts",
    ),
    ("*sandbox.db*", "*", "the imitated national systems' own book of what reached them; no part of the hub"),
    ("*store.db*", "test_*", "the same, in the tests of the sandbox itself"),
    ("*/mau.xlsx!*", "test_a_form_goes_out_is_filled*", "the form that the test asked for, filled in on request"),
)


def reason(place: str, test: str) -> str | None:
    """Say why a number may stand there; None where it may not."""
    for where, when, why in PLACES:
        if fnmatchcase(place, where) and fnmatchcase(test, when):
            return why
    return None
