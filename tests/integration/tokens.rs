//! SASL/OAUTHBEARER: the service and its commands get tokens from an identity provider by client credentials.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::command::Outcome;
use crate::support::heavy;
use crate::support::identity::{CLIENT_SECRET, Provider};
use crate::support::records::Mode;
use crate::support::secure::{Client, secured};
use crate::support::service::Service;
use crate::support::wait_for;

/// The validity of a token. It is short, so that a run sees several tokens.
const LIFE: Duration = Duration::from_secs(4);
/// Number of tokens that a service fetches before the test ends. Brokers end a connection whose token has expired, so a
/// service must renew its token.
const RENEWED: usize = 4;

#[test]
fn a_service_and_its_commands_work_by_tokens_that_are_renewed() {
    let _machine = heavy();
    let (broker, provider) = (secured(), Provider::start(LIFE));
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let client = broker.client_of(&provider);
        let service = Service::on(broker.plain(), "tokens", mode);
        let created = client.run(&service, &["topics", "create"]);
        assert_eq!(created.code, 0, "{created:?}");
        let mut instance = client.serve(&service, "a");
        instance.wait_ready();
        let next = |expected: i64| {
            let outcome = client.run(&service, &["next", "invoices"]);
            assert_eq!(outcome.code, 0, "{outcome:?}\n{}", instance.log());
            assert!(
                outcome.said().contains(&expected.to_string()),
                "{outcome:?}"
            );
            outcome
        };
        let mut said = next(1).said();
        let before = provider.fetched();
        wait_for("tokens to be renewed", || {
            (provider.fetched() >= before + RENEWED).then_some(())
        });
        said += &next(2).said();
        said += &instance.pages();
        let log = instance.log();
        assert_eq!(instance.sigterm_and_wait(), 0);
        assert!(!log.contains("SASL authentication"), "{log}");
        assert!(!(said + &log).contains(CLIENT_SECRET));
    }
}

#[test]
fn each_mistake_with_a_provider_is_told_in_one_line_and_no_secret_is() {
    let _machine = heavy();
    let (broker, provider) = (secured(), Provider::start(LIFE));
    let service = Service::on(broker.plain(), "tokens", Mode::Immediate);
    let right = broker.client_of(&provider);
    let with = |setting: &str| -> Client {
        let (name, _) = setting.split_once('=').unwrap();
        let mut client = right.clone();
        let of_another = |other: &String| !other.starts_with(&format!("{name}="));
        client.identity.retain(of_another);
        client.identity.push(setting.to_owned());
        client
    };
    let stranger = format!("kafka.https.ca.location={}", broker.stranger.display());
    let nowhere: PathBuf = "/nowhere.pem".into();
    let nowhere = format!("kafka.https.ca.location={}", nowhere.display());
    let brokers = format!(
        "kafka.sasl.oauthbearer.token.endpoint.url=http://{}/token",
        broker.plain()
    );
    let wrong_secret = Client {
        password: "planted-wrong".to_owned(),
        ..right.clone()
    };
    for (mistake, client, words) in [
        (
            "a wrong secret",
            wrong_secret,
            &["status 401, invalid_client"][..],
        ),
        (
            "a scope that is refused",
            with("kafka.sasl.oauthbearer.scope=other"),
            &["status 400, invalid_request"],
        ),
        (
            "an authority that is not trusted",
            with(&stranger),
            &["/realms/test/token", "certificate"],
        ),
        (
            "a file that is not there",
            with(&nowhere),
            &["https.ca.location", "/nowhere.pem"],
        ),
        (
            "an endpoint that nobody serves",
            with("kafka.sasl.oauthbearer.token.endpoint.url=https://127.0.0.1:1/token"),
            &["https://127.0.0.1:1/token", "refused"],
        ),
        ("an endpoint that is none", with(&brokers), &["/token"]),
    ] {
        for command in ["serve", "next"] {
            let (code, said) = match command {
                "serve" => {
                    let mut instance = client.serve(&service, "a");
                    (instance.wait_exit(), instance.log())
                }
                _ => {
                    let outcome: Outcome = client.run(&service, &["next", "orders"]);
                    (outcome.code, outcome.said())
                }
            };
            let lines: Vec<&str> = said
                .lines()
                .filter(|line| line.starts_with("sequencer: "))
                .collect();
            println!("{mistake}, {command}: {code}: {lines:?}");
            let told = lines.len() == 1 && words.iter().all(|word| lines[0].contains(word));
            assert!(code == 1 && told, "{mistake}, {command}: {code}\n{said}");
            assert!(!said.contains("planted"), "{said}");
        }
    }
}
