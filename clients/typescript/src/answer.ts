import { Ids } from "./ids.js";

/**
 * Codes of answers that say: this attempt wrote nothing. Any other 429 or 503 may come from a proxy, which does not
 * know.
 */
const NOTHING_WRITTEN = new Set(["not_ready", "not_written", "too_many_calls", "body_timeout"]);

/** The meaning of an HTTP answer. */
export type Answer =
  | { kind: "ids"; ids: Ids }
  | { kind: "refused"; status: number; code: string; detail: string }
  /** `retry`: the same call may succeed soon. */
  | { kind: "none"; retry: boolean; maybeTaken: boolean; reason: string };

/** Reads an answer. */
export function read(status: number, body: string, key: string): Answer {
  const fields = parse(body);
  if (status === 200) {
    const ids = readIds(fields, key);
    if (ids !== undefined) return { kind: "ids", ids };
    return { kind: "none", retry: false, maybeTaken: true, reason: "the answer has no numbers" };
  }
  const { code, detail } = fields;
  const transient = status >= 500 || status === 429;
  if (typeof code !== "string" || typeof detail !== "string") {
    const reason = `HTTP status ${status}, and not an answer of a gateway`;
    return { kind: "none", retry: transient, maybeTaken: true, reason };
  }
  const nothingWritten = NOTHING_WRITTEN.has(code);
  if (!transient && !nothingWritten) return { kind: "refused", status, code, detail };
  const maybeTaken = status >= 500 && !nothingWritten;
  return { kind: "none", retry: true, maybeTaken, reason: `${code}: ${detail}` };
}

function parse(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** IDs are asked for as texts, since a JSON number beyond 2^53 would be rounded. */
function readIds(fields: Record<string, unknown>, key: string): Ids | undefined {
  const { sequence, first, last, count, partition, offset } = fields;
  const integer = /^-?\d+$/;
  if (typeof sequence !== "string") return undefined;
  if (typeof first !== "string" || !integer.test(first)) return undefined;
  if (typeof last !== "string" || !integer.test(last)) return undefined;
  if (typeof count !== "number" || typeof partition !== "number" || typeof offset !== "number") return undefined;
  return new Ids(sequence, BigInt(first), BigInt(last), count, key, partition, offset);
}
