//! Tests that the naive judge finds planted anomalies: each kind of anomaly in a log that is otherwise right.

use super::check::{Asked, Evidence, Report, Told, Wrong, check};

const TOPIC: &str = "replies";

/// Ten requests for two sequences, two of them with the same `request_id`, and the right replies.
fn right() -> (Vec<Asked>, Vec<Told>) {
    let mut asked = Vec::new();
    let mut told = Vec::new();
    for offset in 0..10 {
        let name = ["a", "b"][offset as usize % 2];
        // Offset 6 repeats the request of offset 4.
        let id = match offset {
            4 | 6 => Some("same"),
            _ => None,
        };
        let taken = match offset {
            6 => 2,
            8 => 3,
            _ => offset / 2,
        };
        asked.push(Asked {
            partition: 0,
            offset,
            appended_ms: 0,
            key: Some(name.into()),
            request_id: id.map(str::to_owned),
            topic: None,
        });
        told.push(reply(name, offset, 1 + 2 * taken, id));
    }
    (asked, told)
}

fn reply(name: &str, offset: i64, first: i64, id: Option<&str>) -> Told {
    let last = first + 1;
    let id = id.map_or(String::new(), |id| format!("\"request_id\":\"{id}\","));
    Told {
        topic: TOPIC.to_owned(),
        partition: 0,
        offset,
        key: Some(name.into()),
        body: format!(
            "{{\"sequence\":\"{name}\",\"first\":{first},\"last\":{last},\"count\":2,{id}\
             \"partition\":0,\"offset\":{offset}}}"
        )
        .into_bytes(),
    }
}

fn judge(asked: &[Asked], told: &[Told], once: bool) -> Report {
    check(&Evidence {
        asked,
        told,
        once,
        deleted: &["gone".to_owned()],
        moves: |key| key == b"moves",
    })
}

fn broken(change: impl FnOnce(&mut Vec<Asked>, &mut Vec<Told>)) -> Vec<Wrong> {
    let (mut asked, mut told) = right();
    change(&mut asked, &mut told);
    judge(&asked, &told, true).broken()
}

#[test]
fn what_is_right_is_clean() {
    assert_eq!(broken(|_, _| {}), []);
    let (asked, told) = right();
    let report = judge(&asked, &told, true);
    assert_eq!((report.sequences, report.ids, report.again), (2, 18, 2));
}

#[test]
fn an_id_that_two_requests_have_is_seen() {
    // The reply repeats the IDs of offset 1, so the order no longer rises.
    let found = broken(|_, told| told[3] = reply("b", 3, 1, None));
    assert_eq!(found, [Wrong::NotUnique, Wrong::Gap, Wrong::OutOfOrder]);
}

#[test]
fn an_id_that_is_left_out_is_seen() {
    assert_eq!(
        broken(|_, told| told[9] = reply("b", 9, 11, None)),
        [Wrong::Gap]
    );
}

#[test]
fn ids_that_changed_places_are_seen() {
    let found = broken(|_, told| {
        told[7] = reply("b", 7, 9, None);
        told[9] = reply("b", 9, 7, None);
    });
    assert_eq!(found, [Wrong::OutOfOrder]);
}

#[test]
fn a_doctored_reply_is_seen_beside_the_right_one() {
    let found = broken(|_, told| told.push(reply("a", 0, 3, None)));
    assert_eq!(found, [Wrong::Unstable, Wrong::AnsweredTwice]);
}

#[test]
fn a_request_without_a_reply_is_seen_unless_its_topic_is_gone() {
    let found = broken(|_, told| drop(told.remove(9)));
    assert_eq!(found, [Wrong::Unanswered]);
    let (mut asked, mut told) = right();
    told.remove(9);
    asked[9].topic = Some("gone".to_owned());
    let report = judge(&asked, &told, true);
    assert_eq!((report.broken(), report.lost_with_topic.len()), (vec![], 1));
}

#[test]
fn a_reply_to_what_nobody_asked_is_seen() {
    let found = broken(|_, told| told.push(reply("a", 77, 9, None)));
    assert_eq!(found, [Wrong::Unasked]);
}

#[test]
fn a_second_grant_to_one_request_is_seen() {
    // No other promise is broken: all later grants have moved on.
    let found = broken(|_, told| {
        told[6] = reply("a", 6, 7, Some("same"));
        told[8] = reply("a", 8, 9, None);
    });
    assert_eq!(found, [Wrong::GrantedTwice]);
}

#[test]
fn a_reply_that_comes_again_is_seen_where_none_may() {
    let (asked, mut told) = right();
    told.push(told[2].clone());
    assert_eq!(judge(&asked, &told, true).broken(), [Wrong::AnsweredTwice]);
    assert_eq!(judge(&asked, &told, false).broken(), []);
}

#[test]
fn the_ids_of_another_sequence_are_seen() {
    let other = Some(b"c".to_vec());
    let found = broken(|asked, told| {
        asked[9].key = other.clone();
        told[9].key = other.clone();
    });
    assert_eq!(found, [Wrong::OtherSequence]);
    assert_eq!(
        broken(|_, told| told[9].key = other.clone()),
        [Wrong::OtherKey]
    );
}

/// The order of a name that moves is not promised, and all else is.
#[test]
fn ids_of_a_name_that_moves_may_change_places_and_nothing_else() {
    let (asked, _) = right();
    let asked: Vec<Asked> = (0..)
        .zip(&asked[..3])
        .map(|(offset, asked)| Asked {
            offset,
            key: Some("moves".into()),
            ..asked.clone()
        })
        .collect();
    let told = |first: [i64; 3]| -> Vec<Told> {
        let replies = (0..).zip(first);
        replies
            .map(|(offset, first)| reply("moves", offset, first, None))
            .collect()
    };
    assert!(judge(&asked, &told([1, 5, 3]), false).broken().is_empty());
    let found = judge(&asked, &told([1, 5, 5]), false);
    assert_eq!(found.broken(), [Wrong::NotUnique, Wrong::Gap]);
}
