//! Renders the result of a search of the ledger as HTML.

use std::fmt::Write;

use super::render::{escape, push, shown};
use crate::audit::time;
use crate::audit::told::{ids, share};
use crate::audit::trace::{Grant, Trace};

/// A question of a reader, and its answer.
pub struct Asked {
    /// The name of the sequence.
    pub name: String,
    /// The ID, as it was typed.
    pub id: String,
    /// The result, or why there is none.
    pub answer: Result<Trace, String>,
}

/// Renders the form with the question in it, and the answer.
pub fn section(asked: Option<&Asked>) -> String {
    let (name, id) = asked.map_or(("", ""), |asked| (&asked.name, &asked.id));
    let mut html = format!(
        r##"<section aria-labelledby="trace"><h2 id="trace">Who got an ID</h2>
<form method="get" action="/#trace" role="search">
<div class="field"><div><label for="sequence">Sequence</label><input id="sequence" name="sequence" value="{}" maxlength="255" autocomplete="off" spellcheck="false" required></div>
<div><label for="id">ID</label><input id="id" name="id" value="{}" maxlength="20" inputmode="numeric" autocomplete="off" required></div> <button>Trace</button></div></form>
"##,
        escape(name),
        escape(id)
    );
    match asked.map(|asked| &asked.answer) {
        None => {}
        Some(Err(problem)) => push!(
            html,
            "<div id=\"traced\"><p class=\"alarm\">{}</p></div>",
            shown(problem)
        ),
        Some(Ok(trace)) => answer(&mut html, trace),
    }
    html.push_str(
        "<p class=\"note\">From the ledger, which has the grants of sequences with <code>audit</code>; also by \
         <code>sequencer trace NAME ID</code>.</p></section>",
    );
    html
}

fn answer(html: &mut String, trace: &Trace) {
    html.push_str("<div id=\"traced\">");
    if !trace.grants.is_empty() {
        html.push_str(
            "<table><thead><tr><th scope=\"col\">IDs</th><th scope=\"col\">When</th>\
             <th scope=\"col\">Requester</th><th scope=\"col\">request_id</th>\
             <th scope=\"col\">Request</th><th scope=\"col\">Ledger page</th></tr></thead><tbody>",
        );
        for grant in &trace.grants {
            row(html, trace, grant);
        }
        html.push_str("</tbody></table>");
    }
    for note in &trace.notes {
        push!(html, "<p>{}</p>", shown(note));
    }
    let read = share(&trace.read, trace.partition);
    push!(html, "<p class=\"note\">{}</p></div>", shown(&read));
}

fn row(html: &mut String, trace: &Trace, grant: &Grant) {
    let record = &grant.record;
    let ids = ids(record).unwrap_or_else(|| "–".to_owned());
    let text = |text: &Option<String>| text.as_deref().map_or("–".to_owned(), shown);
    push!(
        html,
        "<tr><th scope=\"row\">{ids}</th><td data-label=\"When\">{}</td>\
         <td data-label=\"Requester\">{}</td><td data-label=\"request_id\">{}</td>\
         <td data-label=\"Request\">{}:{}</td><td data-label=\"Ledger page\">{}:{}</td></tr>",
        time::of_millis(record.timestamp),
        text(&record.requester),
        text(&record.request_id),
        record.partition,
        record.offset,
        trace.partition,
        grant.ledger_offset
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::trace::Read;

    fn asked(answer: Result<Trace, String>) -> Asked {
        Asked {
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
            grants: vec![Grant {
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
        let html = section(Some(&asked(Ok(trace))));
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
        let html = section(Some(&asked(Err("no <topic>".to_owned()))));
        assert!(
            html.contains("no &lt;topic&gt;") && !html.contains("<i>"),
            "{html}"
        );
        assert!(!section(None).contains("id=\"traced\""));
    }
}
