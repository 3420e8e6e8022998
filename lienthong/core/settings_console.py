"""The section `console` of the settings: where the desks are, and how people sign in."""

from __future__ import annotations

import ipaddress
import urllib.parse

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Console(BaseModel):
    """The desks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8081, ge=0, le=65535)
    public_url: str = Field(
        "",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+)?$",
        description="how browsers write the desks' address; https makes cookies secure",
    )
    trusted_proxies: tuple[str, ...] = Field((), description="addresses whose X-Forwarded-For is believed")
    idle_minutes: int = Field(15, ge=1, le=480, description="a session ends after so long without use")
    longest_hours: int = Field(8, ge=1, le=24, description="a session ends after so long in any case")
    password_days: int = Field(
        0, ge=0, le=3650, description="a password older than this must be changed first; 0: it may stay"
    )
    totp_required: bool = Field(False, description="who has no second step can only set it up")
    identity_provider: str = Field("", description="contract by which accounts may sign in too, e.g. dvcqg_sso")
    tries_minutes: int = Field(15, ge=1, le=1440, description="failed sign-ins are counted over so long")
    tries_per_account: int = Field(
        5, ge=1, le=100, description="failed sign-ins with one name from one address, then it must wait"
    )
    tries_per_address: int = Field(30, ge=1, le=1000, description="failed sign-ins from one address")
    passkey_domain: str = Field(
        "",
        pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)?$",
        description="domain of the desks, which passkeys are bound to for good; empty: no passkeys",
    )
    passkey_roles: tuple[str, ...] = Field(
        (), description="roles that work only when signed in with a passkey, e.g. administrator"
    )

    @model_validator(mode="after")
    def _passkeys_can_work(self) -> Console:
        """Refuse what no browser would accept: passkeys are for a domain, over https or on this machine."""
        if not self.passkey_domain:
            if self.passkey_roles:
                raise ValueError("passkey_roles needs passkey_domain")
            return self
        address = urllib.parse.urlsplit(self.public_url)
        host = address.hostname or ""
        if host != self.passkey_domain and not host.endswith(f".{self.passkey_domain}"):
            raise ValueError("passkey_domain must be the domain of public_url, or one above it")
        if _is_address(host) or (self.passkey_domain != "localhost" and "." not in self.passkey_domain):
            raise ValueError("passkey_domain must be a domain such as desk.example.gov.vn, or localhost")
        if address.scheme != "https" and host != "localhost":
            raise ValueError("passkeys need a public_url with https, or http://localhost")
        return self


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
