//! A measured process. It ends with this one, and its CPU time and memory can be read.

use std::ffi::c_int;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use super::error::Error;
use crate::embedded::{die_with_parent, terminate};

/// Lines of a log that go into an error.
const TAIL_LINES: usize = 4;
const POLL: Duration = Duration::from_millis(5);
/// The longest time for a clean stop. The stop writes a final checkpoint, and its own deadlines are below this.
const STOP_MAX: Duration = Duration::from_secs(20);

/// A process. It is killed when the value is dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts the process. Its output goes to a file.
    pub fn spawn(name: &str, command: &mut Command, directory: &Path) -> Result<Process, Error> {
        let failed = Error::system("start a process to measure");
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log).map_err(&failed)?;
        command
            .stdin(std::process::Stdio::null())
            .stdout(output.try_clone().map_err(&failed)?)
            .stderr(output)
            // Ctrl-C must reach only this process, which then stops the child.
            .process_group(0);
        die_with_parent(command);
        Ok(Process {
            name: name.to_owned(),
            child: command.spawn().map_err(&failed)?,
            log,
            status: None,
        })
    }

    /// The process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The output so far.
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Returns an error if the process has ended although nobody stopped it.
    pub fn check(&mut self) -> Result<(), Error> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => Err(self.failed(&format!("ended with {status}"))),
        }
    }

    /// An error about the process, with the last lines of its output.
    pub fn failed(&self, what: &str) -> Error {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("; ");
        Error::Subject(format!("{} {what}: {tail}", self.name))
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        if self.status.is_none() {
            let waited = self.child.try_wait();
            self.status = waited.map_err(Error::system("wait for a process"))?;
        }
        Ok(self.status)
    }

    /// Asks for a clean stop; returns without waiting for it.
    pub fn terminate(&mut self) -> Result<(), Error> {
        terminate(&mut self.child).map_err(Error::system("stop a process"))
    }

    /// Asks for a clean stop and waits for it.
    pub fn stop(mut self) -> Result<(), Error> {
        // The process may have been asked before, and may have ended.
        if self.ended()?.is_none() {
            self.terminate()?;
        }
        let deadline = Instant::now() + STOP_MAX;
        loop {
            match self.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.failed(&format!("stopped with {status}"))),
                None if Instant::now() > deadline => {
                    return Err(
                        self.failed(&format!("runs {} s after SIGTERM", STOP_MAX.as_secs()))
                    );
                }
                None => thread::sleep(POLL),
            }
        }
    }

    /// Sends SIGKILL, which the process cannot handle.
    pub fn kill(&mut self) {
        if self.status.is_none() {
            // The process may have ended by itself.
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

// Declared by hand, as in `embedded::system`: libc is linked anyway.
unsafe extern "C" {
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
}

/// The CPU time of all threads of a process; none on a system without such a clock.
pub fn cpu(id: u32) -> Option<Duration> {
    if cfg!(not(all(target_os = "linux", target_pointer_width = "64"))) {
        return None;
    }
    /// Linux's bits for a clock of a whole process, in nanoseconds.
    const SCHEDULER: c_int = 2;
    let clock = (!c_int::try_from(id).ok()? << 3) | SCHEDULER;
    let mut time = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: the structure is that of 64-bit Linux, and lives during the call.
    let result = unsafe { clock_gettime(clock, &raw mut time) };
    (result == 0).then_some(())?;
    let seconds = Duration::from_secs(u64::try_from(time.seconds).ok()?);
    Some(seconds + Duration::from_nanos(u64::try_from(time.nanoseconds).ok()?))
}

/// Resident memory of a process, in bytes.
pub fn resident_bytes(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_cpu_time_grows_and_memory_is_known() {
        let id = std::process::id();
        let before = cpu(id).unwrap();
        let mut sum = 0_u64;
        while cpu(id).unwrap() <= before + Duration::from_millis(1) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(resident_bytes(id).unwrap() > 1 << 20);
    }

    #[test]
    fn a_process_that_ends_by_itself_is_an_error_with_its_last_words() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let command = command.args(["-c", "echo the reason; exit 3"]);
        let mut process = Process::spawn("subject", command, directory.path()).unwrap();
        let error = loop {
            if let Err(error) = process.check() {
                break error.to_string();
            }
        };
        assert!(
            error.contains("exit status: 3") && error.ends_with("the reason"),
            "{error}"
        );
    }

    #[test]
    fn a_process_does_not_outlive_its_value() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        let process = Process::spawn("sleeper", command.arg("600"), directory.path()).unwrap();
        let id = process.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }
}
