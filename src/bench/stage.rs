//! The cluster, and everything that a run makes and must remove.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::error::Error;
use super::figure::Figure;
use super::machine::{self, Machine};
use super::options::Options;
use super::report::{Curve, Report};
use super::series::{Figures, Key, shown};
use crate::embedded::{self, Kafka};
use crate::kafka::admin::topics::{
    NewTopic, default_replication, ledger, replies, requests, state,
};
use crate::kafka::admin::{Admin, Cluster};
use crate::kafka::clients::Connection;
use crate::kafka::oauth::Tokens;
use crate::kafka::tools::measure;
use crate::service::settings::redact;

/// The client ID of a measurement, which brokers' logs show.
const CLIENT: &str = "sequencer-bench";

/// The topics of one service.
#[derive(Clone, Debug)]
pub struct Topics {
    /// The request topic.
    pub requests: String,
    /// The default reply topic.
    pub replies: String,
    /// The state topic.
    pub state: String,
    /// The ledger.
    pub ledger: String,
    /// Number of partitions of each topic.
    pub partitions: u32,
}

/// A check of the topics of a service that has been measured and stopped, before they are deleted.
pub type Judge<'a> = &'a dyn Fn(&mut Stage<'_>, &Topics) -> Result<(), Error>;

/// The cluster, and everything that a run makes and must remove.
pub struct Stage<'a> {
    /// The options of the run.
    pub options: &'a Options,
    /// The connection to the cluster.
    pub connection: Connection,
    admin: Admin,
    // Must be dropped before the directory.
    kafka: Option<Kafka>,
    directory: Directory,
    stop: &'a dyn Fn() -> bool,
    judge: Option<Judge<'a>>,
    out: &'a mut dyn Write,
    replication: u32,
    /// A part of every name that this run makes.
    run: String,
    serial: u32,
    topics: Vec<String>,
    figures: Figures,
    report: Report,
    began: Instant,
}

impl<'a> Stage<'a> {
    /// Connects to the cluster, or starts one.
    ///
    /// # Errors
    /// The cluster cannot be reached or started.
    pub fn open(
        options: &'a Options,
        stop: &'a dyn Fn() -> bool,
        out: &'a mut dyn Write,
    ) -> Result<Stage<'a>, Error> {
        let began = Instant::now();
        let directory = Directory::make(&options.directory)?;
        let kafka = match &options.brokers {
            Some(_) => None,
            None => {
                say(out, "starting a Kafka for this run")?;
                let kafka = embedded::Options::single(directory.0.join("kafka"));
                Some(Kafka::start(kafka)?)
            }
        };
        let bootstrap = kafka.as_ref().map(Kafka::bootstrap);
        let brokers = options.brokers.as_deref().or(bootstrap).unwrap_or("");
        let connection = Connection {
            brokers: brokers.to_owned(),
            properties: options.properties.clone(),
            group: CLIENT.to_owned(),
            instance_id: CLIENT.to_owned(),
            awaited_transactions: true,
            tokens: Tokens::of(&options.properties),
        };
        let admin = Admin::new(&connection.admin())?;
        let cluster = admin.cluster()?;
        let machine = Machine::of(
            described(&cluster, options.brokers.is_none()),
            measure::library_version(),
        );
        let run = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Ok(Stage {
            replication: default_replication(cluster.brokers),
            report: Report::new(machine, options),
            options,
            connection,
            admin,
            kafka,
            directory,
            stop,
            judge: None,
            out,
            run: format!("sequencer-bench-{run}-{}", std::process::id()),
            serial: 0,
            topics: Vec::new(),
            figures: Figures::default(),
            began,
        })
    }

    /// Adds a judge of the service's answers.
    pub fn judged(self, judge: Judge<'a>) -> Stage<'a> {
        Stage {
            judge: Some(judge),
            ..self
        }
    }

    /// A function that returns true once the user has asked for a stop.
    pub fn stopping(&self) -> &'a dyn Fn() -> bool {
        self.stop
    }

    /// Returns an error once the user has asked for a stop.
    pub fn check(&self) -> Result<(), Error> {
        if (self.stop)() {
            return Err(Error::Stopped);
        }
        Ok(())
    }

    /// The directory for logs.
    pub fn directory(&self) -> &Path {
        &self.directory.0
    }

    /// The process ID of the only broker, if this run started it.
    pub fn broker(&mut self) -> Option<u32> {
        self.kafka.as_mut()?.pid(0)
    }

    /// A name that is unique in this cluster.
    pub fn unique(&mut self, what: &str) -> String {
        self.serial += 1;
        format!("{}-{what}-{}", self.run, self.serial)
    }

    /// Makes a request topic with this number of partitions.
    pub fn request_topic(&mut self, partitions: u32) -> Result<String, Error> {
        let name = self.unique("requests");
        self.create(vec![requests(&name, partitions, self.replication)])?;
        Ok(name)
    }

    /// Makes a reply topic.
    pub fn reply_topic(&mut self, partitions: u32) -> Result<String, Error> {
        let name = self.unique("replies");
        self.create(vec![replies(&name, partitions, self.replication)])?;
        Ok(name)
    }

    /// Makes the reply topic and the state topic for a service on a request topic.
    pub fn service_topics(&mut self, requests: &str, partitions: u32) -> Result<Topics, Error> {
        let topics = Topics {
            requests: requests.to_owned(),
            replies: self.unique("replies"),
            state: self.unique("state"),
            ledger: self.unique("ledger"),
            partitions,
        };
        self.create(vec![
            replies(&topics.replies, partitions, self.replication),
            state(&topics.state, partitions, self.replication),
            ledger(&topics.ledger, partitions, self.replication),
        ])?;
        Ok(topics)
    }

    fn create(&mut self, topics: Vec<NewTopic>) -> Result<(), Error> {
        // A deletion is also tried for a topic that was not created in the end.
        self.topics
            .extend(topics.iter().map(|topic| topic.name.clone()));
        Ok(self.admin.create_new(&topics)?)
    }

    /// Deletes one topic of this run.
    pub fn delete(&mut self, topic: &str) -> Result<(), Error> {
        self.topics.retain(|known| known != topic);
        Ok(self.admin.delete_topic(topic)?)
    }

    /// Deletes all topics of one service of this run.
    pub fn delete_of(&mut self, topics: &Topics) -> Result<(), Error> {
        let Topics {
            requests,
            replies,
            state,
            ledger,
            partitions: _,
        } = topics;
        for topic in [requests, replies, state, ledger] {
            self.delete(topic)?;
        }
        Ok(())
    }

    /// Deletes all topics of this run.
    pub fn delete_topics(&mut self) -> Result<(), Error> {
        let mut result = Ok(());
        for topic in std::mem::take(&mut self.topics) {
            // Each deletion is tried, also after a failure.
            if let Err(error) = self.admin.delete_topic(&topic) {
                result = Err(error.into());
            }
        }
        result
    }

    /// Removes what other users of the cluster would find. Dropping this value removes the rest.
    pub fn clear(&mut self) -> Result<(), Error> {
        match self.kafka {
            // The whole cluster is removed.
            Some(_) => Ok(()),
            None => self.delete_topics(),
        }
    }

    /// Prints a line and flushes the output.
    pub fn say(&mut self, line: &str) -> Result<(), Error> {
        let seconds = self.began.elapsed().as_secs();
        let line = format!("{:>4}:{:02}  {line}", seconds / 60, seconds % 60);
        say(self.out, &line)
    }

    /// Adds a note that a reader of the figures needs.
    pub fn note(&mut self, note: String) -> Result<(), Error> {
        self.say(&format!("note: {note}"))?;
        if !self.report.notes.contains(&note) {
            self.report.notes.push(note);
        }
        Ok(())
    }

    /// Records a figure.
    pub fn figure(
        &mut self,
        (scenario, setting): (&'static str, &str),
        subject: &str,
        figure: Figure,
        round: usize,
        value: f64,
    ) {
        let key = Key {
            scenario,
            setting: setting.to_owned(),
            subject: subject.to_owned(),
            figure,
        };
        self.figures.add(key, round, value);
    }

    /// Records a latency curve.
    pub fn curve(&mut self, curve: Curve) {
        self.report.curves.push(curve);
    }

    /// Call this when a service has been measured and has stopped, before its topics are deleted.
    ///
    /// # Errors
    /// The errors of the judge.
    pub fn answered(&mut self, topics: &Topics) -> Result<(), Error> {
        self.judge.map_or(Ok(()), |judge| judge(self, topics))
    }

    /// Records a setting of the run.
    pub fn setting(&mut self, name: &str, value: String) {
        self.report.settings.push((name.to_owned(), value));
    }

    /// Records the configuration of the clients that service and floors share.
    pub fn describe_clients(&mut self) {
        let clients = measure::configurations(&self.connection);
        for (client, properties) in clients {
            let properties: Vec<String> = properties
                .iter()
                .map(|(property, value)| format!("{property}={}", redact(property, value)))
                .collect();
            self.setting(&format!("client: {client}"), properties.join(" "));
        }
    }

    /// Records, once, the settings that a service wrote to its log.
    pub fn describe_service(&mut self, log: &str) {
        const NAME: &str = "settings of the first serve, but for defaults";
        let settings = log.lines().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let fields = line.get("fields").unwrap_or(&line);
            (fields.get("message")? == "starting").then_some(())?;
            fields.get("settings")?.as_str().map(str::to_owned)
        });
        let known = self.report.settings.iter().any(|(name, _)| name == NAME);
        if let (Some(settings), false) = (settings, known) {
            self.setting(NAME, settings);
        }
    }

    /// Ends the run and returns its report.
    pub fn into_report(self) -> Report {
        let mut report = self.report;
        report.machine.load_after = machine::load();
        report.seconds = Duration::as_secs_f64(&self.began.elapsed());
        report.series = self.figures.finish();
        report
    }
}

fn say(out: &mut dyn Write, line: &str) -> Result<(), Error> {
    let failed = Error::system("write to standard output");
    writeln!(out, "{line}").map_err(&failed)?;
    out.flush().map_err(&failed)
}

fn described(cluster: &Cluster, ours: bool) -> String {
    let brokers = match cluster.brokers {
        1 => "1 broker".to_owned(),
        brokers => format!("{brokers} brokers"),
    };
    if ours {
        format!(
            "{}, {brokers}, started for this run on this machine",
            embedded::kafka_version()
        )
    } else {
        format!("{brokers}, not started by this run")
    }
}

/// A directory of this run alone. It is removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn make(parent: &Path) -> Result<Directory, Error> {
        let path = parent.join(format!("sequencer-bench-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(Error::system("make a directory for the run"))?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "directory of the run not removed");
        }
    }
}

/// Formats a rate for a progress line.
pub fn per_second(rate: f64) -> String {
    format!("{}/s", shown(rate))
}
