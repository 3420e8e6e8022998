"""The section `alerts` of the settings: who outside the desks is told of an alert, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

_SHORTEST_SECRET = 24


class Alerts(BaseModel):
    """Notices of alerts: by mail, signed webhook, syslog, and a webhook whose body is a template."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_severity: Literal["low", "medium", "high"] = Field(
        "medium", description="alerts below this are only on the desk"
    )
    give_up_hours: float = Field(
        24.0, gt=0, le=720, description="a notice that cannot be given for so long is dropped"
    )
    mail_to: tuple[str, ...] = Field((), description="who gets mail; empty: no mail")
    mail_from: str = Field("", description="sender of the mail")
    smtp_host: str = ""
    smtp_port: int = Field(25, ge=1, le=65535)
    smtp_security: Literal["none", "starttls", "tls"] = Field(
        "starttls", description="none only inside a machine or a closed network"
    )
    smtp_username: str = ""
    smtp_password: SecretStr | None = None
    smtp_ca_file: Path | None = Field(None, description="whose certificates of the mail server are believed, PEM")
    webhook_url: str = Field("", description="gets a POST for each alert, signed as Standard Webhooks has it")
    webhook_secret: SecretStr | None = Field(
        None, description=f"at least {_SHORTEST_SECRET} characters; whsec_… is taken as base64"
    )
    syslog: str = Field("", description="tcp://, tls:// or udp://host:port: a message for each alert (RFC 5424)")
    template_url: str = Field(
        "", description="a chat's webhook (Zalo, Telegram, Teams …); {token} in it is replaced"
    )
    template_body: str = Field(
        '{"text": "{text}"}', description="its JSON; {text}, {severity}, {rule}, {link} and {token} are replaced"
    )
    template_header: str = Field("", description="one more header of it, e.g. access_token: {token}")
    template_token: SecretStr | None = Field(None, description="what {token} stands for")

    @field_validator("webhook_secret", "template_token", "smtp_password", mode="before")
    @classmethod
    def _nothing_is_none(cls, given: object) -> object:
        """Take an empty text for none."""
        return given or None

    @field_validator("webhook_url", "template_url")
    @classmethod
    def _is_http(cls, given: str) -> str:
        """Refuse addresses of another kind."""
        if given and not given.startswith(("https://", "http://")):
            raise ValueError("the address begins with https://")
        return given

    @model_validator(mode="after")
    def _whole(self) -> Alerts:
        """Refuse a way that lacks half of what it needs."""
        if self.mail_to and not (self.mail_from and self.smtp_host):
            raise ValueError("mail_to needs mail_from and smtp_host")
        if bool(self.webhook_url) != (self.webhook_secret is not None):
            raise ValueError("webhook_url and webhook_secret go together")
        if self.webhook_secret and len(self.webhook_secret.get_secret_value()) < _SHORTEST_SECRET:
            raise ValueError(f"webhook_secret has at least {_SHORTEST_SECRET} characters")
        if ":" not in (self.template_header or ":"):
            raise ValueError("template_header is written like Name: value")
        return self
