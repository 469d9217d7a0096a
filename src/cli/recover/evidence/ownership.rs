//! Finds the owner of the partition, which also owns its state.

use std::collections::BTreeSet;

use super::{Inquiry, State};
use crate::cli::Error;
use crate::cli::session::Session;
use crate::kafka::admin::Member;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// No member reads the request topic.
    Nobody,
    /// This member, in words.
    Member(String),
    /// Members read the request topic, and none of them owns the partition: a rebalance is in progress.
    Unsettled,
    /// The state belongs to another request topic, which a member reads.
    OfOtherTopic { member: String, topic: String },
    /// All members read other request topics, and the owner of the state is unknown.
    Unknown { member: String, topic: String },
}

/// Compares the request topic of the state with the topics that members of the group read.
struct Others {
    /// The topic that the state belongs to.
    of_state: Option<String>,
    /// True when the state certainly belongs to none of the others.
    none_is: bool,
}

impl Inquiry<'_> {
    pub(super) fn ownership(&self, state: &State) -> Result<Ownership, Error> {
        let Session {
            settings, admin, ..
        } = self.session;
        let members = admin.group_members(&settings.group)?;
        let requests = settings.topics.requests.as_str();
        let others: BTreeSet<&String> = members
            .iter()
            .flat_map(|member| member.assigned.keys())
            .filter(|topic| *topic != requests)
            .collect();
        let mut found = Others {
            of_state: None,
            none_is: state.last_footer.is_some(),
        };
        for topic in others {
            match (&state.last_footer, admin.topic_id(topic)) {
                (Some(footer), Ok(Some(id))) if footer.topic_id.0 == id => {
                    found.of_state = Some(topic.clone());
                }
                (_, Ok(Some(_))) => {}
                _ => found.none_is = false,
            }
        }
        Ok(ownership(&members, requests, self.partition, &found))
    }
}

fn ownership(members: &[Member], requests: &str, partition: i32, others: &Others) -> Ownership {
    let reads = |topic: &str| {
        let reads = |member: &&Member| member.assigned.get(topic).is_some_and(|p| !p.is_empty());
        members.iter().find(reads)
    };
    if let Some(topic) = &others.of_state
        && let Some(member) = reads(topic)
    {
        return Ownership::OfOtherTopic {
            member: words(member),
            topic: topic.clone(),
        };
    }
    let owns = |member: &&Member| {
        let assigned = member.assigned.get(requests);
        assigned.is_some_and(|partitions| partitions.contains(&partition))
    };
    if let Some(member) = members.iter().find(owns) {
        return Ownership::Member(words(member));
    }
    if members.is_empty() {
        return Ownership::Nobody;
    }
    // Nothing is assigned during a rebalance, so a member with any partition has all of its partitions.
    let other = members
        .iter()
        .find_map(|member| Some((member, member.assigned.keys().next()?)));
    match other {
        Some(_) if reads(requests).is_some() => Ownership::Unsettled,
        Some(_) if others.none_is => Ownership::Nobody,
        Some((member, topic)) => Ownership::Unknown {
            member: words(member),
            topic: topic.clone(),
        },
        None => Ownership::Unsettled,
    }
}

fn words(member: &Member) -> String {
    let host = member.host.trim_start_matches('/');
    format!("instance {} at {host}", member.client_id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn member(assigned: &[(&str, &[i32])]) -> Member {
        let assigned = assigned.iter();
        Member {
            id: "m".to_owned(),
            instance_id: None,
            client_id: "host".to_owned(),
            host: "/10.0.0.1".to_owned(),
            assigned: assigned
                .map(|(topic, partitions)| ((*topic).to_owned(), partitions.to_vec()))
                .collect(),
        }
    }

    fn others(of_state: Option<&str>, none_is: bool) -> Others {
        Others {
            of_state: of_state.map(str::to_owned),
            none_is,
        }
    }

    #[test]
    fn a_group_whose_members_do_not_own_the_partition_is_not_settled() {
        let members = [member(&[("r", &[0, 2])])];
        let of =
            |members: &[Member], partition| ownership(members, "r", partition, &others(None, true));
        assert_eq!(of(&[], 0), Ownership::Nobody);
        assert_eq!(of(&members, 1), Ownership::Unsettled);
        let rebalancing = [Member {
            assigned: BTreeMap::new(),
            ..members[0].clone()
        }];
        assert_eq!(of(&rebalancing, 1), Ownership::Unsettled);
        let owner = Ownership::Member("instance host at 10.0.0.1".to_owned());
        assert_eq!(of(&members, 2), owner);
    }

    #[test]
    fn another_service_of_the_group_is_no_rebalance() {
        let members = [member(&[("other", &[0, 1, 2])])];
        let nobody = ownership(&members, "r", 1, &others(None, true));
        assert_eq!(nobody, Ownership::Nobody);
        let unknown = ownership(&members, "r", 1, &others(None, false));
        let (member, topic) = ("instance host at 10.0.0.1".to_owned(), "other".to_owned());
        assert_eq!(unknown, Ownership::Unknown { member, topic });
    }

    #[test]
    fn the_state_of_a_topic_that_a_member_reads_is_its_own_whoever_halted_on_another_one() {
        let members = [member(&[("mistyped", &[1])]), member(&[("right", &[0])])];
        let found = ownership(&members, "mistyped", 1, &others(Some("right"), true));
        let (member, topic) = ("instance host at 10.0.0.1".to_owned(), "right".to_owned());
        assert_eq!(found, Ownership::OfOtherTopic { member, topic });
    }
}
