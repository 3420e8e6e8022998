"""The human page: what was received, the moods and their switches, the catalogue in use."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import orjson
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

from lienthong.sandbox import moods, words
from lienthong.sandbox.moods import WrongMood
from lienthong.sandbox.state import State

STATIC = Path(__file__).with_name("static")
PAGE_ROWS = 50
_FILTERS = ("system", "service", "outcome", "dossier")
_OUTCOMES = ("accepted", "refused", "duplicate", "session", "fault", "read", "login")
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'"
)


@dataclass(slots=True)
class View:
    """What one look at the page asks for."""

    lang: str = words.VI
    wanted: dict[str, str] | None = None
    offset: int = 0
    call: int = 0

    def word(self, key: str) -> str:
        """Return a word in the language of this look, ready for HTML."""
        return html.escape(words.word(key, self.lang))

    def link(self, **changes: Any) -> str:
        """Return the address of the page with something changed."""
        query: dict[str, Any] = {
            "lang": self.lang,
            "offset": self.offset,
            "call": self.call,
            **(self.wanted or {}),
        }
        query.update(changes)
        kept = {key: value for key, value in query.items() if value and (key, value) != ("lang", words.VI)}
        return html.escape("/?" + urlencode(kept) if kept else "/")


def _view(request: Request) -> View:
    query = request.query_params
    return View(
        lang=words.EN if query.get("lang") == words.EN else words.VI,
        wanted={key: query[key] for key in _FILTERS if query.get(key)},
        offset=_whole(query.get("offset")),
        call=_whole(query.get("call")),
    )


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 12 else 0


def check_origin(request: Request) -> None:
    """Refuse a form sent by a page of another site: the sandbox listens where any browser page may post to."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "chỉ nhận từ chính trang này / from this page only")


def add_routes(app: FastAPI, state: State) -> None:
    """Add the page, its form and its two static files."""
    app.mount("/_sandbox/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/")
    @app.get("/_sandbox/")
    async def page(request: Request) -> Response:
        return _page(state, _view(request))

    @app.post("/_sandbox/form")
    async def form(request: Request) -> Response:
        check_origin(request)
        fields = {
            key: values[-1] for key, values in parse_qs((await request.body()).decode("utf-8", "replace")).items()
        }
        view = View(lang=words.EN if fields.get("lang") == words.EN else words.VI)
        try:
            await _act(state, fields)
        except WrongMood as wrong:
            return _page(state, view, problem=str(wrong))
        return RedirectResponse(html.unescape(view.link()), status_code=303)


async def _act(state: State, fields: dict[str, str]) -> None:
    action, system = fields.get("action", ""), fields.get("system") or moods.EVERY
    if action == "reset":
        await state.forget()
    elif action == "off":
        state.weather.take_off(fields.get("name", ""), system)
    elif action == "clear":
        state.weather.clear()
    elif action == "quick":
        state.weather.put(moods.parse_spec(fields.get("spec", "")))
    else:
        wanted = moods.parse_spec(f"{fields.get('name', '')}:{fields.get('params', '')}")
        given = {key: fields[key] for key in ("probability", "count", "until_s") if fields.get(key)}
        state.weather.put({**wanted, "system": system, **given})


def _page(state: State, view: View, *, problem: str = "") -> Response:
    other = words.VI if view.lang == words.EN else words.EN
    named = state.catalogue
    body = f"""<!DOCTYPE html>
<html lang="{view.lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{view.word("title")}</title><link rel="stylesheet" href="/_sandbox/static/sandbox.css">
<script src="/_sandbox/static/sandbox.js" defer></script></head><body>
<header><h1>{view.word("title")}</h1><p>{view.word("subtitle")}</p>
<p class="catalogue">{view.word("catalogue")}:
<a href="/_sandbox/catalogue"><code>{html.escape(named.name)}</code></a> <b>{len(named.entries):,}</b>
{view.word("procedures")}</p>
<a class="language" href="{view.link(lang=other)}" lang="{other}">{view.word("other_language")}</a></header>
<main id="live">{_totals(state, view)}{_problem(problem)}
<div class="columns"><section class="moods">{_moods(state, view)}</section>
<section class="received">{_received(state, view)}</section></div></main></body></html>"""
    headers = {
        "content-security-policy": _POLICY,
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    return Response(body, 422 if problem else 200, media_type="text/html; charset=utf-8", headers=headers)


def _problem(problem: str) -> str:
    return f'<p class="problem" role="alert">{html.escape(problem)}</p>' if problem else ""


def _totals(state: State, view: View) -> str:
    ledger = state.ledger
    by_outcome = dict.fromkeys(_OUTCOMES, 0)
    for (_, _, outcome), number in ledger.counts.items():
        by_outcome[outcome] = by_outcome.get(outcome, 0) + number
    cells = [f'<dt>{view.word("received")}</dt><dd><a href="{View(view.lang).link()}">{ledger.total:,}</a></dd>']
    for outcome, number in by_outcome.items():
        link = View(view.lang, {"outcome": outcome}).link()
        cells.append(f'<dt>{view.word(outcome)}</dt><dd><a class="{outcome}" href="{link}">{number:,}</a></dd>')
    cells.append(
        f"<dt>{view.word('dossiers')}</dt>"
        f'<dd><a href="/_sandbox/dossiers?limit=100">{len(ledger.dossiers):,}</a></dd>'
    )
    cells.append(f"<dt>{view.word('steps')}</dt><dd>{ledger.steps:,}</dd>")
    return '<dl class="totals">' + "".join(f"<div>{cell}</div>" for cell in cells) + "</dl>"


def _form(view: View, action: str, inside: str, *, kind: str = "") -> str:
    hidden = f'<input type="hidden" name="action" value="{action}">'
    hidden += f'<input type="hidden" name="lang" value="{view.lang}">'
    return f'<form method="post" action="/_sandbox/form" class="{kind}">{hidden}{inside}</form>'


def _moods(state: State, view: View) -> str:
    in_force = state.weather.described()
    rows = "".join(_mood_row(mood, view) for mood in in_force)
    shown = f"<ul>{rows}</ul>" if rows else f"<p class='calm'>{view.word('good_weather')}</p>"
    clear = _form(view, "clear", f"<button>{view.word('all_off')}</button>") if len(in_force) > 1 else ""
    quick = "".join(
        f'<button name="spec" value="{html.escape(spec)}">{html.escape(pair[view.lang == words.EN])}</button>'
        for _, spec, pair in words.QUICK
    )
    reset = _form(view, "reset", f"<button>{view.word('reset')}</button>", kind="reset")
    return (
        f"<h2>{view.word('moods')}</h2>{shown}{clear}<h3>{view.word('quick')}</h3>"
        f"{_form(view, 'quick', quick, kind='quick')}{_new_mood(view)}{reset}"
    )


def _mood_row(mood: dict[str, Any], view: View) -> str:
    kind = moods.KINDS[mood["name"]]
    described = html.escape(kind.en if view.lang == words.EN else kind.vi)
    details = [f"{key}={value}" for key, value in mood.items() if key in kind.params and value not in ("", None)]
    details += [f"{view.word('left')} {mood['count']}"] if mood["count"] is not None else []
    details += [f"{view.word('left')} {mood['until_s']:g} s"] if mood["until_s"] is not None else []
    details.append(f"{view.word('touched')} {mood['applied']:,}")
    inside = (
        f'<input type="hidden" name="name" value="{mood["name"]}">'
        f'<input type="hidden" name="system" value="{mood["system"]}">'
        f"<button>{view.word('switch_off')}</button>"
    )
    where = view.word("every_system") if mood["system"] == moods.EVERY else mood["system"]
    text = html.escape(" · ".join([where, *dict.fromkeys(details)]))
    return (
        f"<li><div><b>{described}</b> <code>{mood['name']}</code><small>{text}</small></div>"
        f"{_form(view, 'off', inside)}</li>"
    )


def _new_mood(view: View) -> str:
    names = "".join(
        f'<option value="{name}">{html.escape(kind.en if view.lang == words.EN else kind.vi)} · {name}</option>'
        for name, kind in moods.KINDS.items()
    )
    systems = f'<option value="*">{view.word("every_system")}</option>'
    systems += "".join(f"<option>{system}</option>" for system in moods.SYSTEMS)
    inside = (
        f'<label>{view.word("mood")}<select name="name">{names}</select></label>'
        f'<label>{view.word("system")}<select name="system">{systems}</select></label>'
        f'<label>{view.word("probability")}<input name="probability" inputmode="decimal" placeholder="1"></label>'
        f'<label>{view.word("count")}<input name="count" inputmode="numeric" placeholder="∞"></label>'
        f'<label>{view.word("until_s")}<input name="until_s" inputmode="numeric" placeholder="∞"></label>'
        f'<label class="wide">{view.word("params")}'
        f'<input name="params" placeholder="latency_ms=300,seed=7"></label>'
        f'<button class="main">{view.word("switch_on")}</button>'
    )
    form = _form(view, "on", inside, kind="grid")
    return f"<details><summary>{view.word('new_mood')}</summary>{form}</details>"


def _received(state: State, view: View) -> str:
    total, rows = state.ledger.received(wanted=dict(view.wanted or {}), limit=PAGE_ROWS, offset=view.offset)
    head = f"<h2>{view.word('arrived')}</h2>{_filter(state, view)}"
    if not rows:
        return head + f"<p class='calm'>{view.word('nothing_found' if view.wanted else 'nothing_yet')}</p>"
    columns = "".join(f"<th scope='col'>{view.word(key)}</th>" for key in
                      ("time", "system", "service", "dossier", "status", "outcome"))  # fmt: skip
    lines = "".join(_row(row, view) for row in reversed(rows))
    table = f"<table><thead><tr>{columns}</tr></thead><tbody>{lines}</tbody></table>"
    return head + _one_call(state, view) + table + _pager(view, total, len(rows))


def _filter(state: State, view: View) -> str:
    wanted = view.wanted or {}
    services = sorted({service for _, service, _ in state.ledger.counts})
    choices = (("system", moods.SYSTEMS), ("service", services), ("outcome", _OUTCOMES))
    inside = "".join(_choice(view, key, list(options)) for key, options in choices)
    dossier = html.escape(wanted.get("dossier", ""))
    inside += f'<label>{view.word("dossier")}<input name="dossier" value="{dossier}"></label>'
    clear = f'<a href="{View(view.lang).link()}">{view.word("clear_filter")}</a>' if wanted else ""
    lang = '<input type="hidden" name="lang" value="en">' if view.lang == words.EN else ""
    return f'<form class="filter" action="/">{lang}{inside}<button>{view.word("filter")}</button>{clear}</form>'


def _choice(view: View, key: str, options: list[str]) -> str:
    chosen = (view.wanted or {}).get(key, "")
    listed = "".join(
        f'<option value="{html.escape(option)}"{" selected" if option == chosen else ""}>'
        f"{view.word(option) if key == 'outcome' else html.escape(option)}</option>"
        for option in options
    )
    empty = f'<option value="">{view.word("all")}</option>'
    return f'<label>{view.word(key)}<select name="{key}">{empty}{listed}</select></label>'


def _row(row: dict[str, Any], view: View) -> str:
    code = row["dossiers"][0] if row["dossiers"] else ""
    dossier = View(view.lang, {"dossier": code}).link() if code else ""
    more = f" +{len(row['dossiers']) - 1}" if len(row["dossiers"]) > 1 else ""
    effect = f" <small>{view.word('took_effect')}</small>" if row["effect"] else ""
    touched = "".join(f" <i>{html.escape(name)}</i>" for name in row["moods"])
    status = row["answer"]["status"]
    http = f"<small>HTTP {status}</small>" if status else "<small>✕</small>"
    linked = f'<a href="{dossier}"><code>{html.escape(code)}</code></a>{more}' if code else ""
    return (
        f'<tr class="{row["outcome"]}"><td><a class="call" href="{view.link(call=row["n"])}" title="{row["at"]}">'
        f"{row['at'][11:19]}</a></td><td><code>{row['system'].removeprefix('dvcqg_')}</code></td>"
        f"<td>{html.escape(row['service'])}</td><td>{linked}</td><td>{_statuses(row, view)}</td>"
        f'<td><span class="chip">{view.word(row["outcome"])}</span> {http}{effect}{touched}</td></tr>'
    )


def _statuses(row: dict[str, Any], view: View) -> str:
    items = row["body"].get("data") if isinstance(row["body"], dict) else None
    found = []
    for item in items if isinstance(items, list) else []:
        code = (item.get("TrangThaiHoSo") or item.get("TrangThai")) if isinstance(item, dict) else None
        if isinstance(code, str):
            found.append(words.status_word(code[:20], view.lang))
    return html.escape(" → ".join(dict.fromkeys(found[:6])))


def _one_call(state: State, view: View) -> str:
    row = state.ledger.one(view.call) if view.call else None
    if row is None:
        return ""
    text = html.escape(orjson.dumps(row, option=orjson.OPT_INDENT_2).decode())
    return (
        f'<aside><h3>{view.word("call")} {view.call:,}</h3><a href="{view.link(call=0)}">{view.word("close")}</a>'
        f"<pre tabindex='0'>{text}</pre></aside>"
    )


def _pager(view: View, total: int, shown: int) -> str:
    newer = f'<a href="{view.link(offset=max(0, view.offset - PAGE_ROWS))}">{view.word("newer")}</a>'
    older = f'<a href="{view.link(offset=view.offset + PAGE_ROWS)}">{view.word("older")}</a>'
    place = f"{view.offset + 1:,}–{view.offset + shown:,} {view.word('shown_of')} {total:,}"
    parts = [newer if view.offset else "", place, older if view.offset + shown < total else ""]
    return f"<nav class='pager'>{' '.join(part for part in parts if part)}</nav>"
