import { read, type Answer } from "./answer.js";
import { Refused, Unanswered } from "./errors.js";
import type { Ids } from "./ids.js";

/** Longest wait for the answer to one attempt: a gateway answers within its `gateway.timeout_ms`, 10 s. */
const ATTEMPT_MS_MAX = 12_000;
/** Pauses between attempts double, so that a service that comes back is not flooded. */
const PAUSE_MS_FIRST = 50;
const PAUSE_MS_MAX = 2_000;

/** Errors of `fetch` in Node that come before anything is sent. */
const NOT_SENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"]);

export interface Options {
  /** The caller's token, if the gateway has a file of callers. */
  token?: string;
  /** Time of a call with all its attempts, in milliseconds. The default is 30,000. */
  timeoutMs?: number;
}

export interface CallOptions {
  /**
   * 1 to 255 bytes of UTF-8 that name what the number is for, such as `order-7781`: a later call with the same key gets
   * the same number, as long as the service remembers the key. Random if it is left out.
   */
  key?: string;
}

/**
 * A gateway that gives numbers.
 *
 * Each call has an idempotency key, and is repeated with it until an answer comes or `timeoutMs` is over. So one call
 * takes one number, also when an answer is lost.
 */
export class Sequencer {
  readonly #url: string;
  readonly #headers: Record<string, string> = { "Content-Type": "application/json" };
  readonly #timeoutMs: number;

  /** @param url The gateway, such as `https://ids.example.com`. */
  constructor(url = "http://127.0.0.1:8378", { token, timeoutMs = 30_000 }: Options = {}) {
    const { protocol, origin, pathname, search, hash } = new URL(url);
    if (!/^https?:$/.test(protocol) || search !== "" || hash !== "") {
      throw new TypeError(`the URL of a gateway is http://HOST:PORT or https://HOST, got ${url}`);
    }
    this.#url = `${origin}${pathname.replace(/\/+$/, "")}/v1/next?ids=string`;
    if (token !== undefined) this.#headers["Authorization"] = `Bearer ${visible(token)}`;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Takes the next number of `sequence`.
   *
   * @throws {Refused} The call is not valid, or the sequence gives no numbers.
   * @throws {Unanswered} No answer came in time.
   */
  async next(sequence: string, options: CallOptions = {}): Promise<bigint> {
    return (await this.take(sequence, 1, options)).first;
  }

  /** Takes `count` numbers that follow each other. For `key` and errors see {@link next}. */
  async take(sequence: string, count: number, { key = crypto.randomUUID() }: CallOptions = {}): Promise<Ids> {
    const headers = { ...this.#headers, "Idempotency-Key": quoted(key) };
    const body = JSON.stringify({ sequence, count });
    const deadline = performance.now() + this.#timeoutMs;
    let maybeTaken = false;
    let reason = "the time of the call is over";
    for (let pauseMs = PAUSE_MS_FIRST; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) break;
      const { answer, retryAfterMs } = await this.#attempt(headers, body, key, Math.min(leftMs, ATTEMPT_MS_MAX));
      if (answer.kind === "ids") return answer.ids;
      if (answer.kind === "refused") throw new Refused(answer.detail, answer.code, answer.status, key, maybeTaken);
      maybeTaken ||= answer.maybeTaken;
      reason = answer.reason;
      // By chance, so that callers that failed together do not come back together.
      const waitMs = Math.max(retryAfterMs, (pauseMs * (1 + Math.random())) / 2);
      if (!answer.retry || performance.now() + waitMs >= deadline) break;
      await new Promise((resume) => setTimeout(resume, waitMs));
    }
    const effect = maybeTaken ? "a number may be taken; repeat the call soon with its key" : "no number was taken";
    throw new Unanswered(`${reason}; ${effect}`, key, maybeTaken);
  }

  async #attempt(headers: Record<string, string>, body: string, key: string, timeoutMs: number): Promise<Attempt> {
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers,
        body,
        redirect: "manual",
        signal: AbortSignal.timeout(Math.ceil(timeoutMs)),
      });
      const retryAfter = response.headers.get("Retry-After") ?? "";
      // Proxies may send a date, which counts as none.
      const retryAfterMs = /^\d+$/.test(retryAfter) ? 1_000 * Number(retryAfter) : 0;
      return { answer: read(response.status, await response.text(), key), retryAfterMs };
    } catch (error) {
      const reason = explain(error);
      return { answer: { kind: "none", retry: true, maybeTaken: !NOT_SENT.has(codeOf(error)), reason }, retryAfterMs: 0 };
    }
  }
}

interface Attempt {
  answer: Answer;
  retryAfterMs: number;
}

/** `fetch` hides the error of the connection in `cause`. */
function codeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "";
}

function explain(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const detail = cause instanceof Error && cause.message !== "" ? `: ${cause.message}` : ` ${codeOf(error)}`;
  return `${error instanceof Error ? error.message : String(error)}${detail}`.trim();
}

/** The token, without the line break of the file that it was read from. The error must not repeat a secret. */
function visible(token: string): string {
  const stripped = token.trim();
  if (!/^[!-~]+$/.test(stripped)) throw new TypeError("a token has one or more visible ASCII characters, and no others");
  return stripped;
}

/** The key, quoted, so that spaces and quotation marks stay part of it. `fetch` takes the bytes of a header as Latin-1. */
function quoted(key: string): string {
  if (/[\u0000-\u001f\u007f]/.test(key)) throw new TypeError("a key must not have control characters");
  const escaped = key.replace(/[\\"]/g, "\\$&");
  return `"${Array.from(new TextEncoder().encode(escaped), (byte) => String.fromCharCode(byte)).join("")}"`;
}
