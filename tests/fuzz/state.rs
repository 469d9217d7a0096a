//! What must hold of any state log: reading it does not panic, a record that can be read is written the
//! same way again, and a partition goes on from whatever a restore believes.

use sequencer::processor::Mode;
use sequencer::processor::checkpoint::Written;
use sequencer::processor::restore::{Restore, highest_id};
use sequencer::wire::state::{self, BatchId, Content, Record};

use crate::engine::Seen;
use crate::input::{self, HERE, Input};
use crate::node::{Node, Outcome, Shipped};

/// Of a tombstone: the batch that it belongs to.
const BATCH_HEADER: &[u8] = state::BATCH_HEADER.as_bytes();

/// The state log of two checkpoints, one in the middle of a request log and one at its end.
pub fn written_by(requests: &Input) -> Input {
    let mut node = Shipped::fresh(0, Mode::Immediate);
    let mut log = Input::default();
    let middle = requests.records.len() / 2;
    for (index, record) in requests.records.iter().cloned().enumerate() {
        if index == middle {
            checkpoint(&mut node, &mut log);
        }
        node.record(index.try_into().unwrap(), &record.tagged(HERE));
    }
    checkpoint(&mut node, &mut log);
    log
}

fn checkpoint(node: &mut Shipped, log: &mut Input) {
    let section = node.cut();
    let first = i64::try_from(log.records.len()).unwrap();
    log.records
        .extend(section.batch.iter().map(|(key, value)| input::Record {
            key: Some(key.to_vec()),
            value: value.map(<[u8]>::to_vec),
            headers: Vec::new(),
        }));
    let last = i64::try_from(log.records.len()).unwrap() - 1;
    node.committed(&section, Written { first, last });
}

/// Checks a state log.
///
/// # Errors
/// The property that does not hold, in words.
pub fn check(input: &Input) -> Result<Seen, String> {
    let mut seen = Seen::new();
    let mut restore = Restore::default();
    for record in &input.records {
        let key = record.key.as_deref().unwrap_or_default();
        let (value, header) = (record.value.as_deref(), record.header(BATCH_HEADER));
        seen.insert(has_one_form(key, value, header)?.to_owned());
        if restore.record(key, value, header).is_err() {
            return Ok(seen);
        }
    }
    let restored = restore.finish();
    let believed = restored.footer.is_some();
    seen.insert(format!(
        "believed {believed}, skipped {}",
        restored.skipped_batches.min(2)
    ));
    let highest = highest_id(&restored.fold);
    if highest < 0 {
        return Err(format!("the highest ID is {highest}"));
    }
    if believed {
        goes_on(Shipped::starting(0, Mode::Immediate, restored))?;
    }
    Ok(seen)
}

/// A request is answered, and what it changed adds up.
fn goes_on(mut node: Shipped) -> Result<(), String> {
    let request = input::Record {
        key: Some(b"orders".to_vec()),
        value: Some(b"{\"request_id\":\"new\"}".to_vec()),
        headers: Vec::new(),
    };
    let Outcome::Reply(reply) = node.record(1_000_000, &request) else {
        return Err("a request is not answered after the restore".to_owned());
    };
    crate::reply::Body::read(&reply.body)?;
    for (key, value) in node.cut().batch.iter() {
        has_one_form(key, value, None)?;
    }
    Ok(())
}

/// A record that can be read is written the same way again. Returns what it is.
///
/// # Errors
/// It is not.
pub fn has_one_form(
    key: &[u8],
    value: Option<&[u8]>,
    header: Option<&[u8]>,
) -> Result<&'static str, String> {
    let Ok(Record { batch, content }) = state::decode(key, value, header) else {
        return Ok("unreadable");
    };
    let (mut key_again, mut value_again) = (Vec::new(), Vec::new());
    let id = batch.unwrap_or(BatchId {
        writer: 0,
        number: 0,
    });
    let kind = match content {
        Content::Entry(entry) => {
            state::encode_key(&mut key_again, entry.key());
            state::entry::encode(&mut value_again, id, &entry);
            "entry"
        }
        Content::Tombstone(entry) => {
            state::encode_key(&mut key_again, entry);
            "tombstone"
        }
        Content::Footer(footer) => {
            key_again.extend_from_slice(state::FOOTER_KEY);
            footer.encode(&mut value_again, id);
            "footer"
        }
        Content::Reset(reset) => {
            key_again.extend_from_slice(state::RESET_KEY);
            reset.encode(&mut value_again, id);
            "reset"
        }
    };
    if key_again == key && value_again == value.unwrap_or_default() {
        return Ok(kind);
    }
    Err(format!(
        "a {kind} has two forms: \"{}\" \"{}\" and \"{}\" \"{}\"",
        key.escape_ascii(),
        value.unwrap_or_default().escape_ascii(),
        key_again.escape_ascii(),
        value_again.escape_ascii()
    ))
}
