"""The peer of bench/outbox.py: Celery as it is commonly used, one task for each message, two calls each."""

from __future__ import annotations

import http.client
import os
import threading

from celery import Celery

app = Celery("plain", broker=os.environ["BENCH_REDIS"])
app.conf.update(task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=8)
_own = threading.local()


def _post(path: str, body: bytes) -> None:
    host, port = os.environ["BENCH_SANDBOX"].removeprefix("http://").split(":")
    if getattr(_own, "connection", None) is None:
        _own.connection = http.client.HTTPConnection(host, int(port), timeout=30)
    _own.connection.request("POST", path, body, {"Content-Type": "application/json", "dstcode": "bench"})
    answer = _own.connection.getresponse()
    answer.read()


@app.task(name="plain.push")  # type: ignore[untyped-decorator]
def push(snapshot: str, step: str) -> None:
    """Push one message: the dossier, then its step."""
    _post("/dvcqg_adapter/mapi/g", snapshot.encode())
    _post("/dvcqg_adapter/mapi/g", step.encode())
