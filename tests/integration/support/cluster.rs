//! Kafka for the scenarios: one broker that all scenarios share, and others on request.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sequencer::embedded::{Kafka, Options};

use super::signal;

/// The directory for data and logs of this run. It stays until the next run begins, for the analysis of a
/// failure.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("integration");
        fs::create_dir_all(&root).unwrap();
        remove_earlier_runs(&root);
        let own = root.join(std::process::id().to_string());
        fs::create_dir_all(&own).unwrap();
        own
    })
}

/// Removes the directories of earlier runs. Each run has a directory named by its process, so that two runs at
/// a time do not collide.
fn remove_earlier_runs(root: &Path) {
    for entry in fs::read_dir(root).unwrap().flatten() {
        let process = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if !process.is_some_and(signal::is_running) {
            // Another run may be removing the directory at the same time.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Starts a broker with its own data, which runs until the value is dropped.
pub fn own_broker(name: &str) -> Kafka {
    Kafka::start(Options::single(directory().join(name))).unwrap()
}

/// Starts a broker like [`own_broker`], with additional settings in its `server.properties`.
pub fn own_broker_with(name: &str, properties: &[(&str, &str)]) -> Kafka {
    let mut options = Options::single(directory().join(name));
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    options.properties = properties.iter().map(owned).collect();
    Kafka::start(options).unwrap()
}

/// The address of the shared broker, which is started on first use. It ends with this process: see
/// `sequencer::embedded`.
pub fn shared_bootstrap() -> &'static str {
    static SHARED: OnceLock<Kafka> = OnceLock::new();
    SHARED.get_or_init(|| own_broker("kafka")).bootstrap()
}
