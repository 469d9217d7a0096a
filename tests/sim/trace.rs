//! The trace of a run, as one number and as counts. Two runs of a seed must give the same number, and the
//! counts show what was reached.

use std::collections::BTreeMap;

/// FNV-1a over everything that was written, answered and done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace(u64);

impl Default for Trace {
    fn default() -> Trace {
        Trace(0xcbf2_9ce4_8422_2325)
    }
}

impl Trace {
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.0 = (self.0 ^ 0x1ff).wrapping_mul(0x0100_0000_01b3);
    }

    pub fn number(&mut self, number: i64) {
        self.bytes(&number.to_be_bytes());
    }
}

/// How often each event occurred, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub faults: BTreeMap<&'static str, u64>,
    pub states: BTreeMap<&'static str, u64>,
    pub simulated_ms: u64,
    pub steps: u64,
    pub requests: u64,
    pub commits: u64,
}

impl Coverage {
    pub fn fault(&mut self, name: &'static str) {
        *self.faults.entry(name).or_default() += 1;
    }

    pub fn state(&mut self, name: &'static str) {
        *self.states.entry(name).or_default() += 1;
    }

    pub fn add(&mut self, other: &Coverage) {
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
        for (name, count) in &other.states {
            *self.states.entry(name).or_default() += count;
        }
        self.simulated_ms += other.simulated_ms;
        self.steps += other.steps;
        self.requests += other.requests;
        self.commits += other.commits;
    }

    pub fn print(&self, seeds: u64) {
        let hours = self.simulated_ms as f64 / 3_600_000.0;
        println!(
            "{seeds} seeds: {hours:.1} simulated hours, {} steps, {} requests, {} commits",
            self.steps, self.requests, self.commits
        );
        println!("faults:");
        for (name, count) in &self.faults {
            println!("  {count:>9}  {name}");
        }
        println!("states reached:");
        for (name, count) in &self.states {
            println!("  {count:>9}  {name}");
        }
    }
}
