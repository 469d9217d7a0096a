//! Turns a request object's fields into a command: which fields belong to which `op`, and which values they may
//! have.

use std::borrow::Cow;

use super::body::Fields;
use super::scalar::Scalar;
use super::{count, malformed, text};
use crate::core::Command;
use crate::core::command::{Action, Operation, Undefined};
use crate::core::definition::{AtEnd, Changes};
use crate::core::limits::{BOUND_MAX, BOUND_MIN, COUNT_MAX, REMEMBER_MAX};
use crate::core::rejection::{Code, Rejection, echo};

/// The operations, each with the fields that belong to it besides `op`, `request_id` and
/// `requester`.
const OPS: [(&str, &[&str]); 6] = [
    ("next", &["count"]),
    (
        "define",
        &[
            "start",
            "increment",
            "min",
            "max",
            "at_end",
            "max_count",
            "audit",
            "remember",
            "reason",
        ],
    ),
    ("set_next", &["next", "force", "reason"]),
    ("describe", &[]),
    ("retire", &["reason"]),
    ("policy", &["undefined", "audit", "reason"]),
];

/// The fields of an operation besides `op`, `request_id` and `requester`. Empty for an unknown operation.
pub fn fields_of(op: &str) -> &'static [&'static str] {
    let known = OPS.iter().find(|(known, _)| *known == op);
    known.map_or(&[], |(_, fields)| fields)
}

fn invalid(message: String) -> Rejection {
    Rejection::new(Code::InvalidDefinition, message)
}

/// Builds the command. `request_id` has been removed from `fields` already. `asker` is the requester of IDs.
pub(super) fn command<'a>(
    mut fields: Fields<'a>,
    asker: &mut Option<Cow<'a, str>>,
) -> Result<Command<'a>, Rejection> {
    let (op, own) = operation(fields.take("op"))?;
    if let Some(stranger) = fields.first_besides(own) {
        let takes: Vec<&str> = own
            .iter()
            .copied()
            .chain(["request_id", "requester"])
            .collect();
        return Err(Rejection::new(
            Code::UnknownField,
            format!(
                "field {stranger:?} does not belong to op {op}, which takes {}",
                takes.join(", ")
            ),
        ));
    }
    let requester = text(
        "requester",
        Code::MalformedRequest,
        fields.take("requester"),
    )?;
    if op == "next" {
        let count = match &fields.take("count") {
            Some(scalar) => count(scalar)?,
            None => 1,
        };
        *asker = requester;
        return Ok(Command::Next { count });
    }
    let reason = text("reason", Code::InvalidDefinition, fields.take("reason"))?;
    let action = match op {
        "define" => Action::Define(changes(&mut fields)?),
        "set_next" => {
            let next = integer("next", fields.take("next"))?
                .ok_or_else(|| invalid("op set_next needs the field next".to_owned()))?;
            let force = flag("force", fields.take("force"))?.unwrap_or(false);
            if force && reason.is_none() {
                return Err(invalid("force needs a reason".to_owned()));
            }
            Action::SetNext { next, force }
        }
        "retire" => Action::Retire,
        "policy" => Action::Policy(policy(&mut fields)?),
        _ => Action::Describe,
    };
    Ok(Command::Operator(Box::new(Operation {
        action,
        requester,
        reason,
    })))
}

fn operation(op: Option<Scalar<'_>>) -> Result<(&'static str, &'static [&'static str]), Rejection> {
    let [next, ..] = OPS;
    let op = match op {
        None => return Ok(next),
        Some(Scalar::Text(op)) => op,
        Some(other) => return Err(malformed(format!("op must be text, got {other}"))),
    };
    let known = OPS.iter().find(|(known, _)| *known == op);
    known.copied().ok_or_else(|| {
        let known: Vec<&str> = OPS.iter().map(|(known, _)| *known).collect();
        Rejection::new(
            Code::UnknownOp,
            format!("op {} is not known; known: {}", echo(&op), known.join(", ")),
        )
    })
}

fn changes(fields: &mut Fields<'_>) -> Result<Changes, Rejection> {
    let at_end = match fields.take("at_end") {
        None => None,
        Some(Scalar::Text(word)) if word == AtEnd::Error.as_str() => Some(AtEnd::Error),
        Some(Scalar::Text(word)) if word == AtEnd::Cycle.as_str() => Some(AtEnd::Cycle),
        Some(other) => {
            return Err(invalid(format!(
                "at_end must be \"error\" or \"cycle\", got {other}"
            )));
        }
    };
    let max_count = match integer("max_count", fields.take("max_count"))? {
        None => None,
        Some(count) => Some(
            u64::try_from(count)
                .ok()
                .filter(|count| (1..=COUNT_MAX).contains(count))
                .ok_or_else(|| {
                    invalid(format!("max_count must be 1 to {COUNT_MAX}, got {count}"))
                })?,
        ),
    };
    Ok(Changes {
        start: integer("start", fields.take("start"))?,
        increment: integer("increment", fields.take("increment"))?,
        min: integer("min", fields.take("min"))?,
        max: integer("max", fields.take("max"))?,
        at_end,
        max_count,
        audit: flag("audit", fields.take("audit"))?,
        remember: remember(fields.take("remember"))?,
    })
}

fn remember(scalar: Option<Scalar<'_>>) -> Result<Option<u32>, Rejection> {
    let Some(requests) = integer("remember", scalar)? else {
        return Ok(None);
    };
    let fits = u32::try_from(requests)
        .ok()
        .filter(|requests| *requests <= REMEMBER_MAX);
    fits.map(Some).ok_or_else(|| {
        invalid(format!(
            "remember must be 0 to {REMEMBER_MAX}, got {requests}"
        ))
    })
}

fn policy(fields: &mut Fields<'_>) -> Result<Undefined, Rejection> {
    let undefined = undefined(fields.take("undefined"))?;
    let audit = flag("audit", fields.take("audit"))?.unwrap_or(false);
    match (undefined, audit) {
        (Undefined::Refuse, true) => Err(invalid(
            "audit goes with undefined \"create\": what is refused leaves no record".to_owned(),
        )),
        (_, true) => Ok(Undefined::CreateAudited),
        (undefined, false) => Ok(undefined),
    }
}

fn undefined(scalar: Option<Scalar<'_>>) -> Result<Undefined, Rejection> {
    match scalar {
        Some(Scalar::Text(word)) if word == Undefined::Create.as_str() => Ok(Undefined::Create),
        Some(Scalar::Text(word)) if word == Undefined::Refuse.as_str() => Ok(Undefined::Refuse),
        Some(other) => Err(invalid(format!(
            "undefined must be \"create\" or \"refuse\", got {other}"
        ))),
        None => Err(invalid("op policy needs the field undefined".to_owned())),
    }
}

fn integer(field: &str, scalar: Option<Scalar<'_>>) -> Result<Option<i64>, Rejection> {
    let range = |got: &dyn std::fmt::Display| {
        invalid(format!(
            "{field} must be {BOUND_MIN} to {BOUND_MAX}, got {got}"
        ))
    };
    match scalar {
        None => Ok(None),
        Some(Scalar::Integer(number)) => i64::try_from(number)
            .ok()
            .filter(|number| (BOUND_MIN..=BOUND_MAX).contains(number))
            .map(Some)
            .ok_or_else(|| range(&number)),
        Some(huge @ Scalar::Huge(_)) => Err(range(&huge)),
        Some(other) => Err(malformed(format!(
            "{field} must be an integer, got {other}"
        ))),
    }
}

fn flag(field: &str, scalar: Option<Scalar<'_>>) -> Result<Option<bool>, Rejection> {
    match scalar {
        None => Ok(None),
        Some(Scalar::Bool(flag)) => Ok(Some(flag)),
        Some(other) => Err(malformed(format!(
            "{field} must be true or false, got {other}"
        ))),
    }
}
