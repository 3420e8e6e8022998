"""The tree of what is set, before its names are checked: environment over a TOML file, secrets from files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lienthong.core import errors

PREFIX = "LIENTHONG_"
# Read by others before or beside the settings: the file itself, and where the tests find real data.
_NOT_SETTINGS = {"LIENTHONG_CONFIG", "LIENTHONG_SHARED_DATA"}
# Settings that are files themselves: they are read by name, so `_FILE` does not mean "the value lies in there".
_FILES = frozenset(
    {
        "ca_file",
        "certificate_file",
        "client_ca_file",
        "places_file",
        "private_key_file",
        "smtp_ca_file",
        "stamp_ca_file",
    }
)


def read(environ: Mapping[str, str], *, config: Path | None) -> dict[str, Any]:
    """Read everything that is set. Raises Misconfigured where a file is missing or cannot be read."""
    chosen = config or (Path(environ["LIENTHONG_CONFIG"]) if environ.get("LIENTHONG_CONFIG") else None)
    tree = _read_toml(chosen or Path("lienthong.toml"), must_exist=chosen is not None)
    for name, value in sorted(environ.items()):
        if name.startswith(PREFIX) and name not in _NOT_SETTINGS:
            _put(tree, name.removeprefix(PREFIX).lower().split("__"), value, name=name)
    _read_secret_files(tree)
    _split_lists(tree)
    return tree


def _read_toml(path: Path, *, must_exist: bool) -> dict[str, Any]:
    if not path.exists():
        if must_exist:
            raise errors.Misconfigured(
                f"the settings file {path} does not exist", detail_vi=f"Không có tệp cấu hình {path}."
            )
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as exc:
        raise errors.Misconfigured(
            f"the settings file {path} cannot be read: {exc}",
            detail_vi=f"Không đọc được tệp cấu hình {path}: {exc}",
        ) from exc


def _put(tree: dict[str, Any], path: list[str], value: str, *, name: str) -> None:
    node = tree
    for part in path[:-1]:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise errors.Misconfigured(
                f"{name} goes into {part}, which is not a section",
                detail_vi=f"{name} trỏ vào {part}, không phải là một mục cấu hình.",
            )
    node[path[-1]] = value


def _read_secret_files(tree: dict[str, Any]) -> None:
    for name in list(tree):
        value = tree[name]
        if isinstance(value, dict):
            _read_secret_files(value)
        elif name.endswith("_file") and name not in _FILES and isinstance(value, str):
            tree[name.removesuffix("_file")] = _secret(name, Path(value))
            del tree[name]


def _secret(name: str, path: Path) -> str:
    if not path.is_file():
        raise errors.Misconfigured(
            f"the secret file for {name} does not exist: {path}",
            detail_vi=f"Không có tệp bí mật cho {name}: {path}",
        )
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise errors.Misconfigured(
            f"the secret file for {name} cannot be read as text: {path}",
            detail_vi=f"Không đọc được tệp bí mật cho {name}: {path}",
        ) from None


# Settings that the environment gives as words between commas.
_LISTS = (
    ("alerts", "mail_to"),
    ("console", "trusted_proxies"),
    ("console", "passkey_roles"),
    ("dossiers", "targets"),
    ("gateway", "trusted_proxies"),
    ("keys", "remind_days"),
    ("payments", "providers"),
    ("payments", "statement_providers"),
    ("post", "carriers"),
    ("post", "pooled"),
    ("proof", "tokens_once"),
    ("residents", "plain_officials"),
)


def _split_lists(tree: dict[str, Any]) -> None:
    for section, name in _LISTS:
        found = tree.get(section)
        value = found.get(name) if isinstance(found, dict) else None
        if isinstance(value, str):
            tree[section][name] = [part.strip() for part in value.split(",") if part.strip()]


def flat(prefix: str, tree: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """List a tree of settings by the names that the environment has for them, for people to read."""
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        path = f"{prefix}_{name.upper()}" if prefix == "LIENTHONG" else f"{prefix}__{name.upper()}"
        found += flat(path, value) if isinstance(value, dict) else [(path, value)]
    return found
