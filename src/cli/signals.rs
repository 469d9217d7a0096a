//! Handles Ctrl-C and SIGTERM: the first asks for a clean stop, the second ends the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Runtime;

use super::{Error, error};
use crate::service::serve::{self, stop_signal};

/// Exit code of a process that could not stop cleanly: 128 and the number of SIGINT, as in shells.
const IMPATIENT: i32 = 130;

/// Shows whether a stop was asked for.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Starts listening. From now on, signals do not end the process on their own.
    pub fn listen() -> Result<Stop, Error> {
        let (runtime, first) = listening()?;
        let stop = Stop(Arc::default());
        let asked = Arc::clone(&stop.0);
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    first.await;
                    asked.store(true, Ordering::Relaxed);
                    if let Ok(second) = stop_signal() {
                        second.await;
                        // Kafka ends with this process, and recovers later as after a crash.
                        std::process::exit(IMPATIENT);
                    }
                });
            })
            .map_err(system)?;
        Ok(stop)
    }

    /// True once a stop was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The message for an interrupt. While this value lives, the first signal ends the process with this message.
#[derive(Debug)]
pub(super) struct LastWords(Arc<Mutex<Option<String>>>);

impl LastWords {
    pub(super) fn of(words: String) -> Result<LastWords, Error> {
        let (runtime, first) = listening()?;
        let said = Arc::new(Mutex::new(Some(words)));
        let words = Arc::clone(&said);
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                runtime.block_on(first);
                let words = words.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(words) = words {
                    error::tell(&Error::Failed(words));
                }
                std::process::exit(IMPATIENT);
            })
            .map_err(system)?;
        Ok(LastWords(said))
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Returns a runtime that already listens for signals, and a future of the first signal.
fn listening() -> Result<(Runtime, impl Future<Output = ()>), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system)?;
    let first = {
        let _inside = runtime.enter();
        stop_signal().map_err(system)?
    };
    Ok((runtime, first))
}

fn system(error: std::io::Error) -> Error {
    Error::Serve(serve::Error::System(error))
}
