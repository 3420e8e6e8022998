"""How a caller signs: the signature base of RFC 9421 made by hand, owing nothing to the library we use."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
URL = "https://truc.example.vn/v1/notes?limit=5"
BODY = b'{"text": "xin ch\xc3\xa0o"}'
COVERED = ("@method", "@target-uri", "content-digest")


def new_key(kind: str = "ed25519") -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1()) if kind == "p256" else ed25519.Ed25519PrivateKey.generate()


def pem(key: PrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def private_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def digest(body: bytes, algorithm: str = "sha-256") -> str:
    hashed = hashlib.new(algorithm.replace("-", ""), body).digest()
    return f"{algorithm}=:{base64.b64encode(hashed).decode()}:"


def raw_signature(key: PrivateKey, base: str) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(base.encode())
    r, s = decode_dss_signature(key.sign(base.encode(), ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signed(
    key: PrivateKey,
    keyid: str,
    *,
    created: datetime | int,
    method: str = "POST",
    url: str = URL,
    body: bytes = BODY,
    covered: Sequence[str] = COVERED,
    nonce: str | None = None,
    extra: str = "",
    headers: Sequence[tuple[str, str]] = (),
) -> list[tuple[str, str]]:
    """Give all headers of a signed request."""
    lines = [*headers, ("content-digest", digest(body))] if "content-digest" in covered else [*headers]
    given = dict(lines)
    authority, _, rest = url.partition("://")[2].partition("/")
    path, mark, query = f"/{rest}".partition("?")
    derived = {"@method": method, "@target-uri": url, "@authority": authority, "@path": path}
    derived["@query"] = f"?{query}" if mark else "?"
    moment = created if isinstance(created, int) else int(created.timestamp())
    names = " ".join(f'"{name}"' for name in covered)
    params = f'({names});created={moment};nonce="{nonce or secrets.token_hex(16)}";keyid="{keyid}"{extra}'
    base = "\n".join(f'"{name}": {derived.get(name, given.get(name))}' for name in covered)
    base += f'\n"@signature-params": {params}'
    value = base64.b64encode(raw_signature(key, base)).decode()
    return [*lines, ("signature-input", f"sig1={params}"), ("signature", f"sig1=:{value}:")]


def raw(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Give headers as a server passes them on."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def certificate(
    key: PrivateKey, *, starts: datetime, days: int = 90, issuer: tuple[x509.Certificate, PrivateKey] | None = None
) -> x509.Certificate:
    """Make a certificate, signed by itself or by an issuer."""
    said = "Cơ quan chứng thực ví dụ" if issuer is None else "localhost"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, said)])
    usable = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    draft = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts.astimezone(UTC))
        .not_valid_after((starts + timedelta(days=days)).astimezone(UTC))
        .add_extension(usable, critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    signer = key if issuer is None else issuer[1]
    return draft.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def der(found: x509.Certificate) -> bytes:
    return found.public_bytes(serialization.Encoding.DER)


def certificate_pem(found: x509.Certificate) -> bytes:
    return found.public_bytes(serialization.Encoding.PEM)
