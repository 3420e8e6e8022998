// Keeps the page fresh while nobody is typing in it, and moves between rows with j and k.
"use strict";

let seen = null;

async function counts() {
  const answer = await fetch("/_sandbox/counts");
  const moods = await fetch("/_sandbox/mood");
  const inForce = (await moods.json()).moods.map((mood) => [mood.name, mood.system, mood.count]);
  return (await answer.text()) + JSON.stringify(inForce);
}

function isBusy() {
  const element = document.activeElement;
  return document.querySelector("details[open]") || element && ["INPUT", "SELECT"].includes(element.tagName);
}

async function refresh() {
  if (document.hidden || isBusy()) return;
  const now = await counts();
  if (seen !== null && now !== seen) {
    const text = await (await fetch(location.href)).text();
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
    const focused = document.activeElement?.getAttribute?.("href");
    document.getElementById("live").replaceWith(fresh);
    if (focused) document.querySelector(`a.call[href="${CSS.escape(focused)}"]`)?.focus();
  }
  seen = now;
}

setInterval(() => refresh().catch(() => { seen = null; }), 2000);

document.addEventListener("keydown", (event) => {
  if (isBusy() || event.ctrlKey || event.metaKey || event.altKey || !["j", "k"].includes(event.key)) return;
  const rows = [...document.querySelectorAll("a.call")];
  const at = rows.indexOf(document.activeElement);
  rows[Math.min(rows.length - 1, Math.max(0, at + (event.key === "j" ? 1 : -1)))]?.focus();
});
