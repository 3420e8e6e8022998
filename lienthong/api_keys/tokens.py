"""Short-lived tokens got for a key: JWT (RFC 7519, typ `at+jwt`) signed with the hub's own key, EdDSA only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
import sqlalchemy as sa
from pydantic import BaseModel, Field

from lienthong.api_keys import certificates
from lienthong.core import clock, crypto, errors, storage, tables

LONGEST_S = 900
_ISSUER = "lienthong"
_TYPE = "at+jwt"
_ALGORITHM = "EdDSA"
_LONGEST_TEXT = 4096
_CLAIMS = ("iss", "aud", "sub", "gen", "jti", "iat", "exp")
# The times are compared with the `now` that is given, not with PyJWT's own clock.
_OPTIONS: Any = {"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False, "verify_nbf": False}


@dataclass(frozen=True, slots=True)
class Token:
    """A token whose signature is good; `bound_to` is the claim `x5t#S256` of a token for one certificate only."""

    key_id: str
    generation: int
    number: str
    issued_at: int
    expires_at: int
    bound_to: str | None = None


class TokenAnswer(BaseModel):
    """A token, in the form of RFC 6749 section 5.1."""

    access_token: str = Field(description="Token, gửi trong tiêu đề Authorization: Bearer")
    token_type: str = Field("Bearer", description="Loại token, luôn là Bearer")
    expires_in: int = Field(description="Số giây còn hiệu lực")


class Tokens:
    """Issues and reads the tokens of one hub; every process with the same master key reads them alike."""

    def __init__(self, vault: crypto.Vault, *, audience: str, lifetime_s: int) -> None:
        self._key = vault.token_key()
        self._public_key = self._key.public_key()
        self._audience = audience
        self._lifetime_s = min(lifetime_s, LONGEST_S)

    def issue(
        self,
        key_id: str,
        generation: int,
        *,
        now: datetime,
        certificate: crypto.Certificate | None = None,
    ) -> TokenAnswer:
        """Make a token for one generation of a key; with a certificate it is worth nothing without that one."""
        issued_at = int(now.timestamp())
        claims: dict[str, Any] = {
            "iss": _ISSUER,
            "aud": self._audience,
            "sub": key_id,
            "gen": generation,
            "jti": clock.new_id(),
            "iat": issued_at,
            "exp": issued_at + self._lifetime_s,
        }
        if certificate is not None:
            claims["cnf"] = {"x5t#S256": certificates.in_words(certificate.thumbprint)}
        text = jwt.encode(claims, self._key, algorithm=_ALGORITHM, headers={"typ": _TYPE})
        return TokenAnswer(access_token=text, expires_in=self._lifetime_s)

    def read(self, text: str, *, now: datetime) -> Token:
        """Read a token. Whether its key still holds is for the gate to say.

        Raises ProofRejected; towards the caller, a forged token and one of another hub are the same.
        """
        if not text.isascii() or len(text) > _LONGEST_TEXT:
            raise _invalid("token_unreadable")
        try:
            whole = jwt.decode_complete(
                text,
                self._public_key,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                issuer=_ISSUER,
                options=_OPTIONS,
            )
        except (jwt.PyJWTError, ValueError, TypeError) as exc:
            raise _invalid(f"token_{type(exc).__name__}") from None
        if whole["header"].get("typ") != _TYPE:
            raise _invalid("token_type")
        token = _token(whole["payload"])
        if now.timestamp() >= token.expires_at:
            raise _expired()
        return token


def audience(agency_code: str) -> str:
    """Name the hub for which a token is good."""
    return f"lienthong:{agency_code}"


class Generations:
    """Finds the digest of the generation that a token stands for, so that a token is looked up as its key is.

    A generation never changes its digest: it is remembered for good. Whether it still holds is read elsewhere.
    """

    def __init__(self, store: storage.Storage) -> None:
        self._store = store
        self._known: dict[tuple[str, int], str] = {}

    async def digest_of(self, token: Token) -> str | None:
        """Give the digest, or nothing where there is no such generation. Raises StorageUnavailable."""
        known = self._known.get((token.key_id, token.generation))
        if known is not None:
            return known
        table = tables.key_generations
        asked = sa.select(table.c.digest).where(table.c.key_id == token.key_id, table.c.number == token.generation)
        async with self._store.reading() as conn:
            found: str | None = (await conn.execute(asked)).scalar()
        if found is not None:
            self._known[token.key_id, token.generation] = found
        return found


def check_binding(token: Token, certificate: crypto.Certificate | None) -> None:
    """Make sure that a bound token comes over a connection with its certificate. Raises ProofRejected."""
    if token.bound_to is None:
        return
    if certificate is None or not crypto.is_same(certificates.in_words(certificate.thumbprint), token.bound_to):
        raise errors.ProofRejected(
            "This token is bound to the client certificate with which it was got; call with the same certificate.",
            detail_vi="Token này gắn với chứng thư đã dùng khi lấy token; hãy gọi bằng đúng chứng thư đó.",
            reason="token_binding",
        )


def check_owner(token: Token, key_id: str) -> None:
    """Make sure that a token belongs to the key that came beside it. Raises ProofRejected."""
    if not crypto.is_same(token.key_id, key_id):
        raise errors.ProofRejected(
            "The token in Authorization was not got with this key; get one with it.",
            detail_vi="Token trong Authorization không phải được lấy bằng khoá này; hãy lấy token bằng "
            "chính khoá này.",
            reason="token_owner",
        )


def _token(claims: dict[str, Any]) -> Token:
    """Take the claims over; they are signed, so what does not fit is a defect or another version of ours."""
    bound_to = (claims.get("cnf") or {}).get("x5t#S256")
    numbers = [claims[name] for name in ("gen", "iat", "exp")]
    texts = [claims[name] for name in ("sub", "jti")] + ([bound_to] if bound_to is not None else [])
    is_ours = all(type(number) is int for number in numbers) and all(isinstance(text, str) for text in texts)
    if not is_ours or claims["exp"] - claims["iat"] > LONGEST_S:
        raise _invalid("token_claims")
    return Token(claims["sub"], claims["gen"], claims["jti"], claims["iat"], claims["exp"], bound_to)


def _expired() -> errors.ProofRejected:
    return errors.ProofRejected(
        "The token has expired; get a new one: POST /v1/tokens with the header X-API-Key.",
        detail_vi="Token đã hết hạn; hãy lấy token mới: POST /v1/tokens với tiêu đề X-API-Key.",
        reason="token_expired",
    )


def _invalid(reason: str) -> errors.ProofRejected:
    return errors.ProofRejected(
        "The token is not valid. Authorization: Bearer takes a token got by POST /v1/tokens; the API key "
        "itself goes into the header X-API-Key.",
        detail_vi="Token không hợp lệ. Authorization: Bearer chỉ nhận token lấy từ POST /v1/tokens; còn khoá "
        "API thì đặt trong tiêu đề X-API-Key.",
        reason=reason,
    )
