//! Checks all answers of the measured service against the promise, by `sequencer verify` in a process of its
//! own, before the topics are deleted. A fast answer counts only if it is right.

use std::cell::Cell;
use std::process::{Command, Stdio};

use sequencer::bench::stage::Topics;
use sequencer::bench::{Error, Stage, server};
use sequencer::embedded::die_with_parent;
use serde::{Deserialize, Serialize};

/// Characters of its output that go into a note.
const WORDS_MAX: usize = 300;
/// The memory limit of `verify`, in MB. Half of it is for the known sequences of one partition, at about 400
/// bytes each. With `--large` there are 2,500,000 of them.
const MEMORY_MB: &str = "3000";

/// The result of verifying the logs of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Services whose topics were checked.
    pub logs: u64,
    /// Requests in these logs.
    pub requests: u64,
    /// Anomalies that were found.
    pub anomalies: u64,
    /// Services that could not be verified.
    pub failed: u64,
}

/// The used fields of a report of `verify --json`.
#[derive(Deserialize)]
struct Verdict {
    counts: Counts,
    findings: Vec<Finding>,
    unchecked: Vec<String>,
}

#[derive(Deserialize)]
struct Counts {
    requests: u64,
}

#[derive(Deserialize)]
struct Finding {
    invariant: String,
    anomalies: u64,
    examples: Vec<Example>,
}

#[derive(Deserialize)]
struct Example {
    what: String,
}

/// Runs `sequencer verify`, and adds up its findings.
#[derive(Debug, Default)]
pub struct Verifier(Cell<Verified>);

impl Verifier {
    /// The findings so far.
    pub fn found(&self) -> Verified {
        self.0.get()
    }

    /// Verifies the topics of one service that has stopped. An anomaly becomes a note and a bar that is not
    /// met, and so does a failed verification: the other measurements go on.
    pub fn verify(&self, stage: &mut Stage<'_>, topics: &Topics) -> Result<(), Error> {
        let (verified, notes) = verify(stage, topics)?;
        self.0.set(self.found().plus(verified));
        notes.into_iter().try_for_each(|note| stage.note(note))
    }
}

fn verify(stage: &Stage<'_>, topics: &Topics) -> Result<(Verified, Vec<String>), Error> {
    let mut command = Command::new(&stage.options.program);
    command
        .arg("verify")
        .args(server::arguments(stage, topics))
        .args(["--json", "--memory-mb", MEMORY_MB])
        .arg("--temp")
        .arg(stage.directory())
        .stdin(Stdio::null());
    die_with_parent(&mut command);
    // The process is in our process group, so Ctrl-C ends it as well.
    let output = command.output().map_err(Error::system("verify"))?;
    stage.check()?;
    Ok(match serde_json::from_slice(&output.stdout) {
        Ok(verdict) => (verified(&verdict), notes(&verdict)),
        Err(_) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let words: String = said.trim().chars().take(WORDS_MAX).collect();
            (FAILED, vec![format!("verify: failed: {words}")])
        }
    })
}

const FAILED: Verified = Verified {
    logs: 1,
    requests: 0,
    anomalies: 0,
    failed: 1,
};

fn verified(verdict: &Verdict) -> Verified {
    Verified {
        logs: 1,
        requests: verdict.counts.requests,
        anomalies: verdict.findings.iter().map(|f| f.anomalies).sum(),
        failed: 0,
    }
}

fn notes(verdict: &Verdict) -> Vec<String> {
    let wrong = verdict.findings.iter().filter(|f| f.anomalies > 0);
    let wrong = wrong.map(|finding| {
        let example = finding.examples.first().map_or("", |e| e.what.as_str());
        let (invariant, anomalies) = (&finding.invariant, finding.anomalies);
        format!("verify: {invariant}: {anomalies} anomalies, such as: {example}")
    });
    let unchecked = verdict.unchecked.iter();
    let unchecked = unchecked.map(|what| format!("verify: not checked: {what}"));
    wrong.chain(unchecked).collect()
}

impl Verified {
    fn plus(self, other: Verified) -> Verified {
        Verified {
            logs: self.logs + other.logs,
            requests: self.requests + other.requests,
            anomalies: self.anomalies + other.anomalies,
            failed: self.failed + other.failed,
        }
    }

    /// True when every checked answer was right.
    pub fn is_clean(self) -> bool {
        self.anomalies == 0 && self.failed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(findings: &str, unchecked: &str) -> Verdict {
        let text = format!(
            r#"{{"clean":true,"findings":[{findings}],"counts":{{"requests":7,"ids":9}},"unchecked":[{unchecked}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_verify_prints_is_understood() {
        let clean =
            r#"{"invariant":"I1 unique","checked":7,"of":"grants","anomalies":0,"examples":[]}"#;
        assert_eq!(notes(&verdict(clean, "")), Vec::<String>::new());
        let finding = r#"{"invariant":"I4 answered","checked":7,"of":"requests","anomalies":2,
            "examples":[{"partition":1,"offset":3,"what":"no reply"},{"partition":1,"offset":4,"what":"none"}]}"#;
        let wrong = verdict(&format!("{clean},{finding}"), r#""the head""#);
        let expected = Verified {
            logs: 1,
            requests: 7,
            anomalies: 2,
            failed: 0,
        };
        assert_eq!(verified(&wrong), expected);
        assert_eq!(
            notes(&wrong),
            [
                "verify: I4 answered: 2 anomalies, such as: no reply",
                "verify: not checked: the head",
            ]
        );
    }
}
