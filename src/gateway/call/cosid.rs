//! CosId's protocol for its proxy: `POST /segments/distributor/{namespace}/{name}?offset&step` and
//! `PATCH /segments/{namespace}/{name}?step`. Its clients take blocks of IDs and distribute the IDs themselves.

use super::problem::Problem;
use super::route::Route;
use super::text::{Query, integer};
use super::{Call, Incoming, Op, Record, checked, malformed};
use crate::core::Code;
use crate::core::limits::COUNT_MAX;

/// Reads a call.
pub(super) fn read(
    route: &Route,
    mut query: Query,
    incoming: &Incoming<'_>,
) -> Result<Call, Problem> {
    let mut number = |name: &str| {
        let text = query
            .take(name)
            .ok_or_else(|| malformed(format!("the query needs the parameter {name}")))?;
        integer(&format!("the query parameter {name}"), &text)
    };
    let step = number("step")?;
    // A definition does not depend on it. A client that names such a step would fail at its first block.
    if !(1..=COUNT_MAX.cast_signed()).contains(&step) {
        let detail = format!("the query parameter step must be 1 to {COUNT_MAX}, got {step}");
        return Err(Problem::refused(Code::InvalidCount, detail));
    }
    let fields = match route.op {
        Op::Define => define(number("offset")?)?,
        _ => Record {
            count: Some(step),
            ..Record::default()
        },
    };
    query.end()?;
    if !incoming.body.is_empty() {
        return Err(malformed("this call takes no body"));
    }
    Ok(Call {
        op: route.op,
        name: checked(route.name.clone().unwrap_or_default())?,
        ids_as_text: false,
        id: None,
        cosid: true,
        fields,
    })
}

/// The definition of a distributor. The offset is the last ID that is already taken. The clients may ask for blocks of
/// any size.
fn define(offset: i64) -> Result<Record, Problem> {
    let start = offset
        .checked_add(1)
        .ok_or_else(|| malformed("the query parameter offset is too high"))?;
    Ok(Record {
        op: Some(Op::Define.as_str()),
        start: Some(start),
        min: Some(start.min(1)),
        max_count: Some(COUNT_MAX.cast_signed()),
        ..Record::default()
    })
}
