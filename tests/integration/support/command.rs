//! Runs the program under test to its end.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{cluster, signal, unique, wait_for};

/// The `sequencer` command, without the configuration of the machine that runs the tests.
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

/// The result of a command.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The first line of the error output that contains this word and is not an ordinary log line.
    pub fn line_with(&self, word: &str) -> &str {
        let mut lines = self.stderr.lines().filter(|line| !line.contains(" INFO "));
        let line = lines.find(|line| line.contains(word));
        line.unwrap_or_else(|| panic!("no line of the error output has {word:?}: {self:?}"))
    }

    /// The whole output of the command.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs `sequencer` with these arguments until it ends.
pub fn run<S: AsRef<str>>(arguments: &[S]) -> Outcome {
    run_with(arguments, &[])
}

/// Like [`run`], with variables in the environment of the command.
pub fn run_with<S: AsRef<str>>(arguments: &[S], variables: &[(String, String)]) -> Outcome {
    let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let what = format!("sequencer {}", words.join(" "));
    // Uses files, since a full pipe without a reader would block the command.
    let path = |kind| cluster::directory().join(format!("{}.{kind}", unique("command")));
    let (stdout, stderr) = (path("out"), path("err"));
    let mut command = program();
    command.args(&words).envs(variables.iter().cloned());
    command.stdout(File::create(&stdout).unwrap());
    let child = command
        .stderr(File::create(&stderr).unwrap())
        .spawn()
        .unwrap();
    let mut running = Running {
        child,
        outputs: [stdout, stderr],
    };
    let status = wait_for(&format!("{what} to end"), || {
        running.child.try_wait().unwrap()
    });
    let [stdout, stderr] = running.outputs();
    println!("{what}: {status}\n{stdout}{stderr}");
    let code = status.code().unwrap_or_else(|| panic!("{status}"));
    Outcome {
        code,
        stdout,
        stderr,
    }
}

/// A running command, which is killed if its test ends first.
struct Running {
    child: Child,
    outputs: [PathBuf; 2],
}

impl Running {
    fn outputs(&self) -> [String; 2] {
        let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        self.outputs.each_ref().map(text)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            println!("it said:\n{}", self.outputs().concat());
        }
    }
}
