"""Proof of possession: that a call comes from the holder of the key, and not from whoever saw it.

Three kinds: `signature` (RFC 9421), `certificate` (bound to the key), `token` (short-lived, got for the key).
A requirement is a set of alternatives of which one is enough; `signature+certificate` asks for both together.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from lienthong.api_keys import certificates, proof_register, replays, signatures, tokens
from lienthong.core import crypto, errors

_WORDS = {
    "signature": ("an HTTP message signature", "chữ ký HTTP"),
    "certificate": ("the client certificate registered for the key", "chứng thư đã đăng ký cho khoá"),
    "token": ("a token in Authorization: Bearer", "token trong Authorization: Bearer"),
}
_SEND = {
    "signature": f"{signatures.EXAMPLE} and the header Signature (RFC 9421)",
    "certificate": "a TLS connection with that certificate",
    "token": "Authorization: Bearer <access_token of POST /v1/tokens>",
}


class Key(Protocol):
    """The key that the gate has let in."""

    @property
    def key_id(self) -> str:
        """Its number."""
        ...


@dataclass(frozen=True, slots=True)
class Presented:
    """A request as far as proofs are read from it; `headers` are the raw lines in the order they came in.

    `signer` is the certificate whose key has signed the message itself, where a door has verified that.
    """

    method: str
    url: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes = b""
    certificate: crypto.Certificate | None = None
    token: tokens.Token | None = None
    signer: crypto.Certificate | None = None


@dataclass(frozen=True, slots=True)
class Proven:
    """What a call has proven, for the record; `certificate` only where it is registered and in its time."""

    kinds: frozenset[str] = frozenset()
    signed_with: str | None = None
    certificate: crypto.Certificate | None = None


NOTHING = Proven()


@dataclass(frozen=True, slots=True)
class Window:
    """How old a signature may be, and how far clocks may differ."""

    age_s: float
    skew_s: float


class Prover:
    """Checks the proofs of every call, in every process in the same way."""

    def __init__(self, register: proof_register.Register, seen: replays.Replays, *, window: Window) -> None:
        self._register = register
        self._seen = seen
        self._window = window

    async def check(
        self,
        request: Presented,
        key: Key,
        required: frozenset[str],
        now: datetime,
        *,
        token_once: bool = False,
    ) -> Proven:
        """Make sure that a call carries what the operation (`required`) and the key itself demand.

        Raises ProofRejected (a KeyRejected) saying what to send; NotGranted where nothing that would do is
        registered for the key; CapacityReduced where replays cannot be told apart at the moment.
        """
        holding = await self._register.of(key.key_id)
        wanted = proof_register.both(required, holding.required)
        if request.token is not None:
            tokens.check_owner(request.token, key.key_id)
            tokens.check_binding(request.token, request.certificate)
        proven = _with_signer(request, holding, _without_signature(request, holding, now=now), now=now)
        needs_signature = wanted and not _is_met(wanted, proven.kinds)
        if needs_signature and any("signature" in proof_register.parts(one) for one in wanted):
            proven = await self._with_signature(request, holding, proven, now=now)
        if wanted and not _is_met(wanted, proven.kinds):
            raise _unproven(wanted, request, holding, now=now)
        if token_once and request.token is not None:
            number = request.token
            await self._seen.spend(
                f"token {number.number}", created=number.issued_at, until=number.expires_at, now=now
            )
        return proven

    async def stop(self) -> None:
        """Give back what is held."""
        await self._seen.stop()

    async def _with_signature(
        self, request: Presented, holding: proof_register.Holding, proven: Proven, *, now: datetime
    ) -> Proven:
        """Verify the signature, if there is one; its nonce is spent only once everything else is right."""
        lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
        if not signatures.is_signed(lines) or not holding.has("signature"):
            return proven
        message = signatures.Message(request.method, request.url, lines, request.body)
        claim = signatures.read(lines)
        signer = holding.signer(claim.key_name)
        if signer is None:
            raise _unknown_signer()
        signatures.check_coverage(claim, message)
        signatures.check_time(claim, now=now, age_s=self._window.age_s, skew_s=self._window.skew_s)
        signatures.check_body(claim, message)
        signatures.verify(message, claim, signer)
        until = int(claim.created + self._window.age_s + self._window.skew_s) + 1
        name = f"nonce {claim.key_name} {claim.nonce}"
        await self._seen.spend(name, created=claim.created, until=until, now=now)
        return Proven(proven.kinds | {"signature"}, claim.key_name, proven.certificate)


def required_for(rules: Mapping[str, Collection[str]], operation: str) -> frozenset[str]:
    """Give what an operation demands by the settings; where several rules name it, all of them hold."""
    wanted: frozenset[str] = frozenset()
    for name in _names_of(operation):
        wanted = proof_register.both(wanted, frozenset(rules.get(name, ())))
    return wanted


def is_named(names: Collection[str], operation: str) -> bool:
    """Whether a list of operations and groups (`residents.*`, `all`) names this one."""
    return any(name in names for name in _names_of(operation))


def must_be_known(names: Iterable[str], *, known: Collection[str], setting: str) -> None:
    """Refuse a rule for an operation that does not exist: it would protect nothing. Raises Misconfigured."""
    valid = {"all", *known, *(f"{name.partition('.')[0]}.*" for name in known)}
    for name in names:
        if name not in valid:
            near = difflib.get_close_matches(name, sorted(valid), n=1, cutoff=0.3) or ["all"]
            raise errors.Misconfigured(
                f"{setting} names {name}, which is no operation; the nearest is {near[0]}",
                detail_vi=f"{setting} nêu {name}, không phải là thao tác nào; gần nhất là {near[0]}.",
            )


def address(scope: Mapping[str, Any], *, public_url: str) -> str:
    """Give the whole address of a request as its caller wrote it: as set, or else by the Host that came."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    front = public_url or f"{scope.get('scheme', 'http')}://{host}"
    return f"{front}{path}{'?' if query else ''}{query}"


def _names_of(operation: str) -> tuple[str, str, str]:
    return operation, f"{operation.partition('.')[0]}.*", "all"


def _is_met(wanted: frozenset[str], kinds: frozenset[str]) -> bool:
    return any(proof_register.parts(alternative) <= kinds for alternative in wanted)


def _without_signature(request: Presented, holding: proof_register.Holding, *, now: datetime) -> Proven:
    kinds = set() if request.token is None else {"token"}
    found = request.certificate
    if found is None or not holding.has_certificate(found) or not found.valid_from <= now <= found.valid_until:
        return Proven(frozenset(kinds))
    return Proven(frozenset({*kinds, "certificate"}), certificate=found)


def _with_signer(request: Presented, holding: proof_register.Holding, proven: Proven, *, now: datetime) -> Proven:
    """Count a message signed with a registered certificate as both signature and certificate."""
    signer = request.signer
    if signer is None:
        return proven
    certificates.check_time(signer, now=now)
    if not holding.has_certificate(signer):
        raise _other_certificate()
    return Proven(proven.kinds | {"signature", "certificate"}, signer.thumbprint, proven.certificate)


def _unproven(
    wanted: frozenset[str], request: Presented, holding: proof_register.Holding, *, now: datetime
) -> errors.HubError:
    """Say what is missing: to the caller what to send, or that nothing that would do is registered."""
    possible = [one for one in wanted if all(holding.has(kind) for kind in proof_register.parts(one))]
    ways = [sorted(proof_register.parts(one)) for one in sorted(wanted)]
    said_en = " or ".join(" with ".join(_WORDS[kind][0] for kind in way) for way in ways)
    said_vi = " hoặc ".join(" kèm ".join(_WORDS[kind][1] for kind in way) for way in ways)
    if not possible:
        return errors.NotGranted(
            f"Beside the key this call needs {said_en}, and nothing of the kind is registered for the key. "
            "Ask the unit that issues keys to register it (keys proof add).",
            detail_vi=f"Ngoài khoá, lượt gọi này cần {said_vi}, mà khoá này chưa đăng ký gì như vậy. Hãy đề "
            "nghị đơn vị quản lý khoá đăng ký (keys proof add).",
            reason="proof_not_registered",
        )
    found = request.certificate
    if found is not None and any("certificate" in proof_register.parts(one) for one in possible):
        certificates.check_time(found, now=now)
        if not holding.has_certificate(found):
            return _other_certificate()
    kinds = sorted({kind for one in possible for kind in proof_register.parts(one)})
    send = "; ".join(_SEND[kind] for kind in kinds)
    return errors.ProofRejected(
        f"Beside the key this call needs {said_en}. Send: {send}.",
        detail_vi=f"Ngoài khoá, lượt gọi này cần {said_vi}. Hãy gửi: {send}.",
        reason="proof_missing",
    )


def _other_certificate() -> errors.ProofRejected:
    return errors.ProofRejected(
        "The certificate of this connection or message is not registered for this key. Call with the registered "
        "one, or have this one registered.",
        detail_vi="Chứng thư của kết nối hay thông điệp này chưa được đăng ký cho khoá. Hãy gọi bằng chứng thư "
        "đã đăng ký, hoặc đề nghị đăng ký chứng thư này.",
        reason="certificate_other",
    )


def _unknown_signer() -> errors.ProofRejected:
    return errors.ProofRejected(
        "The keyid of the signature is not a public key registered for this API key. Use the number that was "
        "given when the public key was registered.",
        detail_vi="keyid của chữ ký không phải là khoá công khai đã đăng ký cho khoá API này. Hãy dùng số "
        "được cấp khi đăng ký khoá công khai.",
        reason="signature_keyid",
    )
