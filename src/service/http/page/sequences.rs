//! Renders the search for sequences, and what it found.

use maud::{Markup, html};

use super::text::{UNKNOWN, head, number};
use crate::core::printable::printable;
use crate::observe::status::{Peer, Status};
use crate::service::http::search::{Change, Row, SearchResult};

pub(super) fn section(status: &Status, searched: Option<(&str, &SearchResult)>) -> Markup {
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
                "Searched are the partitions that run on this instance, as they stand now. All partitions as of their \
                 last checkpoint: "
                code { "sequencer inspect" } "."
            }
        }
    }
}

fn results(status: &Status, prefix: &str, found: &SearchResult) -> Markup {
    let elsewhere = found
        .home
        .filter(|home| !status.partitions.contains_key(home));
    let exact = found.sequences.iter().find(|row| row.name == prefix);
    html! {
        div #results {
            @if let Some(problem) = found.problem { p.alarm { (printable(problem)) } }
            @if let Some(home) = elsewhere {
                p {
                    "“" (printable(prefix)) "” itself is at home in partition " (home)
                    ", which is not here: see the page of "
                    (printable(owner(status, home).unwrap_or("its owner"))) "."
                }
            }
            @if found.sequences.is_empty() {
                p { "No sequence of the partitions here begins so." }
            } @else {
                @if let Some(exact) = exact { (definition(exact)) }
                table {
                    (head(&["Sequence", "#Next ID", "#Step", "#Ends at", "At the end", "Audit", "Last change", "#Partition"]))
                    tbody { @for row in &found.sequences { (result(row)) } }
                }
                p.note {
                    (number(found.sequences.len())) " found, " (number(found.looked_at)) " looked at"
                    @if found.more { ", and there may be more: give more of the name" }
                    "."
                }
            }
        }
    }
}

/// The peer that has told that it owns a partition.
fn owner(status: &Status, partition: i32) -> Option<&str> {
    let mut peers = status.peers.iter();
    let owns = |(_, peer): &(&String, &Peer)| {
        let told = peer.told.as_ref();
        told.is_some_and(|told| told.partitions.contains_key(&partition))
    };
    peers.find(owns).map(|(name, _)| name.as_str())
}

fn result(row: &Row) -> Markup {
    html! {
        tr {
            th scope="row" { (printable(&row.name)) }
            td.right data-label="Next ID" { (next(row)) }
            td.right data-label="Step" { (number(row.increment)) }
            td.right data-label="Ends at" { (number(row.end)) }
            td data-label="At the end" { (row.at_end) }
            td data-label="Audit" { (yes(row.audit)) }
            td data-label="Last change" {
                @match &row.changed {
                    None => "never defined",
                    Some(change) => { (printable(&change.at)) " by " (by(change)) },
                }
            }
            td.right data-label="Partition" { (row.partition) }
        }
    }
}

/// All of the definition of one sequence, and its last change.
fn definition(row: &Row) -> Markup {
    let fact = |name: &str, value: Markup| html! { div { dt { (name) } dd { (value) } } };
    html! {
        section #definition.info aria-labelledby="definition-head" {
            h3 #definition-head { (printable(&row.name)) }
            dl.facts {
                (fact("Next ID", next(row)))
                (fact("Start", number(row.start)))
                (fact("Step", number(row.increment)))
                (fact("Lowest ID", number(row.min)))
                (fact("Highest ID", number(row.max)))
                (fact("At the end", html! { (row.at_end) }))
                (fact("Most IDs in a request", number(row.max_count)))
                (fact("Audit", html! { (yes(row.audit)) }))
                (fact("Partition", html! { (row.partition) }))
            }
            p {
                @match &row.changed {
                    None => "No record has defined it: it counts by the defaults.",
                    Some(change) => {
                        "Last change: " code { (printable(&change.op)) } " by " (by(change)) ", "
                        (printable(&change.at)) ", request record " (row.partition) ":" (number(change.offset))
                        @if change.reason.is_empty() { "." } @else { ": “" (printable(&change.reason)) "”" }
                    },
                }
            }
        }
    }
}

fn next(row: &Row) -> Markup {
    html! {
        @match (row.retired, row.next) {
            (true, _) => "retired",
            (_, Some(next)) => (number(next)),
            (_, None) => "none is left",
        }
    }
}

fn by(change: &Change) -> Markup {
    html! {
        @if change.requester.is_empty() { "an unnamed requester" } @else { (printable(&change.requester)) }
    }
}

const fn yes(is: bool) -> &'static str {
    if is { "yes" } else { UNKNOWN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_of_exactly_that_name_is_shown_with_its_definition_and_who_changed_it() {
        let changed = Change {
            op: "set_next".to_owned(),
            requester: "anna".to_owned(),
            reason: "new year".to_owned(),
            at: "2026-01-01T00:00:00.000Z".to_owned(),
            offset: 1_234,
        };
        let row = Row {
            name: "invoices".to_owned(),
            next: Some(20_260_001),
            max_count: 500,
            changed: Some(changed),
            ..Row::example()
        };
        let other = Row {
            name: "invoices-old".to_owned(),
            retired: true,
            ..Row::example()
        };
        let found = SearchResult {
            sequences: vec![row, other],
            ..SearchResult::default()
        };
        let status = Status::default();
        let html = section(&status, Some(("invoices", &found))).into_string();
        for part in [
            "<code>set_next</code> by anna, 2026-01-01T00:00:00.000Z, request record 0:",
            "1<span>234</span>",
            "“new year”",
            "20<span>260</span><span>001</span>",
            "<span class=\"number\">500</span>",
            ">retired<",
            ">never defined<",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        let html = section(&status, Some(("invoice", &found))).into_string();
        assert!(
            !html.contains("id=\"definition\""),
            "no name is exactly that"
        );
    }
}
