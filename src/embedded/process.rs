//! Child processes: waits with a limit, and their last output.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::system;

/// The interval of checks for the end of a child.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// After SIGKILL only the kernel's own work is left.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Lines of a log that go into an error message.
const TAIL_LINES: usize = 4;

/// Waits for `child` up to `limit`; `None` when it still runs.
pub(super) fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Kills `child` and waits for its end.
pub(super) fn kill(child: &mut Child) -> io::Result<()> {
    child.kill()?;
    match wait(child, KILL_LIMIT)? {
        Some(_) => Ok(()),
        None => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Runs `command` to its end, or kills it at `limit` and returns `None`.
pub(super) fn run(command: &mut Command, limit: Duration) -> io::Result<Option<ExitStatus>> {
    system::die_with_parent(command);
    let mut child = command.spawn()?;
    let status = wait(&mut child, limit)?;
    if status.is_none() {
        kill(&mut child)?;
    }
    Ok(status)
}

/// The last informative lines of the log at `path`, in one line.
pub(super) fn tail(path: &Path) -> String {
    match fs::read(path) {
        Ok(bytes) => last_words(&String::from_utf8_lossy(&bytes)),
        Err(error) => format!("{}: {error}", path.display()),
    }
}

fn last_words(log: &str) -> String {
    // Maven resets the terminal's colours even without a terminal, and refers to help that is cut off here.
    let log = log
        .replace("\u{1b}[0m", "")
        .replace("\u{1b}[m", "")
        .replace(" -> [Help 1]", "");
    let lines: Vec<&str> = log
        .lines()
        .map(str::trim)
        .filter(|line| is_telling(line))
        .collect();
    if lines.is_empty() {
        return "it said nothing".to_owned();
    }
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("; ")
}

/// False for the frames of a stack trace, and for the advice that Maven prints after every failure.
fn is_telling(line: &str) -> bool {
    const NOISE: [&str; 6] = [
        "at ",
        "... ",
        "[ERROR] To see the full stack trace",
        "[ERROR] Re-run Maven",
        "[ERROR] For more information",
        "[ERROR] [Help",
    ];
    !line.is_empty() && line != "[ERROR]" && !NOISE.iter().any(|noise| line.starts_with(noise))
}

/// Spawns brokers on a thread that lives as long as this value. The kernel kills a child when the *thread* that
/// spawned it ends ([`system::die_with_parent`]), and the caller's thread may be short-lived.
#[derive(Debug)]
pub(super) struct Spawner {
    requests: mpsc::Sender<(Command, mpsc::Sender<io::Result<Child>>)>,
}

impl Spawner {
    pub(super) fn new() -> io::Result<Spawner> {
        let (requests, inbox) = mpsc::channel::<(Command, mpsc::Sender<io::Result<Child>>)>();
        thread::Builder::new()
            .name("kafka-spawner".to_owned())
            .spawn(move || {
                for (mut command, answer) in inbox {
                    system::die_with_parent(&mut command);
                    // If no caller waits for the child any more, its handle is dropped and the child ends with
                    // this thread.
                    let _ = answer.send(command.spawn());
                }
            })?;
        Ok(Spawner { requests })
    }

    /// Returns as soon as the program is loaded.
    pub(super) fn spawn(&self, command: Command) -> io::Result<Child> {
        let (answer, child) = mpsc::channel();
        self.requests
            .send((command, answer))
            .map_err(io::Error::other)?;
        child.recv().map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_leave_out_stack_frames_and_advice() {
        let log = "INFO up\nERROR Exiting\njava.io.IOException: no\n\tat kafka.Kafka.main(K.scala)\n\
                   \t... 5 more\n\n\u{1b}[0m\u{1b}[0m[ERROR] Could not resolve -> [Help 1]\n\
                   [ERROR] \n[ERROR] Re-run Maven with -X\n[ERROR] [Help 1] x\n\u{1b}[0m";
        assert_eq!(
            last_words(log),
            "INFO up; ERROR Exiting; java.io.IOException: no; [ERROR] Could not resolve"
        );
        assert_eq!(last_words("a\nb\nc\nd\ne"), "b; c; d; e");
        assert_eq!(last_words(""), "it said nothing");
    }

    #[test]
    fn a_child_that_takes_too_long_is_killed() {
        let started = Instant::now();
        let status = run(Command::new("sleep").arg("60"), Duration::from_millis(50)).unwrap();
        assert_eq!(status, None);
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
