//! Keeps topics that clients name open between two records.

use std::collections::BTreeMap;

use super::Topic;
use crate::kafka::error::Error;

/// Most topics that are kept open. Beyond it all are closed, and opened again when they are used.
const OPEN_TOPICS_MAX: usize = 1_000;

/// Open topics of one producer, by name. They must be dropped before the producer.
#[derive(Default)]
pub struct OpenTopics(BTreeMap<String, Topic>);

impl OpenTopics {
    /// Opens the topic of that name, if it is not open. On success the topic is in the map.
    ///
    /// # Errors
    /// The topic cannot be opened.
    pub fn get(
        &mut self,
        name: &str,
        open: impl FnOnce(&str) -> Result<Topic, Error>,
    ) -> Result<Option<&Topic>, Error> {
        if !self.0.contains_key(name) {
            if self.0.len() >= OPEN_TOPICS_MAX {
                self.0.clear();
            }
            self.0.insert(name.to_owned(), open(name)?);
        }
        Ok(self.0.get(name))
    }

    /// Closes all topics.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
