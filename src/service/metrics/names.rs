//! Names and help texts: what dashboards and alerts are built on, in one place.

/// A metric's name and what it says.
pub type Named = (&'static str, &'static str);

/// Requests answered, by `outcome`: granted, repeated (the IDs of an earlier request with the same
/// `request_id`), operated (definitions and the like) or rejected.
pub const REQUESTS: Named = ("sequencer_requests_total", "Requests answered, by outcome.");
/// Replies that went elsewhere, by `cause`.
pub const REPLIES_UNDELIVERED: Named = (
    "sequencer_replies_undelivered_total",
    "Replies that went to the default topic in place of the one asked for, by cause.",
);
/// Strays.
pub const STRAYS_FORWARDED: Named = (
    "sequencer_strays_forwarded_total",
    "Requests found outside their home partition and forwarded to it.",
);
/// Forwards that came once more.
pub const FORWARDS_REPEATED: Named = (
    "sequencer_forwards_repeated_total",
    "Forwarded requests that came once more and were passed over.",
);
/// Rejected requests, by `code`.
pub const REJECTIONS: Named = (
    "sequencer_rejections_total",
    "Rejected requests, by error code.",
);
/// IDs granted.
pub const IDS_GRANTED: Named = ("sequencer_ids_granted_total", "IDs granted.");
/// Replies handed to the producer.
pub const REPLIES_SENT: Named = (
    "sequencer_replies_sent_total",
    "Replies handed to the producer, repeats included.",
);
/// Replies acknowledged.
pub const REPLIES_ACKNOWLEDGED: Named = (
    "sequencer_replies_acknowledged_total",
    "Replies acknowledged by every in-sync replica.",
);
/// Replies whose delivery failed.
pub const REPLY_FAILURES: Named = (
    "sequencer_reply_failures_total",
    "Replies whose delivery failed; each is tried again.",
);
/// Checkpoints ended, by `result`: committed, aborted or unknown.
pub const CHECKPOINTS: Named = (
    "sequencer_checkpoints_total",
    "Checkpoint transactions ended, by result; unknown is settled by a new producer.",
);
/// Time of a checkpoint.
pub const CHECKPOINT_DURATION: Named = (
    "sequencer_checkpoint_duration_seconds",
    "Time from the first record of a checkpoint to the end of its commit.",
);
/// Records of checkpoints.
pub const CHECKPOINT_RECORDS: Named = (
    "sequencer_checkpoint_records_total",
    "State records written by checkpoints, footers included.",
);
/// Time of a restore.
pub const RESTORE_DURATION: Named = (
    "sequencer_restore_duration_seconds",
    "Time from the assignment of a partition to its first answer.",
);
/// Records of restores.
pub const RESTORE_RECORDS: Named = (
    "sequencer_restore_records_total",
    "State records read by restores.",
);
/// Batches that restores did not believe.
pub const STATE_BATCHES_SKIPPED: Named = (
    "sequencer_state_batches_skipped_total",
    "Checkpoints of the state topic that did not add up and were skipped by a restore.",
);
/// Rebalances, by `kind`: assign, revoke or lost.
pub const REBALANCES: Named = (
    "sequencer_rebalances_total",
    "Rebalance events of this consumer, by kind.",
);
/// Kafka errors, by `class`: one of [`KAFKA_ERROR_CLASSES`].
pub const KAFKA_ERRORS: Named = (
    "sequencer_kafka_errors_total",
    "Kafka errors, by what is done about them.",
);
/// The classes of Kafka errors, as `kafka::error` makes them; the end of a log is no error.
pub const KAFKA_ERROR_CLASSES: [&str; 8] = [
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
pub const PRODUCER_QUEUE: Named = (
    "sequencer_producer_queue_messages",
    "Messages waiting in the producers' queues.",
);
/// 1 if the group and the cluster answer.
pub const CONNECTED: Named = (
    "sequencer_connected",
    "1 if this instance is a member of its group, else 0.",
);
/// The state of a partition, one series per `partition` and `state`.
pub const PARTITION_STATE: Named = (
    "sequencer_partition_state",
    "1 for the state that an owned partition is in, 0 for the others.",
);
/// Halted partitions.
pub const HALTED: Named = (
    "sequencer_halted_partitions",
    "Owned partitions that halted and need their repair.",
);
/// Lag of a partition.
pub const LAG: Named = (
    "sequencer_partition_lag_records",
    "Visible request records that are not yet folded.",
);
/// Next offset of a partition.
pub const NEXT_OFFSET: Named = (
    "sequencer_partition_next_offset",
    "Offset of the next request record to read.",
);
/// Age of a partition's checkpoint.
pub const CHECKPOINT_AGE: Named = (
    "sequencer_partition_checkpoint_age_seconds",
    "Time since the last committed checkpoint of an owned partition.",
);
/// Sequences of a partition.
pub const SEQUENCES: Named = (
    "sequencer_sequences",
    "Sequences that an owned partition holds.",
);
/// How long a producer holds a partition back.
pub const OPEN_TRANSACTION_HOLD: Named = (
    "sequencer_open_transaction_hold_seconds",
    "How long a producer's open transaction has held an owned partition back; 0 if none does.",
);
/// The running release, as the label `version`.
pub const BUILD_INFO: Named = (
    "sequencer_build_info",
    "1, with the running version as a label.",
);
