"""The trial on one machine: the sandbox beside the embedded hub, the catalogue synced, a key to try it with."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lienthong.api_keys import keys
from lienthong.bus import hub as hubs
from lienthong.bus import operations
from lienthong.bus.flows import procedure_sync
from lienthong.console import server
from lienthong.console.cli import output
from lienthong.core import errors, settings

# The sandbox's own account, printed in its README; it opens nothing but the sandbox.
ACCOUNT = ("demo", "demo-password")
AGENCY = "000.00.00.H38"


def sandbox_command(
    *,
    port: int,
    catalogue: Path | None = None,
    moods: Sequence[str] = (),
    latency_ms: int | None = None,
    store: Path | None = None,
) -> list[str]:
    """Give the command that runs the sandbox as a program of its own."""
    command = [sys.executable, "-m", "lienthong.sandbox", "--host", "127.0.0.1", "--port", str(port)]
    for name, value in (("--catalogue", catalogue), ("--latency-ms", latency_ms), ("--store", store)):
        if value is not None:
            command += [name, str(value)]
    for mood in moods:
        command += ["--mood", mood]
    return command


def environment(port: int, home: Path) -> dict[str, str]:
    """Give the settings that point a hub at the sandbox; whatever is set already stays."""
    base = f"http://127.0.0.1:{port}"
    wanted = {
        "LIENTHONG_HOME": str(home),
        "LIENTHONG_AGENCY__CODE": AGENCY,
        "LIENTHONG_AGENCY__NAME": "Tỉnh thử nghiệm",
        "LIENTHONG_SYSTEMS__DVCQG_ADAPTER__ENABLED": "true",
        "LIENTHONG_SYSTEMS__DVCQG_ADAPTER__BASE_URL": f"{base}/dvcqg_adapter",
        "LIENTHONG_SYSTEMS__DVCQG_ADAPTER__USERNAME": ACCOUNT[0],
        "LIENTHONG_SYSTEMS__DVCQG_ADAPTER__PASSWORD": ACCOUNT[1],
        "LIENTHONG_SYSTEMS__DVCQG_ADAPTER__AGENCY_CODE": AGENCY,
        "LIENTHONG_SYSTEMS__DVCQG_ADAPTER__DSTCODE": "VN:GOV:000.00.00.G22:sandbox",
        "LIENTHONG_SYSTEMS__DVCQG_PORTAL__ENABLED": "true",
        "LIENTHONG_SYSTEMS__DVCQG_PORTAL__BASE_URL": f"{base}/dvcqg_portal",
        # The real portal is asked twice a second at the most; an imitation may be asked faster.
        "LIENTHONG_SYSTEMS__DVCQG_PORTAL__MAX_PER_SECOND": "1000",
        "LIENTHONG_SYSTEMS__DVCQG_PORTAL__MAX_CONCURRENT": "16",
    }
    return {name: value for name, value in wanted.items() if name not in os.environ}


def run(*, catalogue: Path | None) -> None:
    """Start the sandbox and the hub, sync once, print what to try; until Ctrl-C, then stop both."""
    first = settings.load(os.environ)
    home = Path(os.environ.get("LIENTHONG_HOME", "var"))
    home.mkdir(parents=True, exist_ok=True)
    os.environ.update(environment(first.sandbox.port, home))
    chosen = settings.load(os.environ)
    _write_config(home)
    command = sandbox_command(port=chosen.sandbox.port, catalogue=catalogue, store=home / "sandbox.db")
    with _running(command, url=f"http://127.0.0.1:{chosen.sandbox.port}/_sandbox/mood", log=home / "sandbox.log"):
        server.run(chosen, ready=lambda hub: _welcome(hub, home, catalogue))
    output.console.print("\nĐã dừng / stopped.")


@contextmanager
def _running(command: Sequence[str], *, url: str, log: Path) -> Iterator[None]:
    """Run a program beside this one until the block ends, waiting until it answers."""
    with log.open("ab") as sink:
        # A group of its own, so that Ctrl-C reaches the hub first and the sandbox still answers its last calls.
        process = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)  # noqa: S603
        try:
            _wait_for(url, process, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise errors.Misconfigured(
                f"the sandbox ended at once; see {log}", detail_vi=f"Hệ thống giả lập dừng ngay; xem {log}."
            )
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own loopback address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise errors.Misconfigured(
        "the sandbox does not answer", detail_vi="Hệ thống giả lập không trả lời sau 30 giây."
    )


def _write_config(home: Path) -> None:
    """Write the trial's settings as a file, so that other commands can be pointed at the same hub."""
    lines = ["# Written by `lienthong start`; use with: lienthong --config <this file> …"]
    flat = {name: value for name, value in os.environ.items() if name.startswith("LIENTHONG_")}
    sections: dict[str, list[str]] = {}
    for name, value in sorted(flat.items()):
        path = name.removeprefix("LIENTHONG_").lower().split("__")
        if path[0] in ("config", "shared_data"):
            continue
        text = str(Path(value).resolve()) if path == ["home"] else value
        sections.setdefault(".".join(path[:-1]), []).append(f"{path[-1]} = {json.dumps(text, ensure_ascii=False)}")
    for section in sorted(sections):
        lines += [f"\n[{section}]"] * bool(section) + sections[section]
    target = home / "trial.toml"
    target.touch(mode=0o600)
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


async def _welcome(hub: hubs.Hub, home: Path, catalogue: Path | None) -> None:
    """Sync where that is due, issue the key once, and print what there is."""
    mark = home / "catalogue.synced"
    served = f"{catalogue.resolve()}:{catalogue.stat().st_mtime_ns}" if catalogue else "own"
    if not mark.exists() or mark.read_text() != served:
        await _sync(hub)
        mark.write_text(served)
    key_file = await _demo_key(hub, home)
    await _print(hub, key_file)


async def _sync(hub: hubs.Hub) -> None:
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), transient=True
    )
    with bar:
        task = bar.add_task("Đồng bộ danh mục", total=None)
        report = await procedure_sync.run(
            hub,
            accept_smaller=True,
            progress=lambda step: bar.update(
                task, description=step.phase, completed=step.done, total=step.total or None
            ),
        )
    output.console.print(
        f"Danh mục / catalogue: [bold]{report.seen}[/bold] thủ tục, {report.new} mới, {report.changed} thay đổi, "
        f"{report.withdrawn} bãi bỏ, {report.failed} không đọc được ({report.took_s:.1f} s)"
    )


async def _demo_key(hub: hubs.Hub, home: Path) -> Path:
    """Issue the trial's key once and keep it in a file that only its owner can read."""
    key_file = home / "demo.key"
    if key_file.exists():
        return key_file
    now = hub.now()
    order = keys.Order(
        organisation="Sở Thử nghiệm",
        system="phan-mem-mau",
        custodian="Người dùng thử",
        grants=["all"],
        limits=["600/minute", "50000/day"],
        expires_at=now + timedelta(days=90),
        purpose="dùng thử trên máy này",
    )
    issued = await keys.issue(
        hub.storage,
        hub.vault,
        order,
        known_operations=operations.NAMES,
        environment=hub.settings.keys.environment,
        longest_days=hub.settings.keys.longest_days,
        actor="lienthong start",
        now=now,
    )
    await asyncio.to_thread(_write_secret, key_file, issued.key)
    return key_file


def _write_secret(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as sink:
        sink.write(text + "\n")


async def _print(hub: hubs.Hub, key_file: Path) -> None:
    chosen = hub.settings
    gateway = f"http://{chosen.gateway.host}:{chosen.gateway.port}"
    sandbox = f"http://127.0.0.1:{chosen.sandbox.port}"
    put, report = _examples()
    header = f'-H "X-API-Key: $(cat {key_file})"'
    output.console.print(
        f"""
[bold]Liên thông đang chạy / is running[/bold]
  Trục / gateway         {gateway}      tài liệu API: {gateway}/docs
  Hệ thống giả lập       {sandbox}      (những gì Cổng DVCQG nhận được)
  Khoá mẫu / demo key    {key_file}

[bold]Thử ba lệnh này / try these three[/bold]

1. Tìm thủ tục / find a procedure
""",
        highlight=False,
    )
    # Plain print: the lines are to be copied, and must not be wrapped or coloured.
    print(f'curl -s "{gateway}/v1/procedures?q=dang+ky+khai+sinh" {header}')
    output.console.print("\n2. Khai một hồ sơ / declare a dossier\n")
    print(
        f"curl -s -X PUT {gateway}/v1/dossiers/H38.15-260803-0001 {header} -H 'Content-Type: application/json' -d '{put}'"
    )
    output.console.print("\n3. Báo trạng thái; một giây sau xem ở hệ thống giả lập / report its status\n")
    print(
        f"curl -s -X POST {gateway}/v1/dossiers/H38.15-260803-0001/status {header} "
        f"-H 'Content-Type: application/json' -d '{report}'"
    )
    output.console.print(
        f"\n[dim]Lệnh khác / other commands: lienthong --config {chosen.home}/trial.toml messages list · "
        "Ctrl-C để dừng / to stop[/dim]",
        highlight=False,
    )
    sys.stdout.flush()


def _examples() -> tuple[str, str]:
    """Give the bodies of the two examples; the person in them is invented."""
    dossier = {
        "procedure_code": "1.001193",
        "applicant": {
            "kind": "citizen",
            "name": "Nguyễn Văn Thử",
            "citizen_id": "000000000001",
            "phone": "0900000000",
        },
        "summary": "Đăng ký khai sinh",
        "channel": "online",
        "submitted_at": "2026-08-03T07:42:00+07:00",
        "due_at": "2026-08-04T17:00:00+07:00",
        "agency": "UBND xã Thử Nghiệm",
    }
    change = {
        "status": "received",
        "occurred_at": "2026-08-03T08:15:00+07:00",
        "handled_by": "Cán bộ Một cửa",
        "note": "Tiếp nhận hồ sơ",
    }
    return json.dumps(dossier, ensure_ascii=False), json.dumps(change, ensure_ascii=False)
