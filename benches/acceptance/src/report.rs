//! What a run came to: the figures, what they should be, and whether the answers were right.

use std::io::{self, Write};

use sequencer::bench;
use serde::Serialize;

use crate::bars::{self, Bar};
use crate::verified::Verified;

/// What a run came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// As `sequencer bench` has it.
    #[serde(flatten)]
    pub measured: bench::Report,
    /// What should be, and is or is not.
    pub bars: Vec<Bar>,
    /// What the service answered in all this, against the promise.
    pub verified: Verified,
}

impl Report {
    /// Judges what was measured; `rewrite_floor` is the service's `restore.rewrite_floor_records`.
    pub fn new(measured: bench::Report, verified: Verified, rewrite_floor: u64) -> Report {
        let mut bars = bars::judge(&measured.series, measured.machine.cores, rewrite_floor);
        bars.extend(bars::promise(verified));
        Report {
            measured,
            bars,
            verified,
        }
    }

    /// Prints what was measured, and the bars; `table` prints rows under their heads.
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

/// Whether a bar is met, in a word.
pub fn met(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "-",
    }
}
