"""Whose address a request came from: the connection's, or behind a trusted proxy the one that it reports."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from lienthong.core import errors

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Addresses:
    """Believes X-Forwarded-For only where every later hop is trusted."""

    def __init__(self, trusted: Sequence[str]) -> None:
        try:
            self._trusted: tuple[_Network, ...] = tuple(
                ipaddress.ip_network(text, strict=False) for text in trusted
            )
        except ValueError as exc:
            raise errors.Misconfigured(
                f"LIENTHONG_GATEWAY__TRUSTED_PROXIES holds no address or network: {exc}",
                detail_vi=f"LIENTHONG_GATEWAY__TRUSTED_PROXIES có giá trị không phải địa chỉ mạng: {exc}",
            ) from exc

    def of(self, connected: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Give the caller's address: the last hop that is not one of our proxies."""
        connected = _plain(connected)
        if not self._trusted or not self.trusts(connected):
            return connected
        # One list, also where several proxies each added a header of their own.
        hops = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        address = connected
        for hop in reversed(hops.decode("latin-1").split(",")[-20:]):
            try:
                address = _plain(str(ipaddress.ip_address(hop.strip())))
            except ValueError:
                return address
            if not self.trusts(address):
                return address
        return address

    def trusts(self, text: str) -> bool:
        """Whether this is the address of one of our proxies."""
        if not self._trusted:
            return False
        try:
            address = ipaddress.ip_address(_plain(text))
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def one_sender(address: str) -> str:
    """Give what is counted as one sender: an IPv4 address, or the /64 that a single host of IPv6 can move in."""
    try:
        found = ipaddress.ip_address(_plain(address))
    except ValueError:
        return address[:64]
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((int(found), 64), strict=False))


def _plain(text: str) -> str:
    """Write an IPv4 address as such, where a socket for both kinds writes it as one of IPv6."""
    if not text.startswith("::ffff:"):
        return text
    return str(ipaddress.IPv6Address(text.partition("%")[0]).ipv4_mapped or text)
