//! The reply topics that clients name: a good one and others that cannot be used, or not for long.

use std::sync::{Arc, Mutex};

use crate::support::admin::Admin;
use crate::support::random::Random;
use crate::support::service::Service;

/// Partitions of each.
pub const PARTITIONS: i32 = 2;
/// As topics that clients make for themselves in production.
const REPLICAS: i32 = 3;
/// In the name of each topic that is deleted one day.
const DOOMED: &str = "-doomed-";
/// Room for a reply with a short correlation, and for a transaction's marker.
const SMALL_BYTES_MAX: &str = "400";

/// The topics of a run; clones share them.
#[derive(Clone)]
pub struct Topics {
    prefix: String,
    lasting: Vec<String>,
    missing: String,
    doomed: Arc<Mutex<Doomed>>,
}

/// The one that is about to be deleted.
#[derive(Default)]
struct Doomed {
    present: Option<String>,
    deleted: Vec<String>,
}

impl Topics {
    /// Makes them.
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

    /// Topics that are there to the end.
    pub fn lasting(&self) -> &[String] {
        &self.lasting
    }

    /// Topics that are gone.
    pub fn deleted(&self) -> Vec<String> {
        self.doomed.lock().unwrap().deleted.clone()
    }

    /// The topic that is there and will be deleted.
    pub fn doomed(&self) -> Option<String> {
        self.doomed.lock().unwrap().present.clone()
    }

    /// A topic for a request, and whether answers may be lost with it.
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

    /// Whether answers may be lost with that topic.
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

    /// Makes the next one that will be deleted.
    pub fn renew(&self, admin: &Admin) {
        let number = self.deleted().len();
        let topic = format!("{}{DOOMED}{number}.reply", self.prefix);
        admin.create_replicated(&topic, PARTITIONS, REPLICAS, &[]);
        self.doomed.lock().unwrap().present = Some(topic);
    }
}
