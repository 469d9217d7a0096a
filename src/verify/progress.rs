//! Shows the progress on standard error: a bar on a terminal, a line every few seconds elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// The interval at which the bar is drawn.
const BAR_INTERVAL: Duration = Duration::from_millis(200);
/// The interval at which a line is written if there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Steps between two looks at the clock.
const STEPS: u32 = 1_024;
/// Width of the bar in characters.
const WIDTH: u64 = 30;

/// Shows the progress of a check.
pub struct Progress {
    terminal: bool,
    quiet: bool,
    stage: String,
    total: u64,
    done: u64,
    steps: u32,
    began: Instant,
    told: Instant,
}

impl Progress {
    /// Shows the progress on standard error.
    pub fn on_stderr() -> Progress {
        Progress::new(io::stderr().is_terminal(), false)
    }

    /// Shows nothing.
    pub fn none() -> Progress {
        Progress::new(false, true)
    }

    fn new(terminal: bool, quiet: bool) -> Progress {
        let now = Instant::now();
        Progress {
            terminal,
            quiet,
            stage: String::new(),
            total: 0,
            done: 0,
            steps: 0,
            began: now,
            told: now,
        }
    }

    /// Begins the next stage, with `total` units of work.
    pub fn stage(&mut self, stage: impl Into<String>, total: u64) {
        self.stage = stage.into();
        self.total = total;
        self.done = 0;
        self.steps = 0;
        if self.terminal {
            self.tell();
        }
    }

    /// Notes that `done` units of the stage are done.
    pub fn reached(&mut self, done: u64) {
        self.done = done;
        self.steps += 1;
        if self.steps < STEPS {
            return;
        }
        self.steps = 0;
        let interval = if self.terminal {
            BAR_INTERVAL
        } else {
            LINE_INTERVAL
        };
        if self.told.elapsed() >= interval {
            self.tell();
        }
    }

    /// Notes that `done` units are done, and draws at once, because the next call is a while away.
    pub fn waiting(&mut self, done: u64) {
        self.steps = STEPS;
        self.reached(done);
    }

    /// Removes the bar.
    pub fn end(&mut self) {
        if self.terminal && !self.quiet {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn tell(&mut self) {
        self.told = Instant::now();
        if self.quiet {
            return;
        }
        let line = line(&self.stage, self.done, self.total, self.terminal);
        let seconds = self.began.elapsed().as_secs();
        // If standard error is closed, the output has no reader.
        let _ = if self.terminal {
            write!(io::stderr(), "\r\x1b[K{line}  {seconds} s")
        } else {
            writeln!(io::stderr(), "{line}  {seconds} s")
        };
    }
}

fn line(stage: &str, done: u64, total: u64, bar: bool) -> String {
    let done = done.min(total);
    let part = |of: u64| (u128::from(done) * u128::from(of) / u128::from(total.max(1))) as usize;
    let percent = part(100);
    if !bar {
        return format!("{stage}: {percent} %, {done} of {total}");
    }
    let full = part(WIDTH);
    let empty = usize::try_from(WIDTH).unwrap_or(0) - full;
    let (full, empty) = ("#".repeat(full), "-".repeat(empty));
    format!("[{full}{empty}] {percent:>3} %  {stage}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_on_a_terminal_and_a_line_elsewhere() {
        let half = line("replies", 5, 10, true);
        assert_eq!(half, "[###############---------------]  50 %  replies");
        assert_eq!(line("replies", 5, 10, false), "replies: 50 %, 5 of 10");
        assert_eq!(line("replies", 0, 0, false), "replies: 0 %, 0 of 0");
    }
}
