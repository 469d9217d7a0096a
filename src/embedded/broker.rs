//! One broker: its directory and its process.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::lock::Lock;
use super::options::Jvm;
use super::process::{self, Spawner};
use super::properties::Node;
use super::runtime::Runtime;
use super::system;
use super::{Error, probe};

/// Formatting takes under a second.
const FORMAT_LIMIT: Duration = Duration::from_secs(60);

/// Formatting loads a few classes and writes two small files.
const FORMAT_JVM: Jvm = Jvm {
    heap_mb: 128,
    quick_compiler: true,
};

const LOGGING: &str = include_str!("log4j2.xml");

/// A broker, running or not.
#[derive(Debug)]
pub(super) struct Broker {
    /// The index, from 0. The node's ID is one more.
    pub(super) index: usize,
    pub(super) node: Node,
    directory: PathBuf,
    /// Present until it has been waited for.
    child: Option<Child>,
    /// True when this run writes an archive of its classes if it ends well.
    recording: bool,
}

impl Broker {
    /// Writes the configuration of a broker that will run in `directory`.
    pub(super) fn configured(
        index: usize,
        node: Node,
        directory: PathBuf,
        properties: &str,
    ) -> Result<Broker, Error> {
        fs::create_dir_all(&directory).map_err(Error::at(&directory))?;
        for (name, text) in [("server.properties", properties), ("log4j2.xml", LOGGING)] {
            let path = directory.join(name);
            fs::write(&path, text).map_err(Error::at(&path))?;
        }
        Ok(Broker {
            index,
            node,
            directory,
            child: None,
            recording: false,
        })
    }

    /// Makes the data directory of a new member of `cluster_id`. An existing one is left alone.
    pub(super) fn format(
        &self,
        runtime: &Runtime,
        cluster_id: &str,
        users: &[(String, String)],
    ) -> Result<(), Error> {
        // This is the last file that formatting writes. Without it, formatting was interrupted and is done
        // again.
        if self
            .directory
            .join("data")
            .join("meta.properties")
            .is_file()
        {
            return Ok(());
        }
        let (output, errors) = self.process_log()?;
        let (mut command, _) = runtime.command(&self.directory, FORMAT_JVM, false);
        command
            .args([
                "kafka.tools.StorageTool",
                "format",
                "--config",
                "server.properties",
                "--cluster-id",
                cluster_id,
            ])
            .args(users.iter().flat_map(|(name, password)| {
                let user = format!("SCRAM-SHA-512=[name={name},password={password}]");
                ["--add-scram".to_owned(), user]
            }))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let status = process::run(&mut command, FORMAT_LIMIT).map_err(Error::at("java"))?;
        if status.is_some_and(|status| status.success()) {
            Ok(())
        } else {
            Err(Error::Format {
                broker: self.index,
                log: self.last_words(),
            })
        }
    }

    /// Starts the process. [`Broker::is_ready`] tells when it serves.
    pub(super) fn launch(
        &mut self,
        runtime: &Runtime,
        spawner: &Spawner,
        lock: &Lock,
        jvm: Jvm,
    ) -> Result<(), Error> {
        let (output, errors) = self.process_log()?;
        let (mut command, recording) = runtime.command(&self.directory, jvm, self.index == 0);
        command
            .args(["kafka.Kafka", "server.properties"])
            .stdin(lock.share().map_err(Error::at(&self.directory))?)
            .stdout(output)
            .stderr(errors)
            // Ctrl-C in the terminal reaches a whole process group. The brokers must not get it: this process
            // stops them when it no longer needs them.
            .process_group(0);
        let child = spawner.spawn(command).map_err(Error::at("java"))?;
        tracing::debug!(
            broker = self.index,
            pid = child.id(),
            port = self.node.client_port,
            "kafka broker launched"
        );
        self.child = Some(child);
        self.recording = recording;
        Ok(())
    }

    /// True when the broker answers and knows that all of `nodes` serve. An error when its process has ended.
    pub(super) fn is_ready(&mut self, cluster_id: &str, nodes: &[u32]) -> Result<bool, Error> {
        let child = self
            .child
            .as_mut()
            .ok_or(Error::NotRunning { broker: self.index })?;
        if let Some(status) = child.try_wait().map_err(Error::at(&self.directory))? {
            self.child = None;
            return Err(Error::Exited {
                broker: self.index,
                status,
                log: self.last_words(),
            });
        }
        // Before the broker listens, and while it loads, any error only means "not yet". An answer may come
        // from another cluster that took the port first.
        Ok(probe::ask(self.node.client_port).is_ok_and(|view| {
            view.cluster_id == cluster_id && nodes.iter().all(|node| view.nodes.contains(node))
        }))
    }

    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// The process ID, while the process runs.
    pub(super) fn pid(&mut self) -> Option<u32> {
        match self.is_running() {
            true => self.child.as_ref().map(Child::id),
            false => None,
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Asks a running broker for a clean stop.
    pub(super) fn terminate(&mut self) -> Result<(), Error> {
        let not_running = Error::NotRunning { broker: self.index };
        let Some(child) = self.child.as_mut() else {
            return Err(not_running);
        };
        system::terminate(child).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => not_running,
            _ => Error::at(&self.directory)(error),
        })
    }

    /// Waits for a broker that was asked to end. True when it has ended.
    pub(super) fn ended(&mut self, runtime: &Runtime, limit: Duration) -> Result<bool, Error> {
        let Some(child) = self.child.as_mut() else {
            return Ok(true);
        };
        if process::wait(child, limit)
            .map_err(Error::at(&self.directory))?
            .is_none()
        {
            return Ok(false);
        }
        self.child = None;
        if std::mem::take(&mut self.recording) {
            runtime.keep_class_archive(&self.directory);
        }
        Ok(true)
    }

    /// Sends SIGKILL, which also ends a paused broker.
    pub(super) fn kill(&mut self) -> Result<(), Error> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        process::kill(&mut child).map_err(Error::at(&self.directory))
    }

    /// The last lines of its output, as the reason why it ended.
    pub(super) fn last_words(&self) -> String {
        process::tail(&self.directory.join("process.log"))
    }

    /// A new file for the process's own output. Kafka's log goes to `broker.log`.
    fn process_log(&self) -> Result<(File, File), Error> {
        let path = self.directory.join("process.log");
        File::create(&path)
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(Error::at(&path))
    }
}
