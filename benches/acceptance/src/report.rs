//! The result of a run: the figures, their bars, and the check of the answers.

use std::io::{self, Write};

use sequencer::bench;
use serde::Serialize;

use crate::bars::{self, Bar};
use crate::verified::Verified;

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The report in the form of `sequencer bench`.
    #[serde(flatten)]
    pub measured: bench::Report,
    /// The bars, reached or not.
    pub bars: Vec<Bar>,
    /// The check of all answers of the service against the promise.
    pub verified: Verified,
}

impl Report {
    /// Judges the figures. `rewrite_floor` is the service's `restore.rewrite_floor_records`.
    pub fn new(measured: bench::Report, verified: Verified, rewrite_floor: u64) -> Report {
        let mut bars = bars::judge(&measured.series, measured.machine.cores, rewrite_floor);
        bars.extend(bars::promise(verified));
        Report {
            measured,
            bars,
            verified,
        }
    }

    /// Prints the figures and the bars. `table` prints rows under their heads.
    pub fn print<W: Write>(
        &self,
        out: &mut W,
        table: impl Fn(&mut W, &[&str], Vec<Vec<String>>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.measured.print(out, &table)?;
        writeln!(out, "\nbars, by the median")?;
        let rows = self.bars.iter().map(|bar| {
            vec![
                bar.what.clone(),
                bar.measured.clone(),
                met(bar.met).to_owned(),
                bar.bar.clone(),
            ]
        });
        table(out, &["WHAT", "MEASURED", "MET", "BAR"], rows.collect())
    }
}

/// A word for the result of a bar.
pub fn met(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "-",
    }
}
