//! Leaving the group without waiting for ever.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use tracing::{debug, warn};

use crate::kafka::context::Context;

/// Closes and destroys a consumer on a thread of its own, because both can block for as long as a
/// broker does not answer. After the deadline the thread is left behind: the process is about to
/// end, and the group notices the missing heartbeats.
pub(super) fn within(consumer: BaseConsumer<Context>, deadline: Duration) {
    let (closed, wait) = mpsc::sync_channel::<()>(1);
    let close = move || {
        drop(consumer);
        // Nobody waits any longer when the deadline has passed.
        let _ = closed.send(());
    };
    match thread::Builder::new()
        .name("kafka-close".to_owned())
        .spawn(close)
    {
        Ok(_) => match wait.recv_timeout(deadline) {
            Ok(()) => debug!("left the group"),
            Err(_) => warn!(
                deadline_ms = deadline.as_millis(),
                "the group was not left in time, it notices the missing heartbeats"
            ),
        },
        // The closure, and the consumer in it, has been dropped by the failed spawn.
        Err(error) => warn!(%error, "no thread to leave the group on"),
    }
}
