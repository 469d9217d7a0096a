//! Creates and registers metrics of each type.

#[cfg(target_os = "linux")]
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Error, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use super::names::{BUILD_INFO, Named};

/// Registers the release, and on Linux the metrics of the process, under the names that every Prometheus client
/// library uses.
pub(crate) fn program(registry: &Registry) -> Result<(), Error> {
    let build = gauges(registry, BUILD_INFO, &["version"])?;
    build
        .get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?
        .set(1);
    #[cfg(target_os = "linux")]
    registry.register(Box::new(ProcessCollector::for_self()))?;
    Ok(())
}

pub(super) fn counter(registry: &Registry, (name, help): Named) -> Result<IntCounter, Error> {
    let metric = IntCounter::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(crate) fn counters(
    registry: &Registry,
    (name, help): Named,
    label: &str,
) -> Result<IntCounterVec, Error> {
    let metric = IntCounterVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(crate) fn gauge(registry: &Registry, (name, help): Named) -> Result<IntGauge, Error> {
    let metric = IntGauge::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(crate) fn gauges(
    registry: &Registry,
    (name, help): Named,
    labels: &[&str],
) -> Result<IntGaugeVec, Error> {
    let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(super) fn float_gauge(registry: &Registry, (name, help): Named) -> Result<Gauge, Error> {
    let metric = Gauge::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(super) fn float_gauges(registry: &Registry, (name, help): Named) -> Result<GaugeVec, Error> {
    let metric = GaugeVec::new(Opts::new(name, help), &["partition"])?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(crate) fn histogram(
    registry: &Registry,
    (name, help): Named,
    buckets: &[f64],
) -> Result<Histogram, Error> {
    let metric = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
