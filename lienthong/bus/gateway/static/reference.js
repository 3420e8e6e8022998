"use strict";
// Copy a sample; narrow the list of operations ("/" goes to the filter).
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const label = button.textContent;
  await navigator.clipboard.writeText(button.closest("figure").querySelector("code").textContent);
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = label; }, 1500);
});
const filter = document.getElementById("filter");
filter.addEventListener("input", () => {
  const wanted = filter.value.trim().toLowerCase();
  for (const item of document.querySelectorAll("#operations li")) {
    item.hidden = !item.dataset.name.toLowerCase().includes(wanted);
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== filter) {
    event.preventDefault();
    filter.focus();
  }
});
