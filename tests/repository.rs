//! Keeps the repository as `docs/architecture.md` says it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(
        !found.is_empty(),
        "{folder} has no file that ends in {ending}"
    );
    found.sort();
    found
}

/// What of `text` matters for a rule about code: comment lines are not code.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

/// Lines of `files` that contain one of `words`, as `file: line`.
fn offences(files: &[(String, String)], words: &[&str]) -> Vec<String> {
    files
        .iter()
        .flat_map(|(name, text)| code(text).map(move |line| (name, line)))
        .filter(|(_, line)| words.iter().any(|word| line.contains(word)))
        .map(|(name, line)| format!("{name}: {}", line.trim()))
        .collect()
}

const IMPURE: [&str; 18] = [
    "rdkafka",
    "tokio",
    "async ",
    ".await",
    "Instant",
    "SystemTime",
    "std::time",
    "std::fs",
    "std::net",
    "std::io",
    "std::env",
    "std::thread",
    "std::sync",
    "HashMap",
    "HashSet",
    "rand::",
    "getrandom",
    "tracing",
];

#[test]
fn the_pure_rooms_know_no_kafka_no_clock_no_io_and_no_randomness() {
    let mut pure = files("src/core", ".rs");
    pure.extend(files("src/wire", ".rs"));
    pure.extend(files("src/processor", ".rs"));
    pure.extend(files("src/gateway/call", ".rs"));
    assert_eq!(offences(&pure, &IMPURE), Vec::<String>::new());
}

#[test]
fn the_check_of_the_pure_rooms_catches_a_clock() {
    let planted = [(
        "src/core/x.rs".to_owned(),
        "// a clock\nlet t = std::time::Instant::now();".to_owned(),
    )];
    assert_eq!(offences(&planted, &IMPURE).len(), 1);
}

/// The rooms, and what of the others each may import. Two may use only a part of another: the gateway is a client,
/// and what the bench measures is a process.
const IMPORTS: [(&str, &[&str]); 12] = [
    ("core", &[]),
    ("wire", &["core"]),
    ("processor", &["core", "wire"]),
    ("observe", &["core", "wire", "processor"]),
    ("kafka", &["core", "wire", "processor", "observe"]),
    ("audit", &["core", "wire", "kafka"]),
    (
        "service",
        &["core", "wire", "processor", "observe", "kafka", "audit"],
    ),
    (
        "gateway",
        &[
            "core",
            "wire",
            "observe",
            "kafka",
            "service::settings",
            "service::serve",
            "service::http",
        ],
    ),
    ("embedded", &[]),
    ("verify", &["core", "wire", "processor", "kafka"]),
    ("bench", &["kafka", "embedded", "service::settings"]),
    (
        "cli",
        &[
            "core",
            "wire",
            "processor",
            "observe",
            "kafka",
            "audit",
            "service",
            "gateway",
            "embedded",
            "verify",
            "bench",
        ],
    ),
];

/// Imports of `files`, which are of `room`, from rooms that it may not know, as `file: line`.
fn imports_beyond(room: &str, may: &[&str], files: &[(String, String)]) -> Vec<String> {
    let others: Vec<&str> = IMPORTS.map(|(other, _)| other).into();
    let forbidden = |line: &str| {
        line.match_indices("crate::").any(|(at, found)| {
            let path = &line[at + found.len()..];
            let begins = |room: &str| {
                let rest = path.strip_prefix(room);
                rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
            };
            let another = others.iter().any(|other| *other != room && begins(other));
            another && !may.iter().any(|may| begins(may))
        })
    };
    files
        .iter()
        .flat_map(|(name, text)| code(text).map(move |line| (name, line)))
        .filter(|(_, line)| forbidden(line))
        .map(|(name, line)| format!("{name}: {}", line.trim()))
        .collect()
}

#[test]
fn each_room_imports_only_the_rooms_that_it_may_know() {
    for (room, may) in IMPORTS {
        let files = files(&format!("src/{room}"), ".rs");
        assert_eq!(imports_beyond(room, may, &files), Vec::<String>::new());
    }
    let rooms = fs::read_dir(root().join("src")).unwrap();
    let rooms = rooms.filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(rooms.count(), IMPORTS.len(), "each folder is a room");
    let planted = |line: &str| [("src/gateway/x.rs".to_owned(), line.to_owned())];
    for (line, offences) in [
        ("use crate::service::settings::Settings;", 0),
        ("use crate::service::logging;", 1),
        ("use crate::audit::trace;", 1),
    ] {
        let found = imports_beyond("gateway", IMPORTS[7].1, &planted(line));
        assert_eq!(found.len(), offences, "{line}");
    }
}

/// Files of one folder that import each other in a circle, by what each names with `super::`.
fn circle(files: &[(String, String)]) -> Vec<String> {
    let stem = |name: &str| {
        Path::new(name)
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    let mut left: Vec<(String, String)> = files
        .iter()
        .map(|(name, text)| (stem(name), code(text).collect::<Vec<_>>().join("\n")))
        .filter(|(name, _)| name != "mod")
        .collect();
    loop {
        let names: Vec<String> = left.iter().map(|(name, _)| name.clone()).collect();
        let free = left.iter().position(|(_, text)| {
            let imports = |name: &String| text.contains(&format!("super::{name}::"));
            !names.iter().any(imports)
        });
        match free {
            Some(free) => left.swap_remove(free),
            None => return names,
        };
    }
}

#[test]
fn the_files_of_the_bench_do_not_import_each_other_in_a_circle() {
    assert_eq!(circle(&files("src/bench", ".rs")), Vec::<String>::new());
    let planted = [("a.rs", "use super::b::B;"), ("b.rs", "use super::a::A;")]
        .map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(circle(&planted).len(), 2);
}

/// What would make the checker share a mistake with what it checks. Of `wire` it may use the reading
/// of state records and the names of headers.
const SHARED: [&str; 8] = [
    "crate::core",
    "wire::request",
    "wire::reply",
    "crate::processor",
    "crate::service",
    "crate::cli",
    "crate::embedded",
    "wire::{",
];

#[test]
fn the_checker_shares_no_rule_with_the_service() {
    let own: Vec<_> = files("src/verify", ".rs")
        .into_iter()
        // Its tests run the service to have something to check.
        .filter(|(name, _)| !name.starts_with("src/verify/tests"))
        .collect();
    assert_eq!(offences(&own, &SHARED), Vec::<String>::new());
    let planted = [(
        "src/verify/x.rs".to_owned(),
        "use crate::core::Fold;".to_owned(),
    )];
    assert_eq!(offences(&planted, &SHARED).len(), 1);
}

#[test]
fn only_one_room_uses_the_kafka_client_library() {
    let others: Vec<_> = files("src", ".rs")
        .into_iter()
        .filter(|(name, _)| !name.starts_with("src/kafka") && !name.starts_with("src/bin"))
        .collect();
    assert_eq!(
        offences(&others, &["rdkafka::", "rdkafka_sys"]),
        Vec::<String>::new()
    );
}

#[test]
fn only_one_file_looks_at_kafka_error_codes() {
    let others: Vec<_> = files("src/kafka", ".rs")
        .into_iter()
        .filter(|(name, _)| !name.starts_with("src/kafka/error") && !name.ends_with("tests.rs"))
        .collect();
    let looks = [
        ".code ==",
        ".code !=",
        "match error.code",
        "rdkafka_error_code()",
    ];
    assert_eq!(offences(&others, &looks), Vec::<String>::new());
}

/// The clients of this repository: folder, example, ending of the source files.
const CLIENTS: [(&str, &str, &str); 4] = [
    ("java", "src/test/java/orders/Example.java", ".java"),
    ("python", "example.py", ".py"),
    ("rust", "examples/next.rs", ".rs"),
    ("typescript", "example.mjs", ".ts"),
];

#[test]
fn the_example_of_each_client_is_short_and_its_readme_shows_it() {
    for (client, example, _) in CLIENTS {
        let read = |name: &str| {
            let path = root().join("clients").join(client).join(name);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let (example, readme) = (read(example), read("README.md"));
        let lines = example.lines().filter(|line| !line.trim().is_empty());
        assert!(lines.count() < 10, "the example of {client} has ten lines");
        assert!(
            readme.contains(&example),
            "the README of {client} lacks its example"
        );
    }
    let folders = fs::read_dir(root().join("clients")).unwrap().count();
    assert_eq!(folders, CLIENTS.len(), "each client is known here");
}

/// Longest source file, tests apart; a longer one has more than one subject.
const FILE_LINES_MAX: usize = 800;

#[test]
fn files_are_short() {
    let mut sources = files("src", ".rs");
    sources.extend(files("benches", ".rs"));
    for (client, _, ending) in CLIENTS {
        sources.extend(files(&format!("clients/{client}/src"), ending));
    }
    let long: Vec<_> = sources
        .into_iter()
        .filter(|(name, _)| !name.ends_with("tests.rs"))
        .filter(|(_, text)| text.lines().count() > FILE_LINES_MAX)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = [
        "Cargo.toml",
        "benches/acceptance/Cargo.toml",
        "clients/rust/Cargo.toml",
    ]
    .map(|name| fs::read_to_string(root().join(name)).unwrap())
    .join("\n");
    let reasons = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]")
            && let Some((name, _)) = line.split_once(" = ")
            // Our own packages.
            && !line.contains("path = ")
        {
            assert!(
                reasons.contains(&format!("`{name}`")),
                "docs/dependencies.md says nothing of {name}"
            );
        }
    }
}

#[test]
fn the_readme_opens_with_the_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let opening: String = readme.lines().take(25).collect::<Vec<_>>().join("\n");
    assert!(opening.contains("make run") && opening.contains("make test"));
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(ci.contains("make test"));
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents = files("docs", ".md");
    let mut others = [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "examples/README.md",
    ]
    .map(str::to_owned)
    .to_vec();
    others.extend(CLIENTS.map(|(client, ..)| format!("clients/{client}/README.md")));
    for name in others {
        let text = fs::read_to_string(root().join(&name)).unwrap();
        documents.push((name, text));
    }
    for (name, text) in documents {
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => root().join(&name),
                file => root().join(Path::new(&name).parent().unwrap()).join(file),
            };
            assert!(
                path.exists(),
                "{name} links to {target}, which is not there"
            );
            if !heading.is_empty() && file.ends_with(".md") | file.is_empty() {
                let text = fs::read_to_string(&path).unwrap();
                assert!(
                    headings(&text).contains(&heading.to_owned()),
                    "{name} links to {target}, which is no heading there"
                );
            }
        }
    }
}

/// The headings of a document, as links name them.
fn headings(text: &str) -> Vec<String> {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        is_code ^= line.starts_with("```");
        !is_code && line.starts_with('#')
    });
    let slug = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    lines.map(slug).collect()
}

#[test]
fn headings_are_named_as_links_name_them() {
    let text = "# A `b_c`: d, e\n```text\n# no heading\n```\n### What happens when …\n";
    assert_eq!(headings(text), ["a-b_c-d-e", "what-happens-when-"]);
}

#[test]
fn what_is_released_together_has_one_version() {
    let check = |version: &str| {
        let mut script = Command::new(root().join("deploy/versions.sh"));
        script.arg(version).output().unwrap().status.success()
    };
    assert!(check(env!("CARGO_PKG_VERSION")));
    assert!(!check("999.0.0"));
}

#[test]
fn the_index_of_the_documents_has_each_of_them_once() {
    let index = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    for (name, _) in files("docs", ".md") {
        let name = name.strip_prefix("docs/").unwrap();
        let times = index.matches(&format!("]({name})")).count();
        assert_eq!(times, usize::from(name != "SUMMARY.md"), "{name}");
    }
}

#[test]
fn the_tutorial_shows_its_order_service() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    assert!(read("docs/tutorial.md").contains(&read("examples/orders/orders.py")));
}

#[test]
fn no_test_is_ignored_and_no_work_is_left_unnamed() {
    let mut all = files("src", ".rs");
    all.extend(files("benches", ".rs"));
    all.extend(
        files("tests", ".rs")
            .into_iter()
            .filter(|(name, _)| name != "tests/repository.rs"),
    );
    assert_eq!(
        offences(&all, &["#[ignore", "todo!(", "unimplemented!("]),
        Vec::<String>::new()
    );
}
