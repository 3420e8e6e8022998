"""Questions about persons: enumeration, curiosity, and questions without a real case. All from digests."""

from __future__ import annotations

from typing import NamedTuple

from lienthong.core import numerals
from lienthong.monitoring import baselines
from lienthong.monitoring.detectors.findings import Finding, Who

# What even spacing adds to the improbability of many unknown numbers (decimal logarithm).
EVEN_POWER = 7.0
# Chance brings it once in a million times (decimal logarithm).
_MILLION = 6.0


class Asked(NamedTuple):
    """Questions about persons in one span: how many, of unknown numbers, and without naming a dossier."""

    minutes: int
    questions: int
    unknown: int
    caseless: int


class Usual(NamedTuple):
    """The usual shares of the same: numbers unknown, questions without a dossier (None where not known)."""

    unknown: float
    caseless: float | None


def hit_rate(
    who: Who, at: float, asked: Asked, usual: Usual, *, even_gap_s: float | None = None
) -> Finding | None:
    """Find questions that hit unknown numbers, or name no case, far more often than usual: guessing.

    Where they come evenly, as a machine makes them (`even_gap_s`), less is enough.
    """
    powers = [baselines.tail(asked.unknown, usual.unknown * asked.questions) if asked.unknown >= 4 else 0.0]
    if usual.caseless is not None and asked.caseless >= 6:
        powers.append(baselines.tail(asked.caseless, usual.caseless * asked.questions))
    if even_gap_s is not None and max(powers) >= 3:
        powers.append(EVEN_POWER)
    if max(powers) < _MILLION and sum(powers) < 10:
        return None
    return Finding(
        "enumeration",
        who,
        at - 60 * asked.minutes,
        at,
        min(1.0, sum(powers) / 30),
        {
            "questions": asked.questions,
            "unknown": asked.unknown,
            "without_dossier": asked.caseless,
            "minutes": asked.minutes,
            **({} if even_gap_s is None else {"even_gap_s": round(even_gap_s, 1)}),
        },
        {"unknown_share": round(usual.unknown, 4), "without_dossier_share": round(usual.caseless or 0.0, 4)},
        f"{asked.unknown} trong {asked.questions} câu hỏi về công dân trúng số không tồn tại, "
        f"{asked.caseless} không nêu hồ sơ, trong {asked.minutes} phút; "
        f"thường {numerals.vi(usual.unknown, '.1%')} số sai.",
        f"{asked.unknown} of {asked.questions} questions about citizens hit unknown numbers and {asked.caseless} "
        f"named no dossier, in {asked.minutes} minutes; usually {usual.unknown:.1%} are unknown.",
    )


def many_subjects(who: Who, at: float, *, seen: int, bound: float, normal: float, minutes: int) -> Finding | None:
    """Find more different persons asked about than usual."""
    if seen <= bound:
        return None
    return Finding(
        "enumeration",
        who,
        at - 60 * minutes,
        at,
        seen / (seen + bound),
        {"persons": seen, "minutes": minutes},
        {"persons": round(normal), "at_most": round(bound)},
        f"Hỏi về {numerals.whole(seen)} người khác nhau trong {minutes} phút; "
        f"thường {normal:.0f}, nhiều nhất {bound:.0f}.",
        f"Asked about {seen:,} different persons in {minutes} minutes; usually {normal:.0f}, at most {bound:.0f}.",
    )


def evenly(who: Who, at: float, *, gap_s: float, questions: int) -> Finding:
    """Say that questions in an official's name come at even gaps: a machine asks, not a person."""
    return Finding(
        "enumeration",
        who,
        at - gap_s * questions,
        at,
        0.7,
        {"questions": questions, "even_gap_s": round(gap_s, 1)},
        {},
        f"{questions} câu hỏi về công dân cách đều nhau {numerals.vi(gap_s, '.1f')} giây dưới tên một cán bộ: "
        "máy đang hỏi.",
        f"{questions} questions about citizens in one official's name, {gap_s:.1f} s apart each: a machine asks.",
    )


def many_officials(who: Who, at: float, *, officials: int, usual: int, days: int) -> Finding:
    """Say that one citizen is asked about by many officials."""
    return Finding(
        "curious_many",
        who,
        at - 86_400 * days,
        at,
        officials / (officials + usual),
        {"officials": officials, "days": days},
        {"officials": usual},
        f"{officials} cán bộ tra cứu cùng một người trong {days} ngày; hiếm khi quá {usual}.",
        f"{officials} officials asked about one person within {days} days; rarely more than {usual} do.",
    )


def coming_back(who: Who, at: float, *, times: int, on_days: int, usual: int) -> Finding:
    """Say that one official comes back to one citizen again and again."""
    return Finding(
        "curious_return",
        who,
        at - 86_400 * 14,
        at,
        on_days / (on_days + usual),
        {"times": times, "on_days": on_days, "days": 14},
        {"on_days": usual},
        f"Một cán bộ tra cứu cùng một người {times} lần trong {on_days} ngày; hiếm khi quá {usual} ngày.",
        f"One official asked about one person {times} times on {on_days} days; rarely on more than {usual}.",
    )


def reused(who: Who, at: float, *, persons: int, usual: int) -> Finding:
    """Say that one dossier serves for questions about many persons."""
    return Finding(
        "dossier_reused",
        who,
        at - 86_400,
        at,
        persons / (persons + usual),
        {"persons": persons, "dossiers": 1},
        {"persons": usual},
        f"Một hồ sơ được nêu để hỏi về {persons} người khác nhau; hiếm khi quá {usual}.",
        f"One dossier was named for questions about {persons} different persons; rarely for more than {usual}.",
    )


def no_case(who: Who, at: float, *, kind: str, seen: int, questions: int, share: float) -> Finding | None:
    """Find an official whose questions name dossiers that are opened afterwards, never move or never appear."""
    least, power = (5, 6.5) if kind == "never_moves" else (3, 4.5)
    if seen < least or baselines.tail(seen, share * questions) < power:
        return None
    words = {
        "unheard": ("nêu hồ sơ chưa từng có", "named dossiers that nobody has seen"),
        "opened_after": ("có hồ sơ được mở sau khi hỏi", "had their dossier opened after the question"),
        "never_moves": ("nêu hồ sơ không hề được xử lý", "named dossiers that never move"),
    }[kind]
    return Finding(
        "no_case",
        who,
        at - 86_400,
        at,
        seen / (seen + 3),
        {kind: seen, "questions": questions},
        {"share": round(share, 4)},
        f"{seen} trong {questions} câu hỏi của một cán bộ {words[0]}; thường {numerals.vi(share, '.1%')}.",
        f"{seen} of {questions} questions of one official {words[1]}; usually {share:.1%}.",
    )
