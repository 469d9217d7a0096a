//! Toolchains of other languages: whether they are there, and a directory to use them in.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::signal;

/// What a client needs on the machine: programs, each with arguments that succeed where it is complete.
pub type Tools = &'static [(&'static str, &'static [&'static str])];

pub const NODE: Tools = &[("node", &["--version"]), ("npm", &["--version"])];
pub const PYTHON: Tools = &[("python3", &["-c", "import ensurepip, venv"])];
pub const GO: Tools = &[("go", &["version"])];
/// The compiler, which a runtime alone does not bring, and Maven.
pub const JAVA: Tools = &[("javac", &["-version"]), ("mvn", &["--version"])];
pub const KCAT: Tools = &[("kcat", &["-V"])];
/// Named together in each build, so that their dependencies are compiled once, with one set of features.
pub const RUST_PACKAGES: [&str; 6] = ["-p", "next-id", "-p", "calls", "-p", "sequencer-client"];

/// Bounds a hang: fetching all dependencies of the largest client into an empty cache takes a minute.
const DEADLINE: Duration = Duration::from_secs(600);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Whether all of them are there. A missing one fails the test where `CI` is set; elsewhere a line
/// says what is skipped.
pub fn there(client: &str, tools: Tools) -> bool {
    let missing = tools.iter().find(|(tool, check)| {
        let mut command = Command::new(tool);
        command
            .args(*check)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        !command.status().is_ok_and(|status| status.success())
    });
    let Some((tool, _)) = missing else {
        return true;
    };
    assert!(
        std::env::var_os("CI").is_none(),
        "{tool} is missing, which {client} needs"
    );
    // Past the harness, which keeps what a passing test prints to itself.
    let _ = writeln!(io::stderr(), "skipped: {client} ({tool} is missing)");
    false
}

/// A directory with a client's example, its test program, and what they depend on.
pub struct Workshop {
    client: &'static str,
    directory: PathBuf,
}

/// A program of a client, without its last argument.
#[derive(Clone)]
pub struct Program {
    program: PathBuf,
    arguments: Vec<String>,
    directory: PathBuf,
    environment: Vec<(&'static str, String)>,
    /// Where its output is kept, for a look at a failure.
    outputs: PathBuf,
}

/// Whether a program that fetches a client succeeds. Where it does not, as where a registry lacks the client, a line
/// says what is skipped.
pub fn fetched(client: &str, program: &Program) -> bool {
    let result = std::panic::catch_unwind(|| program.run(&[], ""));
    if result.is_err() {
        let _ = writeln!(io::stderr(), "skipped: {client} (it cannot be fetched)");
    }
    result.is_ok()
}

impl Workshop {
    /// A new one with nothing but the example in it.
    pub fn new(client: &'static str, has_example: bool) -> Workshop {
        let shop = Workshop::empty("clients", client);
        if has_example {
            copy(&root().join("examples").join(client), &shop.directory);
        }
        shop
    }

    /// A new one with a client of this repository.
    pub fn of_own(client: &'static str) -> Workshop {
        let shop = Workshop::empty("own-clients", client);
        copy(&root().join("clients").join(client), &shop.directory);
        shop
    }

    fn empty(kind: &str, client: &'static str) -> Workshop {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(kind)
            .join(client);
        if directory.exists() {
            fs::remove_dir_all(&directory).unwrap();
        }
        fs::create_dir_all(&directory).unwrap();
        Workshop { client, directory }
    }

    /// Puts `new` into a file of it for `old`, which is there once.
    pub fn replace(&self, file: &str, old: &str, new: &str) {
        let path = self.directory.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(old).count(), 1, "{file} has {old} once");
        fs::write(&path, text.replace(old, new)).unwrap();
    }

    /// Adds the test program's files.
    pub fn add_test_program(&self) {
        copy(
            &root().join("tests/clients").join(self.client),
            &self.directory,
        );
    }

    /// Puts a file or directory of it out of the way.
    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.directory.join(from), self.directory.join(to)).unwrap();
    }

    /// A program that is run later.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Program {
        let local = self.directory.join(program);
        Program {
            program: if program.contains('/') {
                local
            } else {
                program.into()
            },
            arguments: arguments
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
            directory: self.directory.clone(),
            environment: Vec::new(),
            outputs: self.directory.clone(),
        }
    }

    /// Runs a program to its end.
    pub fn run(&self, program: &str, arguments: &[&str]) {
        self.command(program, arguments).run(&[], "");
    }

    /// Runs the cargo that runs this test, in this workspace.
    pub fn run_cargo(&self, arguments: &[&str]) {
        self.cargo(arguments).run(&[], "");
    }

    /// The cargo that runs this test, in this workspace.
    pub fn cargo(&self, arguments: &[&str]) -> Program {
        let cargo = std::env::var("CARGO").unwrap_or("cargo".to_owned());
        let mut command = self.command(&cargo, arguments);
        command.program = cargo.into();
        root().clone_into(&mut command.directory);
        command
    }

    /// A program of this workspace, built by [`Workshop::run_cargo`].
    pub fn built(&self, name: &str) -> Program {
        let mut command = self.command(name, &[]);
        command.program = Path::new(env!("CARGO_BIN_EXE_sequencer")).with_file_name(name);
        command
    }
}

impl Program {
    /// With an environment variable.
    pub fn with(mut self, name: &'static str, value: &str) -> Program {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Runs it to its end, which must be a good one, and returns what it wrote to its output.
    pub fn run(&self, arguments: &[&str], brokers: &str) -> String {
        let what = format!(
            "{} {:?} {arguments:?}",
            self.program.display(),
            self.arguments
        );
        let path = |kind: &str| self.outputs.join(format!("last.{kind}"));
        let (stdout, stderr) = (path("out"), path("err"));
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .args(arguments)
            .current_dir(&self.directory)
            .env("KAFKA_BROKERS", brokers)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap());
        signal::die_with_this_thread(&mut command);
        let began = Instant::now();
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if began.elapsed() > DEADLINE {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            thread::sleep(POLL_INTERVAL);
        };
        let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let (stdout, stderr) = (text(stdout), text(stderr));
        println!("{what}: {:.1} s", began.elapsed().as_secs_f32());
        assert!(
            status.is_some_and(|status| status.success()),
            "{what}: {status:?}\n{stdout}\n{stderr}"
        );
        stdout
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What package managers and builds leave in an example's directory when it is used there.
const LEFT_BY_BUILDS: [&str; 4] = ["node_modules", "target", "dist", "build"];

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (from, name) = entry
            .map(|entry| (entry.path(), entry.file_name()))
            .unwrap();
        let to = to.join(&name);
        if !from.is_dir() {
            fs::copy(from, to).unwrap();
        } else if !LEFT_BY_BUILDS.iter().any(|left| name == *left) {
            fs::create_dir_all(&to).unwrap();
            copy(&from, &to);
        }
    }
}
