//! The calls that wait for their replies.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::sync::oneshot;

use super::{CORRELATION_BYTES, End, Fate, Places};

/// One call that waits.
pub(super) struct Waiting {
    pub correlation: [u8; CORRELATION_BYTES],
    pub deadline: Instant,
    pub fate: Fate,
    pub end: oneshot::Sender<End>,
    /// Given back when the call ends. Their number bounds the calls that wait.
    pub _places: Places,
}

impl Waiting {
    fn end(self, end: End) {
        // A caller that is gone does not hear it.
        let _ = self.end.send(end);
    }
}

/// All calls that wait, by number and by correlation.
#[derive(Default)]
pub(super) struct Pending {
    next: usize,
    calls: BTreeMap<usize, Waiting>,
    numbers: BTreeMap<[u8; CORRELATION_BYTES], usize>,
}

impl Pending {
    /// Adds a call and returns its number. All calls wait equally long, so deadlines rise with the numbers.
    pub(super) fn add(&mut self, call: Waiting) -> usize {
        let number = self.next;
        self.next += 1;
        self.numbers.insert(call.correlation, number);
        self.calls.insert(number, call);
        number
    }

    fn remove(&mut self, number: usize) -> Option<Waiting> {
        let call = self.calls.remove(&number)?;
        self.numbers.remove(&call.correlation);
        Some(call)
    }

    /// Takes up what the producer reports of a call's record. Only a record that is certainly not in the log ends
    /// its call: in all other cases the reply may still come.
    pub(super) fn reported(&mut self, number: usize, fate: Fate) {
        if let Fate::Unwritten(reason) = &fate {
            let reason = reason.clone();
            if let Some(call) = self.remove(number) {
                call.end(End::NoReply { fate, reason });
            }
        } else if let Some(call) = self.calls.get_mut(&number) {
            call.fate = fate;
        }
    }

    /// Ends the call of this correlation, if one has it.
    pub(super) fn replied(&mut self, correlation: &[u8], body: &[u8]) {
        let number = <[u8; CORRELATION_BYTES]>::try_from(correlation)
            .ok()
            .and_then(|correlation| self.numbers.get(&correlation).copied());
        if let Some(call) = number.and_then(|number| self.remove(number)) {
            let end = End::Reply {
                body: body.to_vec(),
                fate: call.fate.clone(),
            };
            call.end(end);
        }
    }

    /// Ends the calls whose time is up.
    pub(super) fn expire(&mut self, now: Instant, reason: impl Fn() -> String) {
        while let Some((number, call)) = self.calls.first_key_value()
            && call.deadline <= now
        {
            let number = *number;
            self.give_up(number, reason());
        }
    }

    /// Ends all calls.
    pub(super) fn end_all(&mut self, reason: &str) {
        while let Some((number, _)) = self.calls.first_key_value() {
            let number = *number;
            self.give_up(number, reason.to_owned());
        }
    }

    fn give_up(&mut self, number: usize, reason: String) {
        if let Some(call) = self.remove(number) {
            let fate = call.fate.clone();
            call.end(End::NoReply { fate, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::Semaphore;
    use tokio::sync::oneshot::Receiver;

    use super::*;

    struct Stage {
        slots: Arc<Semaphore>,
        pending: Pending,
        began: Instant,
    }

    const SLOTS: usize = 10;

    impl Stage {
        fn new() -> Stage {
            Stage {
                slots: Arc::new(Semaphore::new(SLOTS)),
                pending: Pending::default(),
                began: Instant::now(),
            }
        }

        fn add(&mut self, correlation: u8, deadline_s: u64) -> (usize, Receiver<End>) {
            let (end, ended) = oneshot::channel();
            let number = self.pending.add(Waiting {
                correlation: [correlation; CORRELATION_BYTES],
                deadline: self.began + Duration::from_secs(deadline_s),
                fate: Fate::Unreported,
                end,
                _places: (Arc::clone(&self.slots).try_acquire_owned().unwrap(), None),
            });
            (number, ended)
        }

        fn expire(&mut self, second: u64) {
            let now = self.began + Duration::from_secs(second);
            self.pending.expire(now, || "late".to_owned());
        }
    }

    fn no_reply(fate: Fate, reason: &str) -> End {
        let reason = reason.to_owned();
        End::NoReply { fate, reason }
    }

    fn reply(body: &[u8], fate: Fate) -> End {
        let body = body.to_vec();
        End::Reply { body, fate }
    }

    const WRITTEN: Fate = Fate::Written {
        partition: 3,
        offset: 9,
        latency: Duration::from_millis(2),
    };

    #[test]
    fn a_reply_ends_the_call_of_its_correlation_and_no_other() {
        let mut stage = Stage::new();
        let (_, mut first) = stage.add(1, 10);
        let (number, mut second) = stage.add(2, 10);
        stage.pending.reported(number, WRITTEN);
        stage.pending.replied(&[2; CORRELATION_BYTES], b"two");
        stage
            .pending
            .replied(&[3; CORRELATION_BYTES], b"a stranger's");
        stage.pending.replied(&[1; 15], b"cut");
        assert!(first.try_recv().is_err());
        assert_eq!(second.try_recv(), Ok(reply(b"two", WRITTEN)));
        stage.pending.replied(&[2; CORRELATION_BYTES], b"two again");
        assert_eq!(stage.slots.available_permits(), SLOTS - 1);
    }

    #[test]
    fn only_a_record_that_is_certainly_not_written_ends_its_call_at_once() {
        let mut stage = Stage::new();
        let (unwritten, mut ended) = stage.add(1, 10);
        let fate = Fate::Unwritten("refused".to_owned());
        stage.pending.reported(unwritten, fate.clone());
        assert_eq!(ended.try_recv(), Ok(no_reply(fate, "refused")));
        for (correlation, fate) in [(2, Fate::Doubtful("timed out".to_owned())), (3, WRITTEN)] {
            let (number, mut ended) = stage.add(correlation, 10);
            stage.pending.reported(number, fate.clone());
            assert!(ended.try_recv().is_err(), "its reply may still come");
            stage.expire(10);
            assert_eq!(ended.try_recv(), Ok(no_reply(fate, "late")));
        }
    }

    #[test]
    fn time_ends_the_calls_whose_time_is_up() {
        let mut stage = Stage::new();
        let (_, mut first) = stage.add(1, 10);
        let (_, mut second) = stage.add(2, 11);
        stage.expire(9);
        assert!(first.try_recv().is_err());
        stage.expire(10);
        assert_eq!(first.try_recv(), Ok(no_reply(Fate::Unreported, "late")));
        assert!(second.try_recv().is_err());
        stage.pending.end_all("stopped");
        assert_eq!(second.try_recv(), Ok(no_reply(Fate::Unreported, "stopped")));
        assert_eq!(stage.slots.available_permits(), SLOTS);
    }

    #[test]
    fn a_caller_that_is_gone_keeps_its_place_until_its_record_is_answered() {
        let mut stage = Stage::new();
        let (_, ended) = stage.add(1, 10);
        drop(ended);
        assert_eq!(stage.slots.available_permits(), SLOTS - 1);
        stage.pending.replied(&[1; CORRELATION_BYTES], b"one");
        assert_eq!(stage.slots.available_permits(), SLOTS);
    }
}
