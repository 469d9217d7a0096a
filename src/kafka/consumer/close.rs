//! Leaves the group, but does not wait forever.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use tracing::{debug, warn};

use crate::kafka::client::Authenticated;
use crate::kafka::context::Context;

/// The context of a group member: logs, and answers rebalances while the consumer is being dropped.
#[derive(Debug, Default)]
pub(super) struct Membership {
    // Atomic, because librdkafka calls back with a shared reference, from the thread that drops the consumer.
    answered: AtomicBool,
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Context.log(level, facility, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        Context.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Context.error(error, reason);
    }
}

impl ConsumerContext for Membership {
    /// This runs only while the consumer is being dropped, when no other code can finish any work. So it
    /// answers at once, because the drop waits for the answer. It answers only once, because librdkafka takes
    /// any answer of a closing consumer for all answers that it waits for. Then librdkafka ends, and never
    /// replies to a second answer. A consumer that closes just when it is assigned partitions gets both that
    /// event and a revoke, and a second answer would hang.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        _code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if self.answered.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = consumer.incremental_unassign(partitions) {
            debug!(%error, "unassign while closing");
        }
    }
}

/// Closes and destroys a consumer on a thread of its own, because both can block for as long as a broker does
/// not answer. After the deadline the thread is left behind: the process is about to end, and the group notices
/// the missing heartbeats.
pub(super) fn within(consumer: Authenticated<BaseConsumer<Membership>>, deadline: Duration) {
    let (closed, wait) = mpsc::sync_channel::<()>(1);
    let close = move || {
        drop(consumer);
        // After the deadline nobody waits for this message.
        let _ = closed.send(());
    };
    match thread::Builder::new()
        .name("kafka-close".to_owned())
        .spawn(close)
    {
        Ok(_) => match wait.recv_timeout(deadline) {
            Ok(()) => debug!("the consumer is closed"),
            Err(_) => warn!(
                deadline_ms = deadline.as_millis(),
                "the group was not left in time, it notices the missing heartbeats"
            ),
        },
        // The failed spawn has dropped the closure and the consumer in it.
        Err(error) => warn!(%error, "no thread to leave the group on"),
    }
}
