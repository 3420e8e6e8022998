"""Where a SIEM listens: a file, a stream (TCP or TLS), or syslog over TCP, TLS or UDP."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import ssl
import struct
import termios
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lienthong.core import errors
from lienthong.monitoring import siem_forms

CONNECT_TIMEOUT_S = 10.0
ACKNOWLEDGE_TIMEOUT_S = 30.0
_LOOK_S = 0.01
_SYSLOG_PORT, _SYSLOG_TLS_PORT = 514, 6514


class Target(Protocol):
    """Somewhere that messages go."""

    async def send(self, messages: Sequence[bytes]) -> None:
        """Deliver messages; returns when the other machine has them all, raises OSError where it may not."""
        ...

    async def is_alive(self) -> bool:
        """Whether nothing speaks against the last messages having been taken."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


def opened(url: str, *, is_syslog: bool) -> Target:
    """Choose the target that a URL names; for syslog a bare `host:port` or tcp:// is TCP with octet counting."""
    parts = urllib.parse.urlsplit(url if "://" in url else f"{'tcp' if is_syslog else 'file'}://{url}")
    scheme = parts.scheme.removeprefix("syslog+")
    if scheme == "file" and not is_syslog:
        return FileTarget(Path(parts.netloc + parts.path))
    if scheme in ("tcp", "tls") and parts.hostname and (parts.port or is_syslog):
        port = parts.port or (_SYSLOG_TLS_PORT if scheme == "tls" else _SYSLOG_PORT)
        tls = _context(urllib.parse.parse_qs(parts.query)) if scheme == "tls" else None
        return StreamTarget(parts.hostname, port, tls=tls, is_counted=is_syslog)
    if scheme == "udp" and is_syslog and parts.hostname:
        return DatagramTarget(parts.hostname, parts.port or _SYSLOG_PORT)
    raise errors.InvalidRequest(
        "give file:///path, tcp://host:port or tls://host:port; for syslog tcp, tls or udp",
        detail_vi="Địa chỉ phải là file:///tệp, tcp://máy:cổng hoặc tls://máy:cổng; với syslog: tcp, tls, udp.",
    )


def _context(asked: dict[str, list[str]]) -> ssl.SSLContext:
    """Prepare TLS: `?ca=` names whose certificates are believed, `&cert=` and `&key=` our own (RFC 5425 §4.2)."""
    given = {name: asked[name][-1] for name in ("ca", "cert", "key") if asked.get(name)}
    try:
        context = ssl.create_default_context(cafile=given.get("ca"))
        if "cert" in given:
            context.load_cert_chain(given["cert"], given.get("key"))
    except OSError as exc:
        raise errors.InvalidRequest(
            f"a certificate file of the address cannot be read: {exc.strerror or type(exc).__name__}",
            detail_vi=f"Không đọc được tệp chứng thư nêu trong địa chỉ: {exc.strerror or type(exc).__name__}.",
        ) from exc
    return context


class FileTarget:
    """A file that grows; what was sent is on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def send(self, messages: Sequence[bytes]) -> None:
        """Append, and wait for the disk."""
        await asyncio.to_thread(self._append, b"".join(messages))

    def _append(self, block: bytes) -> None:
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            while block:
                block = block[os.write(handle, block) :]
            os.fsync(handle)
        finally:
            os.close(handle)

    async def is_alive(self) -> bool:
        """A file does not go away between two looks."""
        return True

    async def close(self) -> None:
        """Nothing stays open."""


class StreamTarget:
    """A TCP or TLS connection, opened when there is something to send."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None, is_counted: bool) -> None:
        self._host, self._port, self._tls, self._is_counted = host, port, tls, is_counted
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, messages: Sequence[bytes]) -> None:
        """Write, and wait until the other machine has acknowledged every byte."""
        if self._open is None or self._open[0].at_eof():
            await self.close()
            opening = asyncio.open_connection(self._host, self._port, ssl=self._tls)
            self._open = await asyncio.wait_for(opening, CONNECT_TIMEOUT_S)
        writer = self._open[1]
        try:
            framed = (siem_forms.counted(message) if self._is_counted else message for message in messages)
            writer.write(b"".join(framed))
            async with asyncio.timeout(ACKNOWLEDGE_TIMEOUT_S):
                await writer.drain()
                quiet = 0
                # Looked at twice: between TLS and the kernel lies a buffer that nobody lets us see.
                while quiet < 2:
                    await asyncio.sleep(_LOOK_S)  # nobody tells: the kernel has to be asked
                    quiet = 0 if _unacknowledged(writer) else quiet + 1
        except OSError:
            await self.close()
            raise
        if not await self.is_alive():
            raise ConnectionResetError("the other side hung up")

    async def is_alive(self) -> bool:
        """Whether the connection still stands: what a peer takes with it as it hangs up must be sent again."""
        await asyncio.sleep(0)
        return self._open is not None and not self._open[0].at_eof() and not self._open[1].is_closing()

    async def close(self) -> None:
        """End the connection."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


class DatagramTarget:
    """Syslog over UDP: one datagram a message, and nobody says whether it arrived (RFC 5426)."""

    def __init__(self, host: str, port: int) -> None:
        self._where = (host, port)

    async def send(self, messages: Sequence[bytes]) -> None:
        """Send each message."""
        await asyncio.to_thread(self._send, messages)

    def _send(self, messages: Sequence[bytes]) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(*self._where, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as sender:
            for message in messages:
                sender.sendto(message, address)

    async def is_alive(self) -> bool:
        """Nobody can say."""
        return True

    async def close(self) -> None:
        """Nothing stays open."""


def _unacknowledged(writer: asyncio.StreamWriter) -> bool:
    """Whether bytes wait here or on the way: the kernel counts what the peer has not acknowledged (SIOCOUTQ)."""
    plain = writer.get_extra_info("socket")
    if writer.is_closing() or plain is None:
        raise ConnectionResetError("the connection was closed")
    left = struct.unpack("i", fcntl.ioctl(plain.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]
    return left > 0 or writer.transport.get_write_buffer_size() > 0
