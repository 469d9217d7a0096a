//! A problem with a connection is reported in one line, quickly, and without the password.

use std::fs;
use std::path::Path;

use crate::support::cluster;
use crate::support::command::run_with;
use crate::support::heavy;
use crate::support::records::Mode;
use crate::support::secure::{Client, PASSWORD, WRONG_PASSWORD, secured, user};
use crate::support::service::Service;

/// One mistake, and the words of the line that reports it.
struct Mistake {
    name: &'static str,
    client: Client,
    words: &'static [&'static str],
}

fn mistakes() -> Vec<Mistake> {
    let broker = secured();
    let right = broker.client(&user(0));
    let at = |port: u16| format!("127.0.0.1:{port}");
    vec![
        Mistake {
            name: "a wrong password",
            client: Client {
                password: WRONG_PASSWORD.to_owned(),
                ..right.clone()
            },
            words: &["SASL authentication failed", "kafka.sasl.mechanism"],
        },
        Mistake {
            name: "an authority that is not trusted",
            client: Client {
                authority: broker.stranger.clone(),
                ..right.clone()
            },
            words: &["TLS failed", "kafka.ssl.ca.location"],
        },
        Mistake {
            name: "a certificate that has expired",
            client: Client {
                address: at(broker.expired),
                ..right.clone()
            },
            words: &["TLS failed", "dates and host names"],
        },
        Mistake {
            name: "a certificate for another host",
            client: Client {
                address: at(broker.misnamed),
                ..right.clone()
            },
            words: &["TLS failed", "dates and host names"],
        },
        Mistake {
            name: "no TLS to a port with TLS",
            client: Client {
                protocol: "sasl_plaintext",
                ..right.clone()
            },
            words: &["security.protocol"],
        },
        Mistake {
            name: "a file of authorities that is not there",
            client: Client {
                authority: Path::new("/nowhere.pem").to_path_buf(),
                ..right
            },
            words: &["ssl.ca.location"],
        },
    ]
}

#[test]
fn each_mistake_of_a_connection_is_told_in_one_line_and_no_secret_is() {
    let _machine = heavy();
    let service = Service::on(secured().plain(), "mistaken", Mode::Immediate);
    let mut wrong = Vec::new();
    for mistake in mistakes() {
        for command in ["serve", "next"] {
            let client = &mistake.client;
            let began = std::time::Instant::now();
            let (code, said) = match command {
                "serve" => {
                    let mut instance = client.serve(&service, "a");
                    let code = instance.wait_exit();
                    (code, instance.log())
                }
                _ => {
                    let outcome = client.run(&service, &["next", "orders"]);
                    (outcome.code, outcome.said())
                }
            };
            let took_ms = began.elapsed().as_millis();
            let lines: Vec<&str> = said
                .lines()
                .filter(|line| line.starts_with("sequencer: "))
                .collect();
            println!(
                "{}, {command}: {code} after {took_ms} ms: {lines:?}",
                mistake.name
            );
            let told = lines.len() == 1 && mistake.words.iter().all(|word| lines[0].contains(word));
            if code != 1 || !told {
                wrong.push(format!("{}, {command}: {code}\n{said}", mistake.name));
            }
            for secret in [PASSWORD, WRONG_PASSWORD] {
                assert!(!said.contains(secret), "{secret} in {said}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every command in `--help`.
const COMMANDS: [&str; 16] = [
    "serve", "dev", "gateway", "next", "define", "describe", "set-next", "retire", "policy",
    "inspect", "topics", "recover", "trace", "audit", "verify", "bench",
];

#[test]
fn help_and_complaints_about_settings_tell_no_secret() {
    const SHORT: &str = "planted-short";
    let variable = |name: &str, value: &str| (format!("SEQUENCER__{name}"), value.to_owned());
    let secrets = [
        variable("KAFKA__SASL_PASSWORD", PASSWORD),
        variable("KAFKA__SSL_KEY_PASSWORD", WRONG_PASSWORD),
        variable("HTTP__TOKEN", "planted-token-0f8e2a91b4"),
    ];
    let tells_none = |words: &[&str], code: i32, variables: &[(String, String)]| {
        let outcome = run_with(words, variables);
        assert_eq!(outcome.code, code, "{words:?}: {outcome:?}");
        let said = outcome.said();
        assert!(!said.contains("planted"), "{words:?}: {said}");
        said
    };
    assert!(tells_none(&["--help"], 0, &secrets).contains("Exit codes"));
    tells_none(&["--version"], 0, &secrets);
    for command in COMMANDS {
        tells_none(&[command, "--help"], 0, &secrets);
        tells_none(&[command, "-h"], 0, &secrets);
        tells_none(&[command, "--no-such-flag"], 2, &secrets);
    }
    // A refused value is not repeated if it may be a secret, from any source.
    let said = tells_none(&["serve"], 2, &[variable("HTTP__TOKEN", SHORT)]);
    assert!(said.contains("http.token"), "{said}");
    let setting = format!("http.token={SHORT}");
    tells_none(&["serve", "--set", &setting], 2, &secrets);
    let said = tells_none(&["serve", "--set", "log.level=loud"], 2, &secrets);
    assert!(said.contains("log.level"), "{said}");
    let file = cluster::directory().join("secrets.toml");
    for text in [
        format!("[http]\ntoken = \"{SHORT}\"\n"),
        format!("[kafka]\n\"sasl.password\" = \"{PASSWORD}\"\n\"no.such.setting\" = \"x\"\n"),
        format!("[kafka]\n\"sasl.password\" = \"{PASSWORD}\n"),
        format!("[kafka]\n\"sasl.passwort\" = \"{PASSWORD}\"\n"),
        format!("[kafka]\n\"sasl.password\" = [\"{PASSWORD}\"]\n"),
    ] {
        fs::write(&file, &text).unwrap();
        let outcome = run_with(&["serve", "--config", &file.display().to_string()], &[]);
        assert_ne!(outcome.code, 0, "{text}: {outcome:?}");
        let said = outcome.said();
        assert!(!said.contains("planted"), "{text}: {said}");
    }
}
