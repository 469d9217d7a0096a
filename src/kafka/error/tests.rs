use super::*;
use RDKafkaErrorCode as C;

const NONE: Flags = Flags {
    fatal: false,
    retriable: false,
    requires_abort: false,
};
const FATAL: Flags = Flags {
    fatal: true,
    ..NONE
};
const RETRIABLE: Flags = Flags {
    retriable: true,
    ..NONE
};
const ABORT: Flags = Flags {
    requires_abort: true,
    ..NONE
};

#[test]
fn codes_and_flags_have_their_class() {
    let table = [
        (C::BrokerTransportFailure, NONE, Class::Retriable),
        (C::AllBrokersDown, NONE, Class::Retriable),
        (C::OperationTimedOut, NONE, Class::Retriable),
        (C::NotCoordinator, NONE, Class::Retriable),
        (C::IllegalGeneration, NONE, Class::Retriable),
        (C::QueueFull, NONE, Class::Retriable),
        (C::ConcurrentTransactions, NONE, Class::Retriable),
        (C::MessageTimedOut, NONE, Class::Indefinite),
        (C::Fenced, NONE, Class::Fenced),
        (C::ProducerFenced, NONE, Class::Fenced),
        (C::InvalidProducerEpoch, NONE, Class::Fenced),
        (C::FencedInstanceId, NONE, Class::Fenced),
        (C::FencedMemberEpoch, NONE, Class::Retriable),
        (C::TopicAuthorizationFailed, NONE, Class::Denied),
        (C::SSL, NONE, Class::Denied),
        (C::SaslAuthenticationFailed, NONE, Class::Denied),
        (C::MessageSizeTooLarge, NONE, Class::Refused),
        (C::UnknownTopicOrPartition, NONE, Class::Refused),
        (C::InvalidRecord, NONE, Class::Refused),
        (C::AutoOffsetReset, NONE, Class::OffsetLost),
        (C::OffsetOutOfRange, NONE, Class::OffsetLost),
        (C::PartitionEOF, NONE, Class::EndOfLog),
        (C::Fatal, NONE, Class::Fatal),
        (C::State, NONE, Class::Fatal),
        (C::Unknown, NONE, Class::Unexpected),
        // Flags count for more than codes, except for fencing.
        (C::UnknownProducerId, ABORT, Class::AbortTransaction),
        (C::IllegalGeneration, ABORT, Class::AbortTransaction),
        (C::Fenced, FATAL, Class::Fenced),
        (C::FencedInstanceId, ABORT, Class::Fenced),
        (C::BrokerTransportFailure, FATAL, Class::Fatal),
        (C::State, RETRIABLE, Class::Retriable),
    ];
    for (code, flags, class) in table {
        assert_eq!(classify(code, flags), class, "{code:?} {flags:?}");
    }
}

#[test]
fn what_is_about_the_producer_closes_no_topic() {
    let producers = [
        C::PurgeQueue,
        C::PurgeInflight,
        C::State,
        C::OutOfOrderSequenceNumber,
        C::UnknownProducerId,
        C::InvalidTransactionalState,
        C::InvalidProducerEpoch,
        C::Fatal,
    ];
    let topics = [
        C::InvalidRecord,
        C::MessageSizeTooLarge,
        C::MessageTimedOut,
        C::NotEnoughReplicas,
        C::TopicAuthorizationFailed,
        C::UnknownPartition,
        C::UnknownTopicOrPartition,
    ];
    for (codes, about_producer) in [(&producers[..], true), (&topics[..], false)] {
        for &code in codes {
            let error = Error::new("produce", code, "");
            assert_eq!(error.is_about_producer(), about_producer, "{code:?}");
        }
    }
}

#[test]
fn a_commit_is_undone_only_when_that_is_certain() {
    let table = [
        (C::OperationTimedOut, RETRIABLE, Class::Indefinite),
        (C::OperationTimedOut, NONE, Class::Indefinite),
        (C::BrokerTransportFailure, RETRIABLE, Class::Indefinite),
        // The local transaction timeout, with the end of the transaction in progress.
        (C::OperationTimedOut, ABORT, Class::Indefinite),
        (C::UnknownProducerId, ABORT, Class::AbortTransaction),
        (C::InvalidTransactionalState, FATAL, Class::Fatal),
        (C::Fenced, FATAL, Class::Fenced),
    ];
    for (code, flags, class) in table {
        assert_eq!(
            class_of_commit(classify(code, flags), code),
            class,
            "{code:?} {flags:?}"
        );
    }
}

#[test]
fn messages_are_one_line_and_name_the_remedy() {
    let error = Error::new(
        "produce",
        C::TopicAuthorizationFailed,
        "Broker: Topic\nauthorization failed",
    );
    assert_eq!(
        error.to_string(),
        "produce: Broker: Topic authorization failed: missing ACL: Write (and Describe) on the topic"
    );
    let error = Error::new("consume", C::AllBrokersDown, "1/1 brokers are down");
    assert_eq!(
        error.with_brokers("kafka-1:9092").to_string(),
        "consume: none of the brokers can be reached: kafka-1:9092"
    );
    let error = Error::new(
        "consume",
        C::BrokerTransportFailure,
        "kafka:9092/1: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 2ms in state CONNECT)",
    );
    assert_eq!(
        error.to_string(),
        "consume: a broker cannot be reached: kafka:9092/1: Connect to ipv4#10.0.0.1:9092 failed: Connection refused"
    );
    let error = Error::new("init transactions", C::ProducerFenced, "");
    assert!(error.message.ends_with("its own instance_id"), "{error}");
    assert_eq!(
        Error::new("describe topics", C::UnknownTopicOrPartition, "").to_string(),
        "describe topics: Broker: Unknown topic or partition"
    );
}

#[test]
fn errors_of_the_client_library_are_taken_over() {
    let error = Error::from_kafka("create topics", &KafkaError::AdminOp(C::PolicyViolation));
    assert_eq!(
        (error.class, error.code),
        (Class::Refused, C::PolicyViolation)
    );
    let error = Error::from_kafka(
        "produce",
        &KafkaError::MessageProduction(C::MessageSizeTooLarge),
    );
    assert_eq!(error.class, Class::Refused);
}

#[test]
fn a_wrong_property_is_named_and_its_value_is_not() {
    let mut config = rdkafka::ClientConfig::new();
    config.set("sasl.password", "swordfish");
    config.set("no.such.property", "swordfish");
    let error = config.create_native_config().err().expect("refused");
    let error = Error::from_kafka("configure", &error);
    assert_eq!(error.class, Class::Fatal);
    assert!(error.message.contains("no.such.property") && !error.message.contains("swordfish"));
}

#[test]
fn native_errors_keep_their_flags() {
    // SAFETY: the format is a zero-terminated string without directives, and check_native takes over the
    // object.
    let error = unsafe {
        let native = sys::rd_kafka_error_new(
            sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__STATE,
            c"not now".as_ptr(),
        );
        Error::check_native("assign", native).expect_err("an error")
    };
    assert_eq!(error.to_string(), "assign: not now");
    assert_eq!(error.class, Class::Fatal);
    // SAFETY: null is allowed.
    assert!(unsafe { Error::check_native("assign", std::ptr::null_mut()) }.is_ok());
}

#[test]
fn an_error_concerns_what_it_came_with() {
    let partition = Some(3);
    let table = [
        (C::Unknown, NONE, partition, Scope::Partition(3)),
        (C::BadMessage, NONE, partition, Scope::Partition(3)),
        (C::BadCompression, NONE, partition, Scope::Partition(3)),
        (C::NotImplemented, NONE, partition, Scope::Partition(3)),
        (C::InvalidMessage, NONE, partition, Scope::Partition(3)),
        (C::MessageSizeTooLarge, NONE, partition, Scope::Partition(3)),
        (C::RequestTimedOut, NONE, partition, Scope::Partition(3)),
        (C::NotEnoughReplicas, NONE, partition, Scope::Partition(3)),
        (
            C::TopicAuthorizationFailed,
            NONE,
            partition,
            Scope::Partition(3),
        ),
        (C::OffsetOutOfRange, NONE, partition, Scope::Log(3)),
        (C::PartitionEOF, NONE, partition, Scope::Told),
        (C::Unknown, NONE, None, Scope::Told),
        (C::AllBrokersDown, NONE, None, Scope::Told),
        (C::TopicAuthorizationFailed, NONE, None, Scope::Told),
        (C::GroupAuthorizationFailed, NONE, None, Scope::Service),
        (C::FencedInstanceId, FATAL, None, Scope::Identity),
        // Only librdkafka's flags, or the client's own state.
        (C::Unknown, FATAL, None, Scope::Client),
        (C::Unknown, FATAL, partition, Scope::Client),
        (C::State, NONE, None, Scope::Client),
    ];
    for (code, flags, partition, expected) in table {
        let error = Error::with_flags("consume", code, "", flags);
        assert_eq!(scope(&error, partition), expected, "{code:?} {flags:?}");
    }
}

#[test]
fn an_unknown_code_is_about_the_topic_that_it_came_with() {
    for code in [C::Unknown, C::LogDirNotFound, C::Fail] {
        let error = Error::new("produce", code, "");
        assert!(!error.is_about_producer(), "{code:?}");
        assert_eq!(
            delivery(&error),
            Delivery::Topic(Cause::Unwritable),
            "{code:?}"
        );
    }
}

#[test]
fn what_lies_in_a_log_is_told_from_what_a_broker_says() {
    for code in [C::BadCompression, C::BadMessage, C::InvalidMessage] {
        assert!(Error::new("consume", code, "").is_unreadable(), "{code:?}");
    }
    for code in [C::Unknown, C::RequestTimedOut, C::CriticalSystemResource] {
        assert!(!Error::new("consume", code, "").is_unreadable(), "{code:?}");
    }
    let large = Error::new("consume", C::BadCompression, "at 1 failed");
    assert!(large.message.contains("kafka.receive.message.max.bytes"));
}
