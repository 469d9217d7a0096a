// Drives a headless Chromium by its own protocol, without a library.
// Usage: node page.mjs URL NAME AUDITED PICTURES
// AUDITED is a sequence with the grants 1 and, to "billing", 2 to 4.
// Prints "ready" when a partition may halt, and waits for a line that says that one has.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [url, name, audited, pictures] = process.argv.slice(2);
// Bounds a hang; nothing here is expected to take long.
const DEADLINE_MS = 60_000;
const problems = [];

function check(holds, what) {
  console.log(`${holds ? "ok" : "WRONG"} ${what}`);
  if (!holds) problems.push(what);
}

const profile = mkdtempSync(join(tmpdir(), "page-"));
mkdirSync(pictures, { recursive: true });
const chromium = spawn("chromium", [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
  "--disable-background-networking", "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank",
], { stdio: ["ignore", "ignore", "pipe"] });

function end(code) {
  chromium.kill("SIGKILL");
  chromium.on("exit", () => {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    process.exit(code);
  });
}
setTimeout(() => { console.log("WRONG the deadline is over"); end(1); }, 3 * DEADLINE_MS).unref();

const endpoint = await new Promise((found, lost) => {
  createInterface({ input: chromium.stderr }).on("line", (line) => {
    const match = line.match(/^DevTools listening on (ws:.*)$/);
    if (match) found(match[1]);
  }).on("close", () => lost(new Error("chromium ended")));
});
const socket = new WebSocket(endpoint);
await new Promise((open) => socket.addEventListener("open", open));
let number = 0;
const waiting = new Map();
const listeners = [];
socket.addEventListener("message", ({ data }) => {
  const message = JSON.parse(data);
  if (message.id) {
    const { resolve, reject } = waiting.get(message.id);
    waiting.delete(message.id);
    message.error ? reject(new Error(JSON.stringify(message.error))) : resolve(message.result);
  } else listeners.forEach((listener) => listener(message));
});
function send(method, params = {}, sessionId = session) {
  const id = ++number;
  socket.send(JSON.stringify({ id, method, params, sessionId }));
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}
let session;
const { targetId } = await send("Target.createTarget", { url: "about:blank" });
({ sessionId: session } = await send("Target.attachToTarget", { targetId, flatten: true }));

const fetched = [];
let refreshes = 0;
const refreshIds = new Set();
listeners.push(({ method, params }) => {
  if (method === "Network.requestWillBeSent") {
    if (!params.request.url.startsWith("data:")) fetched.push(params.request.url);
    if (params.request.url.endsWith("/live.json")) refreshIds.add(params.requestId);
  }
  if (method === "Network.loadingFinished" && refreshIds.has(params.requestId)) refreshes += 1;
  if (method === "Runtime.exceptionThrown") check(false, "script: " + JSON.stringify(params.exceptionDetails));
  if (method === "Log.entryAdded") check(false, "browser: " + params.entry.text + " " + (params.entry.url ?? ""));
});
for (const domain of ["Page", "Runtime", "Network", "Log"]) await send(domain + ".enable");

async function evaluate(expression) {
  const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
  if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
  return result.value;
}
async function until(what, expression) {
  const deadline = Date.now() + DEADLINE_MS;
  while (Date.now() < deadline) {
    if (await evaluate(expression).catch(() => false)) return check(true, what);
    await new Promise((later) => setTimeout(later, 50));
  }
  check(false, what);
}
async function press(key, code, text) {
  for (const type of ["keyDown", "keyUp"]) {
    await send("Input.dispatchKeyEvent", { type, key, code: key, windowsVirtualKeyCode: code, ...(type === "keyDown" && text ? { text } : {}) });
  }
}
async function look(width, height, scheme) {
  await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
  await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
}
async function picture(file) {
  const { data } = await send("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
  writeFileSync(join(pictures, file), Buffer.from(data, "base64"));
}
const fits = "document.documentElement.scrollWidth <= window.innerWidth";

try {
  await look(1200, 1100, "light");
  await send("Page.navigate", { url });
  await until("each partition runs and has its owner", `[...document.querySelectorAll('tr[data-partition]')].length === 4
    && [...document.querySelectorAll('tr[data-state="running"] td[data-label="Owner"]')].filter((cell) => cell.textContent === "a").length === 4`);
  await until("the group's members are there", "document.body.textContent.includes('this one')");
  await until("rate and latency are drawn", `Number(document.getElementById('rate-now').textContent) > 0
    && (document.querySelector('#latency path')?.getAttribute('d') ?? '').includes('L')
    && document.getElementById('p99-now').textContent.endsWith('s')`);
  await until("each partition has a rate", `[...document.querySelectorAll('[data-rate]')].every((cell) => cell.textContent.endsWith('/s'))`);
  await picture("desktop.png");

  await press("Tab", 9);
  check(await evaluate("document.activeElement.className === 'skip'"), "the first stop of the keyboard leads to the content");
  for (let i = 0; i < 20 && await evaluate("document.activeElement.id !== 'prefix'"); i++) await press("Tab", 9);
  check(await evaluate("document.activeElement.id === 'prefix'"), "the keyboard reaches the search");
  await send("Input.insertText", { text: name });
  await press("Enter", 13, "\r");
  await until("a sequence is found by its name", `document.querySelector('#results tbody th')?.textContent === ${JSON.stringify(name)}
    && document.querySelector('#results [data-label="Next ID"]').textContent === "2"`);
  check(await evaluate("document.querySelectorAll('#results b').length === 0 && document.getElementById('prefix').value === " + JSON.stringify(name)),
    "a name is text and no markup");
  await send("Page.navigate", { url: url + "?prefix=orders" });
  await until("sequences are found by how they begin", "document.querySelectorAll('#results tbody tr').length > 10");

  await send("Page.navigate", { url: url + "?sequence=" + audited + "&id=2" });
  await until("who got an ID is told", `document.querySelector('#traced tbody th')?.textContent === "2 to 4"
    && document.querySelector('#traced [data-label="Requester"]').textContent === "billing"`);
  await send("Page.navigate", { url: url + "?sequence=" + audited + "&id=5" });
  await until("an ID that nobody got is told", "document.getElementById('traced')?.textContent.includes('5 is in no grant')");
  await send("Page.navigate", { url: url + "?sequence=" + audited + "&id=2" });
  await until("and the first again", "document.querySelector('#traced tbody th')?.textContent === '2 to 4'");

  for (const scheme of ["light", "dark"]) {
    await look(390, 844, scheme);
    check(await evaluate(fits), `nothing is cut off on a phone (${scheme})`);
    await picture(`phone-${scheme}.png`);
  }
  await look(1200, 1100, "dark");
  check(await evaluate("getComputedStyle(document.body).backgroundColor === 'rgb(13, 17, 23)'"), "the page is dark in the dark");
  await picture("desktop-dark.png");

  const said = new Promise((line) => createInterface({ input: process.stdin }).once("line", line));
  console.log("ready");
  await said;
  // One that is under way may have been answered before.
  const before = refreshes;
  while (refreshes < before + 2) await new Promise((later) => setTimeout(later, 20));
  await evaluate("new Promise(requestAnimationFrame)");
  check(await evaluate(`document.querySelector('[data-halted="1"]') !== null && document.querySelector('tr[data-partition="1"]').dataset.state === 'halted'`),
    "a halted partition is shown as such at the next refresh");
  check(await evaluate(`document.querySelector('[data-halted="1"] pre')?.textContent.startsWith('sequencer recover --partition 1 --brokers ')`), "with the command that repairs it");
  await picture("halted.png");
  await look(390, 844, "dark");
  check(await evaluate(fits), "nothing is cut off on a phone when one is halted");
  await picture("halted-phone.png");
  const origin = new URL(url).origin;
  check(fetched.every((from) => new URL(from).origin === origin), "nothing comes from elsewhere");
} catch (error) {
  check(false, String(error.stack));
}
end(problems.length === 0 ? 0 : 1);
