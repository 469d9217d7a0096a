//! Renders the partitions of all instances.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::text::{ago, duration, head, number_or_unknown, rate};
use super::view::Partition;
use crate::core::printable::printable;
use crate::observe::status::{PartitionState, PartitionStatus, Status};

pub(super) fn section(
    status: &Status,
    partitions: &[Partition<'_>],
    rates: &BTreeMap<i32, f64>,
) -> Markup {
    let is_own = |partition: &Partition<'_>| partition.owner == Some(&status.instance_id);
    let are_all_own = partitions.iter().all(is_own);
    html! {
        section #partitions aria-labelledby="partitions-head" {
            h2 #partitions-head { "Partitions" }
            table {
                (head(&[
                    "Partition", "Owner", "State", "#Lag", "#Rate", "#Checkpoint", "#Next offset", "#Sequences",
                ]))
                tbody {
                    @for partition in partitions {
                        @match partition.status {
                            Some(known) => (row(partition, known, rates.get(&partition.id).copied())),
                            None => (unknown(partition)),
                        }
                    }
                }
            }
            p.note {
                "Lag and rate count records."
                @if !are_all_own {
                    " Other instances tell the state of their partitions once a second, with their heartbeats."
                }
            }
        }
    }
}

/// A partition whose state is not known here.
fn unknown(partition: &Partition<'_>) -> Markup {
    html! {
        tr data-partition=(partition.id) {
            (names(partition))
            td.note colspan="6" {
                @match partition.owner {
                    Some(_) => "its owner has not told",
                    None => "no owner is known here",
                }
            }
        }
    }
}

fn names(partition: &Partition<'_>) -> Markup {
    html! {
        th scope="row" { (partition.id) }
        td data-label="Owner" { (printable(partition.owner.unwrap_or("not known here"))) }
    }
}

fn row(partition: &Partition<'_>, known: &PartitionStatus, per_second: Option<f64>) -> Markup {
    let state = known.state.as_str();
    let reason = known.reason.as_deref();
    let reason = reason.filter(|_| known.state == PartitionState::Waiting);
    // Without a position, as of a halted partition, the other numbers are not known either.
    let next = (known.next_offset >= 0).then_some(known.next_offset);
    html! {
        tr data-partition=(partition.id) data-state=(state) {
            (names(partition))
            // One element, because the style sheet puts the label beside it on a phone.
            td data-label="State" { div {
                span class={ "state " (state) } { (state) }
                @if let Some(reason) = reason { p.note { (printable(reason)) } }
                @if let Some(part) = known.rescale { p.note { "rescale: " (part) } }
                @if let Some(hold_ms) = known.open_transaction_hold_ms {
                    p.note { "held back by a producer's open transaction for " (duration(hold_ms)) }
                }
            } }
            td.right data-label="Lag" { (number_or_unknown(next.and(known.lag_records))) }
            td.right data-label="Rate" data-rate=(partition.id) { (rate(per_second)) }
            td.right data-label="Checkpoint" { (ago(known.checkpoint_age_ms)) }
            td.right data-label="Next offset" { (number_or_unknown(next)) }
            td.right data-label="Sequences" { (number_or_unknown(next.map(|_| known.sequences))) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_a_row_with_its_owner_and_its_state_whoever_owns_it() {
        let status = Status {
            instance_id: "a".to_owned(),
            ..Status::default()
        };
        let running = PartitionStatus {
            state: PartitionState::Running,
            next_offset: 12_345,
            lag_records: Some(0),
            ..PartitionStatus::default()
        };
        let partition = |id, owner, status| Partition { id, owner, status };
        let all = [
            partition(0, Some("a"), Some(&running)),
            partition(1, Some("b"), Some(&running)),
            partition(2, Some("b"), None),
            partition(3, None, None),
        ];
        let html = section(&status, &all, &[(1, 7.0)].into()).into_string();
        let row = |id: i32| {
            let from = html.find(&format!("<tr data-partition=\"{id}\"")).unwrap();
            let rest = &html[from..];
            rest[..rest.find("</tr>").unwrap()].to_owned()
        };
        assert!(
            row(0).contains("data-rate=\"0\">–<"),
            "a rate needs two looks: {}",
            row(0)
        );
        assert!(
            row(1).contains("<td data-label=\"Owner\">b</td>"),
            "{}",
            row(1)
        );
        assert!(row(1).contains("data-state=\"running\""), "{}", row(1));
        assert!(row(1).contains(">7</span>/s<"), "{}", row(1));
        assert!(row(1).contains("12<span>345</span>"), "{}", row(1));
        assert!(
            row(2).contains(">b</td>") && row(2).contains("has not told"),
            "{}",
            row(2)
        );
        assert!(row(3).contains("not known here"), "{}", row(3));
    }
}
