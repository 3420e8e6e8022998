"""A token for a key: short-lived, for the generation that asked, bound to its certificate where one was proven."""

from __future__ import annotations

from datetime import datetime

from lienthong.api_keys import keys, proof, tokens
from lienthong.bus.hub import Hub


def issue(hub: Hub, *, caller: keys.Caller, proven: proof.Proven, now: datetime) -> tokens.TokenAnswer:
    """Make a token; nothing is stored, for it is signed with the hub's own key and ends with its generation."""
    maker = tokens.Tokens(
        hub.vault,
        audience=tokens.audience(hub.settings.agency.code),
        lifetime_s=hub.settings.proof.token_lifetime_s,
    )
    return maker.issue(caller.key_id, caller.generation, now=now, certificate=proven.certificate)
