//! Renders what needs a person: a silent engine, a lost membership, halted partitions.

use std::time::Duration;

use maud::{Markup, html};

use super::view::Partition;
use crate::core::printable::printable;
use crate::observe::status::{PartitionState, PartitionStatus, Status};

/// The silence of the engine in seconds after which the page reports it.
const SILENCE_S_MAX: u64 = 5;

pub(super) fn section(status: &Status, silence: Duration, partitions: &[Partition<'_>]) -> Markup {
    html! {
        div #alarms role="status" {
            @if silence.as_secs() >= SILENCE_S_MAX {
                p.alarm {
                    "The engine has not reported for " (silence.as_secs()) " s: the data below is as old."
                }
            }
            @if !status.connected {
                p.alarm {
                    "Not a member of the group: "
                    (printable(status.problem.as_deref().unwrap_or("joining it")))
                }
            }
            @for partition in partitions {
                @if let Some(halted) = partition.status
                    && halted.state == PartitionState::Halted {
                    (halt(partition, halted))
                }
            }
        }
    }
}

fn halt(partition: &Partition<'_>, halted: &PartitionStatus) -> Markup {
    let id = partition.id;
    html! {
        div.alarm data-halted=(id) {
            h2 { "Partition " (id) " halted" }
            p { (printable(halted.reason.as_deref().unwrap_or("for an unknown reason"))) }
            @match &halted.repair {
                Some(repair) => {
                    p { "To repair it, first without " code { "--yes" } ":" }
                    pre id={ "repair-" (id) } tabindex="0" { (repair) }
                },
                None => p {
                    "The page of its owner, " (printable(partition.owner.unwrap_or("which is not known here")))
                    ", has the command that repairs it."
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_halted_on_another_instance_is_an_alarm_here_too() {
        let halted = PartitionStatus {
            state: PartitionState::Halted,
            reason: Some("a gap".to_owned()),
            ..PartitionStatus::default()
        };
        let partition = Partition {
            id: 3,
            owner: Some("b"),
            status: Some(&halted),
        };
        let status = Status {
            connected: true,
            ..Status::default()
        };
        let html = section(&status, Duration::ZERO, &[partition]).into_string();
        assert!(
            html.contains("Partition 3 halted") && html.contains("a gap"),
            "{html}"
        );
        assert!(
            html.contains("The page of its owner, b, has the command"),
            "{html}"
        );
        assert!(
            !section(&status, Duration::ZERO, &[])
                .into_string()
                .contains("alarm\"")
        );
    }
}
