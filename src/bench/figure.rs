//! The figures that are measured, and the subjects that they are compared with.
//!
//! All code that measures, reports or judges takes the names of figures and subjects from this file.

use serde::{Serialize, Serializer};

/// The echo that writes the same bytes.
pub const FLOOR: &str = "floor";
/// The echo that writes a record of the reply's size. Every figure of a drain is compared with it.
pub const EQUAL_BYTES: &str = "equal-bytes floor";
/// The echo that sends each record at once. Every latency is compared with it.
pub const ECHO: &str = "echo";
/// The echo that chooses between its producers as the service does.
pub const ECHO_ADAPTIVE: &str = "echo, adaptive";

/// A measured figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Requests answered in a second.
    Rate,
    /// CPU time of the subject for each request, in microseconds.
    Cpu,
    /// CPU time of the broker for each request, in microseconds.
    BrokerCpu,
    /// The share of all cores that subject, broker and measurement use together.
    Busy,
    /// Memory of the subject at the end, in MiB.
    Resident,
    /// A quantile of the latencies, in milliseconds.
    Latency(Quantile),
    /// A figure of a scenario outside this program.
    Further {
        /// Its name, with the unit.
        name: &'static str,
        /// The subject that it is compared with, if any.
        against: Option<&'static str>,
    },
}

/// A quantile of latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantile {
    /// The median.
    P50,
    /// 90 %.
    P90,
    /// 99 %.
    P99,
    /// 99.9 %.
    P999,
    /// The longest.
    Max,
}

impl Quantile {
    /// All quantiles.
    pub const ALL: [Quantile; 5] = [
        Quantile::P50,
        Quantile::P90,
        Quantile::P99,
        Quantile::P999,
        Quantile::Max,
    ];

    /// The share of requests that took no longer.
    pub const fn share(self) -> f64 {
        match self {
            Quantile::P50 => 0.5,
            Quantile::P90 => 0.9,
            Quantile::P99 => 0.99,
            Quantile::P999 => 0.999,
            Quantile::Max => 1.0,
        }
    }

    /// The name without the unit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Quantile::P50 => "p50",
            Quantile::P90 => "p90",
            Quantile::P99 => "p99",
            Quantile::P999 => "p99.9",
            Quantile::Max => "max",
        }
    }
}

impl Figure {
    /// The name, with the unit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Figure::Rate => "requests/s",
            Figure::Cpu => "CPU, µs/request",
            Figure::BrokerCpu => "broker's CPU, µs/request",
            Figure::Busy => "share of all cores",
            Figure::Resident => "memory, MiB",
            Figure::Latency(Quantile::P50) => "p50, ms",
            Figure::Latency(Quantile::P90) => "p90, ms",
            Figure::Latency(Quantile::P99) => "p99, ms",
            Figure::Latency(Quantile::P999) => "p99.9, ms",
            Figure::Latency(Quantile::Max) => "max, ms",
            Figure::Further { name, .. } => name,
        }
    }

    /// The subject that the figure is compared with, if any.
    pub const fn against(self) -> Option<&'static str> {
        match self {
            Figure::Rate | Figure::Cpu => Some(EQUAL_BYTES),
            Figure::BrokerCpu | Figure::Busy | Figure::Resident => None,
            Figure::Latency(_) => Some(ECHO),
            Figure::Further { against, .. } => against,
        }
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_latency_is_its_quantile_with_the_unit() {
        for quantile in Quantile::ALL {
            let name = Figure::Latency(quantile).as_str();
            assert_eq!(name, format!("{}, ms", quantile.as_str()));
        }
    }
}
