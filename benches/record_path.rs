//! What one record costs without a broker: decode, fold, encode, the three together, and all that a running
//! partition does with it; and what a checkpoint's cut costs. `make bench-micro` prints nanoseconds and allocations.
//!
//! A regression shows here before it shows in `sequencer bench`, where the Kafka client costs ten
//! times as much.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher, black_box};

use sequencer::core::limits::VALUE_BYTES_MAX;
use sequencer::core::link::LinkKey;
use sequencer::core::{Answer, At, Fold, NextOffset, Offset, Request, Timestamp};
use sequencer::kafka::tools::measure::shape::{self, Shape};
use sequencer::processor::Mode;
use sequencer::processor::partition::{Partition, Record, Service};
use sequencer::processor::restore::Restored;
use sequencer::processor::takeover::Start;
use sequencer::wire::headers::{Headers, Names};
use sequencer::wire::ledger::Lines;
use sequencer::wire::reply::{self, Subject};
use sequencer::wire::request;
use sequencer::wire::route::{AllowList, Routing};
use sequencer::wire::state::TopicId;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// Records of one turn of the engine.
const RECORDS: u64 = 2_000;

fn main() {
    divan::main();
}

#[derive(Clone, Copy, Debug)]
struct Case {
    names: u64,
    request_id: bool,
}

const CASES: [Case; 3] = [
    Case {
        names: 100,
        request_id: false,
    },
    Case {
        names: 100,
        request_id: true,
    },
    Case {
        names: 1_000_000,
        request_id: false,
    },
];

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = if self.request_id { ", request_id" } else { "" };
        write!(f, "{} names{id}", self.names)
    }
}

/// Requests of one partition, from this number on.
fn records(case: Case, from: u64) -> Vec<shape::Request> {
    let shape = Shape {
        names: case.names,
        partitions: 1,
        request_id: case.request_id,
    };
    (from..from + RECORDS)
        .map(|number| {
            let mut request = shape::Request::default();
            shape.write(number, &mut request);
            request
        })
        .collect()
}

fn decode(record: &shape::Request) -> Request<'_> {
    request::decode(Some(&record.key), Some(&record.value), None)
}

fn at(offset: u64) -> At {
    At {
        partition: 0,
        leader_epoch: 0,
        offset: Offset(offset.cast_signed()),
        timestamp: Timestamp(1),
    }
}

fn apply(fold: &mut Fold, offset: u64, request: &Request<'_>) -> Answer {
    fold.apply(at(offset), None, request, &mut Lines::default())
}

fn encode(out: &mut Vec<u8>, offset: u64, request: &Request<'_>, answer: &Answer) {
    let subject = Subject {
        name: request.name.as_ref().ok().copied(),
        request_id: request.request_id.as_deref(),
        partition: 0,
        offset: Offset(offset.cast_signed()),
    };
    out.clear();
    reply::encode(out, subject, answer);
}

/// A fold that knows every name.
fn filled(case: Case) -> Fold {
    let mut fold = Fold::default();
    let mut from = 0;
    while from < case.names {
        for record in records(
            Case {
                request_id: false,
                ..case
            },
            from,
        ) {
            apply(&mut fold, from, &decode(&record));
        }
        from += RECORDS;
    }
    fold.cut(&mut Vec::new());
    fold
}

#[divan::bench(args = CASES)]
fn decode_requests(bencher: Bencher<'_, '_>, case: Case) {
    let records = records(case, 0);
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        for record in &records {
            let _ = black_box(decode(black_box(record)));
        }
    });
}

#[divan::bench(args = CASES)]
fn fold_requests(bencher: Bencher<'_, '_>, case: Case) {
    let mut fold = filled(case);
    let mut from = 0;
    bencher
        .counter(ItemsCount::new(RECORDS))
        .with_inputs(|| {
            from += RECORDS;
            // Requests borrow from their records; a few megabytes are never given back.
            let records: &'static [shape::Request] = Vec::leak(records(case, from));
            records.iter().map(decode).collect::<Vec<_>>()
        })
        .bench_local_refs(|requests| {
            for request in &*requests {
                black_box(apply(&mut fold, 1, request));
            }
        });
}

#[divan::bench(args = CASES)]
fn encode_replies(bencher: Bencher<'_, '_>, case: Case) {
    let records = records(case, 0);
    let mut fold = Fold::default();
    let answered: Vec<_> = records
        .iter()
        .map(|record| {
            let request = decode(record);
            let answer = apply(&mut fold, 1, &request);
            (request, answer)
        })
        .collect();
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        for (offset, (request, answer)) in (0..).zip(&answered) {
            encode(&mut out, offset, request, answer);
            black_box(&out);
        }
    });
}

#[divan::bench(args = CASES)]
fn whole_path(bencher: Bencher<'_, '_>, case: Case) {
    let mut fold = filled(case);
    let (mut from, mut out) = (0, Vec::new());
    bencher
        .counter(ItemsCount::new(RECORDS))
        .with_inputs(|| {
            from += RECORDS;
            records(case, from)
        })
        .bench_local_refs(|records| {
            for (offset, record) in (0..).zip(&*records) {
                let request = decode(record);
                let answer = apply(&mut fold, offset, &request);
                encode(&mut out, offset, &request, &answer);
                black_box(&out);
            }
        });
}

fn service() -> Service {
    Service {
        mode: Mode::Immediate,
        group: "group".to_owned(),
        instance: "instance".to_owned(),
        reply_partitions: 1,
        routing: Routing {
            names: Names::default(),
            allow: AllowList::new(Vec::new(), Vec::new()),
            default_topic: "replies".to_owned(),
        },
        rewrite_floor_records: 1_000_000,
    }
}

/// A running partition that knows every name.
fn running(case: Case, service: &Service) -> Partition {
    let start = Start {
        restored: Restored {
            fold: filled(case),
            ..Restored::default()
        },
        next: NextOffset::ZERO,
        answered: None,
        link_key: LinkKey([5; 32]),
        decides: false,
        topic_partitions: 1,
        topic_id: TopicId([7; 16]),
        last_applied: None,
        state_end: 0,
        rewrite_from: None,
    };
    Partition::new(0, 1, start, service)
}

/// The whole path, with the reply's route and the record's fingerprint.
#[divan::bench(args = CASES)]
fn running_partition(bencher: Bencher<'_, '_>, case: Case) {
    let service = service();
    let mut partition = running(case, &service);
    let (mut from, mut next) = (0, 0);
    bencher
        .counter(ItemsCount::new(RECORDS))
        .with_inputs(|| {
            from += RECORDS;
            records(case, from)
        })
        .bench_local_refs(|records| {
            for request in &*records {
                let record = Record {
                    partition: 0,
                    leader_epoch: 0,
                    offset: Offset(next),
                    timestamp: Timestamp(1),
                    key: Some(&request.key),
                    value: Some(&request.value),
                    headers: Headers::NONE,
                };
                next += 1;
                black_box(partition.record(record, &service));
            }
        });
}

/// A cut after one turn: what a checkpoint costs the fold, whatever is idle beside it.
#[divan::bench(args = CASES)]
fn cut_after_a_turn(bencher: Bencher<'_, '_>, case: Case) {
    let fold = std::cell::RefCell::new(filled(case));
    let mut from = 0;
    bencher
        .with_inputs(|| {
            from += RECORDS;
            for record in records(case, from) {
                apply(&mut fold.borrow_mut(), 1, &decode(&record));
            }
            Vec::new()
        })
        .bench_local_refs(|slots| black_box(fold.borrow_mut().cut(slots)));
}

/// Values that give a part of the reading the most to do, as long as a value may be or as short as
/// shows it: begin, what is repeated, how many bytes of it, end.
const GREEDY: [Greedy; 10] = [
    Greedy("field name", "{\"", "a", VALUE_BYTES_MAX, "\":1}"),
    Greedy("short name", "{\"", "a", 15, "\":1}"),
    Greedy("fields", "{", "\"a\":1,", VALUE_BYTES_MAX, "\"b\":1}"),
    Greedy("duplicates", "{", "\"op\":1,", VALUE_BYTES_MAX, "\"op\":1}"),
    Greedy("nesting", "{\"count\":", "[", VALUE_BYTES_MAX, "}"),
    Greedy("array", "[", "0,", VALUE_BYTES_MAX, "0]"),
    Greedy("escapes", "{\"op\":\"", "\\u0001", VALUE_BYTES_MAX, "\"}"),
    Greedy("digits", "{\"count\":", "9", VALUE_BYTES_MAX, "}"),
    Greedy("fraction", "{\"count\":0.", "1", VALUE_BYTES_MAX, "}"),
    Greedy("lines", "", "\n", VALUE_BYTES_MAX, "x"),
];

#[derive(Clone, Copy, Debug)]
struct Greedy(
    &'static str,
    &'static str,
    &'static str,
    usize,
    &'static str,
);

impl std::fmt::Display for Greedy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl Greedy {
    fn value(self) -> Vec<u8> {
        let Greedy(_, begin, item, size, end) = self;
        let room = size.min(VALUE_BYTES_MAX - begin.len() - end.len());
        format!("{begin}{}{end}", item.repeat(room / item.len())).into_bytes()
    }
}

/// A greedy record from its bytes to its reply; its row of `parse_of_the_same_bytes` is what a JSON parser
/// takes for them without keeping anything. The first is at most 4 times the second and 2 µs: what rises
/// above that is work that a client can buy too cheaply.
#[divan::bench(args = GREEDY)]
fn greedy_record(bencher: Bencher<'_, '_>, greedy: Greedy) {
    let value = greedy.value();
    let (mut fold, mut out) = (Fold::default(), Vec::new());
    let bytes = BytesCount::new(value.len());
    bencher.counter(bytes).bench_local(|| {
        let request = request::decode(Some(b"orders"), Some(black_box(&value)), None);
        let answer = apply(&mut fold, 1, &request);
        encode(&mut out, 1, &request, &answer);
        black_box(&out);
    });
}

#[divan::bench(args = GREEDY)]
fn parse_of_the_same_bytes(bencher: Bencher<'_, '_>, greedy: Greedy) {
    let value = greedy.value();
    let bytes = BytesCount::new(value.len());
    bencher.counter(bytes).bench_local(|| {
        let parsed = serde_json::from_slice::<serde::de::IgnoredAny>(black_box(&value));
        let _ = black_box(parsed);
    });
}
