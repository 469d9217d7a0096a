//! Hands many records to a producer in one call: one look at the clock, one look-up of the topic, and one
//! look-up of the partition for a run of records of one partition, instead of one of each for each record.

use std::ffi::{c_int, c_void};
use std::ptr;

use rdkafka_sys as sys;

use super::topic::parts;
use super::{Enqueued, OPERATION, Outgoing, Topic};
use crate::kafka::error::{self, Error};
use crate::wire::headers::Block;

/// librdkafka's `RD_KAFKA_PARTITION_UA`: each record names its own partition.
const EACH_ITS_OWN: i32 = -1;

/// Records collected for one call, in a buffer of their own.
#[derive(Default)]
pub struct Batch {
    /// Key, value and headers of each record, one record after another.
    bytes: Vec<u8>,
    records: Vec<Collected>,
    native: Vec<sys::rd_kafka_message_t>,
}

// SAFETY: the pointers in `native` are used within one call only, and it is empty between calls.
unsafe impl Send for Batch {}

#[derive(Clone, Copy)]
struct Collected {
    partition: i32,
    opaque: usize,
    start: usize,
    key: Option<usize>,
    value: Option<usize>,
    headers: usize,
}

impl Batch {
    /// Adds a record.
    pub fn push(&mut self, record: Outgoing<'_>) {
        let start = self.bytes.len();
        let Outgoing {
            partition,
            key,
            value,
            headers,
            opaque,
        } = record;
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.bytes.extend_from_slice(headers.0);
        self.records.push(Collected {
            partition,
            opaque,
            start,
            key: key.map(<[u8]>::len),
            value: value.map(<[u8]>::len),
            headers: headers.0.len(),
        });
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True when the batch has no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Iterates over the records in order.
    pub fn iter(&self) -> impl Iterator<Item = Outgoing<'_>> {
        self.records.iter().map(|record| record.of(&self.bytes))
    }

    /// Removes all records.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }
}

impl Collected {
    fn of(self, bytes: &[u8]) -> Outgoing<'_> {
        let rest = bytes.get(self.start..).unwrap_or_default();
        let (key, rest) = rest.split_at(self.key.unwrap_or(0));
        let (value, rest) = rest.split_at(self.value.unwrap_or(0));
        Outgoing {
            partition: self.partition,
            key: self.key.map(|_| key),
            value: self.value.map(|_| value),
            headers: Block(rest.get(..self.headers).unwrap_or_default()),
            opaque: self.opaque,
        }
    }

    fn is_plain(&self) -> bool {
        self.headers == 0
    }
}

impl Topic {
    /// Hands the records of a batch over in order, and empties it. The producer copies them. Records that it
    /// does not take come back in order, together with the later records that were not tried, as if the queue
    /// were full. So no record overtakes another of its partition.
    pub fn produce_all(
        &self,
        batch: &mut Batch,
        mut refused: impl FnMut(Outgoing<'_>, Result<Enqueued, Error>),
    ) {
        let Batch {
            bytes,
            records,
            native,
        } = batch;
        let mut rest = records.as_slice();
        while let Some(first) = rest.first() {
            if !first.is_plain() {
                rest = &rest[1..];
                let record = first.of(bytes);
                match self.produce(record) {
                    Ok(Enqueued::Yes) => continue,
                    result => refused(record, result),
                }
                break;
            }
            let run = rest.iter().take_while(|record| record.is_plain()).count();
            let (plain, others) = rest.split_at(run);
            rest = others;
            native.clear();
            native.extend(plain.iter().map(|record| message(record.of(bytes))));
            let count = c_int::try_from(native.len()).unwrap_or(c_int::MAX);
            // SAFETY: the topic is alive. The messages point to key and value, which are copied during the
            // call, so that nothing is written through the casts to mutable pointers. The opaque is a number
            // that nobody follows as a pointer.
            let taken = unsafe {
                sys::rd_kafka_produce_batch(
                    self.native(),
                    EACH_ITS_OWN,
                    sys::RD_KAFKA_MSG_F_COPY | sys::RD_KAFKA_MSG_F_PARTITION,
                    native.as_mut_ptr(),
                    count,
                )
            };
            if usize::try_from(taken) == Ok(plain.len()) {
                continue;
            }
            for (record, message) in plain.iter().zip(native.iter()) {
                let result = if error::is_queue_full_code(message.err) {
                    Ok(Enqueued::QueueFull)
                } else {
                    Error::check(OPERATION, message.err).map(|()| Enqueued::Yes)
                };
                if !matches!(result, Ok(Enqueued::Yes)) {
                    refused(record.of(bytes), result);
                }
            }
            break;
        }
        for record in rest {
            refused(record.of(bytes), Ok(Enqueued::QueueFull));
        }
        native.clear();
        batch.clear();
    }
}

fn message(record: Outgoing<'_>) -> sys::rd_kafka_message_t {
    let (key, key_len) = parts(record.key);
    let (payload, len) = parts(record.value);
    sys::rd_kafka_message_t {
        err: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
        rkt: ptr::null_mut(),
        partition: record.partition,
        payload,
        len,
        key,
        key_len,
        offset: 0,
        _private: record.opaque as *mut c_void,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_comes_back_in_order() {
        let mut batch = Batch::default();
        let records = [
            (0, Some(&b"a"[..]), Some(&b"one"[..]), Block::EMPTY),
            (1, None, Some(&b""[..]), Block(&[1, 2])),
            (2, Some(&b""[..]), None, Block::EMPTY),
        ];
        let outgoing = |(partition, key, value, headers)| Outgoing {
            partition,
            key,
            value,
            headers,
            opaque: 7,
        };
        for record in records {
            batch.push(outgoing(record));
        }
        let found: Vec<_> = batch
            .iter()
            .map(|r| (r.partition, r.key, r.value, r.headers))
            .collect();
        assert_eq!(found, records);
        batch.clear();
        assert!(batch.is_empty());
    }
}
