//! Topics that clients name, kept open between two records to them.

use std::collections::BTreeMap;

use super::Topic;
use crate::kafka::error::Error;

/// Topics kept open at a time; beyond it all are opened anew when they are used.
const OPEN_TOPICS_MAX: usize = 1_000;

/// Topics of one producer, by name. Must be dropped before it.
#[derive(Default)]
pub struct OpenTopics(BTreeMap<String, Topic>);

impl OpenTopics {
    /// The topic of that name, opened unless it is; it is there when this succeeds.
    ///
    /// # Errors
    /// It cannot be opened.
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

    /// Closes all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
