/** The client against a real gateway, whose URL is in SEQUENCER_URL. */
import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import test from "node:test";

import { Refused, Sequencer, Unanswered } from "sequencer-client";

import {
  lost,
  noReply,
  notWritten,
  notWrittenForLong,
  problem,
  proxied,
  unavailableOfAProxy,
  type Fault,
} from "./proxy.js";

const URL_OF_GATEWAY = process.env["SEQUENCER_URL"] ?? assert.fail("SEQUENCER_URL is missing");
const sequencer = new Sequencer(URL_OF_GATEWAY);

/** A sequence of its own for each test, also when the tests run again. */
const name = () => `typescript-${crypto.randomUUID()}`;

async function define(sequence: string, fields: Record<string, unknown>): Promise<void> {
  const response = await fetch(`${URL_OF_GATEWAY}/v1/sequences/${encodeURIComponent(sequence)}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(fields),
  });
  assert.equal(response.status, 200, await response.text());
}

/** The error of a call, which must be of this kind. */
async function error<E>(kind: new (...of: never[]) => E, call: Promise<unknown>): Promise<E> {
  const caught: unknown = await call.then(() => undefined, (error: unknown) => error);
  assert.ok(caught instanceof kind, String(caught));
  return caught;
}

test("the numbers of a sequence follow each other", async () => {
  const sequence = name();
  assert.equal(await sequencer.next(sequence), 1n);
  const ids = await sequencer.take(sequence, 5);
  assert.deepEqual([ids.sequence, ids.first, ids.last, ids.count], [sequence, 2n, 6n, 5]);
  assert.deepEqual([...ids], [2n, 3n, 4n, 5n, 6n]);
  assert.equal(await sequencer.next(sequence), 7n);
});

test("a sequence that counts down gives each number", async () => {
  const sequence = name();
  await define(sequence, { start: 30, increment: -10, min: -100, max: 30 });
  assert.deepEqual([...(await sequencer.take(sequence, 4))], [30n, 20n, 10n, 0n]);
});

test("numbers beyond those of a float are exact", async () => {
  const sequence = name();
  await define(sequence, { start: String(2n ** 60n + 1n), max: String(2n ** 63n - 1n) });
  assert.deepEqual([...(await sequencer.take(sequence, 2))], [2n ** 60n + 1n, 2n ** 60n + 2n]);
});

test("names that URLs would change are sequences of their own", async () => {
  const begin = name();
  for (const sequence of [`${begin}/a`, `${begin}/../a`, `${begin}%2Fa`, `${begin}?a#ü 日`]) {
    assert.equal(await sequencer.next(sequence), 1n, sequence);
  }
});

test("a key gets its number again", async () => {
  const sequence = name();
  for (const key of ["order-7781", " spaces ", '"quoted"', 'back\\slash"', "größe", "日本"]) {
    const first = await sequencer.next(sequence, { key });
    assert.equal(await sequencer.next(sequence, { key }), first, key);
  }
  assert.equal(await sequencer.next(sequence), 7n);
});

test("many calls at once get a number each", async () => {
  const sequence = name();
  const numbers = await Promise.all(Array.from({ length: 400 }, () => sequencer.next(sequence)));
  const expected = Array.from({ length: 400 }, (_, at) => at + 1);
  assert.deepEqual(numbers.map(Number).sort((a, b) => a - b), expected);
});

for (const fault of [lost, noReply, unavailableOfAProxy]) {
  test(`a lost answer loses no number: ${fault.name}`, () =>
    proxied(URL_OF_GATEWAY, [fault], async ({ url, calls }) => {
      const [sequence, behind] = [name(), new Sequencer(url)];
      assert.deepEqual([await behind.next(sequence), await behind.next(sequence)], [1n, 2n]);
      const keys = calls.map((headers) => headers["idempotency-key"]);
      assert.deepEqual([keys[0] === keys[1], keys[1] === keys[2]], [true, false]);
    }));
}

test("a request that was not written is sent again", () =>
  proxied(URL_OF_GATEWAY, [notWritten, notWritten], async ({ url, calls }) => {
    assert.equal(await new Sequencer(url).next(name()), 1n);
    assert.equal(calls.length, 3);
  }));

test("a refusal has its code and is not sent again", () =>
  proxied(URL_OF_GATEWAY, [], async ({ url, calls }) => {
    const [sequence, behind] = [name(), new Sequencer(url)];
    const invalid = await error(Refused, behind.take(sequence, 0));
    assert.deepEqual([invalid.code, invalid.status, invalid.maybeTaken], ["invalid_count", 400, false]);
    await behind.next(sequence, { key: "a" });
    const reused = await error(Refused, behind.take(sequence, 2, { key: "a" }));
    assert.deepEqual([reused.code, reused.key], ["request_id_reused", "a"]);
    assert.equal(calls.length, 3);
  }));

const taken = new Map<Fault, boolean>([
  [notWrittenForLong, false],
  [lost, true],
  [noReply, true],
  [unavailableOfAProxy, true],
]);
for (const [fault, maybeTaken] of taken) {
  test(`the error says whether a number may be taken: ${fault.name}`, () =>
    proxied(URL_OF_GATEWAY, [], async ({ url }) => {
      const behind = new Sequencer(url, { timeoutMs: 1_000 });
      const unanswered = await error(Unanswered, behind.next(name(), { key: "b" }));
      assert.deepEqual([unanswered.maybeTaken, unanswered.key], [maybeTaken, "b"]);
    }, fault));
}

test("a refusal after a lost answer does not say that nothing is taken", () =>
  proxied(URL_OF_GATEWAY, [lost, async () => problem(401, "unauthorized")], async ({ url }) => {
    assert.equal((await error(Refused, new Sequencer(url).next(name()))).maybeTaken, true);
  }));

test("no number is taken where nothing listens", async () => {
  const server = createServer();
  await new Promise<void>((resume) => server.listen(0, "127.0.0.1", resume));
  const { port } = server.address() as AddressInfo;
  await new Promise((resume) => server.close(resume));
  const nowhere = new Sequencer(`http://127.0.0.1:${port}`, { timeoutMs: 1_000 });
  assert.equal((await error(Unanswered, nowhere.next(name()))).maybeTaken, false);
});

for (const [status, body] of [[404, "<h1>Not Found</h1>"], [200, '{"first":1}'], [200, ""]] as const) {
  test(`an answer that is not of a gateway is no number: ${status} ${body}`, () =>
    proxied(URL_OF_GATEWAY, [], async ({ url, calls }) => {
      assert.equal((await error(Unanswered, new Sequencer(url).next(name()))).maybeTaken, true);
      assert.equal(calls.length, 1);
    }, async () => ({ status, headers: {}, body })));
}

test("the token is sent and never printed", () =>
  proxied(URL_OF_GATEWAY, [], async ({ url, calls }) => {
    await new Sequencer(url, { token: "c2VjcmV0\n" }).next(name());
    assert.equal(calls[0]?.["authorization"], "Bearer c2VjcmV0");
    assert.throws(() => new Sequencer(url, { token: "hush\nhush" }), (error) => !String(error).includes("hush"));
  }));
