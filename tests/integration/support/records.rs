//! Records in the form that the checker uses: plain data, from a broker or from a test.

use std::collections::BTreeMap;

/// A record of the request log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// A record of the reply topic, with its place in the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub body: Vec<u8>,
}

/// The reply mode, which decides how often a request may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A crash may repeat replies.
    Immediate,
    /// A reader of committed records sees each reply once.
    ExactlyOnce,
}

impl Mode {
    /// The value of `--reply-mode`.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Immediate => "immediate",
            Mode::ExactlyOnce => "exactly_once",
        }
    }
}

/// An operator's repair of a partition with `sequencer recover`: from this offset on, requests count again.
#[derive(Clone, Debug)]
pub struct Repair {
    pub partition: i32,
    pub from: i64,
    /// New names begin above this ID.
    pub above: i64,
    /// The next ID of each name that the repair knew.
    pub next: BTreeMap<String, i64>,
}

/// Key and value in readable form for a message.
pub fn show(bytes: Option<&[u8]>) -> String {
    const SHOWN_BYTES_MAX: usize = 120;
    match bytes {
        None => "none".to_owned(),
        Some(bytes) if bytes.len() > SHOWN_BYTES_MAX => {
            format!(
                "{:?}… ({} bytes)",
                String::from_utf8_lossy(&bytes[..SHOWN_BYTES_MAX]),
                bytes.len()
            )
        }
        Some(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
    }
}
