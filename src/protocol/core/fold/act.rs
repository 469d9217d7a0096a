//! An operator's record, as the window remembers it. A repeated record with the same `request_id` is
//! recognised, and a record that asks for something else under this `request_id` is distinguished from it.

use crate::core::command::{Action, Undefined};
use crate::core::definition::{AtEnd, Changes};
use crate::core::window::{Act, Place, RequestKey};

/// The place of an action in the window. None for an action that changes nothing.
pub(super) fn place(key: RequestKey, action: Action) -> Option<Place> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(action.as_str().as_bytes());
    let mut put = |present: bool, bytes: &[u8]| {
        hasher.update(&[u8::from(present)]);
        hasher.update(bytes);
    };
    match action {
        Action::Describe => return None,
        Action::Retire => {}
        Action::SetNext { next, force } => {
            put(true, &next.to_be_bytes());
            put(force, &[]);
        }
        Action::Policy(undefined) => put(
            true,
            &[match undefined {
                Undefined::Create => 0,
                Undefined::Refuse => 1,
                Undefined::CreateAudited => 2,
            }],
        ),
        Action::Define(changes) => {
            let Changes {
                start,
                increment,
                min,
                max,
                at_end,
                max_count,
                audit,
                remember,
            } = changes;
            let max_count = max_count.map(u64::cast_signed);
            for number in [start, increment, min, max, max_count] {
                put(number.is_some(), &number.unwrap_or(0).to_be_bytes());
            }
            put(at_end.is_some(), &[u8::from(at_end == Some(AtEnd::Cycle))]);
            put(audit.is_some(), &[u8::from(audit == Some(true))]);
            // Left out when it is absent: the act is the one that releases without it remember.
            if let Some(remember) = remember {
                put(true, &remember.to_be_bytes());
            }
        }
    }
    let mut act = [0; 16];
    act.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Some(Place::of_act(key, Act(act)))
}
