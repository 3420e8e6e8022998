"""Is what is not normal found, soon, without crying wolf? Each part is a module beside this one.

(a) `nab`: number series against a public benchmark and its published figures. (b), (c), (d) `misuse`: abuse of
API keys in a made-up province, real attack logs under invented keys, and records a second.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import figures
import misuse
import nab

# Further parts: a function that prints its table and gives its figures, goals and what it skipped.
PARTS: dict[str, Callable[[bool], nab.Part]] = {
    "series": lambda _quick: nab.measure(),  # 31 series take a few seconds: a quick run leaves nothing out
    "abuse": misuse.measure,
}


def run(name: str, quick: bool) -> tuple[str, nab.Part]:
    """Run one part; gives what it printed, too."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        part = PARTS[name](quick)
    return said.getvalue(), part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less work, the same goals")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be repeated")
    chosen = parser.parse_args()
    whole = nab.Part({}, {}, {})
    names = chosen.part or list(PARTS)
    with ProcessPoolExecutor(len(names)) as pool:  # beside each other: one alone leaves most of the machine idle
        done = list(pool.map(run, names, [chosen.quick] * len(names)))
    for said, part in done:
        print(said, end="")
        for everything, its in zip(whole, part, strict=True):
            everything.update(its)
    figures.finish("detection", figures=whole.figures, goals=whole.goals, skipped=whole.skipped)


if __name__ == "__main__":
    main()
