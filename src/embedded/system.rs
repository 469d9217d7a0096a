//! The three system calls that the standard library lacks: the only unsafe code here.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

// Declared by hand, since libc is linked anyway and a dependency for three calls is not worth it.
// SAFETY: the signatures are those of POSIX and Linux. `kill` and `flock` take integers and touch
// no memory of ours, so every call of them is safe.
unsafe extern "C" {
    safe fn kill(pid: c_int, signal: c_int) -> c_int;
    safe fn flock(fd: c_int, operation: c_int) -> c_int;
    #[cfg(target_os = "linux")]
    fn prctl(option: c_int, ...) -> c_int;
}

const SIGTERM: c_int = 15;
const LOCK_EX: c_int = 2;
const LOCK_NB: c_int = 4;
#[cfg(target_os = "linux")]
const PR_SET_PDEATHSIG: c_int = 1;
#[cfg(target_os = "linux")]
const SIGKILL: std::ffi::c_ulong = 9;

/// Sends SIGTERM, and only to a child that has not been waited for: once it has, its id may be
/// another's.
pub(crate) fn terminate(child: &mut Child) -> io::Result<()> {
    if child.try_wait()?.is_some() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let pid = c_int::try_from(child.id()).map_err(io::Error::other)?;
    check(kill(pid, SIGTERM))
}

/// Takes the lock on `file` for all who hold this open file, children included; `WouldBlock` when
/// another has it.
// `File::try_lock` is the same, from Rust 1.89 on.
pub(super) fn try_lock(file: &File) -> io::Result<()> {
    check(flock(file.as_raw_fd(), LOCK_EX | LOCK_NB))
}

/// Has the kernel kill the command's process when the *thread* that spawns it ends (Linux only;
/// elsewhere a parent that is killed leaves its children behind).
pub fn die_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        let parent = std::process::id();
        // SAFETY: the closure runs between fork and exec, and makes two system calls: it neither
        // allocates nor takes a lock.
        unsafe {
            command.pre_exec(move || {
                check(prctl(PR_SET_PDEATHSIG, SIGKILL))?;
                // The parent may have died before the call above: then nothing would ever kill this
                // process.
                if std::os::unix::process::parent_id() == parent {
                    Ok(())
                } else {
                    Err(io::ErrorKind::BrokenPipe.into())
                }
            });
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_child_dies_with_the_thread_that_spawned_it() {
        let mut child = std::thread::spawn(|| {
            let mut command = Command::new("sleep");
            die_with_parent(command.arg("60"));
            command.spawn().unwrap()
        })
        .join()
        .unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn a_child_that_was_waited_for_gets_no_signal() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        terminate(&mut child).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        assert_eq!(
            terminate(&mut child).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
