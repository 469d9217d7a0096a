//! The committed offsets of a group, and its members.

use std::collections::BTreeMap;
use std::slice;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka_sys as sys;

use super::{assignment, native};
use crate::kafka::error::{Error, text};

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    /// The offset to read next.
    pub offset: i64,
    /// The metadata that was committed with it.
    pub metadata: String,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// The broker's name for the member.
    pub id: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// The `client.id` of the member.
    pub client_id: String,
    /// The address from which it connects.
    pub host: String,
    /// The assigned partitions, in order, by topic.
    pub assigned: BTreeMap<String, Vec<i32>>,
}

pub(super) fn committed<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partitions: u32,
    deadline: Duration,
) -> Result<Vec<Option<Committed>>, Error> {
    const OPERATION: &str = "describe committed offsets";
    if partitions == 0 {
        return Ok(Vec::new());
    }
    native::c_string(OPERATION, topic)?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition(topic, i32::try_from(partition).unwrap_or(i32::MAX));
    }
    native::committed(client, &list, deadline)?;
    list.elements()
        .iter()
        .map(|element| {
            element
                .error()
                .map_err(|error| Error::from_kafka(OPERATION, &error))?;
            Ok(match element.offset() {
                Offset::Offset(offset) => Some(Committed {
                    offset,
                    metadata: element.metadata().to_owned(),
                }),
                _ => None,
            })
        })
        .collect()
}

pub(super) fn members<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    deadline: Duration,
) -> Result<Vec<Member>, Error> {
    let mut members = Vec::new();
    native::describe_group(client, group, deadline, |member| {
        // SAFETY: the description is alive during this call, and so are its pointers' targets.
        members.push(unsafe { member_of(member) });
    })?;
    members.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(members)
}

/// A member, as the quick listing of a group has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The broker's name for the member.
    pub id: String,
    /// The `client.id` of the member.
    pub client_id: String,
    /// The address from which it connects.
    pub host: String,
    /// The assigned partitions, in order, by topic.
    pub assigned: BTreeMap<String, Vec<i32>>,
}

/// Characters of a UUID.
const UUID_LETTERS: usize = 36;

impl Listed {
    /// `group.instance.id` of a static member: the broker's name for it is this ID, a dash and a UUID. For
    /// another member, its `client.id`.
    pub(crate) fn instance(&self) -> Option<&str> {
        let (instance, uuid) = self
            .id
            .split_at_checked(self.id.len().checked_sub(1 + UUID_LETTERS)?)?;
        uuid.starts_with('-').then_some(instance)
    }
}

pub(super) fn listed<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    deadline: Duration,
) -> Result<Vec<Listed>, Error> {
    let mut members = Vec::new();
    native::list_group(client, group, deadline, |member| {
        // SAFETY: the member is alive during this call, and so are its texts, which are copied, and its
        // assignment, which has the size that it says.
        members.push(unsafe {
            let assignment = member.member_assignment.cast();
            let assignment = native::elements(assignment, member.member_assignment_size);
            Listed {
                id: text(member.member_id),
                client_id: text(member.client_id),
                host: text(member.client_host),
                assigned: assignment::read(assignment),
            }
        });
    })?;
    Ok(members)
}

/// # Safety
/// `member` is a description that lives during the call.
unsafe fn member_of(member: *const sys::rd_kafka_MemberDescription_t) -> Member {
    // SAFETY: the caller's promise holds; all texts are copied, and null ones are empty.
    unsafe {
        let instance = sys::rd_kafka_MemberDescription_group_instance_id(member);
        Member {
            id: text(sys::rd_kafka_MemberDescription_consumer_id(member)),
            instance_id: (!instance.is_null()).then(|| text(instance)),
            client_id: text(sys::rd_kafka_MemberDescription_client_id(member)),
            host: text(sys::rd_kafka_MemberDescription_host(member)),
            assigned: assignment_of(sys::rd_kafka_MemberDescription_assignment(member)),
        }
    }
}

/// # Safety
/// `assignment` is null or an assignment that lives during the call.
unsafe fn assignment_of(
    assignment: *const sys::rd_kafka_MemberAssignment_t,
) -> BTreeMap<String, Vec<i32>> {
    let mut assigned: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    if assignment.is_null() {
        return assigned;
    }
    // SAFETY: not null, so alive; the list belongs to it and has `cnt` elements.
    let elements = unsafe {
        match sys::rd_kafka_MemberAssignment_partitions(assignment).as_ref() {
            Some(list) if !list.elems.is_null() => {
                slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
            }
            _ => &[],
        }
    };
    for element in elements {
        // SAFETY: the name belongs to the element and is copied.
        let topic = unsafe { text(element.topic) };
        assigned.entry(topic).or_default().push(element.partition);
    }
    assigned
        .values_mut()
        .for_each(|partitions| partitions.sort_unstable());
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_member_is_known_by_what_its_name_begins_with() {
        let instance = |id: &str| {
            let listed = Listed {
                id: id.to_owned(),
                client_id: "client".to_owned(),
                host: String::new(),
                assigned: BTreeMap::new(),
            };
            listed.instance().map(str::to_owned)
        };
        let id = "sequencer-0-9d3b1a5c-7a51-4d0e-8a57-1f7f4c2a9d10";
        assert_eq!(instance(id).as_deref(), Some("sequencer-0"));
        assert_eq!(instance("short"), None);
        assert_eq!(instance(&"é".repeat(30)), None);
        assert_eq!(instance(&id.replace('-', "+")), None);
    }
}
