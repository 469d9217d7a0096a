//! Java with Kafka on its class path.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::java::Java;
use super::options::Jvm;
use super::{Error, jars};

/// The parts that are needed to run one of Kafka's main classes.
#[derive(Debug)]
pub(super) struct Runtime {
    java: Java,
    directory: PathBuf,
}

impl Runtime {
    /// Finds Java and Kafka's jars. Fetches the jars if they are missing.
    pub(super) fn prepare() -> Result<Runtime, Error> {
        Ok(Runtime {
            java: Java::find()?,
            directory: jars::installed()?,
        })
    }

    /// The archive of the classes that an earlier run loaded. It shortens a start by a third. Java ignores it
    /// when it does not fit.
    fn class_archive(&self) -> PathBuf {
        self.directory
            .join(format!("classes-{}.jsa", self.java.version))
    }

    /// A command that runs in `directory`. The caller adds a main class and its arguments.
    ///
    /// With `recording`, it writes its loaded classes to that directory when it ends, unless an archive exists
    /// already. Returns true when it does.
    pub(super) fn command(&self, directory: &Path, jvm: Jvm, recording: bool) -> (Command, bool) {
        let mut command = Command::new(&self.java.program);
        command
            .current_dir(directory)
            // In a C locale Java cannot enter a directory with letters beyond ASCII.
            .env("LC_ALL", UTF_8_LOCALE)
            // The serial collector takes the least CPU and memory for a heap of this size.
            .args([
                "-Xms64m",
                &format!("-Xmx{}m", jvm.heap_mb),
                "-XX:+UseSerialGC",
                "-XX:+ExitOnOutOfMemoryError",
            ]);
        if jvm.quick_compiler {
            command.arg("-XX:TieredStopAtLevel=1");
        }
        let archive = self.class_archive();
        let recording = recording && !archive.is_file();
        // The list of classes that do not fit into the archive has no use, and would hide the broker's last
        // output.
        command.arg("-Xlog:cds*=error");
        if recording {
            command.arg(format!("-XX:ArchiveClassesAtExit={RECORDED}"));
        } else if archive.is_file() {
            command
                .arg("-Xshare:auto")
                .arg(flag("-XX:SharedArchiveFile=", &archive));
        }
        command
            .arg("-Dlog4j2.configurationFile=log4j2.xml")
            .arg("-cp")
            .arg(self.directory.join("jars").join("*"));
        (command, recording)
    }

    /// Keeps the archive that a recording command wrote to `directory` before it ended. A failure only costs
    /// time at the next start.
    pub(super) fn keep_class_archive(&self, directory: &Path) {
        let recorded = directory.join(RECORDED);
        let archive = self.class_archive();
        let partial = archive.with_extension(format!("{}.partial", std::process::id()));
        // The file is copied first: the two directories may be on different file systems, and a rename is
        // atomic only within one.
        let kept = fs::copy(&recorded, &partial).and_then(|_| fs::rename(&partial, &archive));
        if let Err(error) = kept {
            tracing::debug!(%error, "kafka's classes not archived");
            let _ = fs::remove_file(&partial);
        }
        let _ = fs::remove_file(&recorded);
    }
}

const RECORDED: &str = "classes.jsa";

/// A locale of every Linux of the last years, in which file names are UTF-8 and messages are English. Where it
/// is missing, Java uses C, as it would without this setting. macOS takes UTF-8 in any locale.
const UTF_8_LOCALE: &str = "C.UTF-8";

fn flag(name: &str, path: &Path) -> std::ffi::OsString {
    let mut flag = std::ffi::OsString::from(name);
    flag.push(path);
    flag
}
