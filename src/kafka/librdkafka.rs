//! The behaviour of librdkafka that this code relies on and that librdkafka does not document. Read this list,
//! and run its tests, before another version of librdkafka is taken.
//!
//! | behaviour | relied on in | without it | test on a real broker |
//! |---|---|---|---|
//! | records of one partition can be forwarded to another queue, and a stopped fetch undoes this (`rd_kafka_toppar_fetch_stop`) | `consumer::records` | a partition is fetched and never polled | `integration::scale`, `chaos` |
//! | the number of headers follows the value in memory (`rd_kafka_msgset_reader_msg_v2`) | `consumer::record` | headers are overlooked, or read where there are none | `integration::reply_headers`, `fuzz` of headers in `consumer::tests` |
//! | an incremental unassign answers a revoke that was raised and not polled | `consumer::fetching` | the member is thrown out after `max.poll.interval.ms` | `integration::scale` |
//! | any question to the main thread wakes it, and it sends heartbeats then (`rd_kafka_thread_main`) | `consumer` | a rebalance begins up to a second later | `integration::rolling`, `make failover` |
//! | metadata that arrive reset the time of the last join (`rd_kafka_parse_Metadata`) | `consumer` | moving partitions have no owner for a second | `integration::rolling`, `make failover` |
//! | only a seek wakes the thread of a broker whose partitions were all paused (`rd_kafka_broker_consumer_serve`) | `consumer::fetching` | a resumed partition stands still for up to a second | `integration::rolling`, `make failover` |
//! | a static member leaves when it unsubscribes before the client is closed (`rd_kafka_cgrp_leave_maybe`) | `consumer::leave`, `failover::evict` | a stopped or evicted instance keeps its partitions for a session | `integration::leaving`, `integration::failover` |
//! | a batch for an unknown topic puts partition -1 into the transaction (`rd_kafka_produce_batch`) | `transactor::producer` | the first transaction times out | `integration::restart`, `the_first_start_of_all_aborts_no_checkpoint` |
//! | an abort purges a request in flight, and its message says "possibly persisted" | `transactor::producer` | a reply occurs twice (T9) | `integration::sizes`, `transactions_fit_into_a_quota` |
//! | a transactional producer that knows no broker looks for its coordinator after 500 ms (`rd_kafka_txn_coord_query`), and one whose init is refused asks again after 500 ms (`rd_kafka_idemp_request_pid_failed`) | `transactor::producer`, `failover::fence` | the partitions of an instance that is gone stand still for half a second longer in `exactly_once` mode | `make failover` |
//! | a transaction that begins before the last one has ended is tried again after 20 ms (`rd_kafka_txn_handle_AddPartitionsToTxn`) | `transactor` | the pause after a commit is too long or too short | `sequencer bench --only latency` |
//! | a call of the transactional producer may never return when its coordinator goes away | `transactor::step` | the engine waits forever | `chaos` |
//! | a destroyed client answers its open rebalance only once | `consumer::close` | a stop hangs | `integration::leaving` |
//! | a describe of an absent group may end the process (issue 4605) | `admin::native` | the status page ends the service | `integration::failover` |

use rdkafka_sys as sys;

/// 2.12.1, the version with which the list was checked.
const CHECKED: i32 = 0x020c_01ff;
const _: () = assert!(
    sys::RD_KAFKA_VERSION == CHECKED,
    "another librdkafka: check the list in src/kafka/librdkafka.rs first"
);
