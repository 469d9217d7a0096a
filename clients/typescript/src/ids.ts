/** Numbers of one sequence, in the order in which they count. Iterate over it to get each of them. */
export class Ids implements Iterable<bigint> {
  constructor(
    readonly sequence: string,
    readonly first: bigint,
    readonly last: bigint,
    readonly count: number,
    /** The idempotency key of the call, given or drawn. */
    readonly key: string,
    /** Where the request lies in the request topic. */
    readonly partition: number,
    readonly offset: number,
  ) {}

  *[Symbol.iterator](): Iterator<bigint> {
    const steps = BigInt(this.count - 1);
    const step = steps === 0n ? 0n : (this.last - this.first) / steps;
    for (let at = 0n; at <= steps; at++) yield this.first + at * step;
  }
}
