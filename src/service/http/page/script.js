// Fetches the middle of the page again, and draws rate and latency. Without this script the page never changes.
"use strict";

const INTERVAL_MS = 2000;
const POINTS_MAX = 150;
const points = [];
const byId = (id) => document.getElementById(id);
let last = null;
let shown = null;
let paused = false;

function quantile(share, bounds, counts) {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  let below = 0;
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] > 0 && below + counts[i] >= share * all) {
      const from = i === 0 ? 0 : bounds[i - 1];
      const to = i < bounds.length ? bounds[i] : from;
      return (from + (to - from) * (share * all - below) / counts[i]) / 1000;
    }
    below += counts[i];
  }
  return null;
}

function milliseconds(value) {
  if (value === null) return "–";
  return value < 10 ? value.toFixed(1) + " ms" : value < 1000 ? Math.round(value) + " ms" : (value / 1000).toFixed(1) + " s";
}

function draw(svg, series) {
  const top = Math.max(1e-9, ...series.flat().filter((value) => value !== null)) * 1.1;
  svg.replaceChildren(...series.map((values, index) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    let pen = "M";
    const steps = values.map((value, i) => {
      if (value === null) { pen = "M"; return ""; }
      const step = `${pen}${(300 * i / (POINTS_MAX - 1)).toFixed(1)} ${(79 - 78 * value / top).toFixed(1)}`;
      pen = "L";
      return step;
    });
    path.setAttribute("d", steps.join(""));
    if (index > 0) path.classList.add("second");
    return path;
  }));
}

function rates(now) {
  const before = new Map(last ? last.next_offsets : []);
  const seconds = last ? (now.unix_ms - last.unix_ms) / 1000 : 0;
  for (const [partition, next] of now.next_offsets) {
    const cell = document.querySelector(`[data-rate="${partition}"]`);
    const known = before.get(partition);
    if (cell && seconds > 0 && known >= 0 && next >= known) cell.textContent = Math.round((next - known) / seconds) + "/s";
  }
}

function flow(now) {
  const seconds = (now.unix_ms - last.unix_ms) / 1000;
  // Counters go back when the instance was restarted.
  if (seconds <= 0 || now.requests < last.requests) return;
  const counts = now.latency.map((count, i) => count - last.latency[i]);
  const point = {
    rate: (now.requests - last.requests) / seconds,
    p50: quantile(0.5, now.bounds_us, counts),
    p99: quantile(0.99, now.bounds_us, counts),
  };
  points.push(point);
  if (points.length > POINTS_MAX) points.shift();
  byId("rate-now").textContent = Math.round(point.rate);
  byId("p50-now").textContent = milliseconds(point.p50);
  byId("p99-now").textContent = milliseconds(point.p99);
  draw(byId("rate"), [points.map((p) => p.rate)]);
  draw(byId("latency"), [points.map((p) => p.p50), points.map((p) => p.p99)]);
}

async function refresh() {
  if (!paused && !document.hidden) {
    try {
      // The URL is absolute: a relative one inherits a password in the address of the page, and fetch refuses that.
      const response = await fetch(location.origin + "/live.json", { cache: "no-store" });
      if (!response.ok) throw new Error("the instance says " + response.status);
      const now = await response.json();
      // Unchanged HTML is not replaced, so that a selection in it stays.
      if (now.html !== shown) {
        byId("live").innerHTML = now.html;
        shown = now.html;
      }
      rates(now);
      if (last) flow(now);
      last = now;
      byId("fresh").textContent = "As of " + new Date(now.unix_ms).toLocaleTimeString();
    } catch (error) {
      byId("fresh").textContent = "No answer (" + error.message + "); the data shown is old.";
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
