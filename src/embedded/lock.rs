//! Lets one process at a time use a directory, also after a previous process was killed.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::Error;

/// The pause between two attempts to take a lock that another process has.
const RETRY: Duration = Duration::from_millis(50);

/// An advisory lock on a directory. The kernel releases it when the last holder of the open file has ended, so
/// a process that was killed leaves no lock behind.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Locks `directory`, which must exist. Waits up to `patience` for its current holder.
    pub(super) fn acquire(directory: &Path, patience: Duration) -> Result<Lock, Error> {
        let path = directory.join("lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::at(&path))?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(Error::at(&path)(error)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(RETRY);
                }
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    // The name is for the message only.
                    let _ = file.read_to_string(&mut holder);
                    return Err(Error::InUse {
                        directory: directory.to_path_buf(),
                        holder: holder.trim().to_owned(),
                    });
                }
            }
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(Error::at(&path))?;
        Ok(Lock { file })
    }

    /// A standard input that makes a child hold the lock, too. So a broker that outlives its parent for a
    /// moment keeps the next broker out of its data.
    pub(super) fn share(&self) -> io::Result<Stdio> {
        Ok(Stdio::from(self.file.try_clone()?))
    }
}
