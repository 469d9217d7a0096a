//! Finds the request that got an ID, for the pages. It searches the ledger like `sequencer trace`, on a thread of its
//! own. It runs one search at a time, within the time that people wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::audit::lineage::Lineage;
use crate::audit::source::{Ledger, Place, Raw};
use crate::audit::trace::{Trace, by_number};
use crate::core::Homes;
use crate::core::limits::NAME_BYTES_MAX;
use crate::kafka::clients::Connection;
use crate::kafka::consumer::Flow;
use crate::kafka::error::{Class, Error};
use crate::kafka::takeovers::questions::Questions;
use crate::kafka::transactor::Topics;

/// Longest search. Bisection takes well under a second. A rare sequence in a busy partition may need a read of
/// the whole partition, which is a task for the command line.
const TRACE_MAX: Duration = Duration::from_secs(10);

/// Searches the ledger. Clones share the one search at a time.
#[derive(Clone)]
pub(crate) struct Tracer {
    connection: Connection,
    topics: Topics,
    turn: Arc<Semaphore>,
}

impl Tracer {
    /// Searches the ledger among these topics. Nothing is connected before the first question.
    pub(crate) fn new(connection: Connection, topics: Topics) -> Tracer {
        Tracer {
            connection,
            topics,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Finds the request that got this ID, or returns in words why it is unknown.
    pub(crate) async fn trace(&self, name: &str, id: &str) -> Result<Trace, String> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(format!(
                "a sequence has a name of 1 to {NAME_BYTES_MAX} bytes"
            ));
        }
        let id: i64 = id
            .trim()
            .parse()
            .map_err(|_| "an ID is a whole number, such as 48213".to_owned())?;
        let until = Instant::now() + TRACE_MAX;
        let turn = tokio::time::timeout(TRACE_MAX, Arc::clone(&self.turn).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err("another search is in progress; try again".to_owned());
        };
        let (answer, answered) = oneshot::channel();
        let (tracer, name) = (self.clone(), name.to_owned());
        // Not a thread of the runtime: the end of the process does not wait for this thread.
        std::thread::Builder::new()
            .name("trace".to_owned())
            .spawn(move || {
                let found = tracer.search(&name, id, until, turn);
                // After the deadline, nobody waits for this answer.
                let _ = answer.send(found);
            })
            .map_err(|error| error.to_string())?;
        match tokio::time::timeout(TRACE_MAX, answered).await {
            Ok(Ok(found)) => found.map_err(|error| error.to_string()),
            Ok(Err(_)) | Err(_) => Err(format!(
                "the search took longer than {} s",
                TRACE_MAX.as_secs()
            )),
        }
    }

    fn search(
        &self,
        name: &str,
        id: i64,
        until: Instant,
        _turn: OwnedSemaphorePermit,
    ) -> Result<Trace, Error> {
        let homes = self.homes(name)?;
        let ledger = Lineage::live(&self.connection, &self.topics.ledger, &homes, name)?;
        let partition = ledger.home();
        by_number(&InTime { ledger, until }, partition, name, id)
    }
}

impl Tracer {
    fn homes(&self, name: &str) -> Result<Homes, Error> {
        let homes = Questions::new(&self.connection, &self.topics)?.homes_of(name)?;
        homes.ok_or_else(|| {
            let message = "the service has not begun yet".to_owned();
            Error::own(
                "look for the number of partitions",
                Class::Retriable,
                message,
            )
        })
    }
}

/// A ledger whose reads end at a deadline.
struct InTime<L> {
    ledger: L,
    until: Instant,
}

impl<L: Ledger> Ledger for InTime<L> {
    fn extent(&self) -> Result<(i64, i64), Error> {
        self.ledger.extent()
    }

    fn read(&self, from: i64, to: i64, on: &mut dyn FnMut(Raw<'_>) -> Flow) -> Result<(), Error> {
        let mut late = false;
        self.ledger.read(from, to, &mut |raw| {
            late = Instant::now() >= self.until;
            if late { Flow::Stop } else { on(raw) }
        })?;
        if late {
            let message = format!(
                "took longer than {} s: use sequencer trace",
                TRACE_MAX.as_secs()
            );
            return Err(Error::own("search the ledger", Class::Retriable, message));
        }
        Ok(())
    }

    fn at_time(&self, time_ms: i64) -> Result<i64, Error> {
        self.ledger.at_time(time_ms)
    }

    fn place(&self, offset: i64) -> Place {
        self.ledger.place(offset)
    }

    fn partitions(&self) -> Vec<i32> {
        self.ledger.partitions()
    }

    fn gone(&self) -> Vec<Place> {
        self.ledger.gone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Endless;

    impl Ledger for Endless {
        fn extent(&self) -> Result<(i64, i64), Error> {
            Ok((0, i64::MAX))
        }

        fn read(
            &self,
            from: i64,
            to: i64,
            on: &mut dyn FnMut(Raw<'_>) -> Flow,
        ) -> Result<(), Error> {
            let (key, value) = (&b"other"[..], &b""[..]);
            for offset in from..to {
                if on(Raw { offset, key, value }) == Flow::Stop {
                    break;
                }
            }
            Ok(())
        }

        fn at_time(&self, _time_ms: i64) -> Result<i64, Error> {
            Ok(0)
        }

        fn place(&self, offset: i64) -> Place {
            Place {
                partition: 0,
                offset,
            }
        }

        fn partitions(&self) -> Vec<i32> {
            vec![0]
        }

        fn gone(&self) -> Vec<Place> {
            Vec::new()
        }
    }

    #[test]
    fn a_search_that_takes_too_long_ends_and_names_the_command() {
        let until = Instant::now() + Duration::from_millis(20);
        let ledger = Endless;
        let error = by_number(&InTime { ledger, until }, 0, "orders", 1).unwrap_err();
        assert!(error.to_string().contains("use sequencer trace"), "{error}");
    }
}
