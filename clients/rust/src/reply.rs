//! The body of a reply.

use serde::Deserialize;

use crate::error::Error;

/// Numbers of one sequence, in the order in which they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The first number.
    pub first: i64,
    /// The last number.
    pub last: i64,
    /// How many there are.
    pub count: u64,
    /// The step from one number to the next.
    pub increment: i64,
    /// The request ID, given or drawn.
    pub request_id: String,
}

impl Ids {
    /// Each of the numbers.
    pub fn iter(&self) -> impl Iterator<Item = i64> + use<> {
        let (last, increment) = (self.last, self.increment);
        std::iter::successors(Some(self.first), move |id| {
            (*id != last).then(|| id.checked_add(increment)).flatten()
        })
    }
}

#[derive(Deserialize)]
struct Body {
    first: Option<i64>,
    last: Option<i64>,
    count: Option<u64>,
    #[serde(default = "one")]
    increment: i64,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
}

fn one() -> i64 {
    1
}

/// Reads a reply to the request with this ID.
pub(crate) fn read(body: &[u8], request_id: &str) -> Result<Ids, Error> {
    let unanswered = |reason: String| Error::Unanswered {
        reason,
        request_id: request_id.to_owned(),
    };
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| unanswered(format!("the reply is not valid: {error}")))?;
    match body {
        Body {
            error: Some(Refusal { code, message }),
            ..
        } => Err(Error::Refused {
            code,
            message,
            request_id: request_id.to_owned(),
        }),
        Body {
            first: Some(first),
            last: Some(last),
            count: Some(count),
            increment,
            ..
        } => Ok(Ids {
            first,
            last,
            count,
            increment,
            request_id: request_id.to_owned(),
        }),
        Body { .. } => Err(unanswered("the reply has no numbers".to_owned())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_given_in_the_order_of_the_sequence_up_to_the_last_integer() {
        let ids = |body: &str| {
            read(body.as_bytes(), "a")
                .unwrap()
                .iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(r#"{"first":7,"last":9,"count":3}"#), [7, 8, 9]);
        let down = r#"{"first":5,"last":-5,"count":3,"increment":-5}"#;
        assert_eq!(ids(down), [5, 0, -5]);
        let top = r#"{"first":9223372036854775806,"last":9223372036854775807,"count":2}"#;
        assert_eq!(ids(top), [i64::MAX - 1, i64::MAX]);
    }

    #[test]
    fn a_reply_without_numbers_says_that_a_number_may_be_taken() {
        for body in ["", "{}", r#"{"first":"1","last":"1","count":1}"#] {
            let read = read(body.as_bytes(), "a");
            assert!(matches!(read, Err(Error::Unanswered { .. })), "{body}");
        }
    }
}
