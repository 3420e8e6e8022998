"""Throw-away keys and certificates of the sandbox, made at the first use: an authority, and who signs under it.

The one place of the sandbox where cryptography is used.
"""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

_MAKING = threading.Lock()
AGENCY = "UBND xã Thử Nghiệm (giả lập)"


@dataclass(frozen=True, slots=True)
class Signer:
    """A key with its certificate, and the certificate of who issued it."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    authority: x509.Certificate

    def key_pem(self) -> bytes:
        """Return the private key, PEM."""
        plain = serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)

    def chain_pem(self) -> list[bytes]:
        """Return the certificate and its authority's, PEM."""
        return [pem(self.certificate), pem(self.authority)]


def pem(certificate: x509.Certificate) -> bytes:
    """Write a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, common_name),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _authority(name: str) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    key, now = _key(), datetime.now(UTC)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = _started(name, name, key.public_key(), now - timedelta(days=1000), now + timedelta(days=3650))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return key, builder.sign(key, hashes.SHA256())


def _started(
    subject: str, issuer: str, key: rsa.RSAPublicKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name(issuer))
    builder = builder.public_key(key).serial_number(x509.random_serial_number())
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    return builder.not_valid_before(begins).not_valid_after(ends)


def _issued(authority: tuple[rsa.RSAPrivateKey, x509.Certificate], issuer: str, *, ends_in_days: int) -> Signer:
    key, now = _key(), datetime.now(UTC)
    builder = _started(
        AGENCY, issuer, key.public_key(), now - timedelta(days=700), now + timedelta(days=ends_in_days)
    )
    usage = x509.KeyUsage(True, True, False, False, False, False, False, False, False)
    known = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority[0].public_key())
    builder = builder.add_extension(usage, critical=True).add_extension(known, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    return Signer(key, builder.sign(authority[0], hashes.SHA256()), authority[1])


@dataclass(frozen=True, slots=True)
class Trust:
    """The authority that is to be trusted, and signers good and bad."""

    authority: x509.Certificate
    good: Signer
    expired: Signer
    stranger: Signer


def trust() -> Trust:
    """Make the authority and its signers, once in a process."""
    with _MAKING:  # two callers at once would make two authorities
        return _trust()


@cache
def _trust() -> Trust:
    ours, theirs = "Thẩm quyền chứng thực giả lập", "Thẩm quyền lạ (giả lập)"
    authority = _authority(ours)
    return Trust(
        authority=authority[1],
        good=_issued(authority, ours, ends_in_days=700),
        expired=_issued(authority, ours, ends_in_days=-30),
        stranger=_issued(_authority(theirs), theirs, ends_in_days=700),
    )


def token_key() -> rsa.RSAPrivateKey:
    """Make the key that id tokens are signed with, once in a process."""
    with _MAKING:
        return _token_key()


@cache
def _token_key() -> rsa.RSAPrivateKey:
    return _key()


def url_safe(raw: bytes) -> str:
    """Write bytes as base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwks() -> bytes:
    """Write the public key of id tokens as a JWK set."""
    numbers = token_key().public_key().public_numbers()
    size = (numbers.n.bit_length() + 7) // 8
    modulus, exponent = url_safe(numbers.n.to_bytes(size)), url_safe(numbers.e.to_bytes(3))
    return orjson.dumps(
        {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "sandbox-1", "n": modulus, "e": exponent}]}
    )


def signed_token(claims: dict[str, object]) -> str:
    """Sign claims as a JWT, RS256."""
    head = {"alg": "RS256", "typ": "JWT", "kid": "sandbox-1"}
    text = f"{url_safe(orjson.dumps(head))}.{url_safe(orjson.dumps(claims))}"
    signature = token_key().sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{url_safe(signature)}"
