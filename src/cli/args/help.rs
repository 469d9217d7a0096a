//! The longer help texts: the purpose of each command, with examples.

pub(super) const ABOUT: &str = "Unique, gapless, monotonic IDs over Kafka";

pub(super) const LONG_ABOUT: &str = "\
Unique, gapless, monotonic IDs over Kafka.

A request is a record keyed by a sequence's name; the answer is a record with the next ID of that \
sequence, or the next COUNT of them. The request log itself is the counter: a crash, a restart or \
a second instance can repeat an answer, never give another one.";

pub(super) const EXAMPLES: &str = "\
Start here:
  sequencer dev                                      a Kafka, the service and a live demo
  sequencer serve --brokers kafka:9092               the service on your cluster
  sequencer next orders --brokers kafka:9092         the next ID of \"orders\"
  sequencer define invoices --start 1000 --brokers kafka:9092      a sequence with rules of its own
  echo 'orders:5' | kcat -P -b kafka:9092 -t sequencer.requests -K:      five of them, by any client

Configuration, later wins: defaults, --config FILE, environment SEQUENCER__SECTION__KEY, flags.
Secrets belong into the file or the environment: others can read a command line.
Exit codes: 0 done, 1 failed, 2 bad usage or configuration. `sequencer help VERB` says more.";

pub(super) const SERVE_EXAMPLES: &str = "\
Examples:
  sequencer serve --brokers kafka-1:9092,kafka-2:9092
  sequencer serve --config ids.toml --reply-mode exactly_once --set checkpoint.interval_ms=20
  SEQUENCER__KAFKA__SASL_PASSWORD=… sequencer serve --config ids.toml --http 0.0.0.0:8377

SIGTERM and SIGINT: final checkpoint, leave the group, exit 0, within shutdown.deadline_ms.";

pub(super) const DEV_EXAMPLES: &str = "\
Examples:
  sequencer dev                                      a few requests a second, answers as they come
  sequencer dev --no-demo --directory /tmp/ids       only Kafka and the service
  sequencer dev --reply-mode exactly_once --rate 50

It needs Java 17 and Maven. Lines to try from another terminal are printed at the start. Ctrl-C \
stops all of it, and the next start goes on from the same IDs; to begin again at 1, delete the directory.";

pub(super) const GATEWAY_EXAMPLES: &str = "\
Examples:
  sequencer gateway --brokers kafka:9092
  curl -X POST http://127.0.0.1:8378/v1/sequences/orders/next
  curl -X POST -H 'content-type: application/json' -d '{\"count\":10}' \\
       -H 'idempotency-key: order-7781' http://127.0.0.1:8378/v1/sequences/orders/next

It is a Kafka client of a running `sequencer serve`, with the same topics and group, and keeps nothing: \
run as many as you like, each with its own instance_id. It answers its own machine only, unless gateway.callers names a file of callers. \
SIGTERM and SIGINT: calls in progress are answered, within shutdown.deadline_ms. docs/gateway.md has all calls.";

pub(super) const NEXT_EXAMPLES: &str = "\
Examples:
  sequencer next orders --brokers kafka:9092                     prints 41
  sequencer next orders --count 3 --brokers kafka:9092           prints 42, 43, 44, a line each
  sequencer next orders --json --brokers kafka:9092              prints the reply as it is

A request that is rejected prints its error code and message and exits 1. Without an answer in time it says \
whether the request can have taken IDs, and prints the command that gets the same ones: each request has \
a request_id, which its partition remembers for its next 100000 requests that have one.";

pub(super) const DEFINE_EXAMPLES: &str = "\
Examples:
  sequencer define invoices --start 1000 --max-count 100 --brokers kafka:9092
  sequencer define countdown --increment -1 --min 0 --max 10 --at-end cycle --brokers kafka:9092
  sequencer define invoices --audit true --brokers kafka:9092               each grant goes to the ledger
  sequencer define --file sequences.toml --dry-run --brokers kafka:9092     shows what would change
  sequencer define --file sequences.toml --brokers kafka:9092               and changes it

What is left out stays as it is; of a new sequence it is as by default. The start of a sequence that \
exists cannot change (set-next moves it), nor the sign of its increment. The file:

  [sequences.invoices]
  start = 1000
  max_count = 100

  [policy]
  undefined = \"refuse\"

It can be applied again and again: what is there already is not changed. Exits 1 when a change was \
refused, or when --dry-run foresees that one would be, 0 otherwise. docs/definitions.md says more.";

pub(super) const DESCRIBE_EXAMPLES: &str = "\
Examples:
  sequencer describe orders --brokers kafka:9092
  sequencer describe orders --json --brokers kafka:9092

It shows the state at this moment, and who changed the sequence last, when and why. It takes no ID. A name \
that does not exist prints unknown_sequence and exits 1.";

pub(super) const SET_NEXT_EXAMPLES: &str = "\
Examples:
  sequencer set-next orders 5000 --reason 'imported 1 to 4999' --brokers kafka:9092
  sequencer set-next orders 100 --force --reason 'test data removed' --brokers kafka:9092

A lower number than now is refused without --force, since IDs may then be given twice. The reason is kept.";

pub(super) const RETIRE_EXAMPLES: &str = "\
Examples:
  sequencer retire orders --reason 'moved to orders-2' --brokers kafka:9092

Requests for it are refused with the code retired. `sequencer define` lets it go on beyond its last ID.";

pub(super) const POLICY_EXAMPLES: &str = "\
Examples:
  sequencer policy --brokers kafka:9092                  shows the policy of each partition
  sequencer policy refuse --brokers kafka:9092           only defined names get IDs
  sequencer policy create --brokers kafka:9092           the first request makes a sequence (default)
  sequencer policy create --audit --brokers kafka:9092   and each of its grants goes to the ledger

Each partition of the request topic keeps its own policy, so the command sends one record to each, and \
exits 1 when one partition did not take it. Run it again after adding partitions. Existing sequences are \
not touched.";

pub(super) const INSPECT_EXAMPLES: &str = "\
Examples:
  sequencer inspect --brokers kafka:9092                       offsets and checkpoint of each partition
  sequencer inspect --sequence orders --brokers kafka:9092     partition and next ID of one sequence
  sequencer inspect --partition 3 --json --brokers kafka:9092

It reads the state topic as of the last checkpoint and changes nothing. --sequence also says who changed \
the sequence last, when and why. It exits 1 when nobody has used the name, or when its partition cannot be \
read.";

pub(super) const TOPICS_EXAMPLES: &str = "\
Examples:
  sequencer topics create --brokers kafka:9092 --set topics.partitions=16
  sequencer topics create --brokers kafka:9092 --reply billing.reply --reply orders.reply
  sequencer topics check --brokers kafka:9092

`serve` creates missing topics by itself; this is for those who create topics with other rights.";

pub(super) const RECOVER_EXAMPLES: &str = "\
Examples:
  sequencer recover --partition 3 --brokers kafka:9092           what it found, and what it would do
  sequencer recover --partition 3 --brokers kafka:9092 --yes     does it
  sequencer recover --partition 3 --above 5000 --above countdown=-72 --brokers kafka:9092

Without --yes nothing is written. Where the state is lost and the request log begins at 0, the state is \
folded from the log again, and no ID jumps. Else every sequence goes on in its own direction, a --margin \
of its IDs beyond the last one that the state and the default replies know of it. It does not see \
replies on clients' own topics, so give --above when those know a later ID. A sequence that has fewer IDs \
left is named, and nothing is written. While an instance owns the partition, it writes only with \
--owner-halted.";

pub(super) const RESCALE_EXAMPLES: &str = "\
Examples:
  sequencer rescale --partitions 8 --brokers kafka:9092          checks, and says what it would do
  sequencer rescale --partitions 8 --yes --brokers kafka:9092    does it, and waits until it is done
  sequencer rescale --status --brokers kafka:9092                the part of each partition

Names stay in their partition or move to a new one, with their IDs, definitions and ledgers. Requests are \
answered all the time. The command grows the ledger, state and request topics, waits until every new \
partition runs, and then writes one record that begins the rescale. The instances carry it out, whether \
or not the command goes on. If it was interrupted, run it again with the same --partitions. There is no \
way back to fewer partitions.";

pub(super) const TRACE_EXAMPLES: &str = "\
Examples:
  sequencer trace orders 48213 --brokers kafka:9092
  sequencer trace orders --request-id 6f1c --from-time 2026-03-01 --brokers kafka:9092
  sequencer trace orders 48213 --json --brokers kafka:9092 | jq .grants

An ID is found by bisection over the ledger; a request_id by reading it, all of it or from a time on. How \
much was read is printed. Exits 1 when nothing was found.";

pub(super) const AUDIT_EXAMPLES: &str = "\
Examples:
  sequencer audit orders --brokers kafka:9092
  sequencer audit orders --from 48000 --to 49000 --csv orders.csv --brokers kafka:9092
  sequencer audit orders --json --brokers kafka:9092 | jq .findings
  sequencer audit orders --set topics.ledger=copy-of-the-ledger --brokers kafka:9092

It checks the hash in each record, that no record and no number is missing or double, and that the ledger \
ends where the state says. What an operator ordered is listed, and is no finding. Exits 1 on any finding, \
and when there is no record of the sequence.";

pub(super) const CONFIG_EXAMPLES: &str = "\
Examples:
  sequencer config check --config ids.toml
  SEQUENCER__CHECKPOINT__INTERVAL_MS=50 sequencer config check -o json

It reads the file, the environment and the flags as `serve` does, and connects to nothing. Values of passwords \
and tokens are not shown.";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  sequencer completions bash > /usr/share/bash-completion/completions/sequencer
  source <(sequencer completions zsh)";

pub(super) const MAN_EXAMPLES: &str = "\
Examples:
  sequencer man /usr/local/share/man/man1       a page for each command: man sequencer-next";

pub(super) const SCHEMA_EXAMPLES: &str = "\
Examples:
  sequencer schema reply > reply.json          JSON Schema of the replies
  sequencer schema asyncapi                    the topics, with the schemas of their records

It needs no cluster. docs/protocol.md says the same to people.";

pub(super) const VERIFY_EXAMPLES: &str = "\
Examples:
  sequencer verify --brokers kafka:9092                          the default reply topic
  sequencer verify --brokers kafka:9092 --replies '*.reply'      and the topics that clients name
  sequencer verify --brokers kafka:9092 --json | jq .findings

It reads the topics up to where they end now and says which of the promised invariants hold: it \
decides by rules of its own what each request should get. It joins no group and writes nothing to \
Kafka. Exit codes: 0 clean, 1 something is wrong or there was nothing to check, 2 bad usage.";

pub(in crate::cli) const BENCH_EXAMPLES: &str = "\
Examples:
  sequencer bench --quick                              under a minute, a Kafka of its own
  sequencer bench --json report.json                   about fifteen minutes
  sequencer bench --brokers kafka:9092 --only latency

The service that is measured is this program's serve, as a process of its own in its default \
configuration, with topics and a group that are made for the run. Topics are deleted at the end, \
also after Ctrl-C. It loads the cluster as far as it can: do not run it beside anything that matters.";
