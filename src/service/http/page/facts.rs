//! Renders the facts about the service at a glance.

use std::collections::BTreeMap;
use std::iter::Sum;

use maud::{Markup, html};

use super::text::{self, UNKNOWN, duration, number, number_or_unknown};
use super::view::Partition;
use crate::observe::status::{PartitionState, Status};

pub(super) fn section(status: &Status, partitions: &[Partition<'_>], unix_ms: u64) -> Markup {
    let known = || partitions.iter().filter_map(|partition| partition.status);
    let running = known().filter(|status| status.state == PartitionState::Running);
    let total = (!partitions.is_empty()).then_some(partitions.len());
    // Without a position, as of a halted partition, the other numbers are not known either.
    let placed = || known().filter(|status| status.next_offset >= 0);
    let lag = sum(placed().filter_map(|status| status.lag_records));
    let sequences = sum(placed().map(|status| status.sequences));
    let homes = (status.service_partitions > 0).then_some(status.service_partitions);
    html! {
        section #facts aria-labelledby="service" {
            h2 #service { "Service" }
            dl.facts {
                (fact("Running", &html! { (number(running.count())) " of " (number_or_unknown(total)) " partitions" }))
                (fact("Lag", &html! { (number_or_unknown(lag)) " records" }))
                (fact("Sequences", &number_or_unknown(sequences)))
                (fact("Names spread over", &html! { (number_or_unknown(homes)) " partitions" }))
                (fact("Undefined names", &policy(partitions)))
                (fact("Reply mode", &html! { code { (status.reply_mode.as_str()) } }))
                (fact("Version", &html! { (env!("CARGO_PKG_VERSION")) }))
                (fact("Up for", &html! { (duration(unix_ms.saturating_sub(status.started_unix_ms))) }))
            }
            @if known().count() < partitions.len() {
                p.note { "Of the partitions that are known here; some owners have not told theirs." }
            }
        }
    }
}

/// None without a value: nothing is known, and that is not 0.
fn sum<T: Sum>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values = values.peekable();
    values.peek().is_some().then(|| values.sum())
}

fn fact(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// The policy of the partitions. While one of them has not learned of a change yet, they differ.
fn policy(partitions: &[Partition<'_>]) -> Markup {
    let mut by_policy: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        if let Some(policy) = partition.status.and_then(|status| status.undefined) {
            by_policy.entry(policy).or_default().push(partition.id);
        }
    }
    let differ = by_policy.len() > 1;
    html! {
        @if by_policy.is_empty() { (UNKNOWN) }
        @for (index, (policy, partitions)) in by_policy.iter().enumerate() {
            @if index > 0 { "; " }
            code { (policy) }
            @if differ { " on " (text::partitions(partitions)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::status::PartitionStatus;

    #[test]
    fn numbers_that_are_not_known_are_no_part_of_a_sum() {
        let unknown = section(&Status::default(), &[], 0).into_string();
        assert!(unknown.contains("<dd>– records</dd>"), "{unknown}");
        assert!(
            unknown.contains("<dt>Sequences</dt><dd>–</dd>"),
            "{unknown}"
        );
        let idle = PartitionStatus {
            lag_records: Some(0),
            ..PartitionStatus::default()
        };
        let halted = PartitionStatus {
            next_offset: -1,
            lag_records: Some(7),
            ..PartitionStatus::default()
        };
        let partitions = [(0, &idle), (1, &halted)].map(|(id, status)| Partition {
            id,
            owner: None,
            status: Some(status),
        });
        let idle = section(&Status::default(), &partitions, 0).into_string();
        assert!(
            idle.contains("<dd><span class=\"number\">0</span> records</dd>"),
            "{idle}"
        );
    }

    #[test]
    fn a_policy_that_not_all_partitions_have_is_shown_with_its_partitions() {
        let of = |policy| PartitionStatus {
            undefined: policy,
            ..PartitionStatus::default()
        };
        let statuses = [
            of(Some("create")),
            of(Some("create")),
            of(Some("refuse")),
            of(None),
        ];
        let partition = |id: usize| Partition {
            id: i32::try_from(id).unwrap(),
            owner: None,
            status: Some(&statuses[id]),
        };
        let of = |ids: &[usize]| {
            let partitions: Vec<_> = ids.iter().map(|id| partition(*id)).collect();
            policy(&partitions).into_string()
        };
        assert_eq!(of(&[0, 1, 3]), "<code>create</code>");
        assert_eq!(
            of(&[0, 1, 2]),
            "<code>create</code> on 0, 1; <code>refuse</code> on 2"
        );
        assert_eq!(of(&[3]), UNKNOWN);
    }
}
