//! The history of a run that failed, or that the user asked to keep: the logs of the instances, the brokers'
//! data, and the time of each event.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::cluster;

/// The directories of one run.
pub struct History {
    name: String,
    kafka: PathBuf,
}

impl History {
    pub fn new(name: &str) -> History {
        let kafka = cluster::directory().join(name);
        History {
            name: name.to_owned(),
            kafka,
        }
    }

    /// The directory of the brokers.
    pub fn kafka(&self) -> &Path {
        &self.kafka
    }

    /// Moves the history to a place that no later run removes. All processes of the run must have ended.
    pub fn keep(&self, events: &str) {
        let process = std::process::id();
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("chaos-kept")
            .join(format!("{}-{process}", self.name));
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join("events.txt"), events).unwrap();
        fs::rename(&self.kafka, kept.join("kafka")).unwrap();
        for entry in fs::read_dir(cluster::directory()).unwrap().flatten() {
            let log = entry.path();
            let name = entry.file_name();
            let of_this_run = name.to_string_lossy().starts_with(&self.name);
            if of_this_run && log.extension().is_some_and(|extension| extension == "log") {
                fs::copy(&log, kept.join(&name)).unwrap();
            }
        }
        println!("the history of this run is in {}", kept.display());
    }

    /// Removes the history of a run that passed.
    pub fn forget(&self) {
        fs::remove_dir_all(&self.kafka).unwrap();
    }
}
