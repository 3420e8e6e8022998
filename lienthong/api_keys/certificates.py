"""Client certificates bound to a key: seen by the server itself, or by the proxy in front of it."""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote_to_bytes

from lienthong.core import crypto, errors

_LONGEST = 16_384
_PEM = b"-----BEGIN"


def presented(
    scope: Mapping[str, Any], *, header: str = "", is_from_proxy: bool = False
) -> crypto.Certificate | None:
    """Find the client certificate of a connection, or nothing.

    Directly: the ASGI extension `tls`. Through a proxy: the header that the settings name, in the form of RFC 9440
    or as URL-escaped PEM, and only where the connection is the proxy's own. Raises ProofRejected where it cannot
    be read.
    """
    chain = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain")
    if chain:
        return _read(chain[0].encode("ascii"))
    if not header or not is_from_proxy:
        return None
    name = header.lower().encode("ascii")
    values = [value for found, value in scope["headers"] if found == name]
    if not values or values == [b""]:
        return None
    if len(values) > 1 or len(values[0]) > _LONGEST:
        raise _unreadable()
    return _read(_decoded(values[0].strip()))


def check_time(found: crypto.Certificate, *, now: datetime) -> None:
    """Refuse a certificate outside its time. Raises ProofRejected."""
    if found.valid_from <= now <= found.valid_until:
        return
    until = found.valid_until.date().isoformat()
    raise errors.ProofRejected(
        f"The client certificate is not valid now (valid until {until}). Have a new one registered for this key.",
        detail_vi=f"Chứng thư của máy gọi không còn hoặc chưa có hiệu lực (đến {until}). Hãy đề nghị đăng ký "
        "chứng thư mới cho khoá này.",
        reason="certificate_time",
    )


def in_words(thumbprint: str) -> str:
    """Give a thumbprint as the tokens' claim `x5t#S256` has it (RFC 8705): base64url without padding."""
    return base64.urlsafe_b64encode(bytes.fromhex(thumbprint)).rstrip(b"=").decode("ascii")


def from_peer(peer: ssl.SSLObject | None) -> list[str]:
    """Give the client's certificate of a TLS connection as the ASGI extension has it: a list of PEM texts."""
    encoded = peer.getpeercert(binary_form=True) if peer is not None else None
    return [ssl.DER_cert_to_PEM_cert(encoded)] if encoded else []


def _decoded(value: bytes) -> bytes:
    if value.startswith(b":"):
        try:
            if len(value) < 3 or not value.endswith(b":"):
                raise _unreadable()
            return base64.b64decode(value[1:-1], validate=True)
        except binascii.Error:
            raise _unreadable() from None
    plain = unquote_to_bytes(value)
    if not plain.startswith(_PEM):
        raise _unreadable()
    return plain


def _read(encoded: bytes) -> crypto.Certificate:
    try:
        return crypto.read_certificate(encoded)
    except ValueError:
        raise _unreadable() from None


def _unreadable() -> errors.ProofRejected:
    return errors.ProofRejected(
        "The client certificate that the proxy passed on cannot be read. The proxy must send one certificate "
        "as RFC 9440 has it (:<base64 of DER>:) or as URL-escaped PEM.",
        detail_vi="Không đọc được chứng thư mà máy chủ trung gian chuyển tới. Máy chủ trung gian phải gửi "
        "một chứng thư theo RFC 9440 (:<base64 của DER>:) hoặc PEM mã hoá kiểu URL.",
        reason="certificate_unreadable",
    )
