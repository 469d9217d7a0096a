//! The meaning of each Kafka error for this service. This is the only file that looks at Kafka's error codes.
//! All other code decides by [`Class`].

use std::ffi::CStr;
use std::os::raw::c_char;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, RDKafkaError};
pub use rdkafka::types::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;
use rdkafka_sys as sys;

use crate::wire::route::Cause;

/// How to react to an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The problem ends without action, or with another attempt by the same client: an unreachable broker, a
    /// leader election, a timeout of a call that may be repeated.
    Retriable,
    /// The transaction is lost and was not committed: abort it and go on with the same producer.
    AbortTransaction,
    /// Another process replaced this one: it has the same `transactional.id` or `group.instance.id`. This
    /// client is finished, and another attempt would only fence the other process.
    Fenced,
    /// The operation may have happened or not: a commit that timed out, a record that expired in flight. After
    /// a commit: create a new producer, then read what is there (T5).
    Indefinite,
    /// Authentication or an ACL: only the operator can help.
    Denied,
    /// This record, topic or group is refused. Others are not affected.
    Refused,
    /// The offset to read from is not in the log (no longer, or not yet).
    OffsetLost,
    /// The end of a partition was reached. This is not an error.
    EndOfLog,
    /// The client can no longer be used, or was used wrongly: librdkafka flags this error so, or the code is
    /// one of a producer's or client's own state.
    Fatal,
    /// A code with no known meaning. It concerns the partition or topic that it came with, and says nothing
    /// about the client.
    Unexpected,
}

impl Class {
    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Retriable => "retriable",
            Class::AbortTransaction => "abort_transaction",
            Class::Fenced => "fenced",
            Class::Indefinite => "indefinite",
            Class::Denied => "denied",
            Class::Refused => "refused",
            Class::OffsetLost => "offset_lost",
            Class::EndOfLog => "end_of_log",
            Class::Fatal => "fatal",
            Class::Unexpected => "unexpected",
        }
    }
}

/// An error of a Kafka client, in one line for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct Error {
    /// How to react to the error.
    pub class: Class,
    /// The code, for the log and for metrics. Never decide by it.
    pub code: RDKafkaErrorCode,
    /// The problem and, if there is one, the remedy.
    pub message: String,
    /// The operation that failed, such as `commit transaction`.
    pub operation: &'static str,
    /// The offset in the log, for an error of a reader.
    pub offset: Option<i64>,
}

/// The flags that librdkafka gives with an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The client instance can no longer be used.
    pub fatal: bool,
    /// The operation may be tried again.
    pub retriable: bool,
    /// The transaction must be aborted.
    pub requires_abort: bool,
}

impl Error {
    /// Creates an error from a code, with the text of librdkafka or the broker (may be empty).
    pub fn new(operation: &'static str, code: RDKafkaErrorCode, reason: &str) -> Error {
        Error::with_flags(operation, code, reason, Flags::default())
    }

    /// Creates an error from a code and librdkafka's flags.
    pub fn with_flags(
        operation: &'static str,
        code: RDKafkaErrorCode,
        reason: &str,
        flags: Flags,
    ) -> Error {
        Error {
            class: classify(code, flags),
            code,
            message: explain(operation, code, reason),
            operation,
            offset: None,
        }
    }

    /// Creates an error of this service itself: a deadline that passed, or a missing answer.
    pub fn own(operation: &'static str, class: Class, message: impl Into<String>) -> Error {
        let code = match class {
            Class::Retriable | Class::Indefinite => RDKafkaErrorCode::OperationTimedOut,
            _ => RDKafkaErrorCode::Application,
        };
        Error {
            class,
            code,
            message: message.into(),
            operation,
            offset: None,
        }
    }

    /// Creates an error for a thread that could not be started.
    pub fn thread(error: &std::io::Error) -> Error {
        Error::own("start thread", Class::Fatal, error.to_string())
    }

    /// Converts an error of rust-rdkafka.
    pub fn from_kafka(operation: &'static str, error: &KafkaError) -> Error {
        match error {
            KafkaError::Transaction(error) => {
                Error::with_flags(operation, error.code(), &error.string(), flags_of(error))
            }
            KafkaError::MessageConsumptionFatal(code) => Error::with_flags(
                operation,
                *code,
                "",
                Flags {
                    fatal: true,
                    ..Flags::default()
                },
            ),
            // `rdkafka_error_code` has none for these.
            KafkaError::AdminOp(code) => Error::new(operation, *code, ""),
            KafkaError::PartitionEOF(_) => {
                Error::new(operation, RDKafkaErrorCode::PartitionEOF, "")
            }
            KafkaError::ClientConfig(_, description, key, _) => Error::own(
                operation,
                Class::Fatal,
                // The value is left out: it may be a secret.
                format!("kafka.{key}: {}", one_line(description)),
            ),
            other => match other.rdkafka_error_code() {
                Some(code) => Error::new(operation, code, ""),
                None => Error::own(operation, Class::Fatal, one_line(&other.to_string())),
            },
        }
    }

    /// Converts an error of rust-rdkafka. If its code only says that the client had a fatal error before, the
    /// result is that fatal error.
    pub fn from_client<C: ClientContext>(
        operation: &'static str,
        error: &KafkaError,
        client: &Client<C>,
    ) -> Error {
        let error = Error::from_kafka(operation, error);
        match error.class {
            Class::Fatal => Error::fatal_of(operation, client).unwrap_or(error),
            _ => error,
        }
    }

    /// Returns the fatal error that a client has had, if any.
    pub fn fatal_of<C: ClientContext>(
        operation: &'static str,
        client: &Client<C>,
    ) -> Option<Error> {
        let (code, reason) = client.fatal_error()?;
        Some(Error::with_flags(
            operation,
            code,
            &reason,
            Flags {
                fatal: true,
                ..Flags::default()
            },
        ))
    }

    /// Converts the result of a commit. Only [`Class::AbortTransaction`] says for certain that a commit did not
    /// happen. An error that librdkafka would let the caller try again, and a transaction that timed out
    /// locally while its end was in progress, is [`Class::Indefinite`] (T5).
    pub fn from_commit<C: ClientContext>(error: &KafkaError, client: &Client<C>) -> Error {
        let mut error = Error::from_client("commit transaction", error, client);
        error.class = class_of_commit(error.class, error.code);
        error
    }

    /// Checks a code that librdkafka returned; `NO_ERROR` is no error.
    ///
    /// # Errors
    /// The error that the code means.
    pub fn check(operation: &'static str, code: RDKafkaRespErr) -> Result<(), Error> {
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            code => Err(Error::new(operation, code.into(), "")),
        }
    }

    /// Checks an error object that librdkafka returned, and destroys it. Null is no error.
    ///
    /// # Safety
    /// `error` is null or an error object that the caller owns and does not use any longer.
    ///
    /// # Errors
    /// The error in the object.
    pub(super) unsafe fn check_native(
        operation: &'static str,
        error: *mut sys::rd_kafka_error_t,
    ) -> Result<(), Error> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: not null, so a live error object by the caller's promise. Its text lives until it is
        // destroyed, which is its last use.
        unsafe {
            let flags = Flags {
                fatal: sys::rd_kafka_error_is_fatal(error) != 0,
                retriable: sys::rd_kafka_error_is_retriable(error) != 0,
                requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
            };
            let code = sys::rd_kafka_error_code(error).into();
            let reason = text(sys::rd_kafka_error_string(error));
            sys::rd_kafka_error_destroy(error);
            Err(Error::with_flags(operation, code, &reason, flags))
        }
    }

    /// True when the topic, group or other object does not exist.
    pub fn is_absent(&self) -> bool {
        use RDKafkaErrorCode as C;
        matches!(
            self.code,
            C::GroupIdNotFound
                | C::UnknownGroup
                | C::UnknownPartition
                | C::UnknownTopic
                | C::UnknownTopicId
                | C::UnknownTopicOrPartition
        )
    }

    /// True when a batch, or a single record, is larger than its topic or its producer accepts.
    pub fn is_too_large(&self) -> bool {
        delivery(self) == Delivery::Record(Cause::ReplyTooLarge)
    }

    /// True when a record was purged with its transaction. The error says nothing about the record.
    pub fn is_purged(&self) -> bool {
        use RDKafkaErrorCode as C;
        matches!(self.code, C::PurgeInflight | C::PurgeQueue)
    }

    /// True when a record was refused because of its producer or its transaction. The error says nothing about
    /// the record or its topic. Once a transaction has failed, librdkafka takes no record (`State`), and the
    /// sequence numbers of purged records make the next one fail as well (`OutOfOrderSequenceNumber`).
    pub fn is_about_producer(&self) -> bool {
        self.is_purged() || matches!(self.class, Class::Fatal | Class::Fenced)
    }

    /// True for a broker's failure without a stated cause. Such a failure may come after the operation took
    /// effect.
    pub fn is_silent(&self) -> bool {
        matches!(self.code, RDKafkaErrorCode::Unknown)
    }

    /// True when the content of a log cannot be read: no broker or client changes this on its own.
    pub fn is_unreadable(&self) -> bool {
        use RDKafkaErrorCode as C;
        matches!(
            self.code,
            C::BadCompression
                | C::BadMessage
                | C::InvalidMessage
                | C::InvalidRecord
                | C::MessageSizeTooLarge
                | C::NotImplemented
                | C::UnsupportedCompressionType
                | C::UnsupportedForMessageFormat
        )
    }

    /// True when a topic may have more partitions now than the client knows.
    pub fn is_unknown_partition(&self) -> bool {
        matches!(self.code, RDKafkaErrorCode::UnknownPartition)
    }

    /// True while a transaction may commit another offset.
    pub fn is_unstable(&self) -> bool {
        matches!(self.code, RDKafkaErrorCode::UnstableOffsetCommit)
    }

    /// True when the object to create exists already.
    pub fn is_present(&self) -> bool {
        matches!(self.code, RDKafkaErrorCode::TopicAlreadyExists)
    }

    /// True when the error only says that the whole cluster is out of reach.
    pub fn is_general(&self) -> bool {
        matches!(self.code, RDKafkaErrorCode::AllBrokersDown)
    }

    /// True for another occurrence of the same problem, also with other words.
    pub fn is_like(&self, other: &Error) -> bool {
        self.code == other.code && self.operation == other.operation
    }

    /// Adds the brokers that were tried, if this helps.
    #[must_use]
    pub fn with_brokers(mut self, brokers: &str) -> Error {
        if matches!(self.code, RDKafkaErrorCode::AllBrokersDown) {
            self.message = format!("none of the brokers can be reached: {brokers}");
        }
        self
    }

    /// True when the service as a whole may not work: it may not be a member of its group, or may not write
    /// transactions.
    pub fn bars_service(&self) -> bool {
        use RDKafkaErrorCode as C;
        matches!(
            self.code,
            C::GroupAuthorizationFailed | C::TransactionalIdAuthorizationFailed
        )
    }

    /// Adds the subject: the group if the group is refused, else the given subject.
    #[must_use]
    pub fn about_group_or(self, group: &str, subject: &str) -> Error {
        match self.code {
            RDKafkaErrorCode::GroupAuthorizationFailed => self.about(&format!("group {group}")),
            _ => self.about(subject),
        }
    }

    /// Adds the topic or group that the error is about.
    #[must_use]
    pub fn about(mut self, subject: &str) -> Error {
        self.message = format!("{subject}: {}", self.message);
        self
    }
}

/// True when a producer refused a record only because its queue is full now.
pub fn is_queue_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

/// The same as [`is_queue_full`], for a code that librdkafka returned.
pub fn is_queue_full_code(code: RDKafkaRespErr) -> bool {
    code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__QUEUE_FULL
}

/// The same as [`is_queue_full`], for an [`Error`].
pub fn is_queue_full_error(error: &Error) -> bool {
    error.code == RDKafkaErrorCode::QueueFull
}

/// The meaning of an error for a reply to a topic that a client named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The broker refused the batch because of one of its records.
    Record(Cause),
    /// The topic cannot be written, whatever the record.
    Topic(Cause),
}

/// Classifies a failed delivery of a reply to a topic that a client named.
pub fn delivery(error: &Error) -> Delivery {
    use RDKafkaErrorCode as C;
    match error.code {
        C::InvalidMessageSize | C::MessageBatchTooLarge | C::MessageSizeTooLarge => {
            Delivery::Record(Cause::ReplyTooLarge)
        }
        C::InvalidMessage
        | C::InvalidRecord
        | C::InvalidTimestamp
        | C::PolicyViolation
        | C::UnsupportedForMessageFormat => Delivery::Record(Cause::RecordRefused),
        C::UnknownTopic | C::UnknownTopicId | C::UnknownTopicOrPartition => {
            Delivery::Topic(Cause::TopicUnknown)
        }
        C::UnknownPartition => Delivery::Topic(Cause::PartitionUnknown),
        C::ClusterAuthorizationFailed | C::TopicAuthorizationFailed => {
            Delivery::Topic(Cause::NotPermitted)
        }
        _ => Delivery::Topic(Cause::Unwritable),
    }
}

/// The part of the service that an error of the group's consumer concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This process: another process has its name in the group.
    Identity,
    /// The service: it may not be a member of the group.
    Service,
    /// The client, which is no longer usable.
    Client,
    /// The log of this partition, which no longer has the read offset.
    Log(i32),
    /// The fetch of this partition, which does not recover without help.
    Partition(i32),
    /// The client recovers itself. The error is logged, and nothing else.
    Told,
}

/// The scope of an error of the group's consumer: the partition that it came with, if it came with one. The
/// scope is the client only when librdkafka flags the client as no longer usable, or the code is one of the
/// client's own state.
pub fn scope(error: &Error, partition: Option<i32>) -> Scope {
    match (error.class, partition) {
        (Class::Fenced, _) => Scope::Identity,
        (Class::Fatal, _) => Scope::Client,
        (Class::Denied, _) if error.bars_service() => Scope::Service,
        (Class::EndOfLog, _) | (_, None) => Scope::Told,
        (Class::OffsetLost, Some(partition)) => Scope::Log(partition),
        (_, Some(partition)) => Scope::Partition(partition),
    }
}

/// True for the end of a partition. It comes with every record on a quiet partition, so it is recognised before
/// an error is created.
pub(super) fn is_end_of_log(code: RDKafkaRespErr) -> bool {
    code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF
}

/// A C string of librdkafka as text.
///
/// # Safety
/// `pointer` is null or a zero-terminated string that lives during the call.
pub(super) unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: not null, so a zero-terminated string by the caller's promise.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}

fn flags_of(error: &RDKafkaError) -> Flags {
    Flags {
        fatal: error.is_fatal(),
        retriable: error.is_retriable(),
        requires_abort: error.txn_requires_abort(),
    }
}

/// The order matters: a fenced producer's errors are also fatal, and must end the process. librdkafka's flags
/// of this very error count for more than the general meaning of its code.
fn classify(code: RDKafkaErrorCode, flags: Flags) -> Class {
    match class_of_code(code) {
        Class::Fenced => Class::Fenced,
        _ if flags.fatal => Class::Fatal,
        _ if flags.requires_abort => Class::AbortTransaction,
        _ if flags.retriable => Class::Retriable,
        class => class,
    }
}

fn class_of_commit(class: Class, code: RDKafkaErrorCode) -> Class {
    match class {
        Class::Fenced | Class::Fatal | Class::Denied => class,
        Class::AbortTransaction if class_of_code(code) != Class::Retriable => class,
        _ => Class::Indefinite,
    }
}

fn class_of_code(code: RDKafkaErrorCode) -> Class {
    use RDKafkaErrorCode as C;
    match code {
        C::PartitionEOF => Class::EndOfLog,

        C::AutoOffsetReset | C::LogTruncation | C::NoOffset | C::OffsetOutOfRange => {
            Class::OffsetLost
        }

        C::Fenced
        | C::FencedInstanceId
        | C::InvalidProducerEpoch
        | C::ProducerFenced
        | C::UnreleasedInstanceId => Class::Fenced,

        C::MessageTimedOut | C::PurgeInflight | C::RequestTimedOut => Class::Indefinite,

        C::Authentication
        | C::ClusterAuthorizationFailed
        | C::DelegationTokenAuthorizationFailed
        | C::DelegationTokenExpired
        | C::DelegationTokenNotFound
        | C::GroupAuthorizationFailed
        | C::IllegalSASLState
        | C::SaslAuthenticationFailed
        | C::SecurityDisabled
        | C::SSL
        | C::TopicAuthorizationFailed
        | C::TransactionalIdAuthorizationFailed
        | C::UnsupportedSASLMechanism => Class::Denied,

        C::DuplicateResource
        | C::GroupIdNotFound
        | C::GroupMaxSizeReached
        | C::InvalidConfig
        | C::InvalidMessage
        | C::InvalidMessageSize
        | C::InvalidPartitions
        | C::InvalidRecord
        | C::InvalidReplicaAssignment
        | C::InvalidReplicationFactor
        | C::InvalidRequest
        | C::InvalidRequiredAcks
        | C::InvalidTimestamp
        | C::InvalidTopic
        | C::MessageBatchTooLarge
        | C::MessageSizeTooLarge
        | C::NonEmptyGroup
        | C::OffsetMetadataTooLarge
        | C::PolicyViolation
        | C::ResourceNotFound
        | C::TopicAlreadyExists
        | C::TopicDeletionDisabled
        | C::UnknownGroup
        | C::UnknownPartition
        | C::UnknownTopic
        | C::UnknownTopicId
        | C::UnknownTopicOrPartition
        | C::UnsupportedCompressionType
        | C::UnsupportedForMessageFormat => Class::Refused,

        C::AllBrokersDown
        | C::AssignmentLost
        | C::BrokerDestroy
        | C::BrokerNotAvailable
        | C::BrokerTransportFailure
        | C::ConcurrentTransactions
        | C::CoordinatorLoadInProgress
        | C::CoordinatorNotAvailable
        | C::DestroyBroker
        | C::EligibleLeadersNotAvailable
        | C::FencedLeaderEpoch
        | C::FencedMemberEpoch
        | C::FetchSessionIdNotFound
        | C::IllegalGeneration
        | C::InProgress
        | C::Interrupted
        | C::InvalidFetchSessionEpoch
        | C::ISRInsufficient
        | C::KafkaStorageError
        | C::LeaderNotAvailable
        | C::ListenerNotFound
        | C::MemberIdRequired
        | C::NetworkException
        | C::NotController
        | C::NotCoordinator
        | C::NotEnoughReplicas
        | C::NotEnoughReplicasAfterAppend
        | C::NotLeaderForPartition
        | C::OffsetNotAvailable
        | C::OperationNotAttempted
        | C::OperationTimedOut
        | C::Outdated
        | C::PollExceeded
        | C::PreferredLeaderNotAvailable
        | C::PreviousInProgress
        | C::PurgeQueue
        | C::QueueFull
        | C::ReassignmentInProgress
        | C::RebalanceInProgress
        | C::RebootstrapRequired
        | C::ReplicaNotAvailable
        | C::Resolve
        | C::Retry
        | C::StaleBrokerEpoch
        | C::StaleControllerEpoch
        | C::StaleMemberEpoch
        | C::ThrottlingQuotaExceeded
        | C::TimedOutQueue
        | C::TransactionCoordinatorFenced
        | C::UnknownBroker
        | C::UnknownLeaderEpoch
        | C::UnknownMemberId
        | C::UnstableOffsetCommit
        | C::WaitCache
        | C::WaitingForCoordinator => Class::Retriable,

        C::Conflict
        | C::DuplicateSequenceNumber
        | C::ExistingSubscription
        | C::Fatal
        | C::GaplessGuarantee
        | C::Inconsistent
        | C::InvalidArgument
        | C::InvalidProducerIdMapping
        | C::InvalidTransactionTimeout
        | C::InvalidTransactionalState
        | C::NotConfigured
        | C::OutOfOrderSequenceNumber
        | C::State
        | C::UnknownProducerId
        | C::UnsupportedFeature => Class::Fatal,

        _ => Class::Unexpected,
    }
}

/// The beginning of the message about a broker that cannot be reached.
pub(super) const UNREACHABLE: &str = "a broker cannot be reached: ";

fn explain(operation: &str, code: RDKafkaErrorCode, reason: &str) -> String {
    use RDKafkaErrorCode as C;
    let reason = one_line(reason);
    let reason = match without_state(&reason).trim_end_matches('.') {
        "" => description(code),
        reason => reason.to_owned(),
    };
    match code {
        C::BrokerTransportFailure | C::Resolve | C::NetworkException => {
            format!("{UNREACHABLE}{reason}")
        }
        C::AllBrokersDown => format!("no broker can be reached: {reason}"),
        C::Authentication
        | C::SaslAuthenticationFailed
        | C::UnsupportedSASLMechanism
        | C::IllegalSASLState => format!(
            "SASL authentication failed: {reason}: check kafka.security.protocol, kafka.sasl.mechanism and the credentials"
        ),
        C::SSL => format!(
            "TLS failed: {reason}: check kafka.security.protocol, kafka.ssl.ca.location, and the dates and host names of the brokers' certificates"
        ),
        C::TopicAuthorizationFailed
        | C::GroupAuthorizationFailed
        | C::ClusterAuthorizationFailed
        | C::TransactionalIdAuthorizationFailed => {
            format!("{reason}: missing ACL: {}", missing_acl(operation, code))
        }
        // This is a fetch error: no producer of this service decompresses anything.
        C::BadCompression => format!(
            "{reason}: it is damaged, or larger than {RECEIVE_MAX} when it is decompressed: with a larger \
             {RECEIVE_MAX} it may be read, which takes as much memory"
        ),
        C::Fenced | C::ProducerFenced | C::InvalidProducerEpoch => format!(
            "another process uses the same transactional.id: {reason}: give each instance its own instance_id"
        ),
        C::InvalidSessionTimeout => format!(
            "{reason}: kafka.session.timeout.ms must lie between the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms"
        ),
        C::FencedInstanceId | C::UnreleasedInstanceId => format!(
            "another process uses the same group.instance.id: {reason}: give each instance its own instance_id"
        ),
        _ => reason,
    }
}

/// The setting that limits how many bytes librdkafka decompresses (`rd_kafka_zstd_decompress`).
const RECEIVE_MAX: &str = "kafka.receive.message.max.bytes";

/// The ACL that an operation needs, for a code that says that it is missing.
fn missing_acl(operation: &str, code: RDKafkaErrorCode) -> &'static str {
    use RDKafkaErrorCode as C;
    match code {
        C::GroupAuthorizationFailed => "Read (and Describe) on the consumer group",
        C::TransactionalIdAuthorizationFailed => "Write (and Describe) on the transactional ID",
        C::ClusterAuthorizationFailed if operation.contains("create") => {
            "Create on the cluster or the topic"
        }
        C::ClusterAuthorizationFailed => "Describe or IdempotentWrite on the cluster",
        _ if operation.contains("create") => "Create on the topic or the cluster",
        _ if operation.contains("config") => "DescribeConfigs on the topic",
        _ if operation.contains("produce") || operation.contains("transaction") => {
            "Write (and Describe) on the topic"
        }
        _ if operation.contains("describe") => "Describe on the topic",
        _ => "Read (and Describe) on the topic",
    }
}

/// librdkafka's description of a code, such as `Broker: Unknown topic or partition`.
fn description(code: RDKafkaErrorCode) -> String {
    let text = code.to_string();
    match (text.find('('), text.rfind(')')) {
        (Some(begin), Some(end)) if begin < end => text[begin + 1..end].to_owned(),
        _ => text,
    }
}

/// The reason without librdkafka's note on its own state, `(after 0ms in state CONNECT, 1 identical error(s)
/// suppressed)`.
fn without_state(reason: &str) -> &str {
    reason
        .rfind(" (after ")
        .filter(|_| reason.ends_with(')'))
        .map_or(reason, |end| &reason[..end])
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
