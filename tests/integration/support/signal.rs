//! Sends signals to processes, with the three system calls that the standard library lacks.

use std::ffi::c_int;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

// SAFETY: the signature is that of POSIX. `kill` takes integers and touches no memory of this process.
unsafe extern "C" {
    safe fn kill(pid: c_int, signal: c_int) -> c_int;
    #[cfg(target_os = "linux")]
    fn prctl(option: c_int, ...) -> c_int;
}

/// Ends a process, which cannot handle it.
pub const SIGKILL: c_int = 9;
/// Asks for a clean stop.
pub const SIGTERM: c_int = 15;
/// Pauses a process, which then does not answer and does not notice it.
pub const SIGSTOP: c_int = if cfg!(target_os = "linux") { 19 } else { 17 };
/// Lets a paused process go on.
pub const SIGCONT: c_int = if cfg!(target_os = "linux") { 18 } else { 19 };

/// Sends a signal to a child that has not been waited for.
pub fn send(child: &Child, signal: c_int) {
    send_to(child.id(), signal);
}

/// Sends a signal to a process. It must be a child that has not been waited for: otherwise the number may belong to
/// another process.
pub fn send_to(process: u32, signal: c_int) {
    let result = kill(c_int::try_from(process).unwrap(), signal);
    assert_eq!(result, 0, "signal {signal}: {}", io::Error::last_os_error());
}

/// True when a process with this ID exists.
pub fn is_running(process: c_int) -> bool {
    const NONE: c_int = 0;
    process > 0 && kill(process, NONE) == 0
}

/// Makes the kernel kill the command's process when the thread that spawns it ends. So a run that is itself
/// killed leaves nothing behind (on Linux).
pub fn die_with_this_thread(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        const PR_SET_PDEATHSIG: c_int = 1;
        const SIGKILL: std::ffi::c_ulong = 9;
        // SAFETY: the closure runs between fork and exec and makes one system call. It neither allocates nor
        // takes a lock.
        unsafe {
            command.pre_exec(|| match prctl(PR_SET_PDEATHSIG, SIGKILL) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}
