//! The machine of a run, without which its figures mean nothing.

use std::fs;
use std::thread;

use serde::Serialize;

/// The machine and the versions of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// Version of the service.
    pub sequencer: String,
    /// Version of the Kafka client library.
    pub librdkafka: String,
    /// A description of the cluster.
    pub kafka: String,
    /// The processor.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The operating system.
    pub system: String,
    /// Load averages at the start: other work on the machine makes every figure worse.
    pub load_before: String,
    /// Load averages at the end.
    pub load_after: String,
}

impl Machine {
    /// Describes this machine as it is now.
    pub fn of(kafka: String, librdkafka: String) -> Machine {
        let cpus = read("/proc/cpuinfo");
        let memory = read("/proc/meminfo");
        let kilobytes = field(&memory, "MemTotal")
            .and_then(|value| value.trim_end_matches(" kB").trim().parse::<u64>().ok());
        let kernel = read("/proc/sys/kernel/osrelease");
        Machine {
            sequencer: env!("CARGO_PKG_VERSION").to_owned(),
            librdkafka,
            kafka,
            cpu: field(&cpus, "model name").unwrap_or("unknown").to_owned(),
            cores: thread::available_parallelism().map_or(1, Into::into),
            memory_mib: kilobytes.unwrap_or(0) / 1024,
            system: format!("{} {}", std::env::consts::OS, kernel.trim()),
            load_before: load(),
            load_after: String::new(),
        }
    }

    /// Names and values for the printed report.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        vec![
            ("sequencer", self.sequencer.clone()),
            ("librdkafka", self.librdkafka.clone()),
            ("Kafka", self.kafka.clone()),
            ("processor", format!("{}, {} cores", self.cpu, self.cores)),
            ("memory", format!("{} MiB", self.memory_mib)),
            ("system", self.system.clone()),
            (
                "load average",
                format!("{} before, {} after", self.load_before, self.load_after),
            ),
        ]
    }
}

/// Load averages over 1, 5 and 15 minutes.
pub fn load() -> String {
    let load = read("/proc/loadavg");
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}
