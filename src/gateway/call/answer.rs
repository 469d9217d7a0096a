//! Makes an HTTP answer from a reply, or from the absence of a reply.

use serde::Deserialize;

use super::problem::{Own, Problem};
use super::{Call, Op, ids};
use crate::core::Code;
use crate::core::limits::WINDOW_REQUESTS;
use crate::kafka::calls::Fate;

/// The parts of a reply that the answer depends on.
#[derive(Deserialize)]
struct Reply {
    error: Option<Refusal>,
    partition: Option<i32>,
    offset: Option<i64>,
    #[serde(default)]
    retired: bool,
    definition: Option<Rules>,
    last: Option<i64>,
}

/// The rules of a sequence that a call depends on.
#[derive(Deserialize)]
struct Rules {
    increment: i64,
    audit: bool,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
}

/// The body of a 200 for a call with this reply.
///
/// # Errors
/// The error in the reply, or an error for a reply that cannot be read.
pub(crate) fn of_reply(call: &Call, body: &[u8]) -> Result<Vec<u8>, Problem> {
    let reply = read(call, body)?;
    if call.cosid {
        // CosId reads a bare number for a block of IDs, and an empty body for a definition.
        return Ok(reply
            .last
            .map_or_else(Vec::new, |last| last.to_string().into_bytes()));
    }
    let mut body = match call.ids_as_text {
        true => ids::as_text(body).ok_or_else(|| unreadable(call, "it is no JSON object"))?,
        false => body.to_vec(),
    };
    // The line end is for terminals, and not a part of the JSON.
    body.push(b'\n');
    Ok(body)
}

/// The decision after a look at the sequence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// The call is carried out.
    GoOn,
    /// The call is complete. This is the body of its answer.
    Done(Vec<u8>),
}

/// Decides from the description of the sequence.
///
/// # Errors
/// The call does not fit the sequence. For example, a definition would let a retired sequence go on, which a caller of
/// HTTP that changes one field does not intend.
pub(crate) fn looked(call: &Call, description: &[u8]) -> Result<Looked, Problem> {
    let reply = match read(call, description) {
        Ok(reply) => reply,
        Err(problem) if call.op == Op::Define && problem.code == Code::UnknownSequence.as_str() => {
            return Ok(Looked::GoOn);
        }
        Err(problem) => return Err(problem),
    };
    let (increment, audit) = reply
        .definition
        .as_ref()
        .map_or((1, false), |rules| (rules.increment, rules.audit));
    let problem = match call.op {
        Op::Trace if audit => return Ok(Looked::GoOn),
        Op::Trace => Problem::own(
            Own::NotAudited,
            "the sequence is not audited, so its grants are not in the ledger. Those of a time when it was are found \
             by sequencer trace",
        ),
        Op::Define if reply.retired => Problem::refused(
            Code::Retired,
            "the sequence is retired, so its definition stays as it is. To let it go on beyond its last ID, use \
             sequencer define",
        ),
        // The sequence exists, and the offset is only for a new sequence.
        Op::Define if call.defines_if_unknown() => return Ok(Looked::Done(Vec::new())),
        Op::Next if increment != 1 => Problem::own(
            Own::NotByOne,
            format!(
                "the sequence counts by {increment}, and a client of CosId takes its block for consecutive numbers"
            ),
        ),
        _ => return Ok(Looked::GoOn),
    };
    let mut problem = problem.about(&call.name);
    (problem.partition, problem.offset) = (reply.partition, reply.offset);
    Err(problem)
}

/// The partition and the offset of the request's record, from its reply.
pub(crate) fn place(body: &[u8]) -> Option<(i32, i64)> {
    let reply: Reply = serde_json::from_slice(body).ok()?;
    reply.partition.zip(reply.offset)
}

fn read(call: &Call, body: &[u8]) -> Result<Reply, Problem> {
    let reply: Reply =
        serde_json::from_slice(body).map_err(|error| unreadable(call, &error.to_string()))?;
    let Some(Refusal { code, message }) = reply.error else {
        return Ok(reply);
    };
    let mut problem = Problem::replied(&code, message).about(&call.name);
    (problem.partition, problem.offset) = (reply.partition, reply.offset);
    Err(problem)
}

/// The error for a reply that this release cannot read. Its IDs may be taken.
fn unreadable(call: &Call, reason: &str) -> Problem {
    let detail = format!("the reply cannot be read: {reason}. {}", later(call.op));
    Problem::own(Own::NoReply, detail).about(&call.name)
}

/// The answer to a call without a reply: 503 if its record was certainly not written, 504 if it may have been.
/// `reason`: the reason why the wait ended, as a sentence without its full stop.
pub(crate) fn without_reply(call: &Call, fate: &Fate, reason: &str) -> Problem {
    let (own, detail) = match fate {
        Fate::Unwritten(error) => {
            let spared = spared(call.op);
            let detail = format!(
                "the request was not written: {error}. {spared} by this call; that says nothing of an earlier \
                 call with the same key"
            );
            (Own::NotWritten, detail)
        }
        Fate::Unreported | Fate::Doubtful(_) | Fate::Written { .. } => {
            (Own::NoReply, format!("{reason}. {}", later(call.op)))
        }
    };
    let mut problem = Problem::own(own, detail).about(&call.name);
    if let Fate::Written {
        partition, offset, ..
    } = fate
    {
        (problem.partition, problem.offset) = (Some(*partition), Some(*offset));
    }
    problem
}

/// The effect that the call did not have.
const fn spared(op: Op) -> &'static str {
    match op {
        Op::Next => "No ID was taken",
        Op::Describe | Op::Trace => "Nothing was asked",
        Op::Define | Op::SetNext | Op::Retire => "Nothing was changed",
    }
}

/// The possible effect of the call, and the next step of the caller.
fn later(op: Op) -> String {
    let (effect, repeat) = match op {
        Op::Describe | Op::Trace => return "It changes nothing: ask again".to_owned(),
        Op::Next => (
            "The request may have taken its IDs, or take them later",
            "that gets the same IDs",
        ),
        Op::Define | Op::SetNext | Op::Retire => (
            "The request may have been carried out, or be carried out later. Look at the sequence, or repeat the call",
            "it is carried out once",
        ),
    };
    let call = match op {
        Op::Next => ". Repeat the call",
        _ => "",
    };
    format!(
        "{effect}{call} soon with this Idempotency-Key: {repeat}. The key holds until its partition has seen \
         {WINDOW_REQUESTS} further requests with a key"
    )
}
