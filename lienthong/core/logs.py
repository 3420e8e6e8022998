"""What the processes print: one structured line an event, with everything personal or secret masked."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from datetime import datetime
from typing import Any, TextIO

from lienthong.core import clock

# An API key, a long run of digits (citizen id, telephone, account), a bearer or session token, a mail address.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\blt_(live|test)_[A-Za-z0-9_-]{8,}"), r"lt_\1_***"),
    (re.compile(r"\beyJ[\w.+/=-]{16,}"), "***"),  # JSON in base64: a token, or lgspaccesstoken with its key
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), r"\1 ***"),
    (
        re.compile(
            r"(?i)\b(password|secret|session|token|lgspaccesstoken|authhash|authorization|x-api-key)(['\"]?\s*[:=]\s*)\S+"
        ),
        r"\1\2***",
    ),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "***@***"),
    (re.compile(r"(?<![\w.-])\+?\d{9,13}(?![\w-])"), "***"),
    (re.compile(r"(?<![\w.-])(?:\+84[ .]?|0)[1-9]\d{1,2}[ .]\d{3,4}[ .]\d{3,4}(?!\w)"), "***"),
)
_SECRET_NAMES = frozenset(
    {"password", "secret", "session", "token", "authorization", "key", "api_key", "x-api-key", "authhash"}
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def mask(text: str) -> str:
    """Take out of a text whatever may name a person or open a door."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def _safe(name: str, value: Any) -> Any:
    """Mask a fact by its name and its text; numbers are counts and times, and stay."""
    if name.lower() in _SECRET_NAMES:
        return "***"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(inner): _safe(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe("", item) for item in value]
    return mask(str(value))


class _Formatter(logging.Formatter):
    def facts(self, record: logging.LogRecord) -> dict[str, Any]:
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        return {name: _safe(name, value) for name, value in extra.items()}

    def moment(self, record: logging.LogRecord) -> str:
        stamp = datetime.fromtimestamp(record.created, tz=clock.VIETNAM)
        return stamp.isoformat(timespec="milliseconds")

    def trouble(self, record: logging.LogRecord) -> str:
        return mask(self.formatException(record.exc_info)) if record.exc_info else ""


class JsonFormatter(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one event."""
        line: dict[str, Any] = {
            "time": self.moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": mask(record.getMessage()),
            **self.facts(record),
        }
        if trouble := self.trouble(record):
            line["trouble"] = trouble
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(_Formatter):
    """One readable line: time, level, event, then `key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one event."""
        facts = " ".join(f"{name}={value}" for name, value in self.facts(record).items())
        head = f"{self.moment(record)[11:23]} {record.levelname.lower():7} {mask(record.getMessage())}"
        return "\n".join(part for part in (f"{head} {facts}".rstrip(), self.trouble(record)) if part)


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines; where one cannot be written, says only whose it was and what kind of trouble that is.

    The standard handler would print the whole trace, unmasked, with what was being handled at that moment.
    """

    def handleError(self, record: logging.LogRecord) -> None:
        kind = sys.exc_info()[0]
        facts = {"level": "error", "event": "a log line could not be written", "logger": record.name}
        line = json.dumps({**facts, "trouble": kind.__name__ if kind else ""})
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"{line}\n")


def start(level: str, form: str, *, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (standard error), masked."""
    handler = _Lines(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their info lines hold addresses with whatever stands in them, or say what only we need to know.
    for name in ("httpx", "httpcore", "uvicorn", "sqlalchemy.engine", "aiosqlite", "alembic", "celery"):
        logging.getLogger(name).setLevel(logging.WARNING)
