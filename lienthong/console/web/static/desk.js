// The desks' own script. Every page works without it; with it rows open beside the list, pages renew themselves,
// forms stay where they are when something is wrong, and a stretch of time is chosen by dragging.
(() => {
  "use strict";
  const panel = () => document.getElementById("panel");
  const told = (text) => { const place = document.getElementById("told"); if (place) place.textContent = text; };
  const parsed = (html) => new DOMParser().parseFromString(html, "text/html");
  let opener = null;

  // ---- side panel -------------------------------------------------------------------------------------------------
  function fill(place, html) {
    const close = document.createElement("button");
    close.type = "button"; close.className = "close"; close.textContent = place.dataset.close;
    close.addEventListener("click", shut);
    place.replaceChildren(close, ...parsed(html).body.childNodes);
    place.hidden = false;
    place.querySelectorAll("[data-load]").forEach(renew);
    const title = place.querySelector("h1");
    if (title) place.setAttribute("aria-label", title.textContent);
    place.focus();
  }
  function shut() {
    const place = panel();
    if (!place || place.hidden) return;
    place.hidden = true; place.replaceChildren();
    if (opener && opener.isConnected) opener.focus();
  }
  async function beside(address, options) {
    const place = panel();
    if (!place) { location.assign(address); return; }
    try {
      const answer = await fetch(address, { headers: { "X-Desk-Part": "panel" }, credentials: "same-origin", ...options });
      if (answer.status === 401) { location.reload(); return; }
      fill(place, await answer.text());
    } catch { if (!options) location.assign(address); else told(document.getElementById("told").dataset.stale); }
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-panel]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault(); opener = link; beside(link.href);
    mark(link.closest("table[data-keys] tbody tr"));
  });

  // ---- forms ------------------------------------------------------------------------------------------------------
  document.addEventListener("change", (event) => {
    const form = event.target.matches("[data-submit]") && event.target.form;
    if (form) form.requestSubmit();
  });
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    // `data-whole`: the answer is a page or a file of its own that is shown once, so the browser itself asks for it.
    if (form.method !== "post" || form.hasAttribute("data-whole") || !(form.hasAttribute("data-panel") || form.closest(".confirm"))) return;
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form));
    if (form.hasAttribute("data-panel")) {
      const folded = form.closest("details");
      opener = folded && folded.querySelector("summary");
      if (folded) folded.open = false;
      form.reset();
      beside(form.action, { method: "POST", body, headers: { "X-Desk-Part": "panel" } });
      return;
    }
    // What was typed stays where it is when something is wrong; when all is well we go where the desk says.
    const button = form.querySelector("button:not([type=button])");
    button.disabled = true;
    try {
      const answer = await fetch(form.action, { method: "POST", body, credentials: "same-origin", headers: { "X-Desk-Form": "1" } });
      if (answer.ok) { location.assign(answer.headers.get("X-Desk-Go") || answer.url); return; }
      const why = parsed(await answer.text()).querySelector(".problems");
      let place = form.querySelector(".failed");
      if (!place) { place = document.createElement("div"); place.className = "failed"; place.setAttribute("role", "alert"); form.prepend(place); }
      place.replaceChildren(...(why ? why.childNodes : [document.createTextNode(String(answer.status))]));
    } catch { form.submit(); } finally { button.disabled = false; }
  });

  // What a filter holds goes into the address, and a citizen's number must not.
  document.addEventListener("input", (event) => {
    const field = event.target;
    if (!field.form || field.form.method !== "get" || !field.matches("input:not([data-typed])")) return;
    const isNumber = /^(\d{9}|\d{12})$/.test(field.value.replace(/[\s.]/g, ""));
    field.setCustomValidity(isNumber ? document.getElementById("told").dataset.number : "");
  });

  // ---- days and moments, typed as people here write them -------------------------------------------------------------
  const two = (number) => String(number).padStart(2, "0");
  function typed(field) {
    const found = /^\s*(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:\s+(\d{1,2})(?:[:hg](\d\d)?)?)?\s*$/i.exec(field.value)
      || /^\s*(\d\d)(\d\d)(\d{4})(?:\s*(\d\d):?(\d\d))?\s*$/.exec(field.value);
    if (!found || (field.dataset.typed === "moment") !== (found[4] !== undefined)) return null;
    const [day, month, year, hour, minute] = found.slice(1).map((part) => Number(part || 0));
    const at = new Date(Date.UTC(year, month - 1, day, hour, minute));
    return at.getUTCDate() === day && at.getUTCMonth() === month - 1 && at.getUTCHours() === hour && minute < 60 ? at : null;
  }
  function write(field, at) {
    field.value = `${two(at.getUTCDate())}/${two(at.getUTCMonth() + 1)}/${at.getUTCFullYear()}`;
    if (field.dataset.typed === "moment") field.value += ` ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
    check(field);
  }
  function check(field) { field.setCustomValidity(!field.value.trim() || typed(field) ? "" : field.dataset.wrong); }
  document.addEventListener("input", (event) => { if (event.target.matches("[data-typed]")) check(event.target); });
  document.addEventListener("change", (event) => {
    const at = event.target.matches("[data-typed]") && typed(event.target);
    if (at) write(event.target, at);
  });
  document.addEventListener("keydown", (event) => {
    const step = event.target.matches("[data-typed]") && { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!step) return;
    const at = typed(event.target) || new Date(Date.now() - new Date().getTimezoneOffset() * 60000);
    event.preventDefault(); at.setUTCDate(at.getUTCDate() + step); write(event.target, at);
  });

  // ---- parts that renew themselves --------------------------------------------------------------------------------
  async function renew(part) {
    if (document.hidden || part.querySelector("details[open]") || part.contains(document.activeElement)) return;
    try {
      const answer = await fetch(part.dataset.load, { headers: { "X-Desk-Refresh": "1" }, credentials: "same-origin" });
      if (answer.status === 401) { location.reload(); return; }
      const fresh = answer.ok && parsed(await answer.text()).getElementById(part.id);
      if (!fresh) throw new Error();
      part.replaceChildren(...fresh.childNodes);
      if (!fresh.dataset.every) delete part.dataset.every;
      part.classList.remove("stale");
    } catch {
      if (!part.classList.contains("stale")) told(document.getElementById("told").dataset.stale);
      part.classList.add("stale");
    }
  }
  for (const part of document.querySelectorAll("[data-load]")) {
    const every = Number(part.dataset.every);
    if (!every) { renew(part); continue; }
    // Until the page itself says that there is nothing more to come.
    const again = setInterval(async () => { await renew(part); if (!part.dataset.every) clearInterval(again); }, every * 1000);
  }

  const here = document.querySelector(".rail [aria-current]");
  if (here) here.parentElement.scrollIntoView({ block: "nearest", inline: "center" });

  // ---- keyboard ---------------------------------------------------------------------------------------------------
  const rows = () => [...document.querySelectorAll("table[data-keys] tbody tr")];
  function mark(row) {
    rows().forEach((it) => it.classList.remove("at"));
    if (row) row.classList.add("at");
  }
  function move(step) {
    const all = rows(); if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("at"));
    const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1)];
    mark(next); next.scrollIntoView({ block: "nearest" });
    const link = next.querySelector("a");
    if (link) link.focus({ preventScroll: true }); else { next.tabIndex = -1; next.focus({ preventScroll: true }); }
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      document.querySelectorAll("details.menu[open], details.confirm[open]").forEach((it) => { it.open = false; it.querySelector("summary").focus(); });
      shut(); return;
    }
    if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") { const field = document.getElementById("q"); if (field) { event.preventDefault(); field.focus(); } }
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
  });
  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll("details.menu[open], details.confirm[open]")) if (!open.contains(event.target)) open.open = false;
  });

  // A folded form that would run over the right edge stands under the end of its button.
  document.addEventListener("toggle", (event) => {
    const sheet = event.target.open && event.target.querySelector(":scope > .sheet");
    const around = sheet && sheet.closest("main, .panel");
    if (!around) return;
    sheet.classList.remove("back");
    if (sheet.getBoundingClientRect().right > around.getBoundingClientRect().right) sheet.classList.add("back");
  }, true);

  // ---- copying what is shown once ------------------------------------------------------------------------------------
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    const source = button && document.getElementById(button.dataset.copy);
    if (!source) return;
    try { await navigator.clipboard.writeText(source.textContent.trim()); told(button.dataset.done); button.textContent = button.dataset.done; }
    catch { getSelection().selectAllChildren(source); }
  });
  document.querySelectorAll("button[data-copy][hidden]").forEach((it) => { it.hidden = false; });

  // ---- brush ------------------------------------------------------------------------------------------------------
  for (const chart of document.querySelectorAll("svg[data-brush]")) {
    const bars = [...chart.querySelectorAll("g[data-from]")];
    if (!bars.length) continue;
    let from = null, mark = null;
    const at = (event) => {
      const box = chart.getBoundingClientRect();
      return Math.min(Math.max(Math.floor((event.clientX - box.left) / box.width * bars.length), 0), bars.length - 1);
    };
    chart.addEventListener("pointerdown", (event) => { if (!event.button) from = at(event); });
    chart.addEventListener("dragstart", (event) => event.preventDefault());
    chart.addEventListener("pointermove", (event) => {
      if (from === null || at(event) === from) return;
      if (!mark) {
        mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        mark.setAttribute("class", "brush"); mark.setAttribute("y", "0"); mark.setAttribute("height", "100%"); chart.append(mark);
      }
      const width = chart.viewBox.baseVal.width / bars.length, low = Math.min(from, at(event)), high = Math.max(from, at(event));
      mark.setAttribute("x", String(low * width)); mark.setAttribute("width", String((high - low + 1) * width));
    });
    addEventListener("pointerup", (event) => {
      if (from === null) return;
      const low = Math.min(from, at(event)), high = Math.max(from, at(event)), dragged = mark !== null;
      from = null; if (mark) mark.remove(); mark = null;
      if (!dragged) return;
      const there = new URL(location.href);
      there.searchParams.delete("range"); there.searchParams.delete("after");
      there.searchParams.set("from", bars[low].dataset.from); there.searchParams.set("to", bars[high].dataset.to);
      location.assign(there);
    });
    chart.addEventListener("click", (event) => { if (mark) event.preventDefault(); });
  }
})();
