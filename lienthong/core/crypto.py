"""Keys of the hub, sealing of what must not lie in clear, and digests that only the hub can make.

The only module that touches `cryptography`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lienthong.core import errors

MASTER_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"


@dataclass(slots=True)
class Vault:
    """Seals and opens bytes, and makes keyed digests, all from one master key.

    A sealed value is `version (1) | nonce (12) | ciphertext and tag`; the purpose is bound in as associated
    data, so that a value sealed for one column does not open in another.
    """

    _sealer: AESGCM
    _digest_key: bytes
    _token_seed: bytes = field(repr=False)

    @classmethod
    def from_master(cls, master: bytes) -> Vault:
        """Derive the working keys (HKDF-SHA256, one for each use) from a master key of 32 bytes."""
        if len(master) != MASTER_KEY_BYTES:
            raise errors.Misconfigured(
                "the master key must have 32 bytes", detail_vi="Khoá chủ phải dài đúng 32 byte."
            )
        return cls(AESGCM(_derive(master, b"seal")), _derive(master, b"digest"), _derive(master, b"tokens"))

    def seal(self, plain: bytes, *, purpose: str) -> bytes:
        """Encrypt and authenticate (AES-256-GCM)."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._sealer.encrypt(nonce, plain, purpose.encode())

    def open(self, sealed: bytes, *, purpose: str) -> bytes:
        """Give back what was sealed for this purpose; raises StorageUnavailable where it was altered."""
        if sealed[:1] != _VERSION:
            raise errors.StorageUnavailable("a sealed value has an unknown version", purpose=purpose)
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._sealer.decrypt(nonce, body, purpose.encode())
        except (InvalidTag, ValueError) as exc:  # ValueError: cut short before the nonce ends
            raise errors.StorageUnavailable(
                "a sealed value cannot be opened: it was altered, or sealed with another master key",
                purpose=purpose,
            ) from exc

    def digest(self, value: bytes, *, purpose: str) -> str:
        """Make a keyed digest (HMAC-SHA256, 64 hexadecimal characters) that only this hub can make."""
        return hmac.new(self._digest_key, purpose.encode() + b"\x00" + value, hashlib.sha256).hexdigest()

    def token_key(self) -> ed25519.Ed25519PrivateKey:
        """Give the hub's own key for signing tokens (Ed25519), the same in every process with this master key."""
        return ed25519.Ed25519PrivateKey.from_private_bytes(self._token_seed)


def _derive(master: bytes, use: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"lienthong/" + use).derive(master)


def is_same(left: str, right: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())


def random_token(size_bytes: int = 32) -> bytes:
    """Give random bytes fit for a key."""
    return secrets.token_bytes(size_bytes)


def load_or_create_master(path: Path, *, create: bool) -> bytes:
    """Read the master key file (32 raw bytes), making it (mode 0600) where `create` allows.

    Two processes that start together end with the same key: the file is put in place by a link, which
    succeeds for one of them only.
    """
    if not path.exists() and create:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A name by chance: processes in containers of their own all have the number 1.
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, secrets.token_bytes(MASTER_KEY_BYTES))
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    if not path.exists():
        raise errors.Misconfigured(
            "the master key file is missing; run `lienthong init`, or restore it from the backup",
            detail_vi="Thiếu tệp khoá chủ; chạy `lienthong init`, hoặc khôi phục từ bản sao lưu.",
            path=str(path),
        )
    return path.read_bytes()


# ---------------------------------------------------------------------------- proof of possession (api_keys/proof)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key to check signatures with; `thumbprint` is the SHA-256 of its SPKI, in hexadecimal."""

    algorithm: str
    pem: str
    thumbprint: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the hub needs of a certificate: two thumbprints (SHA-256, hexadecimal), and when it holds."""

    thumbprint: str
    public_key_thumbprint: str
    valid_from: datetime
    valid_until: datetime


def read_public_key(pem: bytes) -> PublicKey:
    """Read a public key (PEM). Raises ValueError for anything but Ed25519 and ECDSA on P-256."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a public key in PEM") from None
    algorithm = _algorithm(key)
    if algorithm not in ("ed25519", "ecdsa-p256-sha256"):
        raise ValueError("neither Ed25519 nor ECDSA on P-256")
    return _public(key, algorithm)


def read_assertion_key(encoded: bytes) -> PublicKey:
    """Read a public key that signs assertions, PEM or JWK: Ed25519, ECDSA on P-256, RSA. Raises ValueError."""
    try:
        if encoded.lstrip()[:1] == b"{":
            key = _of_jwk(json.loads(encoded))
        else:
            key = serialization.load_pem_public_key(encoded)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, UnsupportedAlgorithm):
        raise ValueError("not a public key in PEM or JWK") from None
    algorithm = _algorithm(key)
    if algorithm is None:
        raise ValueError("neither Ed25519 nor ECDSA on P-256 nor RSA of at least 2048 bits")
    return _public(key, algorithm)


def _of_jwk(told: Any) -> Any:
    """Make the key of a JWK (RFC 7517, 7518 §6, 8037). One with a private part is refused: it is known now."""
    if "d" in told:
        raise ValueError("a private key")
    if told["kty"] == "OKP" and told["crv"] == "Ed25519":
        return ed25519.Ed25519PublicKey.from_public_bytes(_octets(told["x"]))
    if told["kty"] == "EC" and told["crv"] == "P-256":
        point = b"\x04" + _octets(told["x"]) + _octets(told["y"])
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    if told["kty"] == "RSA":
        modulus, exponent = (int.from_bytes(_octets(told[part]), "big") for part in ("n", "e"))
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    raise ValueError("another kind of key")


def _octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _algorithm(key: Any) -> str | None:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ecdsa-p256-sha256"
    # An upper bound, too: checking a signature of a giant key takes its time at every call.
    if isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 8192:
        return "rsa-sha256"
    return None


def _public(key: Any, algorithm: str) -> PublicKey:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    text = key.public_bytes(serialization.Encoding.PEM, form).decode("ascii")
    spki = key.public_bytes(serialization.Encoding.DER, form)
    return PublicKey(algorithm, text, hashlib.sha256(spki).hexdigest())


def read_certificate(encoded: bytes) -> Certificate:
    """Read one certificate, in PEM or DER. Raises ValueError where it is none."""
    try:
        is_pem = encoded.lstrip().startswith(b"-----BEGIN")
        found = x509.load_pem_x509_certificate(encoded) if is_pem else x509.load_der_x509_certificate(encoded)
        spki = found.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a certificate in PEM or DER") from None
    return Certificate(
        found.fingerprint(hashes.SHA256()).hex(),
        hashlib.sha256(spki).hexdigest(),
        found.not_valid_before_utc,
        found.not_valid_after_utc,
    )


def read_authorities(pem: bytes) -> list[x509.Certificate]:
    """Read the certificates of those who are believed, one after the other in PEM. Raises ValueError."""
    return x509.load_pem_x509_certificates(pem)


# ------------------------------------------------------------------------------- seals (monitoring/checkpoints)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one Ed25519 key; `public` are the 32 bytes that anybody may check its signatures with."""

    _key: ed25519.Ed25519PrivateKey
    public: bytes

    @classmethod
    def from_seed(cls, seed: bytes) -> Signer:
        """Make the signer of a seed of 32 bytes, as it lies in a key file."""
        key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        return cls(key, key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Sign a message (Ed25519, 64 bytes)."""
        return self._key.sign(message)


def new_private_pem() -> bytes:
    """Make a new Ed25519 key, as an unencrypted PEM: for a file that only its owner can read."""
    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(private_pem: bytes) -> bytes:
    """Give the public half of a private key, both as PEM."""
    key = serialization.load_pem_private_key(private_pem, password=None)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def is_signed(message: bytes, signature: bytes, *, public: bytes) -> bool:
    """Whether a signature (Ed25519) of a message was made with the key of these public bytes."""
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# ------------------------------------------------------------------------ trust anchors (core/paper_signatures)


def read_certificates(encoded: bytes) -> tuple[bytes, ...]:
    """Read one certificate in DER, or one and more in PEM; gives DER. Raises ValueError where there is none."""
    try:
        if encoded.lstrip().startswith(b"-----BEGIN"):
            found = x509.load_pem_x509_certificates(encoded)
        else:
            found = [x509.load_der_x509_certificate(encoded)]
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a certificate in PEM or DER") from None
    return tuple(it.public_bytes(serialization.Encoding.DER) for it in found)


def read_revocation_list(encoded: bytes) -> bytes:
    """Read a list of revoked certificates, in PEM or DER; gives DER. Raises ValueError where it is none."""
    try:
        is_pem = encoded.lstrip().startswith(b"-----BEGIN")
        found = x509.load_pem_x509_crl(encoded) if is_pem else x509.load_der_x509_crl(encoded)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a revocation list in PEM or DER") from None
    return found.public_bytes(serialization.Encoding.DER)


def revoked_at(revocation_list: bytes, *, serial: int, issuer: bytes) -> datetime | None:
    """Say since when a certificate of this issuer (DER) is revoked; None also where the list is not the issuer's.

    A list that is overdue still counts for what it names.
    """
    try:
        found = x509.load_der_x509_crl(revocation_list)
        key = x509.load_der_x509_certificate(issuer).public_key()
        if not found.is_signature_valid(key):  # type: ignore[arg-type]  # a TypeError for other keys, below
            return None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    entry = found.get_revoked_certificate_by_serial_number(serial)
    return None if entry is None else entry.revocation_date_utc


def certificate_der(text: str) -> bytes:
    """Read a certificate written as base64, as it stands in XML; gives DER. Raises ValueError where it is none."""
    (found,) = read_certificates(base64.b64decode("".join(text.split()), validate=True))
    return found


def certificate_pem(encoded: bytes) -> str:
    """Write a certificate (DER) as PEM."""
    return x509.load_der_x509_certificate(encoded).public_bytes(serialization.Encoding.PEM).decode("ascii")
