//! Keeps topics that clients name open between two records.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{Producer, Topic};
use crate::kafka::error::Error;

/// Most topics that are kept open. Beyond it all are closed, and opened again when they are used.
const OPEN_TOPICS_MAX: usize = 1_000;

/// Open topics of one producer, by name.
pub struct OpenTopics {
    producer: Producer,
    open: BTreeMap<String, Topic>,
}

impl OpenTopics {
    /// Creates a map of topics, none of which is open.
    pub fn new(producer: Producer) -> OpenTopics {
        OpenTopics {
            producer,
            open: BTreeMap::new(),
        }
    }

    /// The producer of the topics.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// The topic of that name, opened if it is not open.
    ///
    /// # Errors
    /// The topic cannot be opened.
    pub fn get(&mut self, name: &str) -> Result<&Topic, Error> {
        if self.open.len() >= OPEN_TOPICS_MAX && !self.open.contains_key(name) {
            self.open.clear();
        }
        match self.open.entry(name.to_owned()) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(vacant) => Ok(vacant.insert(self.producer.topic(name)?)),
        }
    }
}
