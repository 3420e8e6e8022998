"""What connectors over HTTP share: the settings of a connection, the client made from them, masked texts."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, field_validator

from lienthong.connectors import http, roads
from lienthong.core import errors, records

USER_AGENT = "lienthong/0.1 (data bus of a Vietnamese province)"
"""Long on purpose: a short one is answered with an HTML page by the portal's protection (contracts §2.4)."""

_NUMBERS = re.compile(r"\d(?: ?\d){8,}")
_ADDRESSES = re.compile(r"\S+@\S+")
_TEXT_MAX = 300
# What to look at when a self-check meets an error.
_CHECK_HELP = (
    (
        errors.RemoteForbids,
        "; hãy kiểm tra tài khoản và địa chỉ được phép của trục",
        "; check the account and the allowed address of the hub",
    ),
    (
        errors.RemoteUnavailable,
        "; hãy kiểm tra địa chỉ đã khai (cấu hình BASE_URL), đường truyền và tường lửa",
        "; check the address in the settings (BASE_URL), the line and the firewall",
    ),
)


class Settings(BaseModel):
    """The settings of one connection; each contract adds its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = False
    base_url: str = ""
    max_concurrent: int = Field(default=64, ge=1, le=2000)
    max_per_second: float | None = Field(default=None, gt=0)
    connect_timeout_s: float = Field(default=5.0, gt=0)
    read_timeout_s: float = Field(default=60.0, gt=0)
    total_timeout_s: float = Field(default=60.0, gt=0)
    max_answer_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    user_agent: str = Field(default=USER_AGENT, min_length=20)
    ca_file: str = ""
    certificate_file: str = ""
    private_key_file: str = ""
    road: Literal["direct", "xroad", "agent_node"] = "direct"
    xroad_client: str = ""
    xroad_service: str = ""
    xroad_form: Literal["rest", "soap"] = "rest"
    xroad_hash: Literal["exact", "form"] = "exact"
    xroad_user_country: str = Field(default="VN", pattern=r"^([A-Z]{2})?$")
    callback_addresses: tuple[str, ...] = Field(
        default=(), description="addresses or networks that its callbacks come from; empty: any"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _words(cls, value: Any, info: Any) -> Any:
        # From the environment a list comes as one text, its words parted by commas.
        field = cls.model_fields[info.field_name]
        if isinstance(value, str) and field.annotation == tuple[str, ...]:
            return tuple(word.strip() for word in value.split(",") if word.strip())
        return value

    @field_validator("callback_addresses")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            ipaddress.ip_network(text, strict=False)
        return value


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a connector is given beside its settings."""

    agency_code: str
    on_exchange: Callable[[http.Exchange], None] | None
    clock: Callable[[], datetime]
    transport: httpx.AsyncBaseTransport | None = None


def client(system: str, settings: Settings, around: Surroundings) -> http.Client:
    """Make the client of a connection. Raises Misconfigured where the address or a certificate is wrong."""
    limits = http.Limits(
        max_concurrent=settings.max_concurrent,
        max_per_second=settings.max_per_second,
        connect_s=settings.connect_timeout_s,
        read_s=settings.read_timeout_s,
        total_s=settings.total_timeout_s,
        max_answer_bytes=settings.max_answer_bytes,
    )
    return http.Client(
        system=system,
        base_url=settings.base_url,
        limits=limits,
        user_agent=settings.user_agent,
        clock=around.clock,
        transport=around.transport,
        tls=_tls(system, settings),
        on_exchange=around.on_exchange,
        road=road_of(system, settings),
    )


def road_of(system: str, settings: Settings) -> roads.XRoad | None:
    """Make the road that calls go over; None for a direct one. Raises Misconfigured."""
    if settings.road == "agent_node":
        raise roads.no_agent_node(system)
    if settings.road == "direct":
        return None
    return roads.XRoad(
        system,
        client=settings.xroad_client,
        service=settings.xroad_service,
        form=settings.xroad_form,
        exact_hash=settings.xroad_hash == "exact",
        user_country=settings.xroad_user_country,
    )


def _tls(system: str, settings: Settings) -> ssl.SSLContext | None:
    if not settings.ca_file and not settings.certificate_file:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.certificate_file:
            context.load_cert_chain(settings.certificate_file, settings.private_key_file or None)
    except (OSError, ssl.SSLError) as error:
        raise errors.Misconfigured(
            f"the certificates of {system} cannot be read",
            detail_vi=f"Không đọc được chứng thư của hệ thống {system}.",
            system=system,
        ) from error
    return context


def safe_text(text: object) -> str:
    """Give a remote system's sentence without long numbers and mail addresses, which may name a person."""
    masked = _ADDRESSES.sub("…", _NUMBERS.sub("…", str(text)))
    return masked if len(masked) <= _TEXT_MAX else f"{masked[:_TEXT_MAX]}…"


def failed_check(name: str, error: errors.HubError) -> records.CheckResult:
    """Make a line of a self-check out of an error: what is wrong, and what to look at."""
    # What follows in the sentence of an error is what becomes of a message, and here none was sent.
    told = {language: error.sentence(language).partition(";")[0].rstrip(".") for language in ("vi", "en")}
    vi, en = next(((vi, en) for kind, vi, en in _CHECK_HELP if isinstance(error, kind)), ("", ""))
    return records.CheckResult(
        name=name, ok=False, vi=f"{told['vi']}{vi}.", en=f"{told['en']}{en}.", facts={"code": error.code}
    )


def passed_check(name: str, vi: str, en: str, **facts: Any) -> records.CheckResult:
    """Make a line of a self-check that holds."""
    return records.CheckResult(name=name, ok=True, vi=vi, en=en, facts=facts)


def settings_check(settings: Settings, *, needed: tuple[str, ...]) -> records.CheckResult:
    """Say which settings are missing."""
    missing = [name.upper() for name in needed if not _plain(getattr(settings, name))]
    if missing:
        names = ", ".join(missing)
        return records.CheckResult(
            name="settings", ok=False, vi=f"Còn thiếu cấu hình: {names}.", en=f"Settings missing: {names}."
        )
    return passed_check("settings", "Đã có đủ cấu hình.", "All settings are there.")


def _plain(value: Any) -> Any:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value
