//! The judge of what a test program printed: a pure function, so that the tests below can show that it
//! sees every kind of mistake.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Calls that are made at once.
pub const CALLS: usize = 100;
/// Names that they are spread over, in turn.
const NAMES: usize = 5;
/// The code that the call after them must get.
const CODE: &str = "invalid_count";

/// What a call got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Ids { name: String, first: i64, last: i64 },
    Error(String),
}

/// The lines of the calls, in the order in which they were printed; others are the program's own.
pub fn parse(printed: &str) -> Vec<(usize, Answer)> {
    let line = |line: &str| {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |field: &str| {
            value[field]
                .as_str()
                .unwrap_or_else(|| panic!("{line}"))
                .to_owned()
        };
        let number = |field: &str| value[field].as_i64().unwrap_or_else(|| panic!("{line}"));
        let answer = if value.get("error").is_some() {
            Answer::Error(text("error"))
        } else {
            Answer::Ids {
                name: text("name"),
                first: number("first"),
                last: number("last"),
            }
        };
        (usize::try_from(number("call")).unwrap(), answer)
    };
    printed
        .lines()
        .filter(|text| text.starts_with("{\"call\""))
        .map(line)
        .collect()
}

/// All that is wrong: calls that were not answered or twice, or by another's answer, IDs of a name that
/// are not those from 1 on, an error path that does not lead where it should.
pub fn judge(prefix: &str, lines: &[(usize, Answer)], further: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut answers: BTreeMap<usize, &Answer> = BTreeMap::new();
    for (call, answer) in lines {
        if answers.insert(*call, answer).is_some() {
            wrong.push(format!("call {call} was answered twice"));
        }
    }
    let mut ids: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for call in 0..=CALLS + further {
        let expected = format!("{prefix}-{}", call % NAMES);
        match answers.remove(&call) {
            None => wrong.push(format!("call {call} was not answered")),
            Some(Answer::Error(code)) if call == CALLS && code == CODE => {}
            Some(Answer::Ids { name, first, last })
                if call != CALLS && *name == expected && first == last =>
            {
                ids.entry(expected).or_default().push(*first);
            }
            Some(other) => wrong.push(format!("call {call} for {expected} got {other:?}")),
        }
    }
    wrong.extend(
        answers
            .keys()
            .map(|call| format!("there is no call {call}")),
    );
    for (name, ids) in ids {
        let unique: BTreeSet<i64> = ids.iter().copied().collect();
        let contiguous = (1..).zip(&unique).all(|(expected, id)| expected == *id);
        if unique.len() != ids.len() || !contiguous {
            wrong.push(format!("the IDs of {name} are {ids:?}"));
        }
    }
    wrong
}

/// What a program prints when all is well, with ten further calls.
fn good() -> Vec<(usize, Answer)> {
    let line = |call: usize| {
        let ids = |id| Answer::Ids {
            name: format!("x-{}", call % NAMES),
            first: id,
            last: id,
        };
        let answer = match call {
            CALLS => Answer::Error(CODE.to_owned()),
            _ if call < CALLS => ids(i64::try_from(call / NAMES + 1).unwrap()),
            _ => ids(i64::try_from((call - 1) / NAMES + 1).unwrap()),
        };
        (call, answer)
    };
    (0..=CALLS + 10).map(line).collect()
}

#[test]
fn the_judge_accepts_what_is_right() {
    assert_eq!(judge("x", &good(), 10), Vec::<String>::new());
}

#[test]
fn the_judge_catches_each_planted_mistake() {
    type Plant = fn(&mut Vec<(usize, Answer)>);
    let plants: [(&str, Plant); 8] = [
        ("call 7 was not answered", |lines| drop(lines.remove(7))),
        ("call 3 was answered twice", |lines| {
            lines.push(lines[3].clone())
        }),
        ("the IDs of x-0", |lines| lines[5].1 = lines[0].1.clone()),
        ("the IDs of x-1", |lines| {
            lines[1].1 = Answer::Ids {
                name: "x-1".to_owned(),
                first: 99,
                last: 99,
            };
        }),
        ("call 2 for x-2 got", |lines| {
            lines[2].1 = lines[1].1.clone()
        }),
        ("call 100 for x-0 got", |lines| {
            lines[100].1 = Answer::Error("malformed_request".to_owned())
        }),
        ("call 4 for x-4 got", |lines| {
            lines[4].1 = Answer::Error(CODE.to_owned())
        }),
        ("there is no call 111", |lines| {
            lines.push((111, lines[0].1.clone()))
        }),
    ];
    for (expected, plant) in plants {
        let mut lines = good();
        plant(&mut lines);
        let wrong = judge("x", &lines, 10);
        assert!(
            wrong.iter().any(|words| words.contains(expected)),
            "{expected}: {wrong:?}"
        );
    }
}
