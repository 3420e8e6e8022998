"""Who calls, by key or by token, and whether the call carries the proof that the operation or the key demands."""

from __future__ import annotations

from collections.abc import Collection

from lienthong.api_keys import certificates, gate, keys, lookup, proof, proof_register, replays, tokens
from lienthong.bus.gateway import credentials, visit
from lienthong.bus.hub import Hub
from lienthong.core import crypto, errors


class Entrance:
    """Stands before the gate: from the headers to a key that is in use, and from there to what the call proves.

    Raises Misconfigured where a setting names an operation that does not exist.
    """

    def __init__(self, hub: Hub, gatekeeper: gate.Gate, *, known: Collection[str]) -> None:
        self._rules = hub.settings.proof
        proof.must_be_known(self._rules.required, known=known, setting="LIENTHONG_PROOF__REQUIRED")
        proof.must_be_known(self._rules.tokens_once, known=known, setting="LIENTHONG_PROOF__TOKENS_ONCE")
        self._gate = gatekeeper
        audience = tokens.audience(hub.settings.agency.code)
        self._tokens = tokens.Tokens(hub.vault, audience=audience, lifetime_s=self._rules.token_lifetime_s)
        self._generations = tokens.Generations(hub.storage)
        skew_s = self._rules.clock_skew_s
        seen: replays.Replays = (
            replays.RedisReplays(hub.settings.redis.url, skew_s=skew_s)
            if hub.settings.is_full
            else replays.LocalReplays(hub.now(), skew_s=skew_s)
        )
        window = proof.Window(self._rules.signature_age_s, skew_s)
        self._register = proof_register.Register(hub.storage)
        self._prover = proof.Prover(self._register, seen, window=window)
        self._required: dict[str, frozenset[str]] = {}

    async def identify(
        self, coming: visit.Visit, *, takes_both: bool = False
    ) -> tuple[lookup.Known, tokens.Token | None]:
        """Find the key behind X-API-Key, or behind the token in Authorization.

        `takes_both`: a door where both come together and must belong together. Raises KeyRejected.
        """
        bearer = _bearer(coming)
        has_key = b"x-api-key" in coming.headers
        if bearer is not None and has_key and not takes_both:
            raise _both()
        token = None if bearer is None else self._tokens.read(bearer, now=coming.at)
        if token is None or has_key:
            text = credentials.key_of(coming.headers, coming.every_header)
            known = await self._gate.identify(text, address=coming.address, now=coming.at)
            if token is not None:
                tokens.check_owner(token, known.record.id)
            return known, token
        digest = await self._generations.digest_of(token)
        found = None if digest is None else await self._gate.lookup.find_digest(digest)
        if found is None:
            raise errors.KeyRejected(reason="token_of_no_key")
        self._gate.must_be_in_use(found, address=coming.address, now=coming.at)
        return found, token

    async def prove(
        self,
        coming: visit.Visit,
        scope: visit.Scope,
        *,
        caller: keys.Caller,
        operation: str,
        body: bytes,
        token: tokens.Token | None,
        is_from_proxy: bool,
        signer: crypto.Certificate | None = None,
    ) -> proof.Proven:
        """Check the proof of a call that the gate has let pass; `scope` as it arrived. As `proof.Prover.check`.

        `signer` is the certificate with which the message itself is signed, already verified.
        """
        header = self._rules.certificate_header
        certificate = certificates.presented(scope, header=header, is_from_proxy=is_from_proxy)
        required = self._required.get(operation)
        if required is None:
            required = self._required[operation] = proof.required_for(self._rules.required, operation)
        nothing_said = token is None and certificate is None and signer is None and not required
        # As most calls are: nothing is demanded, and nothing shown that could count.
        if nothing_said and not (await self._register.of(caller.key_id)).required:
            return proof.NOTHING
        address = proof.address(scope, public_url=self._rules.public_url)
        request = proof.Presented(coming.method, address, scope["headers"], body, certificate, token, signer)
        once = token is not None and proof.is_named(self._rules.tokens_once, operation)
        return await self._prover.check(request, caller, required, coming.at, token_once=once)

    async def stop(self) -> None:
        """Give back what is held."""
        await self._prover.stop()


def _bearer(coming: visit.Visit) -> str | None:
    """Give the token in Authorization; any other scheme is nothing of ours."""
    values = [value for name, value in coming.every_header if name == b"authorization"]
    if not values or values[0][:7].lower() != b"bearer ":
        return None
    if len(values) > 1:
        raise errors.ProofRejected(
            "The header Authorization came twice.",
            detail_vi="Tiêu đề Authorization được gửi hai lần.",
            reason="twice",
        )
    text = values[0][7:].decode("latin-1").strip()
    if text.startswith("lt_"):
        raise errors.KeyRejected(
            "This is an API key: send it in the header X-API-Key. Authorization: Bearer takes a token got "
            "for a key (POST /v1/tokens).",
            detail_vi="Đây là khoá API: hãy gửi trong tiêu đề X-API-Key. Authorization: Bearer dành cho "
            "token lấy bằng khoá (POST /v1/tokens).",
            reason="bearer",
        )
    return text


def _both() -> errors.KeyRejected:
    return errors.KeyRejected(
        "Send either the API key in X-API-Key or a token in Authorization: Bearer, not both.",
        detail_vi="Hãy gửi khoá API trong X-API-Key hoặc token trong Authorization: Bearer, không gửi cả hai.",
        reason="key_and_token",
    )
