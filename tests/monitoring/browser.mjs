// Drives a headless Chromium by its own protocol, without a library, for the scripts of this folder.
// Each gets the address of the page, the folder for its pictures, and its own arguments.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const [url, pictures, ...words] = process.argv.slice(2);
// Bounds a hang; nothing here is expected to take long.
const DEADLINE_MS = 60_000;
const problems = [];

export function check(holds, what) {
  console.log(`${holds ? "ok" : "WRONG"} ${what}`);
  if (!holds) problems.push(what);
}

const profile = mkdtempSync(join(tmpdir(), "page-"));
mkdirSync(pictures, { recursive: true });
const chromium = spawn("chromium", [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
  "--disable-background-networking", "--hide-scrollbars", "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank",
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
export function send(method, params = {}, sessionId = session) {
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

export async function evaluate(expression) {
  const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
  if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
  return result.value;
}
export async function until(what, expression) {
  const deadline = Date.now() + DEADLINE_MS;
  while (Date.now() < deadline) {
    if (await evaluate(expression).catch(() => false)) return check(true, what);
    await new Promise((later) => setTimeout(later, 50));
  }
  check(false, what);
}
export async function press(key, code, text) {
  for (const type of ["keyDown", "keyUp"]) {
    await send("Input.dispatchKeyEvent", { type, key, code: key, windowsVirtualKeyCode: code, ...(type === "keyDown" && text ? { text } : {}) });
  }
}
export async function look(width, height, scheme) {
  await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
  await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
}
export async function picture(file) {
  const { data } = await send("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
  writeFileSync(join(pictures, file), Buffer.from(data, "base64"));
}
// Shows a page of an instance. Nothing may come from a server that was not asked by this.
const origins = new Set();
export function visit(address) {
  origins.add(new URL(address).origin);
  return send("Page.navigate", { url: address });
}
// True if nothing is wider than the screen, and no short word is broken to fit into it.
export const fits = `document.documentElement.scrollWidth <= window.innerWidth
  && [...document.querySelectorAll(".state, #rescale dt")].every((word) => {
    const text = document.createRange();
    text.selectNodeContents(word);
    return text.getClientRects().length === 1;
  })`;

// Waits for two answers more: one that is in progress may have been made before.
export async function refreshed() {
  const before = refreshes;
  while (refreshes < before + 2) await new Promise((later) => setTimeout(later, 20));
  await evaluate("new Promise(requestAnimationFrame)");
}

const heard = createInterface({ input: process.stdin });
// Says a line to the test, and waits until it answers.
export async function ask(line) {
  const answer = new Promise((given) => heard.once("line", given));
  console.log(line);
  await answer;
}

// Runs the checks of a script, and ends with 1 if one of them does not hold.
export async function run(checks) {
  try {
    await checks();
    check(fetched.every((from) => origins.has(new URL(from).origin)), "nothing comes from elsewhere");
  } catch (error) {
    check(false, String(error.stack));
  }
  end(problems.length === 0 ? 0 : 1);
}
