//! The partitions and instances of the whole service, from all that is known here: the status of this instance, that
//! which its peers told, and the members that the group's coordinator named.

use std::collections::{BTreeMap, BTreeSet};

use crate::observe::status::{PartitionStatus, Peer, Status};
use crate::service::http::owners::Owner;

/// The members of the group, or the reason why they are unknown. None before the first answer.
pub(super) type Members = Option<Result<Vec<Owner>, String>>;

/// A partition of the request topic.
pub(super) struct Partition<'a> {
    pub id: i32,
    /// The instance that owns it. None when no owner is known here.
    pub owner: Option<&'a str>,
    /// Its status, by its owner. None when the owner has not told it.
    pub status: Option<&'a PartitionStatus>,
}

/// An instance: a member of the group, a writer of heartbeats, or both.
pub(super) struct Instance<'a> {
    pub name: &'a str,
    pub is_own: bool,
    /// None for an instance that the group does not know.
    pub member: Option<&'a Owner>,
    /// None for an instance that writes no heartbeats, or when this one does not watch its peers.
    pub peer: Option<&'a Peer>,
    pub partitions: Vec<i32>,
}

/// All partitions of the request topic, and any others that are owned.
pub(super) fn partitions<'a>(status: &'a Status, members: &'a Members) -> Vec<Partition<'a>> {
    let mut all: BTreeMap<i32, Partition<'a>> = BTreeMap::new();
    let mut add = |id: i32, owner: Option<&'a str>, status: Option<&'a PartitionStatus>| {
        all.insert(id, Partition { id, owner, status });
    };
    // Later words win: the coordinator's may be some seconds old.
    (0..i32::try_from(status.request_partitions).unwrap_or(i32::MAX))
        .for_each(|id| add(id, None, None));
    for member in known(members) {
        for id in &member.partitions {
            add(*id, Some(&member.instance), None);
        }
    }
    for (name, peer) in &status.peers {
        for (id, told) in peer.told.iter().flat_map(|told| &told.partitions) {
            add(*id, Some(name), Some(told));
        }
    }
    for (id, own) in &status.partitions {
        add(*id, Some(&status.instance_id), Some(own));
    }
    all.into_values().collect()
}

/// All instances by name.
pub(super) fn instances<'a>(
    status: &'a Status,
    members: &'a Members,
    partitions: &[Partition<'a>],
) -> Vec<Instance<'a>> {
    let of_group = known(members).iter().map(|member| member.instance.as_str());
    let of_heartbeats = status.peers.keys().map(String::as_str);
    let own = [status.instance_id.as_str()];
    let names: BTreeSet<&str> = of_group.chain(of_heartbeats).chain(own).collect();
    let instance = |name: &'a str| {
        let owned = partitions
            .iter()
            .filter(|partition| partition.owner == Some(name));
        Instance {
            name,
            is_own: name == status.instance_id,
            member: known(members).iter().find(|member| member.instance == name),
            peer: status.peers.get(name),
            partitions: owned.map(|partition| partition.id).collect(),
        }
    };
    names.into_iter().map(instance).collect()
}

fn known(members: &Members) -> &[Owner] {
    match members {
        Some(Ok(members)) => members,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::observe::status::PartitionState;
    use crate::observe::told::Told;

    fn in_state(state: PartitionState) -> PartitionStatus {
        PartitionStatus {
            state,
            ..PartitionStatus::default()
        }
    }

    #[test]
    fn the_owners_own_word_counts_more_than_that_of_the_coordinator() {
        let told = Told {
            partitions: [(1, in_state(PartitionState::Halted))].into(),
            ..Told::default()
        };
        let peer = Peer {
            age_ms: 40,
            told: Some(Arc::new(told)),
        };
        let status = Status {
            instance_id: "a".to_owned(),
            request_partitions: 4,
            partitions: [(0, in_state(PartitionState::Running))].into(),
            peers: [("b".to_owned(), peer)].into(),
            ..Status::default()
        };
        let member = |instance: &str, partitions: &[i32]| Owner {
            instance: instance.to_owned(),
            partitions: partitions.into(),
            ..Owner::default()
        };
        let members = Some(Ok(vec![member("a", &[1]), member("ghost", &[0, 2])]));
        let partitions = partitions(&status, &members);
        let seen: Vec<_> = partitions
            .iter()
            .map(|p| (p.id, p.owner, p.status.map(|status| status.state)))
            .collect();
        assert_eq!(
            seen,
            [
                (0, Some("a"), Some(PartitionState::Running)),
                (1, Some("b"), Some(PartitionState::Halted)),
                (2, Some("ghost"), None),
                (3, None, None),
            ]
        );
        let instances = instances(&status, &members, &partitions);
        let seen: Vec<_> = instances
            .iter()
            .map(|i| {
                (
                    i.name,
                    i.member.is_some(),
                    i.peer.is_some(),
                    &i.partitions[..],
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("a", true, false, &[0][..]),
                ("b", false, true, &[1]),
                ("ghost", true, false, &[2]),
            ]
        );
    }

    #[test]
    fn a_partition_beyond_the_known_topic_is_shown_too() {
        let status = Status {
            request_partitions: 1,
            partitions: [(5, in_state(PartitionState::Restoring))].into(),
            ..Status::default()
        };
        let ids: Vec<i32> = partitions(&status, &None).iter().map(|p| p.id).collect();
        assert_eq!(ids, [0, 5]);
    }
}
