//! A script that drives a real browser, and the conversation with it.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::prometheus::root;
use crate::support::cluster;
use crate::support::signal;

/// A running script. It says what it has checked, and lines that ask the test for something.
pub(crate) struct Browser {
    script: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

/// The first of the programs that the scripts need and that cannot be run.
pub(crate) fn missing() -> Option<&'static str> {
    let runs = |program: &str| {
        let mut command = Command::new(program);
        command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    ["node", "chromium"]
        .into_iter()
        .find(|program| !runs(program))
}

/// Where the scripts put their pictures.
pub(crate) fn pictures() -> PathBuf {
    cluster::directory().join("pictures")
}

impl Browser {
    /// Starts a script of this folder. It gets the address of the page of an instance at this port, the folder for its
    /// pictures, and these arguments.
    pub(crate) fn start(script: &str, port: u16, arguments: &[&str]) -> Browser {
        let mut command = Command::new("node");
        command
            // Built in from Node.js 22 on.
            .arg("--experimental-websocket")
            .arg(root().join("tests/monitoring").join(script))
            .arg(format!("http://127.0.0.1:{port}/"))
            .arg(pictures())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        signal::die_with_this_thread(&mut command);
        let mut script = command.spawn().unwrap();
        let lines = BufReader::new(script.stdout.take().unwrap()).lines();
        Browser {
            script,
            lines,
            said: Vec::new(),
        }
    }

    /// Waits until the script says this line.
    pub(crate) fn wait(&mut self, line: &str) {
        for said in self.lines.by_ref() {
            let said = said.unwrap();
            let is_it = said == line;
            self.said.push(said);
            if is_it {
                return;
            }
        }
        panic!("the script ended before {line:?}: {:#?}", self.said);
    }

    /// Tells the script to go on.
    pub(crate) fn go_on(&mut self) {
        let script = self.script.stdin.as_mut().unwrap();
        script.write_all(b"go on\n").unwrap();
    }

    /// Waits for the end of the script, which must have found nothing wrong.
    pub(crate) fn end(mut self) {
        self.said.extend(self.lines.map(Result::unwrap));
        let status = self.script.wait().unwrap();
        assert!(status.success(), "{:#?}", self.said);
        println!("pictures in {}", pictures().display());
    }
}
