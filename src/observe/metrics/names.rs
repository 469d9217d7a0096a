//! Names and help texts of the metrics, in one place, because dashboards and alerts depend on them.

/// A metric's name and its help text.
pub(crate) type Named = (&'static str, &'static str);

/// Requests answered, by `outcome`: granted, repeated (the IDs of an earlier request with the same
/// `request_id`), operated (definitions and the like) or rejected.
pub(crate) const REQUESTS: Named = ("sequencer_requests_total", "Requests answered, by outcome.");
/// Replies that went to the default topic instead of the requested one, by `cause`.
pub(crate) const REPLIES_UNDELIVERED: Named = (
    "sequencer_replies_undelivered_total",
    "Replies that went to the default topic instead of the requested one, by cause.",
);
/// Strays that were forwarded to their home.
pub(crate) const STRAYS_FORWARDED: Named = (
    "sequencer_strays_forwarded_total",
    "Requests found outside their home partition and forwarded to it.",
);
/// Forwards that arrived again.
pub(crate) const FORWARDS_REPEATED: Named = (
    "sequencer_forwards_repeated_total",
    "Forwarded requests that arrived again and were skipped.",
);
/// Rejected requests, by `code`.
pub(crate) const REJECTIONS: Named = (
    "sequencer_rejections_total",
    "Rejected requests, by error code.",
);
/// IDs granted.
pub(crate) const IDS_GRANTED: Named = ("sequencer_ids_granted_total", "IDs granted.");
/// Replies handed to the producer.
pub(crate) const REPLIES_SENT: Named = (
    "sequencer_replies_sent_total",
    "Replies handed to the producer, repeats included.",
);
/// Replies acknowledged.
pub(crate) const REPLIES_ACKNOWLEDGED: Named = (
    "sequencer_replies_acknowledged_total",
    "Replies acknowledged by every in-sync replica.",
);
/// Replies whose delivery failed.
pub(crate) const REPLY_FAILURES: Named = (
    "sequencer_reply_failures_total",
    "Replies whose delivery failed; each is tried again.",
);
/// Checkpoints ended, by `result`: committed, aborted or unknown.
pub(crate) const CHECKPOINTS: Named = (
    "sequencer_checkpoints_total",
    "Checkpoint transactions ended, by result; unknown is settled by a new producer.",
);
/// Time of a checkpoint, in seconds.
pub(crate) const CHECKPOINT_DURATION: Named = (
    "sequencer_checkpoint_duration_seconds",
    "Time from the beginning of a committed transaction to the end of its commit.",
);
/// State records that checkpoints wrote.
pub(crate) const CHECKPOINT_RECORDS: Named = (
    "sequencer_checkpoint_records_total",
    "State records written by checkpoints, footers included.",
);
/// Time of a restore, in seconds.
pub(crate) const RESTORE_DURATION: Named = (
    "sequencer_restore_duration_seconds",
    "Time of a takeover, from its first question to its verdict to start the partition.",
);
/// State records that restores read.
pub(crate) const RESTORE_RECORDS: Named = (
    "sequencer_restore_records_total",
    "State records read by restores.",
);
/// Batches that restores did not accept.
pub(crate) const STATE_BATCHES_SKIPPED: Named = (
    "sequencer_state_batches_skipped_total",
    "Checkpoints of the state topic that did not add up and were skipped by a restore.",
);
/// Rebalances, by `kind`: assign, revoke or lost.
pub(crate) const REBALANCES: Named = (
    "sequencer_rebalances_total",
    "Rebalance events of this consumer, by kind.",
);
/// Engines that ended, and that a new engine replaced.
pub(crate) const START_OVERS: Named = (
    "sequencer_start_overs_total",
    "Times that this instance closed all its Kafka clients and started over.",
);
/// Kafka errors, by `class`: one of [`KAFKA_ERROR_CLASSES`].
pub(crate) const KAFKA_ERRORS: Named = (
    "sequencer_kafka_errors_total",
    "Kafka errors, by the way they are handled.",
);
/// The classes of Kafka errors, as in `kafka::error`. The end of a log is not an error.
pub(crate) const KAFKA_ERROR_CLASSES: [&str; 8] = [
    "retriable",
    "abort_transaction",
    "fenced",
    "indefinite",
    "denied",
    "refused",
    "offset_lost",
    "fatal",
];
/// Messages in the producers' queues.
pub(crate) const PRODUCER_QUEUE: Named = (
    "sequencer_producer_queue_messages",
    "Messages waiting in the producers' queues.",
);
/// Latencies from request to reply, by `since`: append or receipt.
pub(crate) const REPLY_LATENCY: Named = (
    "sequencer_reply_latency_seconds",
    "Time to the acknowledgement of the reply, or to its commit in exactly_once mode, since the \
     broker's timestamp of the request (append) or since the engine took it (receipt).",
);
/// The label of the latency. Its value says where the latency begins.
pub(crate) const REPLY_LATENCY_SINCE: &str = "since";
/// Seconds since the engine's thread last published its status.
pub(crate) const ENGINE_SILENCE: Named = (
    "sequencer_engine_silence_seconds",
    "Time since the engine last published its status, which it does four times a second.",
);
/// N, the number of partitions that names are spread over.
pub(crate) const SERVICE_PARTITIONS: Named = (
    "sequencer_service_partitions",
    "Partitions among which the service spreads names; 0 before the first takeover.",
);
/// Number of partitions of the request topic.
pub(crate) const REQUEST_PARTITIONS: Named = (
    "sequencer_request_topic_partitions",
    "Partitions of the request topic at this instance's last takeover; 0 before the first.",
);
/// 1 if the instance is a member of the group and has its assignment.
pub(crate) const CONNECTED: Named = (
    "sequencer_connected",
    "1 if this instance is a member of its group and knows its partitions, else 0.",
);
/// The state of a partition, one series per `partition` and `state`.
pub(crate) const PARTITION_STATE: Named = (
    "sequencer_partition_state",
    "1 for the state that an owned partition is in, 0 for the others.",
);
/// Number of halted partitions.
pub(crate) const HALTED: Named = (
    "sequencer_halted_partitions",
    "Owned partitions that halted and need a repair.",
);
/// The halted partitions, by `reason`.
pub(crate) const PARTITION_HALTED: Named = (
    "sequencer_partition_halted",
    "1 for each owned partition that halted, with the reason.",
);
/// The part of a partition in a rescale, by `part`.
pub(crate) const PARTITION_RESCALE: Named = (
    "sequencer_partition_rescale",
    "1 for the part that an owned partition has left to do in a rescale, 0 for the others.",
);
/// Lag of a partition.
pub(crate) const LAG: Named = (
    "sequencer_partition_lag_records",
    "Visible request records that are not yet folded.",
);
/// Requests that were read and not answered.
pub(crate) const UNANSWERED: Named = (
    "sequencer_partition_unanswered_requests",
    "Requests that were read and whose reply is not acknowledged or not committed.",
);
/// Next offset of a partition.
pub(crate) const NEXT_OFFSET: Named = (
    "sequencer_partition_next_offset",
    "Offset of the next request record to read.",
);
/// Age of a partition's checkpoint.
pub(crate) const CHECKPOINT_AGE: Named = (
    "sequencer_partition_checkpoint_age_seconds",
    "Time since the last committed checkpoint of an owned partition.",
);
/// Sequences of a partition.
pub(crate) const SEQUENCES: Named = (
    "sequencer_sequences",
    "Sequences that an owned partition holds.",
);
/// Sequences near their end, by `left_below`: the share of their IDs that is left.
pub(crate) const NEAR_EXHAUSTION: Named = (
    "sequencer_sequences_near_exhaustion",
    "Sequences with a smaller share of their IDs left than left_below; 0 is none left.",
);
/// The sequence that is nearest to its end.
pub(crate) const LEFT_RATIO_MIN: Named = (
    "sequencer_sequence_left_ratio_min",
    "The smallest share of its IDs that a sequence of an owned partition has left.",
);
/// The time for which a producer's open transaction holds a partition back.
pub(crate) const OPEN_TRANSACTION_HOLD: Named = (
    "sequencer_open_transaction_hold_seconds",
    "Time for which a producer's open transaction has held an owned partition back; 0 if none does.",
);
/// 1 if this instance watches its peers.
pub(crate) const FAILOVER_ACTIVE: Named = (
    "sequencer_failover_active",
    "1 if this instance watches its peers and may evict one, else 0.",
);
/// Times that own heartbeats were late, so that no peer was suspected.
pub(crate) const HEARTBEATS_LATE: Named = (
    "sequencer_heartbeats_late_total",
    "Times that this instance's own heartbeats came back late, so that it suspected no peer.",
);
/// Peers that fell silent.
pub(crate) const SUSPICIONS: Named = (
    "sequencer_failover_suspicions_total",
    "Peers that fell silent while this instance's own heartbeats came back.",
);
/// Evictions of peers by this instance, by `result`: done, failed, or alive (the evicted peer was heard again).
pub(crate) const EVICTIONS: Named = (
    "sequencer_failover_evictions_total",
    "Evictions of silent peers from the group by this instance, by result.",
);
/// Times that this instance was evicted while it was alive.
pub(crate) const EVICTED_ALIVE: Named = (
    "sequencer_failover_evicted_alive_total",
    "Times that this instance was evicted from the group while it was alive.",
);
/// The time from the last heartbeat of a peer until one of its partitions runs here.
pub(crate) const FAILOVER_DURATION: Named = (
    "sequencer_failover_seconds",
    "Time from the last heartbeat of a peer until a partition that it had runs on this instance.",
);
/// Log lines that were lost.
pub(crate) const LOG_LINES_LOST: Named = (
    "sequencer_log_lines_lost_total",
    "Log lines that could not be written to standard error, or not in time.",
);
/// The running release, as the label `version`.
pub(crate) const BUILD_INFO: Named = (
    "sequencer_build_info",
    "1, with the running version as a label.",
);
