//! Finds the owner of each partition by asking the brokers for the members of the group. It asks only while a page is
//! read, at most every few seconds, on its own thread. So a page never waits for Kafka.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::kafka::admin::{Admin, Listed};
use crate::kafka::clients::Connection;

/// The age of an answer after which the next page asks again.
const FRESH: Duration = Duration::from_secs(5);

/// The age up to which an answer is shown. An older answer may name instances that no longer exist. The limit is above
/// [`FRESH`] by the time of an answer, so that a page that is read all the time always shows one.
const SHOWN_MAX: Duration = Duration::from_secs(10);

/// The longest time for an answer. All brokers are asked, so a broker that is away delays it up to this limit.
const ANSWER_MAX: Duration = Duration::from_secs(2);
const _: () = assert!(FRESH.as_secs() + ANSWER_MAX.as_secs() < SHOWN_MAX.as_secs());

/// A member of the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The `instance_id` of the member.
    pub instance: String,
    /// The address from which the member connects.
    pub host: String,
    /// The partitions of the request topic that are assigned to the member.
    pub partitions: Vec<i32>,
}

/// The known owners. Clones share them.
#[derive(Clone)]
pub(crate) struct Owners {
    connection: Connection,
    requests: String,
    cache: Arc<Mutex<Cache>>,
}

#[derive(Default)]
struct Cache {
    asked: Option<Instant>,
    /// True while a question is in progress.
    asking: bool,
    /// Created at the first question, and kept.
    admin: Option<Arc<Admin>>,
    known: Option<Known>,
}

type Answer = Result<Vec<Owner>, String>;

struct Known {
    at: Instant,
    answer: Answer,
}

impl Cache {
    /// The last answer, unless it is too old to be shown.
    fn shown(&self, now: Instant) -> Option<Answer> {
        let known = self.known.as_ref()?;
        (now.saturating_duration_since(known.at) <= SHOWN_MAX).then(|| known.answer.clone())
    }
}

impl Owners {
    /// Asks about the group of this connection.
    pub(crate) fn new(connection: Connection, requests: &str) -> Owners {
        Owners {
            connection,
            requests: requests.to_owned(),
            cache: Arc::default(),
        }
    }

    /// The members, or the reason why they are unknown. None before the first answer, or when the last one is too old.
    /// If the answer is old, this asks again for the next reader.
    pub(crate) fn known(&self) -> Option<Answer> {
        let mut cache = self.lock();
        let old = cache.asked.is_none_or(|asked| asked.elapsed() >= FRESH);
        if old && !cache.asking {
            let asker = self.clone();
            // Not a thread of the runtime: the end of the process does not wait for this thread.
            let asking = std::thread::Builder::new()
                .name("owners".to_owned())
                .spawn(move || asker.ask());
            cache.asking = asking.is_ok();
            cache.asked = Some(Instant::now());
        }
        cache.shown(Instant::now())
    }

    fn ask(&self) {
        let answer = self.members();
        let mut cache = self.lock();
        let at = Instant::now();
        cache.asked = Some(at);
        cache.asking = false;
        cache.known = Some(Known { at, answer });
    }

    fn members(&self) -> Answer {
        let admin = match self.lock().admin.clone() {
            Some(admin) => admin,
            None => {
                Arc::new(Admin::new(&self.connection.admin()).map_err(|error| error.to_string())?)
            }
        };
        self.lock().admin = Some(Arc::clone(&admin));
        // The other call for the members can end the process when the coordinator is away.
        let members = admin.listed_members(&self.connection.group, ANSWER_MAX);
        let members = members.map_err(|error| error.to_string())?;
        let owner = |mut member: Listed| Owner {
            partitions: member.assigned.remove(&self.requests).unwrap_or_default(),
            instance: member.client_id,
            host: member.host,
        };
        let mut owners: Vec<Owner> = members.into_iter().map(owner).collect();
        owners.sort_by(|a, b| a.instance.cmp(&b.instance));
        Ok(owners)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_long_ago_is_not_shown_to_the_first_who_looks_again() {
        let at = Instant::now();
        let ghost = Owner {
            instance: "ghost".to_owned(),
            ..Owner::default()
        };
        let cache = Cache {
            known: Some(Known {
                at,
                answer: Ok(vec![ghost]),
            }),
            ..Cache::default()
        };
        assert_eq!(
            cache.shown(at + FRESH).map(|known| known.is_ok()),
            Some(true)
        );
        assert!(cache.shown(at + SHOWN_MAX).is_some());
        assert_eq!(cache.shown(at + SHOWN_MAX + Duration::from_millis(1)), None);
        assert_eq!(Cache::default().shown(at), None);
    }
}
