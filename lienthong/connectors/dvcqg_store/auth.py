"""What goes on every call to the store; how it knows its callers is not public (contracts §3.6)."""

from __future__ import annotations


def headers(*, authorization: str, dstcode: str) -> dict[str, str]:
    """Make the headers that the store's operator asked for; those that are not set are left out.

    `dstcode` is how the adapter of generation A names a receiver (§2.1).
    """
    given = {"authorization": authorization, "dstcode": dstcode}
    return {name: value for name, value in given.items() if value}
