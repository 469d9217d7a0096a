/** An HTTP proxy before a real gateway that fails as it is told. */
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** Gets a function that carries out the call at the gateway. Undefined: the connection is closed without an answer. */
export type Fault = (call: () => Promise<Answer>) => Promise<Answer | undefined>;

export function problem(status: number, code: string, retryAfterS = 0): Answer {
  const headers = { "Content-Type": "application/problem+json", "Retry-After": String(retryAfterS) };
  return { status, headers, body: JSON.stringify({ status, code, detail: "planted" }) };
}

export async function notWritten(): Promise<Answer> {
  return problem(503, "not_written");
}

/** Longer than any client waits. */
export async function notWrittenForLong(): Promise<Answer> {
  return problem(503, "not_written", 3_600);
}

export async function lost(call: () => Promise<Answer>): Promise<undefined> {
  await call();
}

export async function noReply(call: () => Promise<Answer>): Promise<Answer> {
  await call();
  return problem(504, "no_reply");
}

export async function unavailableOfAProxy(call: () => Promise<Answer>): Promise<Answer> {
  await call();
  return { status: 503, headers: { "Content-Type": "text/html", "Retry-After": "0" }, body: "<h1>Unavailable</h1>" };
}

export interface Proxy {
  url: string;
  calls: IncomingHttpHeaders[];
}

/** Carries out `faults` one after another, then `then` again and again, or passes calls through. */
export async function proxied<T>(
  gateway: string,
  faults: Fault[],
  use: (proxy: Proxy) => Promise<T>,
  then: Fault = (call) => call(),
): Promise<T> {
  const calls: IncomingHttpHeaders[] = [];
  const left = [...faults];
  const server = createServer(async (request, response) => {
    calls.push(request.headers);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const call = async (): Promise<Answer> => {
      const headers: Record<string, string> = {};
      for (const name of ["content-type", "idempotency-key"]) headers[name] = String(request.headers[name]);
      const body = Buffer.concat(chunks);
      const answer = await fetch(gateway + request.url, { method: "POST", headers, body });
      return { status: answer.status, headers: {}, body: await answer.text() };
    };
    const answer = await (left.shift() ?? then)(call);
    if (answer === undefined) return request.socket.destroy();
    response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  await new Promise<void>((resume) => server.listen(0, "127.0.0.1", resume));
  try {
    return await use({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls });
  } finally {
    server.closeAllConnections();
    await new Promise((resume) => server.close(resume));
  }
}
