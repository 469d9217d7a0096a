//! Renders the page around its sections. The templates escape every text. Text for people goes through [`printable`],
//! too, which shows characters that would turn or break a line.

use std::collections::BTreeMap;
use std::time::Duration;

use maud::{DOCTYPE, Markup, html};

use super::history::Point;
use super::trace::{self, Question};
use super::view::{self, Members};
use super::{alarms, chart, facts, instances, partitions, rescale, sequences};
use crate::core::printable::printable;
use crate::observe::status::Status;
use crate::service::http::search::SearchResult;

/// All that the middle of the page is made of.
pub(super) struct Live<'a> {
    pub status: &'a Status,
    /// The time since the engine reported.
    pub silence: Duration,
    pub members: &'a Members,
    pub points: &'a [Point],
    /// Records a second of each partition.
    pub rates: &'a BTreeMap<i32, f64>,
    /// The time in milliseconds since 1970.
    pub unix_ms: u64,
}

/// Renders the whole page around its middle.
pub(super) fn page(
    status: &Status,
    live: &Markup,
    searched: Option<(&str, &SearchResult)>,
    traced: Option<&Question>,
) -> Markup {
    let title = format!("{} · {}", status.instance_id, status.group);
    let title = printable(&title);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Sequencer" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/page.css";
                script src="/page.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    h1 { "Sequencer" }
                    p { (title) }
                    p.fresh {
                        span #fresh { "Reload the page for newer figures." } " "
                        button #pause type="button" aria-pressed="false" hidden { "Pause" }
                    }
                }
                main #main tabindex="-1" {
                    div #live { (live) }
                    (sequences::section(status, searched))
                    (trace::section(traced))
                }
                footer {
                    p {
                        "This page changes nothing. "
                        a href="/metrics" { "metrics" } " · "
                        a href="/readyz" { "readyz" } " · "
                        a href="/healthz" { "healthz" }
                    }
                }
            }
        }
    }
}

/// Renders the part that the script fetches repeatedly. Each section has an ID, by which the script replaces it.
pub(super) fn live(live: &Live<'_>) -> Markup {
    let Live {
        status, members, ..
    } = live;
    let all = view::partitions(status, members);
    let instances = view::instances(status, members, &all);
    html! {
        (alarms::section(status, live.silence, &all))
        (rescale::section(status, &all))
        (facts::section(status, &all, live.unix_ms))
        (chart::section(live.points, live.unix_ms))
        (instances::section(status, members, &instances))
        (partitions::section(status, &all, live.rates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rescale::Part;
    use crate::observe::status::{PartitionState, PartitionStatus};
    use crate::service::http::owners::Owner;
    use crate::service::http::search::{Change, Row};

    #[test]
    fn what_others_wrote_is_text_wherever_it_stands() {
        let evil = "\"><script>alert('1')</script>&";
        let halted = PartitionStatus {
            state: PartitionState::Halted,
            reason: Some(evil.to_owned()),
            repair: Some(evil.to_owned()),
            ..Default::default()
        };
        let waiting = PartitionStatus {
            state: PartitionState::Waiting,
            reason: Some(evil.to_owned()),
            rescale: Some(Part::Waits.as_str()),
            ..Default::default()
        };
        let status = Status {
            instance_id: evil.to_owned(),
            group: evil.to_owned(),
            problem: Some(evil.to_owned()),
            partitions: [(0, halted), (1, waiting)].into(),
            request_partitions: 3,
            ..Default::default()
        };
        let owner = Owner {
            instance: evil.to_owned(),
            host: evil.to_owned(),
            partitions: vec![2],
        };
        let changed = Change {
            op: evil.to_owned(),
            requester: evil.to_owned(),
            reason: evil.to_owned(),
            at: evil.to_owned(),
            offset: 3,
        };
        let found = SearchResult {
            sequences: vec![Row {
                name: evil.to_owned(),
                changed: Some(changed),
                ..Row::example()
            }],
            home: Some(7),
            ..SearchResult::default()
        };
        for members in [Some(Ok(vec![owner])), Some(Err(evil.to_owned())), None] {
            let live = live(&Live {
                status: &status,
                silence: Duration::from_secs(9),
                members: &members,
                points: &[],
                rates: &BTreeMap::new(),
                unix_ms: 0,
            });
            let html = page(&status, &live, Some((evil, &found)), None).into_string();
            assert!(
                !html.contains("<script>") && !html.contains("\"\">"),
                "{html}"
            );
            let text = "&quot;&gt;&lt;script&gt;alert('1')&lt;/script&gt;&amp;";
            assert!(html.contains(text), "{html}");
        }
    }
}
