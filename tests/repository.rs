//! Keeps the repository as `docs/architecture.md` says it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

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

/// The parts of the standard library with clocks, I/O, threads and random order.
const IMPURE_STD: [&str; 13] = [
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
];

/// The parts of dependencies with these.
const IMPURE_CRATES: [&str; 5] = ["rdkafka", "tokio", "rand::", "getrandom", "tracing"];

/// The compiler keeps the crates in [`APART`] out of `src/protocol`.
#[test]
fn the_pure_rooms_know_no_kafka_no_clock_no_io_and_no_randomness() {
    let mut pure = files("src/protocol", ".rs");
    let call = files("src/gateway/call", ".rs");
    assert_eq!(offences(&call, &IMPURE_CRATES), Vec::<String>::new());
    pure.extend(call);
    assert_eq!(offences(&pure, &IMPURE_STD), Vec::<String>::new());
}

#[test]
fn the_check_of_the_pure_rooms_catches_a_clock() {
    let planted = [(
        "src/protocol/core/x.rs".to_owned(),
        "// a clock\nlet t = std::time::Instant::now();".to_owned(),
    )];
    assert_eq!(offences(&planted, &IMPURE_STD).len(), 1);
}

/// The paths that `text` begins with: one, or one for each part of a group in braces.
fn paths(text: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let (path, rest) = text.split_at(text.find(|c| !is_path(c)).unwrap_or(text.len()));
    let is_group = path.is_empty() || path.ends_with("::");
    if !is_group || !rest.starts_with('{') {
        return vec![path.to_owned()];
    }
    let (mut found, mut depth, mut begin) = (Vec::new(), 0, 1);
    for (at, c) in rest.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 || (depth == 1 && c == ',') {
            let part = paths(rest[begin..at].trim_start());
            found.extend(part.iter().map(|part| format!("{path}{part}")));
            begin = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// The paths that a file names by `crate::` or `super::`, as modules of its crate. `module`: the file's own.
fn named(module: &[&str], text: &str) -> Vec<Vec<String>> {
    let own = |up: usize| module[..module.len().saturating_sub(up)].iter();
    let mut found = Vec::new();
    for (begin, up) in [("crate::", module.len()), ("super::", 1)] {
        for (at, _) in text.match_indices(begin) {
            let before = text[..at].chars().next_back().unwrap_or(' ');
            if before.is_alphanumeric() || before == '_' || before == ':' {
                continue;
            }
            for path in paths(&text[at + begin.len()..]) {
                let higher = path.matches("super::").count();
                let path = path.trim_start_matches("super::").split("::");
                let base = own(up + higher).map(|part| (*part).to_owned());
                found.push(base.chain(path.map(str::to_owned)).collect());
            }
        }
    }
    found
}

/// The module that a file is, in a crate in the folder `root`.
fn module<'a>(root: &str, file: &'a str) -> Vec<&'a str> {
    let name = file
        .strip_prefix(root)
        .unwrap()
        .strip_suffix(".rs")
        .unwrap();
    let name = name.strip_suffix("/mod").unwrap_or(name);
    name.trim_start_matches('/').split('/').collect()
}

/// The folders of `src` that are crates of their own, and the rooms of each that others import. `Cargo.toml` of each
/// lists its own imports.
const CRATES: [(&str, &[&str]); 2] = [
    ("protocol", &["core", "wire", "processor"]),
    ("verify", &["verify"]),
];

/// The other rooms, and what each may import. Two may use only a part of another: the gateway is a client,
/// and what the bench measures is a process.
const IMPORTS: [(&str, &[&str]); 8] = [
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

/// Imports of `files`, which are of `room`, from rooms that it may not know, as `file: path`.
fn imports_beyond(room: &str, may: &[&str], files: &[(String, String)]) -> Vec<String> {
    let mut rooms: Vec<&str> = IMPORTS.map(|(other, _)| other).into();
    rooms.extend(CRATES.iter().flat_map(|(_, rooms)| *rooms));
    let mut found = Vec::new();
    for (name, text) in files {
        let text = code(text).collect::<Vec<_>>().join("\n");
        for path in named(&module("src", name), &text) {
            let other = path[0] != room && rooms.contains(&path[0].as_str());
            let path = path.join("::");
            let begins = |may: &&str| format!("{path}::").starts_with(&format!("{may}::"));
            if other && !may.iter().any(begins) {
                found.push(format!("{name}: {path}"));
            }
        }
    }
    found
}

#[test]
fn each_room_imports_only_the_rooms_that_it_may_know() {
    for (room, may) in IMPORTS {
        let files = files(&format!("src/{room}"), ".rs");
        assert_eq!(imports_beyond(room, may, &files), Vec::<String>::new());
    }
    let rooms = fs::read_dir(root().join("src")).unwrap();
    let rooms = rooms.filter(|entry| entry.as_ref().unwrap().path().is_dir());
    let known = IMPORTS.len() + CRATES.len();
    assert_eq!(rooms.count(), known, "each folder is a room or a crate");
    let planted = |line: &str| [("src/gateway/x.rs".to_owned(), line.to_owned())];
    for (line, offences) in [
        ("use crate::service::settings::Settings;", 0),
        ("use crate::service::logging;", 1),
        ("use crate::audit::trace;", 1),
        ("use crate::core::Name;", 0),
        ("use crate::processor::halt::Halt;", 1),
        ("use crate::verify::Options;", 1),
        (
            "use crate::{\n    core::Name,\n    audit::{told, trace},\n};",
            2,
        ),
        ("use super::super::audit::trace;", 1),
        ("// crate::audit", 0),
    ] {
        let (_, may) = IMPORTS.iter().find(|(room, _)| *room == "gateway").unwrap();
        let found = imports_beyond("gateway", may, &planted(line));
        assert_eq!(found.len(), offences, "{line}");
    }
}

/// Modules that import each other in a circle, of a crate in the folder `root`. A module and those in it count as one
/// for its neighbours.
fn circle(root: &str, files: &[(String, String)]) -> Vec<String> {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in files {
        let parts = module(root, name);
        if parts.contains(&"tests") {
            continue;
        }
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let text = code(text).collect::<Vec<_>>().join("\n");
        imports.entry(parts.join("::")).or_default();
        for path in named(&parts, &text) {
            let common = parts
                .iter()
                .zip(&path)
                .take_while(|(a, b)| **a == **b)
                .count();
            if common < parts.len() && common < path.len() {
                let from = parts[..=common].join("::");
                imports
                    .entry(from)
                    .or_default()
                    .insert(path[..=common].join("::"));
            }
        }
    }
    // The modules that import none of those that are left are in no circle.
    loop {
        let left: BTreeSet<String> = imports.keys().cloned().collect();
        imports.retain(|_, names| !names.is_disjoint(&left));
        if imports.len() == left.len() {
            return left.into_iter().collect();
        }
    }
}

#[test]
fn no_modules_of_the_crates_and_of_the_bench_import_each_other_in_a_circle() {
    for root in ["src/protocol", "src/verify", "src/bench"] {
        assert_eq!(circle(root, &files(root, ".rs")), Vec::<String>::new());
    }
    let found = |files: &[(&str, &str)]| {
        let files = files.iter();
        let files = files.map(|(name, text)| (format!("src/{name}"), (*text).to_owned()));
        circle("src", &files.collect::<Vec<_>>())
    };
    let pair = |a, b| found(&[("a.rs", a), ("b.rs", b), ("b/c.rs", "use super::B;")]);
    assert_eq!(pair("use super::b::B;", "use super::a::A;"), ["a", "b"]);
    assert_eq!(
        pair("use crate::{d::D, b::{c::C, B}};", "crate::a::A"),
        ["a", "b"]
    );
    assert_eq!(
        pair("use super::b::B;", "// super::a"),
        Vec::<String>::new()
    );
    // A module in another one imports for it.
    let inner = found(&[("a.rs", "crate::b::B"), ("b/c.rs", "super::super::a::A")]);
    assert_eq!(inner, ["a", "b"]);
}

/// The packages that must not know some others, and the beginnings of the names that none of their dependencies may
/// have. The compiler refuses an import of anything that is no dependency.
const APART: [(&str, &[&str]); 2] = [
    (
        "sequencer-protocol",
        &[
            "sequencer",
            "rdkafka",
            "tokio",
            "mio",
            "rand",
            "getrandom",
            "tracing",
        ],
    ),
    ("sequencer-verify", &["sequencer", "rdkafka"]),
];

/// All that a package depends on, without what only its tests and its build use. `metadata`: what `cargo metadata` prints.
fn dependencies<'a>(metadata: &'a Value, package: &str) -> BTreeSet<&'a str> {
    let packages = metadata["packages"].as_array().unwrap();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let of = |id: &Value| {
        packages
            .iter()
            .find(|package| package["id"] == *id)
            .unwrap()
    };
    let package = packages.iter().find(|found| found["name"] == package);
    let mut left = vec![&package.unwrap()["id"]];
    let mut found = BTreeSet::new();
    while let Some(id) = left.pop() {
        let node = nodes.iter().find(|node| node["id"] == *id).unwrap();
        for edge in node["deps"].as_array().unwrap() {
            let kinds = edge["dep_kinds"].as_array().unwrap();
            // Others are of its tests or of its build.
            let is_of_package = kinds.iter().any(|kind| kind["kind"].is_null());
            if is_of_package && found.insert(of(&edge["pkg"])["name"].as_str().unwrap()) {
                left.push(&edge["pkg"]);
            }
        }
    }
    found
}

/// The dependencies that a package must not have, as `package: dependency`.
fn dependencies_beyond(metadata: &Value) -> Vec<String> {
    let mut beyond = Vec::new();
    for (package, forbidden) in APART {
        let is_forbidden = |name: &&str| forbidden.iter().any(|begin| name.starts_with(begin));
        let found = dependencies(metadata, package)
            .into_iter()
            .filter(is_forbidden);
        beyond.extend(found.map(|name| format!("{package}: {name}")));
    }
    beyond
}

#[test]
fn the_pure_rooms_and_the_checker_depend_on_nothing_that_they_must_not_know() {
    let mut cargo = Command::new(env!("CARGO"));
    // It asks for the packages of every platform, which a build for one does not download.
    cargo.args(["metadata", "--format-version=1", "--locked"]);
    let output = cargo.current_dir(root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(dependencies_beyond(&metadata), Vec::<String>::new());
    // The checker's tests run the service. Here the checker itself depends on it.
    let nodes = metadata["resolve"]["nodes"].as_array_mut().unwrap();
    for edge in nodes
        .iter_mut()
        .flat_map(|node| node["deps"].as_array_mut().unwrap())
    {
        if edge["name"] == "sequencer_protocol" {
            edge["dep_kinds"][0]["kind"] = Value::Null;
        }
    }
    assert_eq!(
        dependencies_beyond(&metadata),
        ["sequencer-verify: sequencer-protocol"]
    );
}

/// Compiles the crate of a subset of the pure rooms, each with one item, and one of them with an import.
///
/// # Errors
/// The errors of the compiler.
fn compile(subset: &str, room: &str, import: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for room in ["core", "wire", "subsets"] {
        fs::create_dir(at(room)).unwrap();
        fs::write(at(room).join("mod.rs"), "pub struct Known;").unwrap();
    }
    let file = format!("pub struct Known;\npub use {import} as Imported;");
    fs::write(at(room).join("mod.rs"), file).unwrap();
    let crate_file = at("subsets").join(subset);
    fs::copy(
        root().join("src/protocol/subsets").join(subset),
        &crate_file,
    )
    .unwrap();
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "--crate-type=lib", "--emit=metadata"]);
    rustc.arg("--out-dir").arg(folder.path()).arg(crate_file);
    let output = rustc.output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The pure rooms are one crate. Each subset of them that knows no upper room is compiled as well.
#[test]
fn an_import_of_an_upper_room_in_a_lower_one_does_not_compile() {
    for (subset, room, upper) in [
        ("core.rs", "core", "wire"),
        ("core.rs", "core", "processor"),
        ("core_and_wire.rs", "core", "processor"),
        ("core_and_wire.rs", "wire", "processor"),
    ] {
        let said = compile(subset, room, &format!("crate::{upper}::Known")).unwrap_err();
        let reason = format!("error[E0432]: unresolved import `crate::{upper}`");
        assert!(said.contains(&reason), "{said}");
        assert_eq!(said.matches("error[").count(), 1, "{said}");
    }
    assert_eq!(compile("core.rs", "core", "std::fmt::Debug"), Ok(()));
    assert_eq!(
        compile("core_and_wire.rs", "wire", "crate::core::Known"),
        Ok(())
    );
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
        "src/protocol/Cargo.toml",
        "src/verify/Cargo.toml",
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
