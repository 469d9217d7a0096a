//! Renders the page. The templates escape every text. Text for people goes through [`printable`], too, which
//! shows characters that would turn or break a line.

use std::time::Duration;

use maud::{DOCTYPE, Markup, html};

use super::trace::{self, Question};
use crate::core::printable::printable;
use crate::observe::status::{PartitionState, PartitionStatus, Status};
use crate::service::http::owners::Owner;
use crate::service::http::search::{Row, SearchResult};

/// The members of the group, or the reason why they are unknown.
pub(super) type Members = Option<Result<Vec<Owner>, String>>;

/// The silence of the engine in seconds after which the page reports it.
const SILENCE_S_MAX: u64 = 5;
/// Shown instead of a value that is not known.
pub(super) const UNKNOWN: &str = "–";

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
                header { h1 { "Sequencer" } p { (title) } }
                main #main {
                    div #live { (live) }
                    (charts())
                    (search(status, searched))
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

/// The elements that the script fills.
fn charts() -> Markup {
    let chart = |id: &str, label: &str| {
        html! {
            svg id=(id) viewBox="0 0 300 80" preserveAspectRatio="none" role="img" aria-label=(label) {}
        }
    };
    html! {
        section aria-labelledby="flow" {
            h2 #flow { "Rate and latency of this instance" }
            p {
                button #pause type="button" aria-pressed="false" hidden { "Pause" } " "
                span #fresh { "Reload the page for newer figures." }
            }
            div.plots {
                figure {
                    figcaption { "Requests per second: " b #rate-now { (UNKNOWN) } }
                    (chart("rate", "Requests per second over the last minutes"))
                }
                figure {
                    figcaption {
                        "Latency from the broker's timestamp to the acknowledged reply: median "
                        b #p50-now { (UNKNOWN) } ", 99 % within " b #p99-now { (UNKNOWN) }
                    }
                    (chart("latency", "Median and 99th percentile of the latency over the last minutes"))
                }
            }
        }
    }
}

fn search(status: &Status, searched: Option<(&str, &SearchResult)>) -> Markup {
    let value = searched.map_or("", |(prefix, _)| prefix);
    html! {
        section aria-labelledby="find" {
            h2 #find { "Sequences" }
            form method="get" action="/#find" role="search" {
                label for="prefix" { "Name, or how it begins" }
                div.field {
                    input #prefix name="prefix" value=(value) maxlength="255" autocomplete="off" spellcheck="false";
                    " " button { "Search" }
                }
            }
            @if let Some((prefix, found)) = searched { (results(status, prefix, found)) }
            p.note {
                "Searched are the partitions that run here, as they stand now. All partitions as of their last \
                 checkpoint: "
                code { "sequencer inspect" } "."
            }
        }
    }
}

/// Renders the part that the script fetches repeatedly.
pub(super) fn live(status: &Status, silence: Duration, members: &Members) -> Markup {
    let known = match members {
        Some(Ok(members)) => members.as_slice(),
        _ => &[],
    };
    html! {
        (alarms(status, silence))
        section aria-labelledby="instances" {
            h2 #instances { "Instances" }
            @match members {
                Some(Ok(members)) => (instances(status, members)),
                Some(Err(problem)) => p.note {
                    "The group cannot be asked for its members: " (printable(problem))
                },
                None => p.note { "The group is being asked for its members." },
            }
        }
        (partitions(status, known))
    }
}

fn alarms(status: &Status, silence: Duration) -> Markup {
    html! {
        div role="status" {
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
            @for (partition, halted) in status.halted() {
                div.alarm data-halted=(partition) {
                    h2 { "Partition " (partition) " halted" }
                    p { (printable(halted.reason.as_deref().unwrap_or("for an unknown reason"))) }
                    @if let Some(repair) = &halted.repair {
                        p { "To repair it, first without " code { "--yes" } ":" }
                        pre tabindex="0" { (repair) }
                    }
                }
            }
        }
    }
}

fn instances(status: &Status, members: &[Owner]) -> Markup {
    html! {
        table {
            (head(&["Instance", "Host", "Partitions", "Heartbeat"]))
            tbody {
                @for member in members {
                    tr {
                        td data-label="Instance" {
                            (printable(&member.instance))
                            @if member.instance == status.instance_id { " " span.tag { "this one" } }
                        }
                        td data-label="Host" { (printable(&member.host)) }
                        td data-label="Partitions" { (list(&member.partitions)) }
                        td data-label="Heartbeat" { (heartbeat(status, &member.instance)) }
                    }
                }
            }
        }
    }
}

/// The head of a table with these columns.
pub(super) fn head(columns: &[&str]) -> Markup {
    html! {
        thead { tr { @for column in columns { th scope="col" { (column) } } } }
    }
}

fn list(partitions: &[i32]) -> String {
    if partitions.is_empty() {
        return "none".to_owned();
    }
    let partitions: Vec<String> = partitions.iter().map(i32::to_string).collect();
    partitions.join(", ")
}

/// The age of another instance's last heartbeat. Unknown unless this instance watches its peers.
fn heartbeat(status: &Status, instance: &str) -> String {
    ago(status.peers.get(instance).copied())
}

fn ago(age_ms: Option<u64>) -> String {
    age_ms.map_or_else(
        || UNKNOWN.to_owned(),
        |age_ms| format!("{} ago", seconds(age_ms)),
    )
}

fn partitions(status: &Status, members: &[Owner]) -> Markup {
    let of_topic = 0..i32::try_from(status.request_partitions).unwrap_or(i32::MAX);
    let beyond = status.partitions.keys().filter(|id| !of_topic.contains(id));
    let beyond: Vec<i32> = beyond.copied().collect();
    html! {
        section aria-labelledby="partitions" {
            h2 #partitions { "Partitions" }
            table {
                (head(&[
                    "Partition", "Owner", "State", "Lag", "Rate", "Checkpoint", "Next offset", "Sequences",
                ]))
                tbody {
                    @for partition in of_topic.chain(beyond) {
                        @match status.partitions.get(&partition) {
                            Some(own) => (own_row(partition, &status.instance_id, own)),
                            None => (row_of_another(partition, members)),
                        }
                    }
                }
            }
            p.note {
                "Owners are the group coordinator's word, at most some seconds old; state, lag and rate are known \
                 to each owner for its own partitions, so look at its page for them. Lag and rate count records."
            }
        }
    }
}

fn row_of_another(partition: i32, members: &[Owner]) -> Markup {
    let mut owners = members.iter();
    let owner = owners.find(|member| member.partitions.contains(&partition));
    html! {
        tr data-partition=(partition) {
            th scope="row" { (partition) }
            td data-label="Owner" {
                @match owner {
                    Some(owner) => (printable(&owner.instance)),
                    None => "not known here",
                }
            }
            td.note colspan="6" { "its owner knows" }
        }
    }
}

fn own_row(partition: i32, instance: &str, own: &PartitionStatus) -> Markup {
    let state = own.state.as_str();
    let reason = own.reason.as_deref();
    let reason = reason.filter(|_| own.state == PartitionState::Waiting);
    let next = (own.next_offset >= 0).then_some(own.next_offset);
    html! {
        tr data-partition=(partition) data-state=(state) {
            th scope="row" { (partition) }
            td data-label="Owner" { (printable(instance)) }
            td data-label="State" {
                span class={ "state " (state) } { (state) }
                @if let Some(reason) = reason { " " span.note { (printable(reason)) } }
                @if let Some(part) = own.rescale {
                    " " span.note { "rescale: " (part) }
                }
                @if let Some(hold_ms) = own.open_transaction_hold_ms {
                    " " span.note {
                        "held back by a producer's open transaction for " (seconds(hold_ms))
                    }
                }
            }
            td data-label="Lag" { (number(own.lag_records)) }
            td data-label="Rate" data-rate=(partition) { (UNKNOWN) }
            td data-label="Checkpoint" { (ago(own.checkpoint_age_ms)) }
            td data-label="Next offset" { (number(next)) }
            td data-label="Sequences" { (own.sequences) }
        }
    }
}

fn number(value: Option<i64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

fn seconds(milliseconds: u64) -> String {
    match milliseconds {
        0..10_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        10_000..600_000 => format!("{} s", milliseconds / 1_000),
        _ => format!("{} min", milliseconds / 60_000),
    }
}

fn results(status: &Status, prefix: &str, found: &SearchResult) -> Markup {
    let elsewhere = found
        .home
        .filter(|home| !status.partitions.contains_key(home));
    html! {
        div #results {
            @if let Some(problem) = found.problem { p.alarm { (printable(problem)) } }
            @if let Some(home) = elsewhere {
                p {
                    "“" (printable(prefix)) "” itself is at home in partition " (home)
                    ", which is not here: see the page of its owner."
                }
            }
            @if found.sequences.is_empty() {
                p { "No sequence of the partitions here begins so." }
            } @else {
                table {
                    (head(&["Sequence", "Next ID", "Step", "Ends at", "Partition"]))
                    tbody { @for row in &found.sequences { (result(row)) } }
                }
                p.note {
                    (found.sequences.len()) " found, " (found.looked_at) " looked at"
                    @if found.more { ", and there may be more: give more of the name" }
                    "."
                }
            }
        }
    }
}

fn result(row: &Row) -> Markup {
    let next = match (row.retired, row.next) {
        (true, _) => "retired".to_owned(),
        (_, Some(next)) => next.to_string(),
        (_, None) => "none is left".to_owned(),
    };
    html! {
        tr {
            th scope="row" { (printable(&row.name)) }
            td data-label="Next ID" { (next) }
            td data-label="Step" { (row.increment) }
            td data-label="Ends at" { (row.end) }
            td data-label="Partition" { (row.partition) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let found = SearchResult {
            sequences: vec![Row {
                name: evil.to_owned(),
                partition: 0,
                next: Some(1),
                increment: 1,
                end: 9,
                retired: false,
            }],
            home: Some(7),
            ..SearchResult::default()
        };
        for members in [Some(Ok(vec![owner])), Some(Err(evil.to_owned())), None] {
            let live = live(&status, Duration::from_secs(9), &members);
            let html = page(&status, &live, Some((evil, &found)), None).into_string();
            assert!(
                !html.contains("<script>") && !html.contains("\"\">"),
                "{html}"
            );
            let text = "&quot;&gt;&lt;script&gt;alert('1')&lt;/script&gt;&amp;";
            assert!(html.contains(text), "{html}");
        }
    }

    #[test]
    fn each_partition_of_the_topic_has_a_row_with_its_owner() {
        let status = Status {
            instance_id: "a".to_owned(),
            connected: true,
            request_partitions: 3,
            partitions: [(0, PartitionStatus::default())].into(),
            ..Default::default()
        };
        let owner = Owner {
            instance: "b".to_owned(),
            partitions: vec![1],
            ..Owner::default()
        };
        let html = live(&status, Duration::ZERO, &Some(Ok(vec![owner]))).into_string();
        for part in [
            "<tr data-partition=\"0\" data-state=\"restoring\">",
            "<tr data-partition=\"1\"><th scope=\"row\">1</th><td data-label=\"Owner\">b</td>",
            "<tr data-partition=\"2\"><th scope=\"row\">2</th><td data-label=\"Owner\">not known here</td>",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }
}
