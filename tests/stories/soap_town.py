"""The SOAP door on a real socket, with operations that only note what reached them and answer in full."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import builders
import orjson
import soap_samples
import uvicorn
from pydantic import BaseModel

from lienthong.bus import hub, operations
from lienthong.bus.gateway import app, soap_types

PLAN = soap_types.Plan(operations.OPERATIONS)
V11 = "http://schemas.xmlsoap.org/soap/envelope/"
V12 = "http://www.w3.org/2003/05/soap-envelope"
KIND = {V11: "text/xml; charset=utf-8", V12: "application/soap+xml; charset=utf-8"}


def envelope(body: str, *, header: str = "", version: str = V11) -> bytes:
    head = f"<e:Header>{header}</e:Header>" if header else ""
    return f'<e:Envelope xmlns:e="{version}">{head}<e:Body>{body}</e:Body></e:Envelope>'.encode()


def element(name: str, content: str = "") -> str:
    return f'<{name} xmlns="urn:lienthong:v1">{content}</{name}>'


def request(name: str) -> dict[str, Any]:
    """Give a whole request for an operation, as JSON has it."""
    made = soap_samples.sample_record(PLAN.calls[name].request)
    if "citizen" in made:
        made["citizen"].pop("old_id")  # one number or the other
    return made


def sent(value: Any, kind: soap_types.Kind | None = None) -> Any:
    """Turn a dictionary into the entries that it is in XML; the rest stays."""
    if isinstance(value, list):
        return [sent(item, kind) for item in value]
    if isinstance(kind, soap_types.Entries):
        return {"entry": [{"key": key, "value": one} for key, one in value.items()]}
    if isinstance(value, dict) and isinstance(kind, soap_types.Record):
        kinds = {element.name: element.kind for element in kind.elements}
        return {name: sent(one, kinds[name]) for name, one in value.items()}
    return value


def arguments(name: str) -> dict[str, Any]:
    arguments: dict[str, Any] = sent(request(name), PLAN.calls[name].request)
    return arguments


def wanted(name: str) -> tuple[Any, Any]:
    """Give query and body that the operation must get."""
    made, call = request(name), PLAN.calls[name]
    parts: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "body": {}}
    for one in call.request.elements:
        parts[one.part][one.name] = made[one.name]
    body = {**parts["body"], **{part: made[part] for part in call.operation.from_path}}
    query, record = call.operation.query, call.operation.body
    return (
        None if query is None else query.model_validate(parts["query"]),
        None if record is None else record.model_validate_json(orjson.dumps(body), strict=True),
    )


@dataclass
class Town:
    """A running door; `asked` is what reached each operation, `answers` what each of them says."""

    address: str = ""
    key: str = ""
    key_id: str = ""
    asked: dict[str, operations.Asked] = field(default_factory=dict)
    answers: dict[str, BaseModel] = field(default_factory=dict)

    def table(self) -> tuple[operations.Operation, ...]:
        return tuple(self._noting(operation) for operation in operations.OPERATIONS)

    def check(self, name: str, got: Any) -> None:
        """Insist that an operation got what was sent, and that the client read the whole answer."""
        assert (self.asked[name].query, self.asked[name].body) == wanted(name)
        assert soap_samples.differences(orjson.loads(self.answers[name].model_dump_json()), got) == []

    def _noting(self, operation: operations.Operation) -> operations.Operation:
        self.answers[operation.name] = soap_samples.sample_answer(PLAN.calls[operation.name].answer)

        async def run(hub: hub.Hub, call: operations.Call, asked: operations.Asked) -> BaseModel:
            self.asked[operation.name] = asked
            return self.answers[operation.name]

        return dataclasses.replace(operation, run=run)


@asynccontextmanager
async def opened(running: hub.Hub) -> AsyncIterator[Town]:
    """Open the door on a free port, with a key that may call everything."""
    town = Town()
    issued = await builders.issue_key(running)
    town.key, town.key_id = issued.key, issued.record.id
    config = uvicorn.Config(app.create_app(running, table=town.table()), port=0, log_level="critical")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it by a flag only
            await asyncio.sleep(0.01)
        town.address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/soap/v1"
        yield town
    finally:
        server.should_exit = True
        await serving
