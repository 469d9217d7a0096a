//! The program under test, run to its end.

use std::fs::File;
use std::process::{Command, Stdio};

use super::{cluster, signal, unique, wait_for};

/// `sequencer`, without the configuration of the machine that the tests run on.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SEQUENCER__") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    signal::die_with_this_thread(&mut command);
    command
}

/// What a command left behind.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The first line of the error output that has this word.
    pub fn line_with(&self, word: &str) -> &str {
        let line = self.stderr.lines().find(|line| line.contains(word));
        line.unwrap_or_else(|| panic!("no line of the error output has {word:?}: {self:?}"))
    }
}

/// Runs `sequencer` with these arguments until it ends by itself.
pub fn run<S: AsRef<str>>(arguments: &[S]) -> Outcome {
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    // Files, since a pipe that nobody reads would stop it.
    let paths = ["out", "err"]
        .map(|kind| cluster::directory().join(format!("{}.{kind}", unique("command"))));
    let [stdout, stderr] = paths.each_ref().map(|path| File::create(path).unwrap());
    let mut child = program()
        .args(&arguments)
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .unwrap();
    let status = wait_for(&format!("sequencer {} to end", arguments.join(" ")), || {
        child.try_wait().unwrap()
    });
    let [stdout, stderr] = paths
        .each_ref()
        .map(|path| String::from_utf8(std::fs::read(path).unwrap()).unwrap());
    println!(
        "sequencer {}: {status}\n{stdout}{stderr}",
        arguments.join(" ")
    );
    let code = status.code().unwrap_or_else(|| panic!("{status}"));
    Outcome {
        code,
        stdout,
        stderr,
    }
}
