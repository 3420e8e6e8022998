"""Who calls at the SOAP door: by the headers that REST knows, or by WS-Security."""

from __future__ import annotations

from datetime import datetime, timedelta

from lienthong.api_keys import gate, lookup, replays, soap_passwords, tokens
from lienthong.bus.gateway import entrance, soap_envelope, soap_security, soap_signature, visit
from lienthong.bus.hub import Hub
from lienthong.core import crypto, errors


class Login:
    """Finds the key behind a message, and checks the signature of the message where it has one."""

    def __init__(self, hub: Hub, gatekeeper: gate.Gate) -> None:
        self._rules = hub.settings.soap
        self._gate = gatekeeper
        self._passwords = soap_passwords.Passwords(hub.storage, hub.vault)
        skew_s = self._rules.clock_skew_s
        # A memory of its own: clocks may differ more here than for the signatures of HTTP messages.
        self._seen: replays.Replays = (
            replays.RedisReplays(hub.settings.redis.url, skew_s=skew_s)
            if hub.settings.is_full
            else replays.LocalReplays(hub.now(), skew_s=skew_s)
        )

    async def identify(
        self, coming: visit.Visit, security: soap_security.Security, doorkeeper: entrance.Entrance
    ) -> tuple[lookup.Known, tokens.Token | None]:
        """Find the key of a message. Raises KeyRejected."""
        claimed = security.username
        if claimed is None:
            return await doorkeeper.identify(coming)
        if b"x-api-key" in coming.headers or b"authorization" in coming.headers:
            raise errors.KeyRejected(
                "Send either UsernameToken, or X-API-Key, or Authorization; not two of them.",
                detail_vi="Chỉ gửi một trong ba: UsernameToken, X-API-Key hoặc Authorization.",
                reason="key_twice",
            )
        created = None if claimed.created is None else soap_security.moment(claimed.created)
        if created is not None:
            until = created + timedelta(seconds=self._rules.username_token_age_s)
            soap_security.check_fresh(created, until, now=coming.at, rules=self._rules)
        known = await (self._by_digest(claimed, coming) if claimed.is_digest else self._by_text(claimed, coming))
        if claimed.nonce is not None and created is not None:
            await self._spend(f"wsse {known.record.id} {claimed.nonce.hex()}", created=created, now=coming.at)
        return known, None

    async def signer(
        self, envelope: soap_envelope.Envelope, security: soap_security.Security, *, now: datetime
    ) -> crypto.Certificate | None:
        """Check the signature of a message, where there is one. Raises ProofRejected."""
        if security.timestamp is not None:
            created, _ = soap_security.check_time(security.timestamp, now=now, rules=self._rules)
        if security.signature is None:
            return None
        certificate, name = soap_signature.verify(envelope, security, now=now)
        await self._spend(f"wsse signature {certificate.thumbprint} {name}", created=created, now=now)
        return certificate

    async def stop(self) -> None:
        """Give back what is held."""
        await self._seen.stop()

    async def _by_text(self, claimed: soap_security.UsernameToken, coming: visit.Visit) -> lookup.Known:
        known = await self._gate.identify(claimed.password, address=coming.address, now=coming.at)
        named = (known.record.id, known.generation.prefix)
        if not any(crypto.is_same(claimed.username, name) for name in named):
            raise soap_passwords.rejected("username")
        return known

    async def _by_digest(self, claimed: soap_security.UsernameToken, coming: visit.Visit) -> lookup.Known:
        holder = await self._passwords.holder(claimed.username)
        if holder is None:
            raise soap_passwords.rejected("username")
        nonce, created = claimed.nonce or b"", claimed.created or ""
        if not await self._passwords.is_right(holder, claimed.password, nonce=nonce, created=created):
            raise soap_passwords.rejected("password_digest")
        known = await self._gate.lookup.find_digest(holder.digest)
        if known is None:
            raise soap_passwords.rejected("username")
        self._gate.must_be_in_use(known, address=coming.address, now=coming.at)
        return known

    async def _spend(self, name: str, *, created: datetime, now: datetime) -> None:
        until = created.timestamp() + self._rules.username_token_age_s + self._rules.clock_skew_s
        await self._seen.spend(name, created=int(created.timestamp()), until=int(until) + 1, now=now)
