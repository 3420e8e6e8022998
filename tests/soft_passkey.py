"""An authenticator made of Python, and the browser before it: what a test signs in with, and forges with."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cose, webauthn
from fido2.utils import sha256, websafe_decode, websafe_encode

FLAG = webauthn.AuthenticatorData.FLAG
ORIGIN = "https://desk.example"
DOMAIN = "desk.example"


@dataclass
class Authenticator:
    """One device with one passkey; what it says of itself can be bent."""

    origin: str = ORIGIN
    domain: str = DOMAIN
    flags: FLAG = FLAG.UP | FLAG.UV
    step: int = 1
    counter: int = 0
    credential_id: bytes = b"an invented passkey"
    user: bytes = b""
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def make(self, options: dict[str, Any], **said: Any) -> str:
        """Answer as `navigator.credentials.create` would."""
        wanted = options["publicKey"]
        self.user = websafe_decode(wanted["user"]["id"])
        public = cose.ES256.from_cryptography_key(self.key.public_key())
        held = webauthn.AttestedCredentialData.create(webauthn.Aaguid.NONE, self.credential_id, public)
        data = self._data(self.flags | FLAG.AT, bytes(held))
        attestation = webauthn.AttestationObject.create("none", data, {})
        response = {"attestationObject": websafe_encode(attestation)}
        return self._answer("webauthn.create", wanted["challenge"], response, **said)[0]

    def sign_in(self, options: dict[str, Any], **said: Any) -> str:
        """Answer as `navigator.credentials.get` would."""
        self.counter += self.step
        data = self._data(self.flags)
        response = {"authenticatorData": websafe_encode(data), "userHandle": websafe_encode(self.user)}
        text, client = self._answer("webauthn.get", options["publicKey"]["challenge"], response, **said)
        signed = self.key.sign(bytes(data) + sha256(client), ec.ECDSA(hashes.SHA256()))
        told = json.loads(text)
        told["response"]["signature"] = websafe_encode(signed)
        return json.dumps(told)

    def _data(self, flags: FLAG, credential: bytes = b"") -> webauthn.AuthenticatorData:
        return webauthn.AuthenticatorData.create(sha256(self.domain.encode()), flags, self.counter, credential)

    def _answer(
        self, kind: str, challenge: str, response: dict[str, Any], *, cross_origin: bool = False
    ) -> tuple[str, bytes]:
        client = bytes(webauthn.CollectedClientData.create(kind, challenge, self.origin, cross_origin))
        name = websafe_encode(self.credential_id)
        told = {"id": name, "rawId": name, "type": "public-key", "clientExtensionResults": {}}
        return json.dumps({**told, "response": {**response, "clientDataJSON": websafe_encode(client)}}), client
