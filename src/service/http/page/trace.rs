//! Renders the result of a search of the ledger.

use maud::{Markup, html};

use super::text::{UNKNOWN, head};
use crate::audit::time;
use crate::audit::told::{ids, share};
use crate::audit::trace::{Grant, Trace};
use crate::core::printable::printable;

/// A question of a reader, and its answer.
pub(super) struct Question {
    /// The name of the sequence.
    pub name: String,
    /// The ID, as it was typed.
    pub id: String,
    /// The result, or the reason why there is none.
    pub answer: Result<Trace, String>,
}

/// Renders the form with the question in it, and the answer.
pub(super) fn section(asked: Option<&Question>) -> Markup {
    let (name, id) = asked.map_or(("", ""), |asked| (&asked.name, &asked.id));
    html! {
        section aria-labelledby="trace" {
            h2 #trace { "Who got an ID" }
            form method="get" action="/#trace" role="search" {
                div.field {
                    div {
                        label for="sequence" { "Sequence" }
                        input #sequence name="sequence" value=(name) maxlength="255" autocomplete="off"
                            spellcheck="false" required;
                    }
                    div {
                        label for="id" { "ID" }
                        input #id name="id" value=(id) maxlength="20" inputmode="numeric" autocomplete="off"
                            required;
                    }
                    " " button { "Trace" }
                }
            }
            @match asked.map(|asked| &asked.answer) {
                None => {},
                Some(Err(problem)) => div #traced { p.alarm { (printable(problem)) } },
                Some(Ok(trace)) => (answer(trace)),
            }
            p.note {
                "From the ledger, which has the grants of sequences with " code { "audit" } "; also by "
                code { "sequencer trace NAME ID" } "."
            }
        }
    }
}

fn answer(trace: &Trace) -> Markup {
    html! {
        div #traced {
            @if !trace.grants.is_empty() {
                table {
                    (head(&["IDs", "When", "Requester", "request_id", "Request", "Ledger page"]))
                    tbody { @for grant in &trace.grants { (row(grant)) } }
                }
            }
            @for note in &trace.notes { p { (printable(note)) } }
            p.note { (printable(&share(&trace.read, &trace.partitions))) }
        }
    }
}

fn row(grant: &Grant) -> Markup {
    let record = &grant.record;
    let text = |text: &Option<String>| {
        let known = text.as_deref();
        known.map_or_else(|| UNKNOWN.to_owned(), |text| printable(text).into_owned())
    };
    html! {
        tr {
            th scope="row" { (ids(record).as_deref().unwrap_or(UNKNOWN)) }
            td data-label="When" { (time::of_millis(record.timestamp)) }
            td data-label="Requester" { (text(&record.requester)) }
            td data-label="request_id" { (text(&record.request_id)) }
            td data-label="Request" { (record.partition) ":" (record.offset) }
            td data-label="Ledger page" { (grant.ledger_partition) ":" (grant.ledger_offset) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::trace::Read;

    fn asked(answer: Result<Trace, String>) -> Question {
        Question {
            name: "<i>".to_owned(),
            id: "\"7".to_owned(),
            answer,
        }
    }

    #[test]
    fn an_answer_is_told_and_what_others_wrote_is_text() {
        let record = r#"{"kind":"grant","first":41,"last":50,"count":10,"partition":3,"offset":1234,"timestamp":1700000000000,"requester":"<script>\u202e\u001b"}"#;
        let trace = Trace {
            sequence: "<i>".to_owned(),
            partition: 2,
            partitions: vec![2],
            grants: vec![Grant {
                ledger_partition: 2,
                ledger_offset: 77,
                record: serde_json::from_str(record).unwrap(),
            }],
            read: Read {
                pages_read: 4,
                offsets_read: 5,
                offsets: 1_000,
            },
            notes: vec!["<b>".to_owned()],
        };
        let html = section(Some(&asked(Ok(trace)))).into_string();
        for part in [
            "41 to 50",
            "2023-11-14T22:13:20.000Z",
            "&lt;script&gt;\\u{202e}\\u{1b}",
            ">3:1234<",
            ">2:77<",
            "&lt;b&gt;",
            "value=\"&lt;i&gt;\"",
            "value=\"&quot;7\"",
            "read 4 pages, 0.50%",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        let html = section(Some(&asked(Err("no <topic>".to_owned())))).into_string();
        assert!(
            html.contains("no &lt;topic&gt;") && !html.contains("<i>"),
            "{html}"
        );
        assert!(!section(None).into_string().contains("id=\"traced\""));
    }
}
