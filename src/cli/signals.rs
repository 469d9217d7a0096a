//! Ctrl-C and SIGTERM: the first asks for a clean stop, the second ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Error;
use crate::service::serve::{self, stop_signal};

/// Exit code of a process that was not given the time to stop cleanly: 128 and the number of
/// SIGINT, as shells have it.
const IMPATIENT: i32 = 130;

/// Whether a stop was asked for.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From here on, signals do not end the process by themselves.
    pub fn listen() -> Result<Stop, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(system)?;
        let first = {
            let _inside = runtime.enter();
            stop_signal().map_err(system)?
        };
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
                        // Kafka dies with us, and comes back as after a crash.
                        std::process::exit(IMPATIENT);
                    }
                });
            })
            .map_err(system)?;
        Ok(stop)
    }

    /// True once it was.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

fn system(error: std::io::Error) -> Error {
    Error::Serve(serve::Error::System(error))
}
