//! Asking the service as any client does: what the verbs that send requests share.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Error;
use super::args::AskArgs;
use super::session::Session;
use crate::core::Name;
use crate::core::limits::TEXT_FIELD_BYTES_MAX;
use crate::kafka;
use crate::kafka::admin::Access;
use crate::kafka::error::Class;
use crate::kafka::tools::requester::{Outcome, Request, Requester, Route};

/// Names that begin so are the service's own; it says itself which of them it refuses.
const RESERVED_PREFIX: &str = "__";

/// Requests under way at the same time: enough that no one waits for the network, and few enough
/// that the producer's queue and the service's answers keep up.
const IN_FLIGHT_MAX: usize = 1_000;

/// Longest wait for an answer before the requests that have waited too long are looked at.
const STEP_MAX: Duration = Duration::from_millis(20);

/// What a request does, for the words about one that nobody answered.
#[derive(Clone, Copy, Debug)]
pub struct Effect {
    /// Why asking again is no remedy, or is.
    pub again: &'static str,
    /// What happens when it is answered after all.
    pub later: &'static str,
}

/// It takes IDs.
pub const TAKES: Effect = Effect {
    again: "asking again takes further IDs",
    later: "takes its IDs",
};

/// It changes something that can be described.
pub const CHANGES: Effect = Effect {
    again: "`describe`, or `policy` alone, tells whether it was applied",
    later: "is applied",
};

/// It changes nothing.
pub const READS: Effect = Effect {
    again: "asking again does no harm",
    later: "changes nothing",
};

/// One request.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The record's key.
    pub name: &'a str,
    /// The request partition, when it is not for the name to decide.
    pub partition: Option<i32>,
    /// The record's value.
    pub value: Vec<u8>,
}

/// A client of the service.
pub struct Client {
    session: Session,
    requester: Requester,
    timeout: Duration,
}

impl Client {
    /// Connects, and reads the replies to these names from here on.
    pub fn open<'a>(
        args: &AskArgs,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Client, Error> {
        let session = Session::open(&args.connection.flags())?;
        let cluster = session.admin.cluster()?;
        let topics = &session.settings.topics;
        let route = Route {
            request_partitions: session.partitions(&cluster, &topics.requests, Access::Write)?,
            requests: topics.requests.clone(),
            reply_partitions: session.partitions(&cluster, &topics.replies, Access::Read)?,
            replies: topics.replies.clone(),
        };
        let requester = Requester::new(&session.connection, route, names)?;
        Ok(Client {
            session,
            requester,
            timeout: Duration::from_millis(args.timeout_ms),
        })
    }

    /// Every partition of the request topic.
    pub fn request_partitions(&self) -> impl Iterator<Item = i32> + use<> {
        (0..self.requester.request_partitions()).filter_map(|partition| partition.try_into().ok())
    }

    /// Asks once, and returns the body of the reply.
    pub fn ask(&mut self, name: &str, value: Vec<u8>, effect: Effect) -> Result<Vec<u8>, Error> {
        let ask = Ask {
            name,
            partition: None,
            value,
        };
        let mut bodies = self.ask_all(&[ask], effect)?;
        bodies
            .pop()
            .unwrap_or_else(|| Err(Error::Failed("no request was sent".to_owned())))
    }

    /// Asks all of it at the same time. Returns the body of each reply, or why there is none, in the
    /// order of the requests.
    pub fn ask_all(
        &mut self,
        asks: &[Ask<'_>],
        effect: Effect,
    ) -> Result<Vec<Result<Vec<u8>, Error>>, Error> {
        let mut bodies: Vec<_> = asks.iter().map(|_| None).collect();
        let mut indices: HashMap<usize, usize> = HashMap::new();
        let mut unsent = asks.iter().enumerate();
        let mut looked = Instant::now();
        loop {
            // In waves: between them every request is reported, and the requester can forget the
            // replies to others that it kept until then.
            if indices.len() <= IN_FLIGHT_MAX / 2 {
                for (index, ask) in unsent.by_ref().take(IN_FLIGHT_MAX - indices.len()) {
                    indices.insert(self.send(ask)?, index);
                }
            }
            if indices.is_empty() {
                break;
            }
            if let Some(Outcome { request, reply }) =
                self.requester.next(STEP_MAX.min(self.timeout))?
                && let Some(index) = indices.remove(&request.number)
            {
                bodies[index] = Some(reply.map_err(|error| broken(error, effect)));
            }
            if looked.elapsed() < STEP_MAX.min(self.timeout) {
                continue;
            }
            looked = Instant::now();
            for request in self.requester.give_up(self.timeout) {
                if let Some(index) = indices.remove(&request.number) {
                    bodies[index] = Some(Err(self.unanswered(&request, effect)));
                }
            }
        }
        Ok(bodies.into_iter().flatten().collect())
    }

    fn send(&mut self, ask: &Ask<'_>) -> Result<usize, Error> {
        Ok(match ask.partition {
            Some(partition) => self.requester.send_to(partition, ask.name, &ask.value)?,
            None => self.requester.send(ask.name, &ask.value)?,
        })
    }

    fn unanswered(&self, request: &Request, effect: Effect) -> Error {
        let settings = &self.session.settings;
        let (requests, group) = (&settings.topics.requests, &settings.group);
        let waited_ms = self.timeout.as_millis();
        let Some((partition, offset)) = request.place else {
            return Error::Failed(format!(
                "the request could not be written to {requests} within {waited_ms} ms: has it a \
                 leader and enough replicas in sync?"
            ));
        };
        Error::Failed(format!(
            "no answer within {waited_ms} ms: is `sequencer serve` running with group {group}, and \
             does `sequencer inspect --partition {partition}` say that the partition halts?\nThe \
             request stays in {requests}, partition {partition}, at offset {offset}: when it is \
             answered, it {}.",
            effect.later
        ))
    }
}

/// A request is tried once; a connection that breaks meanwhile leaves open whether it is written.
fn broken(error: kafka::error::Error, effect: Effect) -> Error {
    match error.class {
        Class::Indefinite | Class::Retriable => Error::Failed(format!(
            "{error}\nThe request may be in the log all the same; {}.",
            effect.again
        )),
        _ => error.into(),
    }
}

/// A name that can be refused without asking: it could never be right.
pub fn check_name(name: &str) -> Result<(), Error> {
    match Name::from_key(Some(name.as_bytes())) {
        Err(rejection) if !name.starts_with(RESERVED_PREFIX) => {
            Err(Error::Usage(rejection.message))
        }
        _ => Ok(()),
    }
}

/// A text that can be refused without asking.
pub fn check_text(flag: &str, text: Option<&str>) -> Result<(), Error> {
    match text {
        Some(text) if !(1..=TEXT_FIELD_BYTES_MAX).contains(&text.len()) => {
            Err(Error::Usage(format!(
                "{flag} must be 1 to {TEXT_FIELD_BYTES_MAX} bytes, got {}",
                text.len()
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_never_be_right_is_refused_without_asking() {
        for name in ["", "line\nbreak", &"a".repeat(256)] {
            assert!(matches!(check_name(name), Err(Error::Usage(_))), "{name}");
        }
        for name in ["orders", "счёт-№ 7", "__policy"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let refused = check_text("--reason", Some(&"a".repeat(256))).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "--reason must be 1 to 255 bytes, got 256"
        );
        assert!(check_text("--reason", Some("")).is_err());
        assert!(check_text("--reason", None).is_ok());
    }
}
