//! Clients that users have already, unmodified: each gets its answers from a real `serve` over a real
//! broker, in both reply modes.
//!
//! For each client its example (`examples/CLIENT`) and its test program (`tests/clients/CLIENT`) are
//! copied into one directory, the dependencies of the example's manifest are installed there, and both
//! are run. The test program makes 100 calls at once over five names, one call that must fail, and,
//! where the client can ask for a partition, ten whose answers must come to one. It prints a line for
//! each call, which `verdict` judges; `conventions` looks at the records themselves.
//!
//! `own` has the clients of this repository, in `clients/`.
//!
//! A missing toolchain is a failure when `CI` is set. Elsewhere the client is skipped, in a line that
//! begins with `skipped:`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "shared with the integration tests, which use all of it"
)]
#[path = "../integration/support/mod.rs"]
mod support;

mod client;
mod conventions;
mod own;
mod stage;
mod tools;
mod verdict;

use client::Client;
use stage::{ShowLog, Stage};
use support::records::Mode;
use tools::{GO, JAVA, KCAT, NODE, PYTHON, RUST_PACKAGES, Workshop};

#[test]
fn replying_kafka_template_of_spring_gets_its_answers() {
    Client {
        name: "spring",
        tools: JAVA,
        reply_topic: Some("orders.reply"),
        asked_partitions: 10,
        ..Client::default()
    }
    .is_served(|shop| {
        shop.add_test_program();
        shop.run("mvn", &["-q", "-B", "package"]);
        let launcher = "org.springframework.boot.loader.launch.PropertiesLauncher";
        let calls = [
            "-Dloader.main=calls.Calls",
            "-cp",
            "target/next-id.jar",
            launcher,
        ];
        (
            shop.command("java", &["-jar", "target/next-id.jar"]),
            shop.command("java", &calls),
        )
    });
}

#[test]
fn client_kafka_of_nestjs_gets_its_answers_and_its_observables_error() {
    Client {
        name: "nestjs",
        tools: NODE,
        reply_topic: Some("sequencer.requests.reply"),
        // Its groups begin at the end of a topic that they are new to, which may be after the answer.
        known_group: Some("orders-client"),
        // Every request names the first partition that the client was assigned.
        asked_partitions: 101,
        ..Client::default()
    }
    .is_served(|shop| {
        shop.add_test_program();
        shop.run("npm", &["ci", "--no-audit", "--no-fund"]);
        let tsx = "node_modules/.bin/tsx";
        (
            shop.command(tsx, &["next-id.ts"]),
            shop.command(tsx, &["calls.ts"]),
        )
    });
}

#[test]
fn kafka_request_reply_of_quarkus_gets_its_answers() {
    Client {
        name: "quarkus",
        tools: JAVA,
        reply_topic: Some("sequencer.requests-replies"),
        asked_partitions: 10,
        ..Client::default()
    }
    .is_served(|shop| {
        // A Quarkus application has one main class, chosen when it is built.
        shop.run("mvn", &["-q", "-B", "package"]);
        shop.rename("target", "example");
        shop.add_test_program();
        let main = "-Dquarkus.package.main-class=calls";
        shop.run("mvn", &["-q", "-B", "package", main]);
        let java = |build: &str| {
            let jar = format!("{build}/quarkus-app/quarkus-run.jar");
            shop.command("java", &["-jar", &jar])
        };
        (java("example"), java("target"))
    });
}

#[test]
fn a_faststream_subscriber_gets_its_answers() {
    Client {
        name: "faststream",
        tools: PYTHON,
        reply_topic: Some("billing.replies"),
        ..Client::default()
    }
    .is_served(python);
}

#[test]
fn confluent_kafka_gets_its_answers() {
    Client {
        name: "confluent-kafka",
        tools: PYTHON,
        ..Client::default()
    }
    .is_served(python);
}

fn python(shop: &Workshop) -> client::Programs {
    shop.add_test_program();
    shop.run("python3", &["-m", "venv", "venv"]);
    let requirements = ["-m", "pip", "install", "-q", "-r", "requirements.txt"];
    shop.run("venv/bin/python", &requirements);
    let python = |script| shop.command("venv/bin/python", &[script]);
    (python("next_id.py"), python("calls.py"))
}

#[test]
fn kafkajs_gets_its_answers() {
    Client {
        name: "kafkajs",
        tools: NODE,
        ..Client::default()
    }
    .is_served(|shop| {
        shop.add_test_program();
        shop.run("npm", &["ci", "--no-audit", "--no-fund"]);
        (
            shop.command("node", &["next-id.js"]),
            shop.command("node", &["calls.js"]),
        )
    });
}

#[test]
fn sarama_gets_its_answers() {
    Client {
        name: "sarama",
        tools: GO,
        ..Client::default()
    }
    .is_served(go);
}

#[test]
fn franz_go_gets_its_answers() {
    Client {
        name: "franz-go",
        tools: GO,
        ..Client::default()
    }
    .is_served(go);
}

fn go(shop: &Workshop) -> client::Programs {
    shop.add_test_program();
    shop.run("go", &["build", "-o", "next-id", "main.go"]);
    shop.run("go", &["build", "-o", "calls", "calls.go"]);
    (shop.command("./next-id", &[]), shop.command("./calls", &[]))
}

#[test]
fn rdkafka_of_rust_gets_its_answers() {
    Client {
        name: "rust",
        ..Client::default()
    }
    .is_served(|shop| {
        // Members of this workspace, so that librdkafka is compiled once.
        shop.run_cargo(&[&["build", "--release", "--locked"][..], &RUST_PACKAGES].concat());
        (shop.built("next-id"), shop.built("calls"))
    });
}

/// It speaks HTTP. Its distributor's own specification is run as CosId publishes it, against a gateway.
#[test]
fn a_distributor_of_cosid_gets_what_it_expects() {
    const CLIENT: &str = "cosid";
    if !tools::there(CLIENT, JAVA) {
        return;
    }
    let shop = Workshop::new(CLIENT, false);
    shop.add_test_program();
    let fetched = shop.command("mvn", &["-q", "-B", "dependency:resolve"]);
    if !tools::fetched(CLIENT, &fetched) {
        return;
    }
    shop.run("mvn", &["-q", "-B", "test-compile"]);
    let stage = Stage::of(Mode::Immediate);
    let _shown = ShowLog(stage);
    let gateway = stage.service().gateway("cosid", &[]);
    let address = format!("-Dgateway=http://127.0.0.1:{}", gateway.port());
    // Two of its tests take thousands of blocks one after another, half a minute, and run in the long tests only.
    let (tests, count) = match std::env::var_os("SEQUENCER_LONG") {
        Some(_) => ("-Dtest=GatewayTest", 17),
        None => (
            "-Dtest=GatewayTest#get*+next*+generateConcurrentOfChain",
            15,
        ),
    };
    let printed = shop
        .command("mvn", &["-B", "surefire:test"])
        .run(&[&address, tests], "");
    let passed = format!("Tests run: {count}, Failures: 0, Errors: 0, Skipped: 0");
    assert!(printed.contains(&passed), "{printed}");
    assert_eq!(gateway.sigterm_and_wait(), 0);
}

/// It makes calls from the description of the gateway, valid ones and others, and checks each answer against it.
#[test]
fn schemathesis_gets_no_answer_that_the_openapi_document_does_not_allow() {
    const CLIENT: &str = "schemathesis";
    if !tools::there(CLIENT, PYTHON) {
        return;
    }
    let shop = Workshop::new(CLIENT, false);
    shop.add_test_program();
    shop.run("python3", &["-m", "venv", "venv"]);
    let requirements = ["-m", "pip", "install", "-q", "-r", "requirements.txt"];
    if !tools::fetched(CLIENT, &shop.command("venv/bin/python", &requirements)) {
        return;
    }
    let stage = Stage::of(Mode::Immediate);
    let _shown = ShowLog(stage);
    let gateway = stage.service().gateway(CLIENT, &[]);
    let address = format!("http://127.0.0.1:{}", gateway.port());
    let document = format!("{address}/v1/openapi.json");
    let examples = match std::env::var_os("SEQUENCER_LONG") {
        Some(_) => "500",
        None => "30",
    };
    let run = ["run", &document, "--url", &address, "-n", examples];
    let printed = shop
        .command("venv/bin/schemathesis", &run)
        .run(&["--continue-on-failure"], "");
    // The number of cases and the seed.
    println!("{printed}");
    assert!(printed.contains("14 selected / 14 total"), "{printed}");
    assert_eq!(gateway.sigterm_and_wait(), 0);
}

#[test]
fn kcat_gets_its_answers() {
    Client {
        name: "kcat",
        tools: KCAT,
        has_example: false,
        ..Client::default()
    }
    .is_served(|shop| {
        shop.add_test_program();
        let calls = shop.command("sh", &["calls.sh"]);
        (calls.clone(), calls)
    });
}
