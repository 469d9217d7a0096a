//! Metrics of the process, under the names that every Prometheus client library uses. They are read from
//! `/proc` at each scrape. On other systems than Linux the series are absent.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};
use prometheus::{Error, Registry};

use super::names::{
    Named, PROCESS_CPU, PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_RESIDENT, PROCESS_START,
    PROCESS_THREADS, PROCESS_VIRTUAL,
};

/// Linux reports times to user space in hundredths of a second on every machine that this program runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The page size is not in `/proc`, but both sizes of memory are there in KiB as well.
const KIB: f64 = 1024.0;

struct Process {
    descs: Vec<Desc>,
}

const METRICS: [(Named, MetricType); 7] = [
    (PROCESS_CPU, MetricType::COUNTER),
    (PROCESS_RESIDENT, MetricType::GAUGE),
    (PROCESS_VIRTUAL, MetricType::GAUGE),
    (PROCESS_THREADS, MetricType::GAUGE),
    (PROCESS_OPEN_FDS, MetricType::GAUGE),
    (PROCESS_MAX_FDS, MetricType::GAUGE),
    (PROCESS_START, MetricType::GAUGE),
];

pub(crate) fn register(registry: &Registry) -> Result<(), Error> {
    let desc = |((name, help), _): &(Named, MetricType)| {
        Desc::new(
            (*name).to_owned(),
            (*help).to_owned(),
            Vec::new(),
            std::collections::HashMap::new(),
        )
    };
    let descs = METRICS.iter().map(desc).collect::<Result<_, _>>()?;
    registry.register(Box::new(Process { descs }))
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let values = [
            cpu_seconds(),
            status("VmRSS:").map(|kib| kib * KIB),
            status("VmSize:").map(|kib| kib * KIB),
            status("Threads:"),
            open_fds(),
            max_fds(),
            start_seconds(),
        ];
        let known = METRICS.into_iter().zip(values);
        known
            .filter_map(|(metric, value)| Some(family(metric, value?)))
            .collect()
    }
}

fn family(((name, help), kind): (Named, MetricType), value: f64) -> MetricFamily {
    let mut metric = Metric::default();
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}

/// The fields of `/proc/self/stat` from the third on. The name before them may hold any text.
fn stat(index: usize) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_whitespace().nth(index)?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    Some((stat(11)? + stat(12)?) / TICKS_PER_SECOND)
}

fn start_seconds() -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let booted = system
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    Some(booted.trim().parse::<f64>().ok()? + stat(19)? / TICKS_PER_SECOND)
}

fn status(field: &str) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    value.split_whitespace().next()?.parse().ok()
}

fn open_fds() -> Option<f64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    u32::try_from(open).ok().map(f64::from)
}

fn max_fds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let limits = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    // "unlimited" is not a number, so the series is absent then.
    limits.split_whitespace().next()?.parse().ok()
}
