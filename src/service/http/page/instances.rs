//! Renders the instances of the service, with the last heartbeat of each.

use maud::{Markup, html};

use super::text::{self, UNKNOWN, ago, head};
use super::view::{Instance, Members};
use crate::core::printable::printable;
use crate::observe::status::Status;

/// The age of a last heartbeat in ms from which an instance is shown as silent. Heartbeats of a large group come
/// every quarter of a second.
const SILENT_MS: u64 = 1_000;

pub(super) fn section(status: &Status, members: &Members, instances: &[Instance<'_>]) -> Markup {
    let watches = !status.peers.is_empty();
    html! {
        section #instances aria-labelledby="instances-head" {
            h2 #instances-head { "Instances" }
            table {
                (head(&["Instance", "Last heartbeat", "Partitions", "Version", "Reply mode", "Host"]))
                tbody { @for instance in instances { (row(status, members, instance, watches)) } }
            }
            @match members {
                Some(Ok(_)) => {},
                Some(Err(problem)) => p.note {
                    "The group cannot be asked for its members: " (printable(problem))
                },
                None => p.note { "The group is being asked for its members." },
            }
        }
    }
}

fn row(status: &Status, members: &Members, instance: &Instance<'_>, watches: bool) -> Markup {
    let told = instance.peer.and_then(|peer| peer.told.as_ref());
    let (version, mode) = match told {
        Some(told) => (printable(&told.version), told.reply_mode.as_str()),
        None if instance.is_own => (env!("CARGO_PKG_VERSION").into(), status.reply_mode.as_str()),
        None => (UNKNOWN.into(), UNKNOWN),
    };
    let is_outside = matches!(members, Some(Ok(_))) && instance.member.is_none();
    // Brokers write an address as `name/address`, mostly without the name.
    let host = instance.member.map(|member| {
        let host = &member.host;
        printable(host.strip_prefix('/').unwrap_or(host))
    });
    let host = host.unwrap_or(UNKNOWN.into());
    html! {
        tr data-instance=(instance.name) {
            th scope="row" {
                (printable(instance.name))
                @if instance.is_own { " " span.tag { "this one" } }
                @if is_outside { " " span.tag { "not in the group" } }
            }
            td data-label="Last heartbeat" { (heartbeat(instance, watches)) }
            td data-label="Partitions" { (text::partitions(&instance.partitions)) }
            td data-label="Version" { (version) }
            td data-label="Reply mode" { (mode) }
            td data-label="Host" { (host) }
        }
    }
}

fn heartbeat(instance: &Instance<'_>, watches: bool) -> Markup {
    html! {
        @match instance.peer {
            Some(peer) if peer.age_ms >= SILENT_MS => {
                span.state { "silent" } ", last " (ago(Some(peer.age_ms)))
            },
            Some(peer) => (ago(Some(peer.age_ms))),
            // This instance does not hear itself, or does not listen.
            None if instance.is_own || !watches => (UNKNOWN),
            None => span.state { "none heard" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::status::Peer;
    use crate::service::http::owners::Owner;
    use crate::service::http::page::view;

    #[test]
    fn a_member_that_is_not_heard_and_a_peer_that_is_no_member_are_told_apart_from_the_rest() {
        let peer = |age_ms| Peer { age_ms, told: None };
        let status = Status {
            instance_id: "a".to_owned(),
            peers: [
                ("b".to_owned(), peer(30)),
                ("c".to_owned(), peer(4_200)),
                ("d".to_owned(), peer(50)),
            ]
            .into(),
            ..Status::default()
        };
        let member = |instance: &str| Owner {
            instance: instance.to_owned(),
            ..Owner::default()
        };
        let members = Some(Ok(["a", "b", "c", "gone"].map(member).into()));
        let instances = view::instances(&status, &members, &[]);
        let html = section(&status, &members, &instances).into_string();
        let row = |name: &str| {
            let from = html.find(&format!("data-instance=\"{name}\"")).unwrap();
            let rest = &html[from..];
            rest[..rest.find("</tr>").unwrap()].to_owned()
        };
        assert!(row("a").contains("this one"));
        assert!(row("b").contains(">0.0 s ago<"), "{}", row("b"));
        assert!(
            row("c").contains("silent</span>, last 4.2 s ago"),
            "{}",
            row("c")
        );
        assert!(row("d").contains("not in the group"), "{}", row("d"));
        assert!(row("gone").contains("none heard"), "{}", row("gone"));
        assert!(!row("b").contains("class=\"state\"") && !row("b").contains("not in the group"));
    }
}
