"""The public reference at /docs: every operation, field, header and error on one page, with no outside part."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from lienthong.bus import operations
from lienthong.bus.gateway import answers, examples, reference_text, schema_fields
from lienthong.core import records

_TEXTS = {"vi": reference_text.VI, "en": reference_text.EN}
_ADDRESS = "http://127.0.0.1:8080"


def page(
    table: Sequence[operations.Operation], document: Mapping[str, Any], *, language: str, address: str = _ADDRESS
) -> str:
    """Write the page from the table of operations and its OpenAPI document; `address`: where the hub answers."""
    words = _TEXTS[language]
    body = "".join(
        (
            _keys_and_limits(words),
            *(_operation(operation, document, words, language) for operation in table),
            _headers(words, language),
            _statuses(words),
            _problems(words, language),
        )
    ).replace(_ADDRESS, escape(address))
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{words.title}</title>"
        '<link rel="stylesheet" href="/docs/static/reference.css">'
        '<script src="/docs/static/reference.js" defer></script></head><body>'
        f'<a class="skip" href="#content">{words.skip}</a>{_rail(table, words)}'
        f'<main id="content"><h1>{words.title}</h1><p class="intro">{words.intro}</p>{body}</main>'
        "</body></html>"
    )


def _rail(table: Sequence[operations.Operation], words: reference_text.Words) -> str:
    links = "".join(
        f'<li data-name="{escape(operation.name + " " + operation.path)}"><a href="#{operation.name}">'
        f"{_verb(operation.method)}<span>{operation.name}</span></a></li>"
        for operation in table
    )
    parts = "".join(
        f'<li><a href="#{anchor}">{text}</a></li>'
        for anchor, text in (
            ("keys", words.keys),
            ("limits", words.limits),
            ("headers", words.headers),
            ("statuses", words.statuses),
            ("problems", words.problems),
        )
    )
    return (
        f'<nav aria-label="{words.contents}"><div class="brand"><a href="/docs">Liên thông</a>'
        f'<a href="/docs?lang={words.other_code}" lang="{words.other_code}">{words.other_language}</a></div>'
        f'<input id="filter" type="search" placeholder="{words.filter}" aria-label="{words.filter}">'
        f'<ul class="parts">{parts}</ul><ul id="operations">{links}</ul>'
        '<p class="aside"><a href="/openapi.json">openapi.json</a></p></nav>'
    )


def _keys_and_limits(words: reference_text.Words) -> str:
    def block(anchor: str, title: str, lines: Iterable[str]) -> str:
        said = "".join(f"<li>{escape(line)}</li>" for line in lines)
        return f'<section id="{anchor}"><h2>{title}</h2><ul class="plain">{said}</ul></section>'

    return block("keys", words.keys, words.keys_text) + block("limits", words.limits, words.limits_text)


def _operation(
    operation: operations.Operation,
    document: Mapping[str, Any],
    words: reference_text.Words,
    language: str,
) -> str:
    summary, other = operation.summary_vi, operation.summary_en
    if language == "en":
        summary, other = other, summary
    told = document["paths"][operation.path][operation.method.lower()]
    mark = f'<span class="personal">{words.personal}</span>' if operation.personal else ""
    return (
        f'<section id="{operation.name}" class="operation"><h2>{escape(summary)}</h2>'
        f'<p class="line">{_verb(operation.method)}<code>{escape(operation.path)}</code>{mark}</p>'
        f'<p class="other">{escape(other)} · {words.grant}: <code>{operation.name}</code></p>'
        f'<div class="halves"><div>{_asked(operation, told, document, words, language)}</div>'
        f'<div class="sample">{_samples(operation, words)}</div></div>'
        f"{_answer(told, document, words, language)}</section>"
    )


def _asked(
    operation: operations.Operation,
    told: Mapping[str, Any],
    document: Mapping[str, Any],
    words: reference_text.Words,
    language: str,
) -> str:
    schemas = document["components"]["schemas"]
    found = ""
    inside = [part for part in told["parameters"] if part["in"] != "header"]
    above = [part for part in told["parameters"] if part["in"] == "header" and part["required"]]
    for title, parameters in ((words.path_and_query, inside), (words.headers, above)):
        if parameters:
            flat = {
                "properties": {
                    part["name"]: {**part["schema"], "description": _in_one(part["description"], language)}
                    for part in parameters
                },
                "required": [part["name"] for part in parameters if part["required"]],
            }
            found += f"<h3>{title}</h3>" + _fields(flat, schemas, words, language)
    if operation.body is not None:
        schema = told["requestBody"]["content"]["application/json"]["schema"]
        found += f"<h3>{words.body}</h3>"
        if operation.from_path:
            found += f"<p>{words.from_path.format(', '.join(operation.from_path))}</p>"
        found += _fields(schema, schemas, words, language)
    return found


def _answer(
    told: Mapping[str, Any], document: Mapping[str, Any], words: reference_text.Words, language: str
) -> str:
    good = [status for status in told["responses"] if status.startswith("2")]
    refused = [status for status in told["responses"] if not status.startswith("2")]
    schema = told["responses"][good[0]]["content"]["application/json"]["schema"]
    table = _fields(schema, document["components"]["schemas"], words, language)
    return (
        f"<details><summary>{words.answer} {' / '.join(good)}"
        f'<span class="other"> · <a href="#problems">{" ".join(refused)}</a></span></summary>{table}</details>'
    )


def _fields(
    schema: Mapping[str, Any],
    schemas: Mapping[str, Any],
    words: reference_text.Words,
    language: str,
) -> str:
    lines = [
        (
            f"<code>{_breakable(row.name)}</code>",
            escape(row.term),
            escape(row.kind),
            f'<span class="must">{words.required}</span>' if row.required else "",
        )
        for row in schema_fields.rows(schema, schemas, language=language)
    ]
    return _table((words.field, words.term, words.kind, ""), lines, look="wide fields")


def _in_one(text: str, language: str) -> str:
    """Take one language out of a description in two."""
    vi, _, en = text.partition(" / ")
    return en if language == "en" and en else vi


def _breakable(name: str) -> str:
    """Let a long dotted name go on in the next line after a dot, never within a word."""
    return escape(name).replace(".", ".<wbr>").replace("_", "_<wbr>")


def _samples(operation: operations.Operation, words: reference_text.Words) -> str:
    path = operation.path
    for name, value in examples.PATHS.get(operation.name, {}).items():
        path = path.replace(f"{{{name}}}", value)
    query = examples.QUERIES.get(operation.name)
    address = f"{_ADDRESS}{path}" + (f"?{query}" if query else "")
    lines = ["curl -sS" + ("" if operation.method == "GET" else f" -X {operation.method}")]
    lines.append(f"  '{address}'")
    lines.append('  -H "X-API-Key: $KEY"')
    if operation.needs_official:
        lines.append('  -H "X-Official-Assertion: $ASSERTION"')
    body = examples.BODIES.get(operation.name)
    if body is not None:
        lines.append("  -H 'Content-Type: application/json'")
        lines.append(f"  -d '{json.dumps(body, ensure_ascii=False, indent=2)}'")
    return _code(words.try_it, " \\\n".join(lines), words)


def _code(title: str, text: str, words: reference_text.Words) -> str:
    return (
        f'<figure><figcaption>{title}<button type="button" data-copy data-done="{words.copied}">'
        f'{words.copy}</button></figcaption><pre tabindex="0"><code>{escape(text)}</code></pre></figure>'
    )


def _headers(words: reference_text.Words, language: str) -> str:
    lines = [
        (f"<code>{name}</code>", escape(en if language == "en" else vi)) for name, vi, en in reference_text.HEADERS
    ]
    table = _table((words.header, words.meaning), lines)
    return f'<section id="headers"><h2>{words.headers}</h2>{table}</section>'


def _statuses(words: reference_text.Words) -> str:
    lines = [
        (f'<span class="number">{number}</span>', f"<code>{status.value}</code>", escape(term))
        for number, (status, term) in enumerate(records.STATUS_VI.items(), start=1)
    ]
    table = _table((words.national_code, words.status, words.term), lines)
    return f'<section id="statuses"><h2>{words.statuses}</h2>{table}</section>'


def _problems(words: reference_text.Words, language: str) -> str:
    lines = []
    for kind in answers.known_errors():
        again = words.again_yes if kind.retry else words.again_no
        if not kind.code.startswith("Client"):
            again = words.again_yes if kind.retry else "–"
        lines.append(
            (
                f'<code id="{kind.code}">{kind.code}</code>',
                f'<span class="number">{kind.status}</span>',
                escape(kind().sentence(language)),
                again,
            )
        )
    table = _table((words.code, "HTTP", words.sentence, words.again), lines)
    return f'<section id="problems"><h2>{words.problems}</h2><p>{words.problems_text}</p>{table}</section>'


def _verb(method: str) -> str:
    return f'<b class="verb {method.lower()}">{method}</b>'


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]], *, look: str = "wide") -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="{look}"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
