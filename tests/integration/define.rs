//! Operators' definitions through the command line: one at a time, and a file of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::command;
use crate::support::admin::Admin;
use crate::support::command::{Outcome, run};
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::{cluster, unique};

/// The file in the documentation.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sequences.toml")
}

/// A file for one test.
fn file(text: &str) -> PathBuf {
    let path = cluster::directory().join(format!("{}.toml", unique("sequences")));
    fs::write(&path, text).unwrap();
    path
}

/// Runs `sequencer define --file`.
fn apply(service: &Service, file: &Path, more: &[&str]) -> Outcome {
    let mut words = vec!["define", "--file", file.to_str().unwrap()];
    words.extend(more);
    command(service, &words)
}

fn said(service: &Service, words: &[&str]) -> String {
    let outcome = command(service, words);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    outcome.stdout
}

/// The sequence's description.
fn described(service: &Service, name: &str) -> Value {
    let body = said(service, &["describe", name, "--json"]);
    serde_json::from_str(&body).unwrap()
}

fn refused(service: &Service, words: &[&str], word: &str) {
    let outcome = command(service, words);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    outcome.line_with(word);
}

/// The values of all requests with this `op`, in the order of each partition.
fn records(service: &Service, op: &str) -> Vec<Value> {
    let log = service.request_log().into_iter();
    let values = log.filter_map(|record| serde_json::from_slice(&record.value?).ok());
    values.filter(|value: &Value| value["op"] == op).collect()
}

#[test]
fn a_sequence_is_defined_described_and_changed() {
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let service = Service::new("define-one", mode);
        let instance = service.start("a");
        refused(&service, &["describe", "orders"], "unknown_sequence");
        let words = [
            "define",
            "orders",
            "--start",
            "1000",
            "--increment",
            "5",
            "--max",
            "2000",
            "--at-end",
            "cycle",
            "--max-count",
            "10",
        ];
        let text = "\
sequence   orders
start      1000
increment  5
min        1
max        2000
at_end     cycle
max_count  10
audit      false
remember   0
next       1000
";
        assert_eq!(said(&service, &words), text);
        let shown = said(&service, &["describe", "orders"]);
        let (rules, change) = shown.split_once("changed    ").unwrap();
        assert_eq!(rules, text);
        assert!(change.starts_with("define at 2"), "{change}");
        assert_eq!(
            said(&service, &["next", "orders", "--count", "3"]),
            "1000\n1005\n1010\n"
        );
        refused(
            &service,
            &["next", "orders", "--count", "11"],
            "invalid_count",
        );

        // A field that is left out keeps its value.
        said(&service, &["define", "orders", "--max-count", "20"]);
        let body = described(&service, "orders");
        assert_eq!(body["sequence"], "orders");
        assert_eq!(body["next"], 1015);
        assert_eq!(body["definition"]["max_count"], 20);
        assert_eq!(body["definition"]["increment"], 5);

        refused(
            &service,
            &["define", "orders", "--start", "7"],
            "set_next moves it on",
        );
        refused(
            &service,
            &["define", "orders", "--min", "3000"],
            "min 3000 is above max 2000",
        );
        // With `--json` the refusal is the reply.
        let outcome = command(
            &service,
            &["define", "orders", "--increment", "-5", "--json"],
        );
        let body: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (1, ""));
        assert_eq!(body["error"]["code"], "invalid_definition");
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}

#[test]
fn a_sequence_counts_down_below_zero() {
    let service = Service::new("define-down", Mode::Immediate);
    let instance = service.start("a");
    let words = [
        "define",
        "down",
        "--increment",
        "-5",
        "--min",
        "-12",
        "--max",
        "-1",
    ];
    said(&service, &words);
    assert_eq!(
        said(&service, &["next", "down", "--count", "2"]),
        "-1\n-6\n"
    );
    said(&service, &["set-next", "down", "-12"]);
    refused(
        &service,
        &["set-next", "down", "-11"],
        "move the sequence back",
    );
    assert_eq!(said(&service, &["next", "down"]), "-12\n");
    let shown = said(&service, &["describe", "down"]);
    assert!(shown.contains("next       none: it is exhausted\nchanged    set_next at "));
    refused(&service, &["next", "down"], "exhausted");
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn a_sequence_moves_back_only_by_force_and_the_log_says_who_and_why() {
    let service = Service::new("define-move", Mode::Immediate);
    let instance = service.start("a");
    said(&service, &["next", "orders", "--count", "50"]);
    said(
        &service,
        &["set-next", "orders", "100", "--reason", "imported"],
    );
    assert_eq!(said(&service, &["next", "orders"]), "100\n");
    refused(
        &service,
        &["set-next", "orders", "60"],
        "force it with a reason",
    );
    let forced = ["set-next", "orders", "60", "--force"];
    assert_eq!(command(&service, &forced).code, 2, "force needs a reason");
    let because = ["--reason", "test data removed", "--requester", "maria"];
    said(&service, &[forced.as_slice(), &because].concat());
    assert_eq!(said(&service, &["next", "orders"]), "60\n");

    let log = records(&service, "set_next");
    assert_eq!(log.len(), 3);
    assert_eq!(log[0]["reason"], "imported");
    let by_default = log[0]["requester"].as_str().unwrap();
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    assert!(by_default.ends_with(&host), "{by_default}");
    assert_eq!(log[2]["requester"], "maria");
    assert_eq!(log[2]["reason"], "test data removed");
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn describe_says_who_changed_a_sequence_when_and_why_as_inspect_does() {
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let service = Service::new("define-who", mode);
        let instance = service.start("a");
        said(&service, &["next", "orders", "--count", "5"]);
        let body = described(&service, "orders");
        assert!(body.get("changed").is_none(), "nobody changed it: {body}");
        let text = said(&service, &["describe", "orders"]);
        assert!(!text.contains("changed"), "{text}");

        let who = ["--requester", "maria \"ops\"", "--reason", "a new year"];
        let change = |words: &[&str]| -> Value {
            let words = [words, &who, &["--json"]].concat();
            serde_json::from_str(&said(&service, &words)).unwrap()
        };
        let define = change(&["define", "orders", "--max-count", "7"]);
        let moved = change(&["set-next", "orders", "50"]);
        assert!(define.get("changed").or(moved.get("changed")).is_none());
        said(&service, &["next", "orders"]);

        let body = described(&service, "orders");
        let changed = &body["changed"];
        assert_eq!(changed["op"], "set_next");
        assert_eq!(changed["requester"], "maria \"ops\"");
        assert_eq!(changed["reason"], "a new year");
        assert_eq!(changed["offset"], moved["offset"]);
        let text = said(&service, &["describe", "orders"]);
        let line = text.lines().last().unwrap();
        assert!(line.starts_with("changed    set_next at 2"), "{line}");
        assert!(
            line.ends_with(" of maria \"ops\", reason a new year"),
            "{line}"
        );

        // This record has no author and no reason.
        let mut writer = service.writer();
        writer.send_to(None, Some(b"orders"), Some(b"{\"op\":\"retire\"}"));
        writer.finish();
        let retired = described(&service, "orders");
        let ended = retired["changed"].as_object().unwrap();
        assert_eq!(ended["op"], "retire");
        assert_eq!(ended.keys().collect::<Vec<_>>(), ["at", "offset", "op"]);

        // The state keeps the change, for another instance and for `inspect`.
        assert_eq!(instance.sigterm_and_wait(), 0);
        let inspect = ["inspect", "--sequence", "orders", "--json"];
        let state: Value = serde_json::from_str(&said(&service, &inspect)).unwrap();
        assert_eq!(state["sequences"][0]["changed"], retired["changed"]);
        let instance = service.start("b");
        let again = described(&service, "orders");
        assert_eq!(again["changed"], retired["changed"]);
        let verified = command(&service, &["verify"]);
        assert_eq!(verified.code, 0, "{verified:?}");
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}

#[test]
fn a_retired_sequence_gives_nothing_and_goes_on_when_it_is_defined_again() {
    let service = Service::new("define-retire", Mode::Immediate);
    let instance = service.start("a");
    assert_eq!(
        said(&service, &["next", "orders", "--count", "2"]),
        "1\n2\n"
    );
    let text = said(&service, &["retire", "orders", "--reason", "merged"]);
    assert!(text.contains("retired    yes"), "{text}");
    refused(&service, &["next", "orders"], "retired");
    refused(&service, &["set-next", "orders", "9"], "retired");
    assert_eq!(described(&service, "orders")["retired"], true);
    said(&service, &["define", "orders"]);
    assert_eq!(said(&service, &["next", "orders"]), "3\n");

    // A file also brings the sequence back, and reports this.
    said(&service, &["retire", "orders"]);
    let outcome = apply(&service, &file("[sequences.orders]\n"), &[]);
    assert_eq!(outcome.code, 0);
    assert!(
        outcome.stdout.contains("retired: true -> false"),
        "{outcome:?}"
    );
    assert_eq!(said(&service, &["next", "orders"]), "4\n");
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn a_file_that_is_applied_again_changes_nothing() {
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let service = Service::new("define-again", mode);
        let instance = service.start("a");
        let first = apply(&service, &example(), &["--reason", "first"]);
        assert_eq!(first.code, 0);
        assert!(first.stdout.contains("+ invoices: new\n    start: 42000\n"));
        assert!(
            first
                .stdout
                .contains("~ policy: changed, in partitions 0, 1, 2, 3\n")
        );
        assert!(first.stdout.ends_with("\napplied 9 changes\n"), "{first:?}");
        assert_eq!(said(&service, &["next", "invoices"]), "42000\n");
        assert_eq!(said(&service, &["next", "vouchers"]), "5000\n");
        assert_eq!(said(&service, &["next", "customers.eu"]), "1\n");
        assert_eq!(
            said(&service, &["next", "order-blocks", "--count", "2"]),
            "10\n20\n"
        );
        refused(&service, &["next", "invoice"], "unknown_sequence");

        let again = apply(&service, &example(), &[]);
        assert_eq!(again.code, 0);
        assert!(
            again.stdout.contains("  invoices: unchanged\n"),
            "{again:?}"
        );
        assert!(again.stdout.contains("  policy: unchanged\n"), "{again:?}");
        assert!(again.stdout.ends_with("\nnothing to change\n"), "{again:?}");
        let defines = records(&service, "define");
        assert_eq!(defines.len(), 5, "the second time wrote none");
        assert!(defines.iter().all(|define| define["reason"] == "first"));
        assert_eq!(records(&service, "policy").len(), PARTITIONS as usize);
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}

#[test]
fn a_dry_run_shows_the_difference_and_writes_nothing() {
    let service = Service::new("define-dry", Mode::Immediate);
    let instance = service.start("a");
    said(&service, &["define", "invoices", "--max-count", "50"]);
    let outcome = apply(&service, &example(), &["--dry-run"]);
    assert_eq!(outcome.code, 1, "one change would be refused");
    for line in [
        "~ invoices: changed\n    start: 1 -> 42000\n    max_count: 50 -> 100\n    would be refused: start \
         of a sequence that exists cannot change",
        "+ pager: new\n    min: 1\n    max: 99\n    at_end: cycle\n    max_count: 1\n",
        "    undefined: create -> refuse\n",
        "5 sequences: 4 new, 1 changed, 0 unchanged\ndry run: nothing was written, and 1 change would be \
         refused\n",
    ] {
        assert!(outcome.stdout.contains(line), "{line:?} in {outcome:?}");
    }
    let outcome = apply(&service, &example(), &["--dry-run", "--json"]);
    let plan: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.code, &plan["dry_run"]), (1, &true.into()));
    assert_eq!(plan["sequences"][0]["fields"][0]["old"], 1);
    assert_eq!(plan["sequences"][0].get("applied"), None);
    assert_eq!(plan["policy"][3]["new"], "refuse");

    refused(&service, &["describe", "pager"], "unknown_sequence");
    assert_eq!(records(&service, "define").len(), 1);
    assert_eq!(records(&service, "policy").len(), 0);
    assert_eq!(said(&service, &["next", "anything"]), "1\n");
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn a_refused_change_is_named_with_its_reason_and_the_others_are_made() {
    let service = Service::new("define-refused", Mode::Immediate);
    let instance = service.start("a");
    said(&service, &["next", "orders", "--count", "10"]);
    let text = "\
[sequences.orders]
max = 5
[sequences.wrong]
increment = 0
[sequences.good]
start = 7
";
    let file = file(text);
    let outcome = apply(&service, &file, &[]);
    assert_eq!(outcome.code, 1);
    outcome.line_with("2 of 3 changes were not applied");
    let line = outcome.line_with("orders: invalid_definition: ");
    assert!(line.contains("the next ID 11 is beyond the new bounds 1 to 5"));
    outcome.line_with("wrong: invalid_definition: increment must not be 0");
    assert_eq!(said(&service, &["next", "good"]), "7\n");

    let outcome = apply(&service, &file, &["--json"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (1, ""));
    let plan: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let orders = &plan["sequences"][0];
    assert_eq!(orders["applied"], false);
    assert_eq!(orders["error"]["code"], "invalid_definition");
    assert_eq!(plan["sequences"][2]["change"], "unchanged");
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn a_mistake_in_the_file_exits_2_with_its_line_and_asks_nobody() {
    let path = file("[sequences.orders]\nmax_cuont = 5\n");
    let shown = path.to_str().unwrap();
    let outcome = run(&["define", "--file", shown, "--brokers", "127.0.0.1:1"]);
    assert_eq!(outcome.code, 2);
    let line = outcome.line_with(&format!("{shown}:2: "));
    assert!(line.contains("did you mean \"max_count\"?"), "{line}");
    let outcome = run(&[
        "define",
        "--file",
        "no-such-file",
        "--brokers",
        "127.0.0.1:1",
    ]);
    assert_eq!(outcome.code, 2);
    outcome.line_with("no-such-file");
}

#[test]
fn the_policy_reaches_every_partition_also_those_that_the_topic_has_grown_by() {
    let service = Service::new("define-policy", Mode::Immediate);
    let instance = service.start("a");
    let grown = PARTITIONS + 2;
    let each = |word: &str, count: i32| -> String {
        (0..count)
            .map(|p| format!("partition {p}: {word}\n"))
            .collect()
    };
    assert_eq!(said(&service, &["policy"]), each("create", PARTITIONS));
    assert_eq!(
        said(&service, &["policy", "refuse"]),
        each("refuse", PARTITIONS)
    );

    // The service looks at the topic every few seconds. The request waits for this in the log.
    Admin::new(&service.bootstrap).grow(&service.requests, grown);
    let patient = ["--timeout-ms", "100000"];
    let text = said(&service, &[["policy"].as_slice(), &patient].concat());
    let news = format!(
        "{}partition 4: create\npartition 5: create\n",
        each("refuse", PARTITIONS)
    );
    assert_eq!(text, news);
    let text = said(
        &service,
        &[
            ["policy", "refuse", "--reason", "grown"].as_slice(),
            &patient,
        ]
        .concat(),
    );
    assert_eq!(text, each("refuse", grown));
    // Every partition refuses a name that is not defined.
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        refused(&service, &["next", name], "unknown_sequence");
    }
    let lines = said(&service, &["policy", "create", "--json"]);
    let bodies: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (partition, body) in bodies.iter().enumerate() {
        assert_eq!(body["partition"], partition);
        assert_eq!(body["undefined"], "create");
    }
    assert_eq!(bodies.len(), grown as usize);
    assert_eq!(said(&service, &["next", "a"]), "1\n");
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn without_a_service_each_partition_says_that_nobody_answers() {
    let service = Service::new("define-silent", Mode::Immediate);
    service.create_topics();
    let outcome = command(&service, &["policy", "refuse", "--timeout-ms", "5000"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    outcome.line_with("4 of 4 partitions failed");
    outcome.line_with("partition 3: no answer within 5000 ms");
    outcome.line_with("Look whether it was applied before you repeat it:");
    let outcome = apply(&service, &example(), &["--timeout-ms", "5000"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    outcome.line_with("no answer within 5000 ms");
}

#[test]
fn a_file_of_a_thousand_sequences_is_applied_and_again() {
    let service = Service::new("define-many", Mode::Immediate);
    let instance = service.start("a");
    let table = |n: i64| format!("[sequences.\"many {n}\"]\nstart = {}\n", n + 1);
    let path = file(&(0..1_000).map(table).collect::<String>());
    let first = apply(&service, &path, &[]);
    assert!(
        first
            .stdout
            .ends_with("1000 new, 0 changed, 0 unchanged\napplied 1000 changes\n")
    );
    assert_eq!(said(&service, &["next", "many 999"]), "1000\n");
    let again = apply(&service, &path, &[]);
    assert!(
        again
            .stdout
            .ends_with("0 new, 0 changed, 1000 unchanged\nnothing to change\n")
    );
    assert_eq!(instance.sigterm_and_wait(), 0);
}
