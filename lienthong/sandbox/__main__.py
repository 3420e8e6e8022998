"""`python -m lienthong.sandbox`: the imitation national systems on one loopback address."""

from __future__ import annotations

import argparse
import gc
import ipaddress
import sys
from pathlib import Path

import uvicorn

from lienthong.sandbox import app
from lienthong.sandbox.adapter import Account
from lienthong.sandbox.moods import WrongMood


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lienthong.sandbox", description="Các hệ thống quốc gia giả lập.")
    parser.add_argument("--host", default="127.0.0.1", help="chỉ địa chỉ nội bộ / loopback only")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--catalogue", type=Path, help="tệp danh mục: .jsonl, .jsonl.gz, .json, .csv")
    parser.add_argument("--mood", action="append", default=[], metavar="NAME[:KEY=VALUE,…]")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--store", type=Path, help="tệp SQLite giữ những gì đã nhận / SQLite file")
    parser.add_argument("--keep-rows", type=int, default=200_000)
    parser.add_argument("--username", default="demo")
    parser.add_argument("--password", default="demo-password")
    parser.add_argument("--session-s", type=float, default=8 * 3600, help="tuổi thọ phiên / session lifetime")
    parser.add_argument("--session-calls", type=int, default=1_000_000_000)
    parser.add_argument("--residents", type=int, default=40, help="số công dân bịa thêm / more invented residents")
    parser.add_argument("--questions-per-day", type=int, default=1_000_000, help="hạn mức hỏi dân cư mỗi ngày")
    parser.add_argument("--token-s", type=float, default=3600.0, help="tuổi thọ thẻ truy cập / token lifetime")
    parser.add_argument(
        "--callback", action="append", default=[], metavar="SYSTEM=URL", help="nơi nhận kết quả thanh toán"
    )
    parser.add_argument("--quiet", action="store_true")
    return parser.parse_args(argv)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def main(argv: list[str] | None = None) -> int:
    """Start the sandbox; returns 2 where what was asked for makes no sense."""
    wanted = _arguments(argv)
    if not _is_loopback(wanted.host):
        print("chỉ nhận địa chỉ nội bộ (127.0.0.1) / loopback addresses only", file=sys.stderr)
        return 2
    settings = app.Settings(
        catalogue=wanted.catalogue,
        moods=wanted.mood,
        latency_ms=wanted.latency_ms,
        store=wanted.store,
        keep_rows=wanted.keep_rows,
        account=Account(wanted.username, wanted.password, wanted.session_s, wanted.session_calls),
        residents=wanted.residents,
        questions_per_day=wanted.questions_per_day,
        token_life_s=wanted.token_s,
        callbacks=dict(pair.partition("=")[::2] for pair in wanted.callback),
    )
    try:
        sandbox = app.create_app(settings)
    except (WrongMood, OSError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 2
    # What is loaded stays: the garbage collector need not look at it again and again.
    gc.freeze()
    if not wanted.quiet:
        named = sandbox.held.catalogue
        print(f"http://{wanted.host}:{wanted.port}/  {named.name}: {len(named.entries)} thủ tục", flush=True)
    uvicorn.run(
        sandbox,
        host=wanted.host,
        port=wanted.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="error" if wanted.quiet else "warning",
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
