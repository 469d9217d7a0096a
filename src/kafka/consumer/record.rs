//! A record as librdkafka holds it, without a copy.

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::{ptr, slice};

use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

/// A record of the request topic.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its partition.
    pub partition: i32,
    /// The leader epoch under which it was appended, -1 when it is of a format without one.
    pub leader_epoch: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time in milliseconds since 1970, -1 when it has none.
    pub timestamp_ms: i64,
    /// Its key; none is not the same as an empty one.
    pub key: Option<&'a [u8]>,
    /// Its value; none is not the same as an empty one.
    pub value: Option<&'a [u8]>,
    /// Its headers, which are not parsed before they are asked for.
    pub headers: Headers<'a>,
}

impl<'a> Record<'a> {
    /// The value of the last header of that name; none when there is no such header or its value
    /// is null.
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
        // SAFETY: the pointers and lengths are those of one message, which lives as long as 'a;
        // `message` is valid, and the kind of timestamp may be left out.
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
    /// Null when there are none.
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

    /// Names and values in the order of the record. A value may be null.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        self.parsed().into_iter().flatten()
    }

    /// The same; none for a record that has none.
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
        // SAFETY: the message lives as long as 'a; the headers are parsed on first use and belong
        // to it. Parsing writes into the message, which one thread uses only.
        let code = unsafe { sys::rd_kafka_message_headers(self.message, &raw mut headers) };
        (code == RD_KAFKA_RESP_ERR_NO_ERROR && !headers.is_null()).then_some(NativeHeaders {
            headers,
            record: PhantomData,
        })
    }
}

/// True for a fetched record that says by itself that it has no headers. librdkafka would make a buffer to
/// read that one byte from, which took a twelfth of the CPU of a drain. False when it cannot be told.
///
/// *Architecture invariant*: in Kafka's record format 2 the number of headers follows the value, and
/// librdkafka leaves both where they were fetched to (`rd_kafka_msgset_reader_msg_v2`). An empty value is
/// elsewhere, and so is what was not fetched or is of an older format, which has no leader epoch.
///
/// # Safety
/// `message` is a message of librdkafka that is alive.
unsafe fn counts_none(message: *const sys::rd_kafka_message_t) -> bool {
    /// The number of headers, a variable-length integer, when there are none.
    const NONE: u8 = 0;
    // SAFETY: as the caller promises; what follows the value is as said above.
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

/// Parsed headers, owned by their message.
#[derive(Clone, Copy)]
struct NativeHeaders<'a> {
    headers: *const sys::rd_kafka_headers_t,
    record: PhantomData<&'a [u8]>,
}

fn header_at<'a>(headers: NativeHeaders<'a>, index: usize) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let mut name: *const c_char = ptr::null();
    let mut value: *const c_void = ptr::null();
    let mut size = 0;
    // SAFETY: the headers live as long as their message, which is 'a; past the last index the call
    // returns a code and sets nothing.
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
    // SAFETY: of a header that exists, the name is zero-terminated, and the value is null or of
    // that size; both live as long as 'a.
    unsafe { Some((CStr::from_ptr(name).to_bytes(), bytes(value, size))) }
}

/// # Safety
/// `data` is null, or points to `size` bytes that live and do not change as long as `'a`.
unsafe fn bytes<'a>(data: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: not null, so as the caller promises.
    (!data.is_null()).then(|| unsafe { slice::from_raw_parts(data.cast(), size) })
}
