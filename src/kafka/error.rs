//! What a Kafka error means for us. The only place that looks at Kafka's error codes: everything
//! else decides by [`Class`].

use std::ffi::CStr;
use std::os::raw::c_char;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, RDKafkaError};
pub use rdkafka::types::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;
use rdkafka_sys as sys;

use crate::wire::route::Cause;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Passes by itself or with another attempt by the same client: an unreachable broker, a
    /// leader election, a time-out of something that may be asked again.
    Retriable,
    /// The transaction is lost and was not committed: abort it and go on with the same producer.
    AbortTransaction,
    /// Another process took our place: the same `transactional.id` or `group.instance.id`. This
    /// client is finished, and trying again would only throw out the other.
    Fenced,
    /// It may have happened or not: a commit that timed out, a record that expired on its way.
    /// After a commit: a new producer, then read what is there (T5).
    Indefinite,
    /// Authentication or an ACL: nothing helps but the operator.
    Denied,
    /// This record, topic or group is refused as it stands; other ones are not affected.
    Refused,
    /// The offset to read from is not in the log (any more, or yet).
    OffsetLost,
    /// The end of a partition was reached: no error at all.
    EndOfLog,
    /// The client cannot be used any longer, or was used wrongly: librdkafka says so of this error, or
    /// the code is one of a producer's or client's own state.
    Fatal,
    /// A code that nobody has told what it means. It concerns whatever it was attached to, a partition
    /// or a topic, and says nothing about the client.
    Unexpected,
}

impl Class {
    /// As metrics and logs have it.
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
    /// What to do about it.
    pub class: Class,
    /// For the log and for metrics; never to decide by.
    pub code: RDKafkaErrorCode,
    /// What happened and, where there is one, the remedy.
    pub message: String,
    /// What was being done, such as `commit transaction`.
    pub operation: &'static str,
    /// The offset in the log, of an error of a reader.
    pub offset: Option<i64>,
}

/// What librdkafka says about an error beside its code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The client instance cannot be used any longer.
    pub fatal: bool,
    /// The operation may be tried again.
    pub retriable: bool,
    /// The transaction must be aborted.
    pub requires_abort: bool,
}

impl Error {
    /// An error of a code, with librdkafka's or the broker's words (may be empty).
    pub fn new(operation: &'static str, code: RDKafkaErrorCode, reason: &str) -> Error {
        Error::with_flags(operation, code, reason, Flags::default())
    }

    /// An error of a code and librdkafka's flags.
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

    /// An error of our own making: a deadline of ours that passed, an answer that is not there.
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

    /// A thread that could not be started.
    pub fn thread(error: &std::io::Error) -> Error {
        Error::own("start thread", Class::Fatal, error.to_string())
    }

    /// From rust-rdkafka.
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

    /// From rust-rdkafka, where the code may only say that the client had a fatal error before:
    /// then it is that error.
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

    /// The fatal error that a client has had, if any.
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

    /// From the result of a commit. Of a commit, only [`Class::AbortTransaction`] says for certain
    /// that it did not happen: whatever librdkafka would let us try again, and a transaction that
    /// timed out locally while its end was under way, is [`Class::Indefinite`] (T5).
    pub fn from_commit<C: ClientContext>(error: &KafkaError, client: &Client<C>) -> Error {
        let mut error = Error::from_client("commit transaction", error, client);
        error.class = class_of_commit(error.class, error.code);
        error
    }

    /// From a code that librdkafka returned; none for `NO_ERROR`.
    ///
    /// # Errors
    /// What the code means.
    pub fn check(operation: &'static str, code: RDKafkaRespErr) -> Result<(), Error> {
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            code => Err(Error::new(operation, code.into(), "")),
        }
    }

    /// From an error object that librdkafka returned, which is destroyed; none for null.
    ///
    /// # Safety
    /// `error` is null or an error object that the caller owns and does not use any longer.
    ///
    /// # Errors
    /// What the object says.
    pub(super) unsafe fn check_native(
        operation: &'static str,
        error: *mut sys::rd_kafka_error_t,
    ) -> Result<(), Error> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: not null, so a live error object by the caller's promise; its text lives until
        // it is destroyed, which is the last that happens to it.
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

    /// True when what was asked for is not there.
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

    /// True when a batch, or a record by itself, is larger than its topic or its producer takes.
    pub fn is_too_large(&self) -> bool {
        delivery(self) == Delivery::Record(Cause::ReplyTooLarge)
    }

    /// True when a record went with its transaction, and nothing is said about the record.
    pub fn is_purged(&self) -> bool {
        use RDKafkaErrorCode as C;
        matches!(self.code, C::PurgeInflight | C::PurgeQueue)
    }

    /// True when a record was not taken because of its producer or its transaction, and nothing is said
    /// about the record or its topic. Once a transaction has failed, librdkafka takes no record
    /// (`State`), and the sequence numbers of what it has purged make the next one fail as well
    /// (`OutOfOrderSequenceNumber`).
    pub fn is_about_producer(&self) -> bool {
        self.is_purged() || matches!(self.class, Class::Fatal | Class::Fenced)
    }

    /// True for a broker's failure of which it says nothing, so that it may come after what was asked
    /// for was done.
    pub fn is_silent(&self) -> bool {
        matches!(self.code, RDKafkaErrorCode::Unknown)
    }

    /// True when it is what lies in a log that cannot be read: nothing that a broker or a client does by
    /// itself changes that.
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

    /// True when a topic was taken to have fewer partitions than it may have by now.
    pub fn is_unknown_partition(&self) -> bool {
        matches!(self.code, RDKafkaErrorCode::UnknownPartition)
    }

    /// True when what was to be made is there already.
    pub fn is_present(&self) -> bool {
        matches!(self.code, RDKafkaErrorCode::TopicAlreadyExists)
    }

    /// True when it says no more than that the whole cluster is out of reach.
    pub fn is_general(&self) -> bool {
        matches!(self.code, RDKafkaErrorCode::AllBrokersDown)
    }

    /// True for another occurrence of the same trouble, whatever its words.
    pub fn is_like(&self, other: &Error) -> bool {
        self.code == other.code && self.operation == other.operation
    }

    /// Names the brokers that were tried, where that helps.
    #[must_use]
    pub fn with_brokers(mut self, brokers: &str) -> Error {
        if matches!(self.code, RDKafkaErrorCode::AllBrokersDown) {
            self.message = format!("none of the brokers can be reached: {brokers}");
        }
        self
    }

    /// True when the service as a whole may not work: be a member of its group, or write transactions.
    pub fn bars_service(&self) -> bool {
        use RDKafkaErrorCode as C;
        matches!(
            self.code,
            C::GroupAuthorizationFailed | C::TransactionalIdAuthorizationFailed
        )
    }

    /// Names what it is about: the group where that is refused, else the subject.
    #[must_use]
    pub fn about_group_or(self, group: &str, subject: &str) -> Error {
        match self.code {
            RDKafkaErrorCode::GroupAuthorizationFailed => self.about(&format!("group {group}")),
            _ => self.about(subject),
        }
    }

    /// Names the topic or group that it is about.
    #[must_use]
    pub fn about(mut self, subject: &str) -> Error {
        self.message = format!("{subject}: {}", self.message);
        self
    }
}

/// True when a producer refused a record only because its queue is full at the moment.
pub fn is_queue_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

/// As [`is_queue_full`], of a code that librdkafka returned.
pub fn is_queue_full_code(code: RDKafkaRespErr) -> bool {
    code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__QUEUE_FULL
}

/// As [`is_queue_full`], of an error of ours.
pub fn is_queue_full_error(error: &Error) -> bool {
    error.code == RDKafkaErrorCode::QueueFull
}

/// What an error means for a reply to a topic that a client named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The broker refused the batch because of one of its records.
    Record(Cause),
    /// The topic cannot be written, whatever the record.
    Topic(Cause),
}

/// What a failed delivery means for a reply to a topic that a client named.
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
    /// This process: another one has its name in the group.
    Identity,
    /// The service: it may not be a member of the group.
    Service,
    /// The client, which is no longer usable.
    Client,
    /// The log of this partition, which is not where it was.
    Log(i32),
    /// The reading of this partition, which does not come back by itself.
    Partition(i32),
    /// The client itself sees to it: people are told, and no more.
    Told,
}

/// The scope of an error of the group's consumer: the partition that it came with, if it came with one.
/// The client only when librdkafka says that it is no longer usable, or a code of its own state does.
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

/// True for the end of a partition: comes with every record on a quiet partition, so it is told
/// apart before an error is made of it.
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

/// The order matters: a fenced producer's errors are also fatal, and must end the process; what
/// librdkafka says about this very error counts for more than what its code means in general.
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

/// How the message about a broker that cannot be reached begins.
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
        // Of a fetch: no producer of ours decompresses anything.
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

/// Up to how many bytes librdkafka decompresses (`rd_kafka_zstd_decompress`).
const RECEIVE_MAX: &str = "kafka.receive.message.max.bytes";

/// The ACL that an operation needs and that a code says is not there.
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

/// Without librdkafka's note on its own state, `(after 0ms in state CONNECT, 1 identical error(s)
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
