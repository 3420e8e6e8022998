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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lienthong.api_keys import keys
from lienthong.bus import hub as hubs
from lienthong.bus import operations
from lienthong.bus.flows import procedure_sync
from lienthong.console import server, services, trial_desk, trial_official, trial_systems
from lienthong.console.cli import output
from lienthong.core import errors, migrations, settings

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
    callbacks: Mapping[str, str] | None = None,
) -> list[str]:
    """Give the command that runs the sandbox as a program of its own."""
    command = [sys.executable, "-m", "lienthong.sandbox", "--host", "127.0.0.1", "--port", str(port)]
    for name, value in (("--catalogue", catalogue), ("--latency-ms", latency_ms), ("--store", store)):
        if value is not None:
            command += [name, str(value)]
    for system, url in (callbacks or {}).items():
        command += ["--callback", f"{system}={url}"]
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
        **_registers(base),
        **trial_systems.environment(base),
    }
    return {name: value for name, value in wanted.items() if name not in os.environ}


def _registers(base: str) -> dict[str, str]:
    """Give the settings of the imitated national registers; the accounts are the sandbox's own."""
    systems = {
        "POPULATION_C06": {
            "SERVICE_PATH": "/dancu",
            "USERNAME": "UBND_DEMO",
            "SECRET_KEY": "C06SECRET",
            "API_KEY": "demo-api-key",
            "XROAD_CLIENT": f"VN/GOV/{AGENCY}/lgsp",
        },
        "NGSP": {"CONSUMER_KEY": "demoConsumerKey", "CONSUMER_SECRET": "demoConsumerSecret"},
        "DVCQG_STORE": {},
        "DVCQG_SSO": {"CLIENT_ID": "demo-client", "CLIENT_SECRET": "demo-client-secret"},
    }
    found: dict[str, str] = {}
    for name, section in systems.items():
        given = {"ENABLED": "true", "BASE_URL": f"{base}/{name.lower()}", **section}
        found |= {f"LIENTHONG_SYSTEMS__{name}__{key}": value for key, value in given.items()}
    return found


def run(*, catalogue: Path | None, full: bool = False) -> None:
    """Start the sandbox and the hub, sync once, print what to try; until Ctrl-C, then stop them all.

    `full` also starts PostgreSQL, Valkey, a Celery worker and the beat as processes of their own.
    """
    home = Path(os.environ.get("LIENTHONG_HOME", "var-full" if full else "var"))
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as beside:
        if full:
            # Short, and open to the user that the server runs as: the path also names its socket.
            os.environ["LIENTHONG_DATABASE__URL"] = beside.enter_context(services.postgres(home / "postgresql"))
            os.environ["LIENTHONG_REDIS__URL"] = beside.enter_context(services.valkey(home / "valkey"))
        given = settings.load(os.environ)
        os.environ.update({**environment(given.sandbox.port, home), **trial_desk.environment(given.console)})
        (home / "trust").mkdir(exist_ok=True)
        os.environ.setdefault("LIENTHONG_DOCUMENTS__TRUST_FOLDER", str((home / "trust").resolve()))
        for name, value in {**trial_systems.files(home), **trial_systems.called_at(given)}.items():
            os.environ.setdefault(name, value)
        chosen = settings.load(os.environ)
        _write_config(home)
        command = sandbox_command(
            port=chosen.sandbox.port,
            catalogue=catalogue,
            store=home / "sandbox.db",
            callbacks=trial_systems.callbacks(chosen),
        )
        sandbox = beside.enter_context(program(command, log=home / "sandbox.log"))
        wait_for(f"http://127.0.0.1:{chosen.sandbox.port}/_sandbox/mood", sandbox, home / "sandbox.log")
        _trust(home / "trust", f"http://127.0.0.1:{chosen.sandbox.port}/_sandbox/trust/ca.pem")
        if full:
            asyncio.run(_migrate(chosen))
            for role in ("worker", "beat"):
                part = [sys.executable, "-m", "lienthong.console.cli.main", "serve", "--role", role]
                beside.enter_context(program(part, log=home / f"{role}.log"))
        server.run(chosen, ready=lambda hub: _welcome(hub, home, catalogue))
    output.console.print("\nĐã dừng / stopped.")


async def _migrate(chosen: settings.Settings) -> None:
    async with hubs.opened(chosen) as hub:
        await migrations.upgrade(hub.storage)


@contextmanager
def program(command: Sequence[str], *, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program beside this one until the block ends."""
    with log.open("ab") as sink:
        # A group of its own, so that Ctrl-C reaches the hub first and the others still answer its last calls.
        process = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)  # noqa: S603
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a program answers at `url`; raises Misconfigured where it ends or stays silent."""
    for _ in range(1_200):
        if process.poll() is not None:
            raise errors.Misconfigured(
                f"a program ended at once; see {log}", detail_vi=f"Một tiến trình dừng ngay; xem {log}."
            )
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own loopback address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise errors.Misconfigured(f"{url} does not answer", detail_vi=f"{url} không trả lời sau một phút.")


def _trust(folder: Path, url: str) -> None:
    """Trust the sandbox's authority: it is a new one at every start."""
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - our own loopback address
        (folder / "sandbox.pem").write_bytes(answer.read())


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
    if await asyncio.to_thread(_is_new, mark, catalogue):
        await _sync(hub)
        await asyncio.to_thread(mark.write_text, _served(catalogue))
    key_file = await _demo_key(hub, home)
    await trial_official.register(hub, home)
    await _print(hub, key_file, await trial_desk.account(hub, home))


def _served(catalogue: Path | None) -> str:
    return f"{catalogue.resolve()}:{catalogue.stat().st_mtime_ns}" if catalogue else "own"


def _is_new(mark: Path, catalogue: Path | None) -> bool:
    """Whether the sandbox serves another catalogue than at the last start."""
    return not mark.exists() or mark.read_text() != _served(catalogue)


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
        f"Danh mục / catalogue: [bold]{report.counts.seen}[/bold] thủ tục, {report.counts.new} mới, "
        f"{report.counts.changed} thay đổi, {report.counts.withdrawn} bãi bỏ, "
        f"{report.counts.failed} không đọc được ({report.took_s:.1f} s)"
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
    await asyncio.to_thread(trial_desk.write_secret, key_file, issued.key)
    return key_file


async def _print(hub: hubs.Hub, key_file: Path, password_file: Path) -> None:
    chosen = hub.settings
    desks = chosen.console.public_url or f"http://{chosen.console.host}:{chosen.console.port}"
    gateway = f"http://{chosen.gateway.host}:{chosen.gateway.port}"
    sandbox = f"http://127.0.0.1:{chosen.sandbox.port}"
    put, report = (json.dumps(body, ensure_ascii=False) for body in examples())
    header = f'-H "X-API-Key: $(cat {key_file})"'
    output.console.print(
        f"""
[bold]Liên thông đang chạy / is running[/bold]
  Trục / gateway         {gateway}      tài liệu API: {gateway}/docs
  Hệ thống giả lập       {sandbox}      (những gì Cổng DVCQG nhận được)
  Khoá mẫu / demo key    {key_file}
  Bàn điều khiển / desks {desks}      {trial_desk.NAME}, mật khẩu lần đầu / first password: {password_file}

[bold]Thử ba lệnh này / try these three[/bold]

1. Tìm thủ tục / find a procedure
""",
        highlight=False,
    )
    # Plain print: the lines are to be copied, and must not be wrapped or coloured.
    print(f'curl -s "{gateway}/v1/procedures?q=dang+ky+khai+sinh" {header}')
    output.console.print("\n2. Khai một hồ sơ / declare a dossier\n")
    print(
        f"curl -s -X PUT {gateway}/v1/dossiers/H38.15-260803-0001 {header} "
        f"-H 'Content-Type: application/json' -d '{put}'"
    )
    output.console.print("\n3. Báo trạng thái; một giây sau xem ở hệ thống giả lập / report its status\n")
    print(
        f"curl -s -X POST {gateway}/v1/dossiers/H38.15-260803-0001/status {header} "
        f"-H 'Content-Type: application/json' -d '{report}'"
    )
    output.console.print(
        f"\n[dim]SOAP: {gateway}/soap/v1?wsdl · tra cứu công dân / looking a resident up: make demo[/dim]",
        highlight=False,
    )
    output.console.print(
        f"\n[dim]Lệnh khác / other commands: lienthong --config {chosen.home}/trial.toml messages list · "
        "Ctrl-C để dừng / to stop[/dim]",
        highlight=False,
    )
    sys.stdout.flush()


def examples() -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the bodies of the two examples; the person in them is invented."""
    dossier: dict[str, Any] = {
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
    return dossier, change
