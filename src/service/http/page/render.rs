//! Renders HTML as text. Text from outside goes through [`shown`], or through [`escape`] if a form sends it
//! back.

use std::fmt::Write;
use std::time::Duration;

use super::trace::{self, Asked};
use crate::core::printable::printable;
use crate::service::http::owners::Owner;
use crate::service::http::search::{Found, Row};
use crate::service::status::{PartitionState, PartitionStatus, Status};

/// The members of the group, or why they are unknown.
pub type Members = Option<Result<Vec<Owner>, String>>;

/// When the engine is silent for longer than this, in seconds, the page says so.
const SILENCE_S_MAX: u64 = 5;

/// Escapes text for people. Besides [`escape`], it shows characters that would turn or break a line as text.
pub fn shown(text: &str) -> String {
    escape(&printable(text))
}

/// Escapes text for an element or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Appends to a `String`, which cannot fail.
macro_rules! push {
    ($text:expr, $($part:tt)*) => {{ let _ = write!($text, $($part)*); }};
}
pub(super) use push;

/// Renders the whole page around its middle.
pub fn page(
    status: &Status,
    live: &str,
    searched: Option<(&str, &Found)>,
    traced: Option<&Asked>,
) -> String {
    let title = shown(&format!("{} · {}", status.instance_id, status.group));
    let value = searched.map_or_else(String::new, |(prefix, _)| escape(prefix));
    let results = searched.map_or_else(String::new, |(prefix, found)| {
        results(status, prefix, found)
    });
    let trace = trace::section(traced);
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Sequencer</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header><h1>Sequencer</h1><p>{title}</p></header>
<main id="main">
<div id="live">{live}</div>
<section aria-labelledby="flow"><h2 id="flow">Rate and latency of this instance</h2>
<p><button type="button" id="pause" aria-pressed="false" hidden>Pause</button>
<span id="fresh">Reload the page for newer figures.</span></p>
<div class="plots">
<figure><figcaption>Requests per second: <b id="rate-now">–</b></figcaption><svg id="rate" viewBox="0 0 300 80" preserveAspectRatio="none" role="img" aria-label="Requests per second over the last minutes"></svg></figure>
<figure><figcaption>Latency from the broker's timestamp to the acknowledged reply: median <b id="p50-now">–</b>, 99 % within <b id="p99-now">–</b></figcaption><svg id="latency" viewBox="0 0 300 80" preserveAspectRatio="none" role="img" aria-label="Median and 99th percentile of the latency over the last minutes"></svg></figure>
</div></section>
<section aria-labelledby="find"><h2 id="find">Sequences</h2>
<form method="get" action="/#find" role="search"><label for="prefix">Name, or how it begins</label>
<div class="field"><input id="prefix" name="prefix" value="{value}" maxlength="255" autocomplete="off" spellcheck="false"> <button>Search</button></div></form>
{results}
<p class="note">Searched are the partitions that run here, as they stand now. All partitions as of their
last checkpoint: <code>sequencer inspect</code>.</p>
</section>
{trace}
</main>
<footer><p>This page changes nothing. <a href="/metrics">metrics</a> · <a href="/readyz">readyz</a> · <a href="/healthz">healthz</a></p></footer>
</body>
</html>
"##
    )
}

/// Renders the part that the script fetches repeatedly.
pub fn live(status: &Status, silence: Duration, members: Members) -> String {
    let mut html = String::new();
    alarms(&mut html, status, silence);
    let known = match &members {
        Some(Ok(members)) => members.as_slice(),
        _ => &[],
    };
    html.push_str("<section aria-labelledby=\"instances\"><h2 id=\"instances\">Instances</h2>");
    match &members {
        Some(Ok(_)) => instances(&mut html, status, known),
        Some(Err(problem)) => push!(
            html,
            "<p class=\"note\">The group cannot be asked for its members: {}</p>",
            shown(problem)
        ),
        None => html.push_str("<p class=\"note\">The group is being asked for its members.</p>"),
    }
    html.push_str("</section>");
    partitions(&mut html, status, known);
    html
}

fn alarms(html: &mut String, status: &Status, silence: Duration) {
    html.push_str("<div role=\"status\">");
    if silence.as_secs() >= SILENCE_S_MAX {
        push!(
            html,
            "<p class=\"alarm\">The engine has not reported for {} s: what follows is as old.</p>",
            silence.as_secs()
        );
    }
    if !status.connected {
        let problem = status.problem.as_deref().unwrap_or("joining it");
        push!(
            html,
            "<p class=\"alarm\">Not a member of the group: {}</p>",
            shown(problem)
        );
    }
    for (partition, halted) in status.halted() {
        push!(
            html,
            "<div class=\"alarm\" data-halted=\"{partition}\"><h2>Partition {partition} halted</h2><p>{}</p>",
            shown(halted.reason.as_deref().unwrap_or("for an unknown reason"))
        );
        if let Some(repair) = &halted.repair {
            push!(
                html,
                "<p>To repair it, first without <code>--yes</code>:</p><pre tabindex=\"0\">{}</pre>",
                escape(repair)
            );
        }
        html.push_str("</div>");
    }
    html.push_str("</div>");
}

fn instances(html: &mut String, status: &Status, members: &[Owner]) {
    html.push_str(
        "<table><thead><tr><th scope=\"col\">Instance</th><th scope=\"col\">Host</th>\
         <th scope=\"col\">Partitions</th><th scope=\"col\">Heartbeat</th></tr></thead><tbody>",
    );
    for member in members {
        let own = if member.instance == status.instance_id {
            " <span class=\"tag\">this one</span>"
        } else {
            ""
        };
        let partitions: Vec<String> = member.partitions.iter().map(i32::to_string).collect();
        let partitions = if partitions.is_empty() {
            "none".to_owned()
        } else {
            partitions.join(", ")
        };
        push!(
            html,
            "<tr><td data-label=\"Instance\">{}{own}</td><td data-label=\"Host\">{}</td>\
             <td data-label=\"Partitions\">{partitions}</td><td data-label=\"Heartbeat\">{}</td></tr>",
            shown(&member.instance),
            shown(&member.host),
            heartbeat(status, &member.instance)
        );
    }
    html.push_str("</tbody></table>");
}

/// Of another instance, while this one watches its peers.
fn heartbeat(status: &Status, instance: &str) -> String {
    let age_ms = status.peers.get(instance);
    age_ms.map_or_else(
        || "–".to_owned(),
        |age_ms| format!("{} ago", seconds(*age_ms)),
    )
}

fn partitions(html: &mut String, status: &Status, members: &[Owner]) {
    html.push_str(
        "<section aria-labelledby=\"partitions\"><h2 id=\"partitions\">Partitions</h2>\
         <table><thead><tr><th scope=\"col\">Partition</th><th scope=\"col\">Owner</th>\
         <th scope=\"col\">State</th><th scope=\"col\">Lag</th><th scope=\"col\">Rate</th>\
         <th scope=\"col\">Checkpoint</th><th scope=\"col\">Next offset</th>\
         <th scope=\"col\">Sequences</th></tr></thead><tbody>",
    );
    let of_topic = 0..i32::try_from(status.request_partitions).unwrap_or(i32::MAX);
    let beyond = status.partitions.keys().filter(|id| !of_topic.contains(id));
    let beyond: Vec<i32> = beyond.copied().collect();
    for partition in of_topic.chain(beyond) {
        match status.partitions.get(&partition) {
            Some(own) => own_row(html, partition, &status.instance_id, own),
            None => {
                let has = |member: &&Owner| member.partitions.contains(&partition);
                let owner = members
                    .iter()
                    .find(has)
                    .map(|member| shown(&member.instance));
                push!(
                    html,
                    "<tr data-partition=\"{partition}\"><th scope=\"row\">{partition}</th>\
                     <td data-label=\"Owner\">{}</td><td colspan=\"6\" class=\"note\">its owner knows</td></tr>",
                    owner.as_deref().unwrap_or("not known here")
                );
            }
        }
    }
    html.push_str(
        "</tbody></table><p class=\"note\">Owners are the group coordinator's word, at most some seconds \
         old; state, lag and rate are known to each owner for its own partitions, so look at its page \
         for them. Lag and rate count records.</p></section>",
    );
}

fn own_row(html: &mut String, partition: i32, instance: &str, own: &PartitionStatus) {
    let reason = match (&own.reason, own.state) {
        (Some(reason), PartitionState::Waiting) => {
            format!(" <span class=\"note\">{}</span>", shown(reason))
        }
        _ => String::new(),
    };
    let hold = own
        .open_transaction_hold_ms
        .map_or_else(String::new, |hold| {
            format!(
                " <span class=\"note\">held back by a producer's open transaction for {}</span>",
                seconds(hold)
            )
        });
    let unknown = "–".to_owned();
    let offset = if own.next_offset < 0 {
        unknown.clone()
    } else {
        own.next_offset.to_string()
    };
    push!(
        html,
        "<tr data-partition=\"{partition}\" data-state=\"{state}\"><th scope=\"row\">{partition}</th>\
         <td data-label=\"Owner\">{owner}</td>\
         <td data-label=\"State\"><span class=\"state {state}\">{state}</span>{reason}{hold}</td>\
         <td data-label=\"Lag\">{lag}</td><td data-label=\"Rate\" data-rate=\"{partition}\">–</td>\
         <td data-label=\"Checkpoint\">{age}</td><td data-label=\"Next offset\">{offset}</td>\
         <td data-label=\"Sequences\">{sequences}</td></tr>",
        state = own.state.as_str(),
        owner = shown(instance),
        lag = own
            .lag_records
            .map_or_else(|| unknown.clone(), |lag| lag.to_string()),
        age = own
            .checkpoint_age_ms
            .map_or_else(|| unknown.clone(), |age| format!("{} ago", seconds(age))),
        sequences = own.sequences,
    );
}

fn seconds(milliseconds: u64) -> String {
    match milliseconds {
        0..10_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        10_000..600_000 => format!("{} s", milliseconds / 1_000),
        _ => format!("{} min", milliseconds / 60_000),
    }
}

fn results(status: &Status, prefix: &str, found: &Found) -> String {
    let mut html = String::from("<div id=\"results\">");
    if let Some(problem) = found.problem {
        push!(html, "<p class=\"alarm\">{}</p>", shown(problem));
    }
    if let Some(home) = found.home
        && !status.partitions.contains_key(&home)
    {
        push!(
            html,
            "<p>“{}” itself is at home in partition {home}, which is not here: see the page of its owner.</p>",
            shown(prefix)
        );
    }
    if found.sequences.is_empty() {
        html.push_str("<p>No sequence of the partitions here begins so.</p></div>");
        return html;
    }
    html.push_str(
        "<table><thead><tr><th scope=\"col\">Sequence</th><th scope=\"col\">Next ID</th>\
         <th scope=\"col\">Step</th><th scope=\"col\">Ends at</th><th scope=\"col\">Partition</th>\
         </tr></thead><tbody>",
    );
    for row in &found.sequences {
        result(&mut html, row);
    }
    html.push_str("</tbody></table>");
    let more = if found.more {
        ", and there may be more: give more of the name"
    } else {
        ""
    };
    push!(
        html,
        "<p class=\"note\">{} found, {} looked at{more}.</p></div>",
        found.sequences.len(),
        found.looked_at
    );
    html
}

fn result(html: &mut String, row: &Row) {
    let next = match (row.retired, row.next) {
        (true, _) => "retired".to_owned(),
        (_, Some(next)) => next.to_string(),
        (_, None) => "none is left".to_owned(),
    };
    push!(
        html,
        "<tr><th scope=\"row\">{}</th><td data-label=\"Next ID\">{next}</td>\
         <td data-label=\"Step\">{}</td><td data-label=\"Ends at\">{}</td>\
         <td data-label=\"Partition\">{}</td></tr>",
        shown(&row.name),
        row.increment,
        row.end,
        row.partition
    );
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
        let found = Found {
            sequences: vec![Row {
                name: evil.to_owned(),
                partition: 0,
                next: Some(1),
                increment: 1,
                end: 9,
                retired: false,
            }],
            home: Some(7),
            ..Found::default()
        };
        for members in [Some(Ok(vec![owner])), Some(Err(evil.to_owned())), None] {
            let live = live(&status, Duration::from_secs(9), members);
            let html = page(&status, &live, Some((evil, &found)), None);
            assert!(
                !html.contains("<script>") && !html.contains("alert('"),
                "{html}"
            );
            assert!(
                html.contains("&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;")
            );
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
        let html = live(&status, Duration::ZERO, Some(Ok(vec![owner])));
        for part in [
            "<tr data-partition=\"0\" data-state=\"restoring\">",
            "<tr data-partition=\"1\"><th scope=\"row\">1</th><td data-label=\"Owner\">b</td>",
            "<tr data-partition=\"2\"><th scope=\"row\">2</th><td data-label=\"Owner\">not known here</td>",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }
}
