// Brings the middle of the page up to date. Without this script the page is complete, and never changes.
"use strict";

const INTERVAL_MS = 2000;
const byId = (id) => document.getElementById(id);
let paused = false;

function hasSelection(section) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.containsNode(section, true);
}

// An unchanged section is not replaced, nor is one in which a reader selects text. The focus stays where it is.
function replace(html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  for (const section of [...fresh.content.children]) {
    const shown = byId(section.id);
    if (shown.outerHTML === section.outerHTML || hasSelection(shown)) continue;
    const focused = shown.contains(document.activeElement) ? document.activeElement.id : "";
    shown.replaceWith(section);
    if (focused) byId(focused)?.focus({ preventScroll: true });
  }
}

async function refresh() {
  if (!paused && !document.hidden) {
    try {
      // The URL is absolute: a relative one inherits a password in the address of the page, and fetch refuses that.
      const response = await fetch(location.origin + "/live.json", { cache: "no-store" });
      if (!response.ok) throw new Error("the instance says " + response.status);
      const now = await response.json();
      // A reader who has paused meanwhile keeps the page as it is.
      if (!paused) {
        replace(now.html);
        byId("fresh").textContent = "As of " + new Date(now.unix_ms).toLocaleTimeString();
        document.body.classList.remove("old");
      }
    } catch (error) {
      byId("fresh").textContent = "No answer (" + error.message + "); the data shown is old.";
      document.body.classList.add("old");
    }
  }
  setTimeout(refresh, INTERVAL_MS);
}

const pause = byId("pause");
pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Go on" : "Pause";
});
refresh();
