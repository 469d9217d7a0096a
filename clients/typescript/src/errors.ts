/** A call gave no number. */
export class SequencerError extends Error {
  constructor(
    message: string,
    /** The idempotency key of the call. A repeat with it gets the number that this call may have taken. */
    readonly key: string,
    /** True if this call may have taken a number, now or later. */
    readonly maybeTaken: boolean,
  ) {
    super(message);
    this.name = new.target.name;
  }
}

/** The gateway or the service refused the call. A repeat would be refused as well. */
export class Refused extends SequencerError {
  constructor(
    detail: string,
    /** The stable error code, such as `invalid_count`: see the list of errors in the documentation. */
    readonly code: string,
    /** The HTTP status. */
    readonly status: number,
    key: string,
    maybeTaken: boolean,
  ) {
    super(`${code}: ${detail}`, key, maybeTaken);
  }
}

/** No valid answer came in time. If `maybeTaken` is true, repeat the call soon with `key`. */
export class Unanswered extends SequencerError {}
