//! The reply topics that clients name: one valid topic, and topics that cannot be used, or not until the end.

use std::sync::{Arc, Mutex};

use crate::support::admin::Admin;
use crate::support::random::Random;
use crate::support::service::Service;

/// Partitions of each topic.
pub const PARTITIONS: i32 = 2;
/// Number of replicas, which clients' topics usually have in production.
const REPLICAS: i32 = 3;
/// A part of the name of each topic that will be deleted.
const DOOMED: &str = "-doomed-";
/// Size limit of the small topic. A reply with a short correlation and a transaction's marker fit.
const SMALL_BYTES_MAX: &str = "400";

/// The topics of a run. Clones share them.
#[derive(Clone)]
pub struct Topics {
    prefix: String,
    lasting: Vec<String>,
    missing: String,
    doomed: Arc<Mutex<Doomed>>,
}

/// The topic that will be deleted next.
#[derive(Default)]
struct Doomed {
    present: Option<String>,
    deleted: Vec<String>,
}

impl Topics {
    /// Creates the topics.
    pub fn create(service: &Service, admin: &Admin) -> Topics {
        let prefix = service.group.clone();
        let name = |kind: &str| format!("{prefix}-{kind}.reply");
        let small = [("max.message.bytes", SMALL_BYTES_MAX)];
        let compacted = [("cleanup.policy", "compact")];
        let kinds: [(&str, &[(&str, &str)]); 3] =
            [("good", &[]), ("compacted", &compacted), ("small", &small)];
        for (kind, settings) in &kinds {
            admin.create_replicated(&name(kind), PARTITIONS, REPLICAS, settings);
        }
        let topics = Topics {
            lasting: kinds.iter().map(|(kind, _)| name(kind)).collect(),
            missing: name("missing"),
            doomed: Arc::default(),
            prefix,
        };
        topics.renew(admin);
        topics
    }

    /// Topics that exist until the end.
    pub fn lasting(&self) -> &[String] {
        &self.lasting
    }

    /// Topics that were deleted.
    pub fn deleted(&self) -> Vec<String> {
        self.doomed.lock().unwrap().deleted.clone()
    }

    /// The existing topic that will be deleted.
    pub fn doomed(&self) -> Option<String> {
        self.doomed.lock().unwrap().present.clone()
    }

    /// Picks a topic for a request. True if answers may be lost with it.
    pub fn pick(&self, random: &mut Random) -> (String, bool) {
        let at = random.below(self.lasting.len() as u64 + 2) as usize;
        if let Some(lasting) = self.lasting.get(at) {
            return (lasting.clone(), false);
        }
        let doomed = self.doomed.lock().unwrap();
        let gone = doomed.deleted.last();
        match (&doomed.present, gone) {
            (Some(topic), _) if at == self.lasting.len() => (topic.clone(), true),
            (_, Some(topic)) if random.below(2) == 0 => (topic.clone(), false),
            _ => (self.missing.clone(), false),
        }
    }

    /// True when answers may be lost with this topic.
    pub fn forgets(topic: &str) -> bool {
        topic.contains(DOOMED)
    }

    /// Deletes the doomed topic, while requests still name it.
    pub fn delete(&self, admin: &Admin) {
        let Some(topic) = self.doomed() else { return };
        admin.delete(&topic);
        let mut doomed = self.doomed.lock().unwrap();
        doomed.present = None;
        doomed.deleted.push(topic);
    }

    /// Creates the next topic that will be deleted.
    pub fn renew(&self, admin: &Admin) {
        let number = self.deleted().len();
        let topic = format!("{}{DOOMED}{number}.reply", self.prefix);
        admin.create_replicated(&topic, PARTITIONS, REPLICAS, &[]);
        self.doomed.lock().unwrap().present = Some(topic);
    }
}
