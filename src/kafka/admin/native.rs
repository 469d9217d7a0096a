//! Calls of librdkafka's admin interface, each with the reason why it is sound.

use std::ffi::{CString, c_char, c_int};
use std::ptr::NonNull;
use std::slice;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::config::NativeClientConfig;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_AclOperation_t as Operation;
use rdkafka_sys::rd_kafka_admin_op_t as Op;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::TopicConfig;
use super::topics::NewTopic;
use crate::kafka::error::{Error, Flags, RDKafkaErrorCode, text};

/// The additional time that this code waits for an answer. librdkafka itself gives up first and reports why.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);
/// Bytes for the reason of a refused argument.
const REASON_BYTES: usize = 512;

/// Makes a client report its connection errors, see [`errors`].
pub(super) fn enable_errors(config: &NativeClientConfig) {
    // SAFETY: the configuration is alive.
    unsafe { sys::rd_kafka_conf_set_events(config.ptr(), sys::RD_KAFKA_EVENT_ERROR) }
}

/// The connection errors of a client since the last call.
pub(super) fn errors<C: ClientContext>(client: &Client<C>, operation: &'static str) -> Vec<Error> {
    // SAFETY: the client is alive. The reference to its main queue is ours, and is released when `queue` is
    // dropped.
    let Some(queue) =
        NonNull::new(unsafe { sys::rd_kafka_queue_get_main(client.native_ptr()) }).map(Queue)
    else {
        return Vec::new();
    };
    let mut errors = Vec::new();
    while let Some(event) = queue.poll(Duration::ZERO) {
        errors.extend(event.check(operation).err());
    }
    errors
}

struct Queue(NonNull<sys::rd_kafka_queue_t>);

impl Queue {
    fn poll(&self, wait: Duration) -> Option<Answer> {
        // SAFETY: the queue is alive. The returned event is ours to destroy.
        NonNull::new(unsafe { sys::rd_kafka_queue_poll(self.0.as_ptr(), milliseconds(wait)) })
            .map(Answer)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: our own reference, which is not used after this.
        unsafe { sys::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// The answer to a question: an event, which is destroyed when dropped.
pub(super) struct Answer(NonNull<sys::rd_kafka_event_t>);

impl Answer {
    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_event_t {
        self.0.as_ptr()
    }

    /// The error of the question as a whole.
    fn check(&self, operation: &'static str) -> Result<(), Error> {
        // SAFETY: the event is alive, and its text is copied.
        let (code, reason) = unsafe {
            (
                sys::rd_kafka_event_error(self.as_ptr()),
                text(sys::rd_kafka_event_error_string(self.as_ptr())),
            )
        };
        result(operation, code, &reason)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: the event is ours, and is not used after this.
        unsafe { sys::rd_kafka_event_destroy(self.as_ptr()) }
    }
}

struct Options(NonNull<sys::rd_kafka_AdminOptions_t>);

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: the options are ours, and are not used after this: librdkafka has copied them.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.0.as_ptr()) }
    }
}

/// Asks a question and waits for its answer. `submit` gets a live client, options and queue.
pub(super) fn ask<C: ClientContext>(
    client: &Client<C>,
    operation: &'static str,
    op: Op,
    deadline: Duration,
    submit: impl FnOnce(
        *mut sys::rd_kafka_t,
        *const sys::rd_kafka_AdminOptions_t,
        *mut sys::rd_kafka_queue_t,
    ),
) -> Result<Answer, Error> {
    let rk = client.native_ptr();
    let no_memory = || Error::new(operation, RDKafkaErrorCode::CriticalSystemResource, "");
    // SAFETY: the client is alive. Queue and options are ours, and live until the end of this function, which
    // is longer than the question is in progress. A later answer is dropped.
    let (queue, options) = unsafe {
        (
            NonNull::new(sys::rd_kafka_queue_new(rk)).map(Queue),
            NonNull::new(sys::rd_kafka_AdminOptions_new(rk, op)).map(Options),
        )
    };
    let (queue, options) = (queue.ok_or_else(no_memory)?, options.ok_or_else(no_memory)?);
    let mut reason = [0; REASON_BYTES];
    // SAFETY: the options are alive, and the buffer has the given length.
    let code = unsafe {
        sys::rd_kafka_AdminOptions_set_request_timeout(
            options.0.as_ptr(),
            milliseconds(deadline),
            reason.as_mut_ptr(),
            reason.len(),
        )
    };
    Error::check(operation, code)?;
    submit(rk, options.0.as_ptr(), queue.0.as_ptr());
    let answer = queue
        .poll(deadline + ANSWER_MARGIN)
        .ok_or_else(|| Error::new(operation, RDKafkaErrorCode::OperationTimedOut, ""))?;
    answer.check(operation)?;
    Ok(answer)
}

fn milliseconds(wait: Duration) -> c_int {
    c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX)
}

fn result(operation: &'static str, code: Code, reason: &str) -> Result<(), Error> {
    match code {
        Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(Error::with_flags(
            operation,
            code.into(),
            reason,
            Flags::default(),
        )),
    }
}

pub(super) fn c_string(operation: &'static str, value: &str) -> Result<CString, Error> {
    CString::new(value).map_err(|_| {
        Error::new(
            operation,
            RDKafkaErrorCode::InvalidTopic,
            "a name contains a zero byte",
        )
    })
}

/// # Safety
/// `list` is null or points to `count` pointers that live as long as `'a`.
pub(super) unsafe fn pointers<'a, T>(list: *mut *const T, count: usize) -> &'a [*const T] {
    if list.is_null() {
        return &[];
    }
    // SAFETY: not null, so the caller's promise holds.
    unsafe { slice::from_raw_parts(list.cast_const(), count) }
}

/// A topic as its broker describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Described {
    pub(super) id: [u8; 16],
    pub(super) partitions: u32,
    pub(super) may_read: bool,
    pub(super) may_write: bool,
}

/// Describes a topic by its name. None when the topic does not exist.
pub(super) fn describe_topic<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    deadline: Duration,
) -> Result<Option<Described>, Error> {
    const OPERATION: &str = "describe topic";
    let name = c_string(OPERATION, topic)?;
    let mut names = [name.as_ptr()];
    // The request asks brokers not to create the topic.
    let answer = ask(
        client,
        OPERATION,
        Op::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        deadline,
        |rk, options, queue| {
            // SAFETY: all are alive. The options are ours until the question is asked. The error, if any, is
            // ours to destroy. Names are copied into the collection, which is copied into the question and then
            // ours to destroy.
            unsafe {
                let refused = sys::rd_kafka_AdminOptions_set_include_authorized_operations(
                    options.cast_mut(),
                    1,
                );
                if !refused.is_null() {
                    sys::rd_kafka_error_destroy(refused);
                }
                let topics =
                    sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
                sys::rd_kafka_DescribeTopics(rk, topics, options, queue);
                sys::rd_kafka_TopicCollection_destroy(topics);
            }
        },
    )?;
    // SAFETY: the answer is alive, and so is all that is read from it. The answer to this question is of that
    // type, else the pointer is null.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(answer.as_ptr());
        if result.is_null() {
            return Ok(None);
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let Some(&description) = pointers(topics, count).first() else {
            return Ok(None);
        };
        match borrowed_error(OPERATION, sys::rd_kafka_TopicDescription_error(description)) {
            Err(error) if error.is_absent() => return Ok(None),
            other => other.map_err(|error| error.about(topic))?,
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(description);
        if id.is_null() {
            return Ok(None);
        }
        let high = sys::rd_kafka_Uuid_most_significant_bits(id);
        let low = sys::rd_kafka_Uuid_least_significant_bits(id);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(description, &raw mut partitions);
        Ok(Some(Described {
            id: bytes,
            partitions: u32::try_from(partitions).unwrap_or(u32::MAX),
            may_read: permits(description, Operation::RD_KAFKA_ACL_OPERATION_READ),
            may_write: permits(description, Operation::RD_KAFKA_ACL_OPERATION_WRITE),
        }))
    }
}

/// True also when a broker does not report the permitted operations: then the operation is tried.
///
/// # Safety
/// `description` is a description that lives during the call.
unsafe fn permits(description: *const sys::rd_kafka_TopicDescription_t, wanted: Operation) -> bool {
    let mut count = 0;
    // SAFETY: the description is alive, and so are its operations: the pointer is null, or points to `count` of
    // them.
    let operations = unsafe {
        let list =
            sys::rd_kafka_TopicDescription_authorized_operations(description, &raw mut count);
        if list.is_null() {
            return true;
        }
        slice::from_raw_parts(list, count)
    };
    operations.iter().any(|operation| {
        *operation == wanted || *operation == Operation::RD_KAFKA_ACL_OPERATION_ALL
    })
}

/// # Safety
/// `error` is null or an error object that lives during the call.
pub(super) unsafe fn borrowed_error(
    operation: &'static str,
    error: *const sys::rd_kafka_error_t,
) -> Result<(), Error> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: not null, so the caller's promise holds.
    unsafe {
        let reason = text(sys::rd_kafka_error_string(error));
        result(operation, sys::rd_kafka_error_code(error), &reason)
    }
}

/// The settings of a topic. None when the topic does not exist.
pub(super) fn topic_config<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    deadline: Duration,
) -> Result<Option<TopicConfig>, Error> {
    let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
    config(client, "describe topic config", (kind, topic), deadline)
}

/// The settings of a broker.
pub(super) fn broker_config<C: ClientContext>(
    client: &Client<C>,
    broker: i32,
    deadline: Duration,
) -> Result<Option<TopicConfig>, Error> {
    let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER;
    let name = broker.to_string();
    config(client, "describe broker config", (kind, &name), deadline)
}

fn config<C: ClientContext>(
    client: &Client<C>,
    operation: &'static str,
    (kind, resource): (sys::rd_kafka_ResourceType_t, &str),
    deadline: Duration,
) -> Result<Option<TopicConfig>, Error> {
    let name = c_string(operation, resource)?;
    let answer = ask(
        client,
        operation,
        Op::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
        deadline,
        |rk, options, queue| {
            // SAFETY: all are alive. The resource is copied into the question and then ours to destroy.
            unsafe {
                let resource = sys::rd_kafka_ConfigResource_new(kind, name.as_ptr());
                let mut resources = [resource];
                sys::rd_kafka_DescribeConfigs(rk, resources.as_mut_ptr(), 1, options, queue);
                sys::rd_kafka_ConfigResource_destroy(resource);
            }
        },
    )?;
    // SAFETY: the answer is alive, and so is all that is read from it. The answer to this question is of that
    // type, else the pointer is null.
    unsafe {
        let answered = sys::rd_kafka_event_DescribeConfigs_result(answer.as_ptr());
        if answered.is_null() {
            return Ok(None);
        }
        let mut count = 0;
        let resources = sys::rd_kafka_DescribeConfigs_result_resources(answered, &raw mut count);
        let Some(&found) = pointers(resources, count).first() else {
            return Ok(None);
        };
        let code = sys::rd_kafka_ConfigResource_error(found);
        let reason = text(sys::rd_kafka_ConfigResource_error_string(found));
        match result(operation, code, &reason) {
            Err(error) if error.is_absent() => return Ok(None),
            other => other.map_err(|error| error.about(resource))?,
        }
        let entries = sys::rd_kafka_ConfigResource_configs(found, &raw mut count);
        Ok(Some(
            pointers(entries, count)
                .iter()
                .map(|&entry| {
                    (
                        text(sys::rd_kafka_ConfigEntry_name(entry)),
                        text(sys::rd_kafka_ConfigEntry_value(entry)),
                    )
                })
                .collect(),
        ))
    }
}

/// Creates a topic.
pub(super) fn create_topic<C: ClientContext>(
    client: &Client<C>,
    topic: &NewTopic,
    deadline: Duration,
) -> Result<(), Error> {
    const OPERATION: &str = "create topic";
    let native = native_topic(OPERATION, topic)?;
    let answer = ask(
        client,
        OPERATION,
        Op::RD_KAFKA_ADMIN_OP_CREATETOPICS,
        deadline,
        |rk, options, queue| {
            let mut topics = [native.0.as_ptr()];
            // SAFETY: all are alive, and the topic is copied into the question.
            unsafe { sys::rd_kafka_CreateTopics(rk, topics.as_mut_ptr(), 1, options, queue) }
        },
    )?;
    // SAFETY: the answer is alive. The answer to this question is of that type, else the pointer is null.
    unsafe {
        let found = sys::rd_kafka_event_CreateTopics_result(answer.as_ptr());
        if found.is_null() {
            return Ok(());
        }
        let mut count = 0;
        let results = sys::rd_kafka_CreateTopics_result_topics(found, &raw mut count);
        topic_results(OPERATION, results, count)
    }
}

/// Deletes a topic.
pub(super) fn delete_topic<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    deadline: Duration,
) -> Result<(), Error> {
    const OPERATION: &str = "delete topic";
    let name = c_string(OPERATION, topic)?;
    let answer = ask(
        client,
        OPERATION,
        Op::RD_KAFKA_ADMIN_OP_DELETETOPICS,
        deadline,
        |rk, options, queue| {
            // SAFETY: all are alive. The topic is copied into the question and then ours to destroy.
            unsafe {
                let topic = sys::rd_kafka_DeleteTopic_new(name.as_ptr());
                let mut topics = [topic];
                sys::rd_kafka_DeleteTopics(rk, topics.as_mut_ptr(), 1, options, queue);
                sys::rd_kafka_DeleteTopic_destroy(topic);
            }
        },
    )?;
    // SAFETY: the answer is alive. The answer to this question is of that type, else the pointer is null.
    unsafe {
        let found = sys::rd_kafka_event_DeleteTopics_result(answer.as_ptr());
        if found.is_null() {
            return Ok(());
        }
        let mut count = 0;
        let results = sys::rd_kafka_DeleteTopics_result_topics(found, &raw mut count);
        topic_results(OPERATION, results, count)
    }
}

struct NativeTopic(NonNull<sys::rd_kafka_NewTopic_t>);

impl Drop for NativeTopic {
    fn drop(&mut self) {
        // SAFETY: the topic is ours, and is not used after this.
        unsafe { sys::rd_kafka_NewTopic_destroy(self.0.as_ptr()) }
    }
}

fn native_topic(operation: &'static str, topic: &NewTopic) -> Result<NativeTopic, Error> {
    let name = c_string(operation, &topic.name)?;
    let mut reason = [0; REASON_BYTES];
    // SAFETY: the name is zero-terminated, and the buffer has the given length.
    let native = NonNull::new(unsafe {
        sys::rd_kafka_NewTopic_new(
            name.as_ptr(),
            c_int::try_from(topic.partitions).unwrap_or(c_int::MAX),
            c_int::try_from(topic.replication).unwrap_or(c_int::MAX),
            reason.as_mut_ptr(),
            reason.len(),
        )
    })
    .map(NativeTopic)
    .ok_or_else(|| refused(operation, &reason))?;
    for (key, value) in &topic.config {
        let (key, value) = (c_string(operation, key)?, c_string(operation, value)?);
        // SAFETY: the topic is alive. Both texts are zero-terminated, and are copied.
        let code = unsafe {
            sys::rd_kafka_NewTopic_set_config(native.0.as_ptr(), key.as_ptr(), value.as_ptr())
        };
        Error::check(operation, code)?;
    }
    Ok(native)
}

/// Adds partitions to a topic.
pub(super) fn add_partitions<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    total: u32,
    deadline: Duration,
) -> Result<(), Error> {
    const OPERATION: &str = "create partitions";
    let name = c_string(OPERATION, topic)?;
    let mut reason = [0; REASON_BYTES];
    // SAFETY: the name is zero-terminated, and the buffer has the given length.
    let new = NonNull::new(unsafe {
        sys::rd_kafka_NewPartitions_new(
            name.as_ptr(),
            usize::try_from(total).unwrap_or(usize::MAX),
            reason.as_mut_ptr(),
            reason.len(),
        )
    })
    .ok_or_else(|| refused(OPERATION, &reason))?;
    let asked = ask(
        client,
        OPERATION,
        Op::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS,
        deadline,
        |rk, options, queue| {
            let mut topics = [new.as_ptr()];
            // SAFETY: all are alive, and the request is copied into the question.
            unsafe { sys::rd_kafka_CreatePartitions(rk, topics.as_mut_ptr(), 1, options, queue) }
        },
    );
    // SAFETY: the request is ours, and is not used after this.
    unsafe { sys::rd_kafka_NewPartitions_destroy(new.as_ptr()) };
    let answer = asked?;
    // SAFETY: the answer is alive. The answer to this question is of that type, else the pointer is null.
    unsafe {
        let found = sys::rd_kafka_event_CreatePartitions_result(answer.as_ptr());
        if found.is_null() {
            return Ok(());
        }
        let mut count = 0;
        let results = sys::rd_kafka_CreatePartitions_result_topics(found, &raw mut count);
        topic_results(OPERATION, results, count)
    }
}

/// # Safety
/// `results` is null or points to `count` results that live during the call.
unsafe fn topic_results(
    operation: &'static str,
    results: *mut *const sys::rd_kafka_topic_result_t,
    count: usize,
) -> Result<(), Error> {
    // SAFETY: the caller's promise holds.
    for &topic in unsafe { pointers(results, count) } {
        // SAFETY: the result is alive, and its texts are copied.
        let (code, reason, name) = unsafe {
            (
                sys::rd_kafka_topic_result_error(topic),
                text(sys::rd_kafka_topic_result_error_string(topic)),
                text(sys::rd_kafka_topic_result_name(topic)),
            )
        };
        result(operation, code, &reason).map_err(|error| error.about(&name))?;
    }
    Ok(())
}

fn refused(operation: &'static str, reason: &[c_char]) -> Error {
    let reason: Vec<u8> = reason
        .iter()
        .map_while(|&byte| (byte != 0).then_some(byte.cast_unsigned()))
        .collect();
    Error::new(
        operation,
        RDKafkaErrorCode::InvalidRequest,
        &String::from_utf8_lossy(&reason),
    )
}

/// Reads the members of a group with `read`, if the group exists.
pub(super) fn describe_group<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    deadline: Duration,
    mut read: impl FnMut(*const sys::rd_kafka_MemberDescription_t),
) -> Result<(), Error> {
    const OPERATION: &str = "describe group";
    let name = c_string(OPERATION, group)?;
    let answer = ask(
        client,
        OPERATION,
        Op::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
        deadline,
        |rk, options, queue| {
            let mut names = [name.as_ptr()];
            // SAFETY: all are alive, and the name is copied into the question.
            unsafe {
                sys::rd_kafka_DescribeConsumerGroups(rk, names.as_mut_ptr(), 1, options, queue);
            }
        },
    )?;
    // SAFETY: the answer is alive, and so is all that is read from it. The answer to this question is of that
    // type, else the pointer is null.
    unsafe {
        let found = sys::rd_kafka_event_DescribeConsumerGroups_result(answer.as_ptr());
        if found.is_null() {
            return Ok(());
        }
        let mut count = 0;
        let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(found, &raw mut count);
        let Some(&description) = pointers(groups, count).first() else {
            return Ok(());
        };
        let error = sys::rd_kafka_ConsumerGroupDescription_error(description);
        match borrowed_error(OPERATION, error) {
            Err(error) if error.is_absent() => return Ok(()),
            other => other.map_err(|error| error.about(group))?,
        }
        for index in 0..sys::rd_kafka_ConsumerGroupDescription_member_count(description) {
            let member = sys::rd_kafka_ConsumerGroupDescription_member(description, index);
            if !member.is_null() {
                read(member);
            }
        }
        Ok(())
    }
}

/// Reads the members of a group, if it exists, with `read`. It uses the older question, which goes to all
/// brokers. It does not wait for brokers that miss the deadline. Unlike [`describe_group`] it may be given up:
/// that one ends the process when its coordinator is away for longer than its deadline
/// (<https://github.com/confluentinc/librdkafka/issues/4605>).
pub(super) fn list_group<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    deadline: Duration,
    mut read: impl FnMut(&sys::rd_kafka_group_member_info),
) -> Result<(), Error> {
    const OPERATION: &str = "list group";
    let name = c_string(OPERATION, group)?;
    let mut list: *const sys::rd_kafka_group_list = std::ptr::null();
    // SAFETY: client and name are alive. A returned list may lack the groups that some brokers know. It is
    // alive until it is destroyed, which is its last use. It has as many groups and members as it says.
    unsafe {
        let code = sys::rd_kafka_list_groups(
            client.native_ptr(),
            name.as_ptr(),
            &raw mut list,
            milliseconds(deadline),
        );
        let Some(found) = list.as_ref() else {
            return Error::check(OPERATION, code);
        };
        let mut result = Ok(());
        for group in elements(found.groups, found.group_cnt) {
            result = result.and(Error::check(OPERATION, group.err));
            elements(group.members, group.member_cnt)
                .iter()
                .for_each(&mut read);
        }
        sys::rd_kafka_group_list_destroy(list);
        result
    }
}

/// # Safety
/// `first` is null, or points to `count` elements that live during the call.
pub(super) unsafe fn elements<'a, T>(first: *const T, count: c_int) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: the caller's promise holds.
        Ok(count) if !first.is_null() => unsafe { slice::from_raw_parts(first, count) },
        _ => &[],
    }
}

/// True when a group has committed an offset for any topic.
pub(super) fn has_committed<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    deadline: Duration,
) -> Result<bool, Error> {
    const OPERATION: &str = "describe committed offsets";
    let name = c_string(OPERATION, group)?;
    let answer = ask(
        client,
        OPERATION,
        Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
        deadline,
        |rk, options, queue| {
            // SAFETY: all are alive. Without partitions the request asks for all. It is copied into the
            // question and then ours to destroy.
            unsafe {
                let request =
                    sys::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), std::ptr::null());
                let mut requests = [request];
                sys::rd_kafka_ListConsumerGroupOffsets(
                    rk,
                    requests.as_mut_ptr(),
                    1,
                    options,
                    queue,
                );
                sys::rd_kafka_ListConsumerGroupOffsets_destroy(request);
            }
        },
    )?;
    // SAFETY: the answer is alive, and so is all that is read from it. The answer to this question is of that
    // type, else the pointer is null. A list has `cnt` elements.
    unsafe {
        let found = sys::rd_kafka_event_ListConsumerGroupOffsets_result(answer.as_ptr());
        if found.is_null() {
            return Ok(false);
        }
        let mut count = 0;
        let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(found, &raw mut count);
        let Some(&group_found) = pointers(groups, count).first() else {
            return Ok(false);
        };
        let error = sys::rd_kafka_group_result_error(group_found);
        match borrowed_error(OPERATION, error) {
            Err(error) if error.is_absent() => return Ok(false),
            other => other.map_err(|error| error.about(group))?,
        }
        let Some(list) = sys::rd_kafka_group_result_partitions(group_found).as_ref() else {
            return Ok(false);
        };
        let length = usize::try_from(list.cnt).unwrap_or(0);
        if list.elems.is_null() || length == 0 {
            return Ok(false);
        }
        let elements = slice::from_raw_parts(list.elems, length);
        Ok(elements.iter().any(|element| element.offset >= 0))
    }
}

/// Writes the committed offsets of the client's group into the list.
pub(super) fn committed<C: ClientContext>(
    client: &Client<C>,
    partitions: &rdkafka::TopicPartitionList,
    deadline: Duration,
) -> Result<(), Error> {
    // SAFETY: client and list are alive, and the offsets are written into the list.
    Error::check("describe committed offsets", unsafe {
        sys::rd_kafka_committed(
            client.native_ptr(),
            partitions.ptr(),
            milliseconds(deadline),
        )
    })
}
