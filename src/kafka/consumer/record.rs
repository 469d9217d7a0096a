//! A record in librdkafka's memory, without a copy.

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::{ptr, slice};

use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

/// A record of the request topic.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The record's partition.
    pub partition: i32,
    /// The leader epoch under which the record was appended; -1 when its format has none.
    pub leader_epoch: i32,
    /// The record's offset.
    pub offset: i64,
    /// The record's time in milliseconds since 1970; -1 when it has none.
    pub timestamp_ms: i64,
    /// The record's key. None differs from an empty key.
    pub key: Option<&'a [u8]>,
    /// The record's value. None differs from an empty value.
    pub value: Option<&'a [u8]>,
    /// The record's headers, which are parsed on first use.
    pub headers: Headers<'a>,
}

impl<'a> Record<'a> {
    /// The value of the last header of that name. None when there is no such header or its value is null.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers
            .iter()
            .filter(|(found, _)| *found == name.as_bytes())
            .last()
            .and_then(|(_, value)| value)
    }

    /// # Safety
    /// `message` is a fetched message that lives at least as long as `'a`.
    pub(super) unsafe fn from_native(message: &'a sys::rd_kafka_message_t) -> Record<'a> {
        // SAFETY: the pointers and lengths are those of one message, which lives as long as 'a. `message` is
        // valid, and the kind of timestamp may be left out.
        unsafe {
            Record {
                partition: message.partition,
                leader_epoch: sys::rd_kafka_message_leader_epoch(message),
                offset: message.offset,
                timestamp_ms: sys::rd_kafka_message_timestamp(message, ptr::null_mut()),
                key: bytes(message.key, message.key_len),
                value: bytes(message.payload, message.len),
                headers: Headers::of(message),
            }
        }
    }
}

/// The headers of a record.
#[derive(Clone, Copy)]
pub struct Headers<'a> {
    /// Null when the record has no headers.
    message: *const sys::rd_kafka_message_t,
    record: PhantomData<&'a [u8]>,
}

impl<'a> Headers<'a> {
    /// No headers.
    pub const NONE: Headers<'static> = Headers {
        message: ptr::null(),
        record: PhantomData,
    };

    /// # Safety
    /// `message` is a message of librdkafka that lives at least as long as `'a`.
    pub(in crate::kafka) unsafe fn of(message: &'a sys::rd_kafka_message_t) -> Headers<'a> {
        Headers {
            message,
            record: PhantomData,
        }
    }

    /// Iterates over names and values in the order of the record. A value may be null.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        self.parsed().into_iter().flatten()
    }

    /// The same. None for a record without headers.
    pub fn parsed(self) -> Option<impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>> {
        let headers = self.native()?;
        let mut index = 0;
        Some(std::iter::from_fn(move || {
            let header = header_at(headers, index);
            index += 1;
            header
        }))
    }

    fn native(self) -> Option<NativeHeaders<'a>> {
        if self.message.is_null() {
            return None;
        }
        // SAFETY: not null, so a message that lives as long as 'a.
        if unsafe { counts_none(self.message) } {
            return None;
        }
        let mut headers = ptr::null_mut();
        // SAFETY: the message lives as long as 'a. The headers are parsed on first use and belong to it.
        // Parsing writes into the message, which only one thread uses.
        let code = unsafe { sys::rd_kafka_message_headers(self.message, &raw mut headers) };
        (code == RD_KAFKA_RESP_ERR_NO_ERROR && !headers.is_null()).then_some(NativeHeaders {
            headers,
            record: PhantomData,
        })
    }
}

/// True for a fetched record whose bytes say that it has no headers. librdkafka would make a buffer to read
/// this one byte, which took a twelfth of the CPU of a drain. False when this cannot be known.
///
/// *Architecture invariant*: in Kafka's record format 2 the number of headers follows the value, and librdkafka
/// leaves both where they were fetched to (`rd_kafka_msgset_reader_msg_v2`). An empty value is stored
/// elsewhere. A record that was not fetched, or has an older format without a leader epoch, is stored elsewhere
/// too.
///
/// # Safety
/// `message` is a message of librdkafka that is alive.
unsafe fn counts_none(message: *const sys::rd_kafka_message_t) -> bool {
    /// The number of headers, a variable-length integer, when there are none.
    const NONE: u8 = 0;
    // SAFETY: the caller's promise holds. The number of headers follows the value, as described above.
    unsafe {
        let (value, length) = ((*message).payload.cast::<u8>(), (*message).len);
        length > 0
            && !value.is_null()
            && sys::rd_kafka_message_leader_epoch(message) >= 0
            && *value.add(length) == NONE
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(
                self.iter()
                    .map(|(name, value)| (String::from_utf8_lossy(name), value)),
            )
            .finish()
    }
}

/// Parsed headers, which their message owns.
#[derive(Clone, Copy)]
struct NativeHeaders<'a> {
    headers: *const sys::rd_kafka_headers_t,
    record: PhantomData<&'a [u8]>,
}

fn header_at<'a>(headers: NativeHeaders<'a>, index: usize) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let mut name: *const c_char = ptr::null();
    let mut value: *const c_void = ptr::null();
    let mut size = 0;
    // SAFETY: the headers live as long as their message, which is 'a. Past the last index the call returns a
    // code and sets nothing.
    let code = unsafe {
        sys::rd_kafka_header_get_all(
            headers.headers,
            index,
            &raw mut name,
            &raw mut value,
            &raw mut size,
        )
    };
    if code != RD_KAFKA_RESP_ERR_NO_ERROR {
        return None;
    }
    // SAFETY: the header exists, so its name is zero-terminated, and its value is null or of that size. Both
    // live as long as 'a.
    unsafe { Some((CStr::from_ptr(name).to_bytes(), bytes(value, size))) }
}

/// # Safety
/// `data` is null, or points to `size` bytes that live and do not change as long as `'a`.
unsafe fn bytes<'a>(data: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: not null, so the caller's promise holds.
    (!data.is_null()).then(|| unsafe { slice::from_raw_parts(data.cast(), size) })
}
