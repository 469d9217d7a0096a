//! The clients of this repository: each runs its own tests and its example against a real service.
//!
//! The names of their sequences do not begin with the name of a client in `main.rs`: the judge of those takes every
//! such request for theirs.

use crate::stage::{ShowLog, Stage};
use crate::support::records::Mode;
use crate::tools::{self, JAVA, NODE, PYTHON, RUST_PACKAGES, Workshop};

/// The gateway in the examples, as `sequencer dev` has it.
const URL: &str = "http://127.0.0.1:8378";

/// Calls `test` with a gateway's URL.
fn at_a_gateway(client: &str, test: impl FnOnce(&str)) {
    let stage = Stage::of(Mode::Immediate);
    let _shown = ShowLog(stage);
    let gateway = stage.service().gateway(client, &[]);
    test(&format!("http://127.0.0.1:{}", gateway.port()));
    assert_eq!(gateway.sigterm_and_wait(), 0);
}

/// An example takes a number of `invoices`, which other examples number as well.
fn assert_a_number(printed: &str) {
    let number = printed.trim().parse::<u64>();
    assert!(number.is_ok_and(|number| number > 0), "{printed}");
}

#[test]
fn the_python_client_passes_its_tests_at_a_gateway() {
    const CLIENT: &str = "python";
    if !tools::there(CLIENT, PYTHON) {
        return;
    }
    let shop = Workshop::of_own(CLIENT);
    shop.run("python3", &["-m", "venv", "venv"]);
    let python = |arguments: &[&str]| shop.command("venv/bin/python", arguments);
    python(&["-m", "pip", "install", "-q", "."]).run(&[], "");
    at_a_gateway(CLIENT, |url| {
        python(&["tests/test_client.py"])
            .with("SEQUENCER_URL", url)
            .run(&[], "");
        shop.replace("example.py", URL, url);
        assert_a_number(&python(&["example.py"]).run(&[], ""));
    });
    // The types of the package, by the checker that most users have. It is large, so in the long tests only.
    if std::env::var_os("SEQUENCER_LONG").is_some() {
        python(&["-m", "pip", "install", "-q", "mypy==2.4.1"]).run(&[], "");
        python(&["-m", "mypy", "--strict", "src", "tests"]).run(&[], "");
    }
}

#[test]
fn the_typescript_client_passes_its_tests_at_a_gateway() {
    const CLIENT: &str = "typescript";
    if !tools::there(CLIENT, NODE) {
        return;
    }
    let shop = Workshop::of_own(CLIENT);
    shop.run("npm", &["ci", "--no-audit", "--no-fund"]);
    at_a_gateway(CLIENT, |url| {
        let printed = shop
            .command("npm", &["test"])
            .with("SEQUENCER_URL", url)
            .run(&[], "");
        assert!(printed.contains("# fail 0"), "{printed}");
        shop.replace("example.mjs", URL, url);
        assert_a_number(&shop.command("node", &["example.mjs"]).run(&[], ""));
    });
}

#[test]
fn the_spring_boot_starter_passes_its_tests_at_a_service() {
    const CLIENT: &str = "java";
    if !tools::there(CLIENT, JAVA) {
        return;
    }
    let shop = Workshop::of_own(CLIENT);
    let stage = Stage::of(Mode::Immediate);
    let _shown = ShowLog(stage);
    let printed = shop
        .command("mvn", &["-B", "test"])
        .run(&[], stage.bootstrap());
    assert!(
        printed.contains("Failures: 0, Errors: 0, Skipped: 0"),
        "{printed}"
    );
}

#[test]
fn the_rust_client_passes_its_tests_at_a_service() {
    let shop = Workshop::of_own("rust");
    let stage = Stage::of(Mode::Immediate);
    let _shown = ShowLog(stage);
    let cargo = |command: &str, targets: &[&str]| {
        let arguments = [
            &[command, "--release", "--locked"][..],
            &RUST_PACKAGES,
            targets,
        ]
        .concat();
        shop.cargo(&arguments).run(&[], stage.bootstrap())
    };
    let printed = cargo("test", &["--lib", "--test", "client"]);
    assert!(printed.contains("6 passed; 0 failed"), "{printed}");
    cargo("build", &["--example", "next"]);
    assert_a_number(&shop.built("examples/next").run(&[], stage.bootstrap()));
}
