//! Renders a rescale that is in progress.

use maud::{Markup, html};

use super::text::number;
use super::view::Partition;
use crate::core::rescale::Part;
use crate::observe::status::Status;

/// Nothing while no partition that is known here has something left to do.
pub(super) fn section(status: &Status, partitions: &[Partition<'_>]) -> Markup {
    let homes = i32::try_from(status.service_partitions).unwrap_or(i32::MAX);
    let homes = partitions.iter().filter(|partition| partition.id < homes);
    let (known, unknown): (Vec<&Partition<'_>>, Vec<_>) =
        homes.partition(|partition| partition.status.is_some());
    let part = |partition: &Partition<'_>| partition.status.and_then(|status| status.rescale);
    let left = known.iter().filter(|partition| part(partition).is_some());
    let left = left.count();
    if left == 0 {
        return html! { div #rescale {} };
    }
    let done = known.len() - left;
    html! {
        section #rescale.info aria-labelledby="rescale-head" {
            h2 #rescale-head {
                "A rescale is in progress: "
                @if let Some(before) = status.service_partitions_before { (number(before)) " → " }
                (number(status.service_partitions)) " partitions"
            }
            p {
                progress max=(status.service_partitions) value=(done) aria-label="Partitions that are done" {} " "
                (number(done)) " of " (number(status.service_partitions)) " are done"
                @if !unknown.is_empty() { ", " (number(unknown.len())) " are not known here" }
                ". All of them answer meanwhile, apart from the names that move at the moment."
            }
            dl {
                @for of_part in Part::ALL.into_iter().filter(|part| *part != Part::Done) {
                    @let in_part: Vec<i32> = known.iter()
                        .filter(|partition| part(partition) == Some(of_part.as_str()))
                        .map(|partition| partition.id)
                        .collect();
                    @if !in_part.is_empty() {
                        div {
                            dt { (of_part.as_str()) }
                            dd { "partition " (super::text::partitions(&in_part)) ": " (meaning(of_part)) }
                        }
                    }
                }
            }
        }
    }
}

/// The part that is left to do, in words.
const fn meaning(part: Part) -> &'static str {
    match part {
        Part::Done => "nothing",
        Part::Waits => "has not learned of the rescale yet",
        Part::Split => "has split, and some of its names are not adopted yet",
        Part::Adopts => "takes over names, and does not answer for them yet",
        Part::Buries => "removes the names that have moved",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::status::PartitionStatus;

    fn with(part: Part) -> PartitionStatus {
        PartitionStatus {
            rescale: (part != Part::Done).then(|| part.as_str()),
            ..PartitionStatus::default()
        }
    }

    #[test]
    fn a_rescale_is_shown_until_each_partition_has_done_its_part() {
        let status = Status {
            service_partitions: 4,
            service_partitions_before: Some(2),
            ..Status::default()
        };
        let of = |parts: &[Option<PartitionStatus>]| {
            let partitions: Vec<Partition<'_>> = (0..)
                .zip(parts)
                .map(|(id, status)| Partition {
                    id,
                    owner: None,
                    status: status.as_ref(),
                })
                .collect();
            section(&status, &partitions).into_string()
        };
        let html = of(&[
            Some(with(Part::Done)),
            Some(with(Part::Split)),
            None,
            Some(with(Part::Adopts)),
            // A partition beyond N takes no part.
            Some(with(Part::Done)),
        ]);
        for part in [
            "<progress max=\"4\" value=\"1\"",
            "are not known here",
            "<dt>split</dt><dd>partition 1: ",
            "<dt>adopts</dt><dd>partition 3: ",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        let done = of(&[Some(with(Part::Done)), None]);
        assert_eq!(done, "<div id=\"rescale\"></div>");
    }
}
