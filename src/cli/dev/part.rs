//! A part of `dev` that runs until it is told to stop, on a thread and a runtime of its own.

use std::io;
use std::pin::Pin;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::{Error, system};

/// A part that runs.
pub(super) struct Part<E> {
    name: &'static str,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), E>>,
}

/// Resolves when the part is told to stop.
pub(super) type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<E> Part<E>
where
    E: From<io::Error> + Send + 'static,
    Error: From<E>,
{
    /// Runs `run` until it ends; it ends when its argument resolves.
    pub(super) fn start<F>(name: &'static str, run: F) -> Result<Part<E>, Error>
    where
        F: AsyncFnOnce(Stopped) -> Result<(), E> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(run(Box::pin(async move {
                    // An error means that the sender is gone, which also counts as a stop.
                    let _ = stopped.await;
                })))
            })
            .map_err(system)?;
        Ok(Part { name, stop, thread })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Stops the part and waits for its end.
    pub(super) fn finish(self) -> Result<(), Error> {
        // An error means that the part has ended already.
        let _ = self.stop.send(());
        match self.thread.join() {
            Ok(ended) => Ok(ended?),
            Err(_) => Err(Error::Failed(format!(
                "the thread of the {} has died",
                self.name
            ))),
        }
    }
}
