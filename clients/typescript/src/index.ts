export { Sequencer, type Options, type CallOptions } from "./client.js";
export { Refused, SequencerError, Unanswered } from "./errors.js";
export { Ids } from "./ids.js";
