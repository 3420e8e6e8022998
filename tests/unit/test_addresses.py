"""Whose address a request came from, also where one socket listens for both kinds of addresses."""

from __future__ import annotations

import pytest

from lienthong.bus.gateway import addresses


@pytest.mark.parametrize(
    ("connected", "hops", "caller"),
    [
        ("::ffff:192.0.2.7", b"", "192.0.2.7"),
        ("::ffff:10.0.0.1", b"192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", b"::ffff:192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", b"::ffff:c000:207", "192.0.2.7"),
        ("10.0.0.1", b"2001:db8::1", "2001:db8::1"),
        ("2001:db8::1", b"192.0.2.7", "2001:db8::1"),
    ],
)
def test_an_ipv4_address_is_the_same_over_a_socket_of_ipv6(connected: str, hops: bytes, caller: str) -> None:
    believed = addresses.Addresses(("10.0.0.0/8",))
    assert believed.of(connected, [(b"x-forwarded-for", hops)]) == caller
