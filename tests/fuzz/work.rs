//! Memory per record is bounded by its bytes: no client can buy more of it than it pays for.
//!
//! It is counted and not timed, so that a busy machine cannot fail the test: the bytes that this thread
//! allocates for one record. A copy for each field, or a message that repeats all of the value,
//! allocates more than a small multiple of it. Work without memory is bounded by the unit
//! tests of `wire::request`, and `make bench-micro` has its time beside the parse of the same bytes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use proptest::prelude::*;
use sequencer::core::limits::VALUE_BYTES_MAX;
use sequencer::processor::Mode;

use crate::input::Record;
use crate::node::{Outcome, Shipped};

/// Bytes allocated for each byte of a record: reading, folding, the reply, and the harness's own copy
/// of it take about five.
const ALLOCATED_PER_BYTE_MAX: usize = 16;
/// Bytes allocated for a record without a byte: names, messages, and tables that grow.
const ALLOCATED_FIXED_MAX: usize = 64 * 1024;
/// Longest error message, in bytes. It repeats up to two texts of 64 bytes, each escaped.
const MESSAGE_BYTES_MAX: usize = 1_024;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ALLOCATED_BYTES: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: usize) {
    ALLOCATED_BYTES.set(ALLOCATED_BYTES.get().wrapping_add(bytes));
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn allocated<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATED_BYTES.get();
    let result = work();
    (ALLOCATED_BYTES.get().wrapping_sub(before), result)
}

fn bytes_of(record: &Record) -> usize {
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let headers = record.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.len() + length(value))
        .sum();
    length(&record.key) + length(&record.value) + headers
}

fn is_bounded(bytes: usize, allocated: usize) -> bool {
    allocated <= bytes * ALLOCATED_PER_BYTE_MAX + ALLOCATED_FIXED_MAX
}

fn check(name: &str, record: &Record) {
    let mut node = Shipped::new(0, Mode::Immediate);
    // The first one of a name makes what the partition keeps.
    node.record(0, record);
    let (allocated, outcome) = allocated(|| node.record(1, record));
    let bytes = bytes_of(record);
    assert!(
        is_bounded(bytes, allocated),
        "{name}: {allocated} bytes allocated for a record of {bytes}"
    );
    if let Outcome::Reply(reply) = outcome {
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        let message = body["error"]["message"].as_str().unwrap_or_default();
        assert!(
            message.len() <= MESSAGE_BYTES_MAX,
            "{name}: a message of {} bytes",
            message.len()
        );
    }
}

fn valued(value: String) -> Record {
    Record {
        key: Some(b"orders".to_vec()),
        value: Some(value.into_bytes()),
        headers: Vec::new(),
    }
}

fn with_headers(headers: Vec<(&str, Vec<u8>)>) -> Record {
    let headers = headers.into_iter();
    Record {
        headers: headers
            .map(|(name, value)| (name.as_bytes().to_vec(), Some(value)))
            .collect(),
        ..valued(String::new())
    }
}

/// A value of about `size` bytes: `item` between `begin` and `end` as often as it fits.
fn filled(begin: &str, item: &str, end: &str, size: usize) -> Record {
    let room = size.saturating_sub(begin.len() + end.len());
    valued(format!("{begin}{}{end}", item.repeat(room / item.len())))
}

/// Records of about so many bytes, each of which gives one part of the work the most to do.
fn greedy(size: usize) -> Vec<(&'static str, Record)> {
    let long = vec![b'a'; size];
    vec![
        ("one long field name", filled("{\"", "a", "\":1}", size)),
        (
            "a long name near a known one",
            filled("{\"count", "_", "\":1}", size),
        ),
        ("a name of escapes", filled("{\"", r"\u00e9", "\":1}", size)),
        (
            "a name of control characters",
            filled("{\"", r"\u0001", "\":1}", size),
        ),
        (
            "a name of 4-byte characters",
            filled("{\"", "\u{10ffff}", "\":1}", size),
        ),
        (
            "many unknown fields",
            filled("{", "\"a\":1,", "\"b\":1}", size),
        ),
        (
            "many null fields",
            filled("{", "\"a\":null,", "\"b\":1}", size),
        ),
        (
            "many duplicate fields",
            filled("{", "\"count\":1,", "\"count\":1}", size),
        ),
        ("nested arrays", filled("", "[", "", size)),
        (
            "nested arrays in a field",
            filled("{\"count\":", "[", "}", size),
        ),
        ("nested objects", filled("", "{\"a\":", "", size)),
        ("a flat array", filled("[", "0,", "0]", size)),
        (
            "an integer of many digits",
            filled("{\"count\":", "9", "}", size),
        ),
        ("a bare integer of many digits", filled("", "9", "", size)),
        (
            "a fraction of many digits",
            filled("{\"count\":0.", "1", "}", size),
        ),
        (
            "an exponent of many digits",
            filled("{\"count\":1e", "1", "}", size),
        ),
        ("a long op", filled("{\"op\":\"", "x", "\"}", size)),
        (
            "a long word",
            filled("{\"op\":\"define\",\"at_end\":\"", "x", "\"}", size),
        ),
        (
            "a long request_id",
            filled("{\"request_id\":\"", "x", "\"}", size),
        ),
        (
            "a long reason",
            filled("{\"op\":\"retire\",\"reason\":\"", "x", "\"}", size),
        ),
        ("blanks", filled("", " ", "", size)),
        ("lines", filled("", "\n", "x", size)),
        ("a text that does not end", filled("\"", "a", "", size)),
        (
            "a long key",
            Record {
                key: Some(long.clone()),
                ..Record::default()
            },
        ),
        (
            "a long request_id header",
            with_headers(vec![("sequencer-request-id", long.clone())]),
        ),
        (
            "a long link",
            with_headers(vec![("sequencer-forwarded", long.clone())]),
        ),
        (
            "long headers of every convention",
            with_headers(vec![
                ("kafka_correlationId", long.clone()),
                ("kafka_replyTopic", long.clone()),
                ("kafka_replyPartition", long.clone()),
                ("REPLY_CORRELATION_ID", long.clone()),
                ("REPLY_TOPIC", long.clone()),
                ("correlation_id", long.clone()),
                ("reply_to", long.clone()),
                ("traceparent", long.clone()),
                ("tracestate", long.clone()),
            ]),
        ),
        ("many headers", with_headers(vec![("a", Vec::new()); size])),
        (
            "one header many times",
            with_headers(vec![("kafka_correlationId", b"7".to_vec()); size / 20]),
        ),
    ]
}

#[test]
fn no_record_allocates_more_than_a_multiple_of_its_bytes() {
    for size in [100, 10_000, VALUE_BYTES_MAX - 100] {
        for (name, record) in greedy(size) {
            check(name, &record);
        }
    }
}

#[test]
fn the_count_sees_a_copy_for_each_known_field() {
    let name = "a".repeat(VALUE_BYTES_MAX - 100);
    let (allocated, copies) = allocated(|| vec![name.clone(); 20]);
    assert_eq!(copies.len(), 20);
    assert!(!is_bounded(name.len(), allocated), "{allocated} bytes");
}

proptest! {
    #[test]
    fn no_mix_of_pieces_allocates_more_than_a_multiple_of_its_bytes(
        pieces in prop::collection::vec((0usize..16, 1usize..3_000), 1..6)
    ) {
        const PIECES: [&str; 16] = [
            "{", "}", "[", "]", "\"", ":", ",", "\\u0041", "9", "e", "-", " ", "\"count\":",
            "\"op\":\"next\",", "\"request_id\":\"x\",", "null",
        ];
        let value: String = pieces.iter().map(|(piece, times)| PIECES[*piece].repeat(*times)).collect();
        check("pieces", &valued(value));
    }
}
