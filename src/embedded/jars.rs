//! Kafka's jars. Maven fetches them once, and all processes of this user share them.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::lock::Lock;
use super::{Error, process};

/// Names each jar and its version.
const POM: &str = include_str!("../../deploy/kafka/pom.xml");

/// A fast line takes ten seconds for these 45 MB. This limit is for a slow line.
const FETCH_LIMIT: Duration = Duration::from_secs(600);

/// The wait for another process that may be fetching. It is a little longer than that process's own fetch may
/// take.
const LOCK_PATIENCE: Duration = Duration::from_secs(FETCH_LIMIT.as_secs() + 10);

/// The directory of fetched jars: `$SEQUENCER_CACHE`, else `$XDG_CACHE_HOME/sequencer`, else
/// `~/.cache/sequencer`. All of it can be deleted; needed files are fetched again.
pub fn cache_directory() -> PathBuf {
    choose(
        env::var_os("SEQUENCER_CACHE"),
        env::var_os("XDG_CACHE_HOME"),
        env::home_dir(),
    )
}

fn choose(own: Option<OsString>, xdg: Option<OsString>, home: Option<PathBuf>) -> PathBuf {
    let set = |value: Option<OsString>| value.filter(|value| !value.is_empty()).map(PathBuf::from);
    set(own)
        .or_else(|| set(xdg).map(|cache| cache.join("sequencer")))
        .or_else(|| home.map(|home| home.join(".cache").join("sequencer")))
        .unwrap_or_else(|| env::temp_dir().join("sequencer-cache"))
}

/// The directory with the jars in `jars/`. Fetches them if they do not exist yet.
pub(super) fn installed() -> Result<PathBuf, Error> {
    // The brokers run in directories of their own, so the path must be absolute.
    let cache = std::path::absolute(cache_directory()).map_err(Error::at("cache"))?;
    let name = format!("kafka-4.3.0-{:016x}", fnv1a(POM));
    let directory = cache.join(&name);
    if directory.is_dir() {
        return Ok(directory);
    }
    fs::create_dir_all(&cache).map_err(Error::at(&cache))?;
    let _lock = Lock::acquire(&cache, LOCK_PATIENCE)?;
    if !directory.is_dir() {
        // The directory gets its name when it is complete, so no process sees a part of it.
        let partial = cache.join(format!("{name}.partial"));
        fetch(&partial)?;
        fs::rename(&partial, &directory).map_err(Error::at(&directory))?;
    }
    Ok(directory)
}

/// Fetches into `partial`, which may hold the remains of an earlier attempt.
fn fetch(partial: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::at(partial)(error));
        }
        _ => {}
    }
    fs::create_dir(partial).map_err(Error::at(partial))?;
    let pom = partial.join("pom.xml");
    fs::write(&pom, POM).map_err(Error::at(&pom))?;
    let log_path = partial.join("maven.log");
    let log = File::create(&log_path).map_err(Error::at(&log_path))?;
    let errors = log.try_clone().map_err(Error::at(&log_path))?;

    tracing::info!(directory = %partial.display(), "fetching kafka, once");
    let mut maven = Command::new("mvn");
    maven
        .current_dir(partial)
        // Quiet, without questions, and failing on a checksum that does not match.
        .args(["-q", "-B", "-C", "-f", "pom.xml"])
        .args([
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            "-DoutputDirectory=jars",
        ])
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    let status = process::run(&mut maven, FETCH_LIMIT).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::MavenMissing,
        _ => Error::at("mvn")(error),
    })?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(_) => Err(Error::Fetch {
            reason: process::tail(&log_path),
        }),
        None => Err(Error::Fetch {
            reason: format!("not done after {} s", FETCH_LIMIT.as_secs()),
        }),
    }
}

/// FNV-1a, which unlike the standard library's hash is the same in every release.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Kafka's name and version.
pub fn kafka_version() -> String {
    let version = POM
        .split_once("<artifactId>kafka_2.13</artifactId>")
        .and_then(|(_, rest)| rest.split_once("<version>"))
        .and_then(|(_, rest)| rest.split_once('<'))
        .map_or("", |(version, _)| version);
    format!("Apache Kafka {version}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_fetched() {
        let version = kafka_version();
        let digits = version.strip_prefix("Apache Kafka ").unwrap();
        assert!(
            digits.starts_with(|c: char| c.is_ascii_digit()),
            "{version}"
        );
    }

    #[test]
    fn the_cache_is_the_first_place_that_is_named() {
        let os = |text: &str| Some(OsString::from(text));
        let home = || Some(PathBuf::from("/h"));
        assert_eq!(
            choose(os("/own"), os("/xdg"), home()),
            PathBuf::from("/own")
        );
        assert_eq!(
            choose(None, os("/xdg"), home()),
            PathBuf::from("/xdg/sequencer")
        );
        assert_eq!(
            choose(os(""), os(""), home()),
            PathBuf::from("/h/.cache/sequencer")
        );
        assert_eq!(
            choose(None, None, None),
            env::temp_dir().join("sequencer-cache")
        );
    }

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
    }
}
