//! The longer texts of the help: what a command is for, by example.

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
  echo 'orders:5' | kcat -P -b kafka:9092 -t sequencer.requests -K:      five of them, by any client

Configuration, later wins: defaults, --config FILE, environment SEQUENCER__SECTION__KEY, flags.
Secrets belong into the file or the environment: others can read a command line.
Exit codes: 0 done, 1 failed, 2 bad usage or configuration.";

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
stops all of it, and the next start goes on from the same IDs; to begin anew, delete the directory.";

pub(super) const NEXT_EXAMPLES: &str = "\
Examples:
  sequencer next orders --brokers kafka:9092                     prints 41
  sequencer next orders --count 3 --brokers kafka:9092           prints 42, 43, 44, a line each
  sequencer next orders --json --brokers kafka:9092              prints the reply as it is

A request that is rejected prints its error code and message and exits 1.";

pub(super) const INSPECT_EXAMPLES: &str = "\
Examples:
  sequencer inspect --brokers kafka:9092                       offsets and checkpoint of each partition
  sequencer inspect --sequence orders --brokers kafka:9092     partition and next ID of one sequence
  sequencer inspect --partition 3 --json --brokers kafka:9092

It reads the state topic as of the last checkpoint and changes nothing.";

pub(super) const TOPICS_EXAMPLES: &str = "\
Examples:
  sequencer topics create --brokers kafka:9092 --set topics.partitions=16
  sequencer topics check --brokers kafka:9092

`serve` creates missing topics by itself; this is for those who create topics with other rights.";

pub(super) const RECOVER_EXAMPLES: &str = "\
Examples:
  sequencer recover --partition 3 --from 12000 --above 500000 --brokers kafka:9092
  sequencer recover --partition 3 --from 12000 --above 500000 --brokers kafka:9092 --yes

Without --yes nothing is written: it shows what it found and what it would do. Choose --above at \
least as high as any ID that the partition has ever given; it looks at the state and at the default \
reply topic itself, and goes above what it finds there. While an instance owns the partition, it \
writes only with --owner-halted.";
