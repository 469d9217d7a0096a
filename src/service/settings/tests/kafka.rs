//! Tests of `kafka.*`: accepted, refused and hidden values, and warnings.

use super::*;

#[test]
fn kafka_properties_come_from_every_layer_as_text() {
    let (_file, mut flags) = file(concat!(
        "[kafka]\n",
        "bootstrap.servers = \"file:9092\"\n",
        "session.timeout.ms = 6000\n",
        "\"ssl.key.location\" = \"/key\"\n",
        "enable.ssl.certificate.verification = true\n",
        "compression.codec = \"zstd\"\n",
    ));
    flags.set = vec![
        "kafka.compression.codec=lz4".to_owned(),
        "kafka.ssl.key=short".to_owned(),
    ];
    let variables = environment(&[("SEQUENCER__KAFKA__SESSION_TIMEOUT_MS", "7000")]);
    let (settings, _) = Settings::load(&flags, variables).unwrap();
    assert_eq!(settings.brokers.as_deref(), Some("file:9092"));
    let kafka: Vec<(&str, &str)> = settings
        .kafka
        .iter()
        .map(|(property, value)| (property.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        kafka,
        [
            ("compression.codec", "lz4"),
            ("enable.ssl.certificate.verification", "true"),
            ("session.timeout.ms", "7000"),
            // One key may be the prefix of another.
            ("ssl.key", "short"),
            ("ssl.key.location", "/key"),
        ]
    );
}

#[test]
fn properties_that_the_promise_rests_on_are_refused_with_the_reason() {
    assert_eq!(
        file_error("[kafka]\nenable.idempotence = false\n"),
        "configuration: kafka.enable.idempotence in FILE:2 cannot be set: a retry without it can write \
         an answer or a checkpoint twice"
    );
    assert_eq!(
        error(&Flags::default(), &[("SEQUENCER__KAFKA__GROUP_ID", "x")]),
        "configuration: kafka.group.id in environment variable SEQUENCER__KAFKA__GROUP_ID cannot be \
         set: use the key \"group\""
    );
    for property in [
        "transactional.id",
        "group.instance.id",
        "isolation.level",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "partition.assignment.strategy",
        "group.protocol",
        "acks",
        "request.required.acks",
        "enable.partition.eof",
        "enable.gapless.guarantee",
        "allow.auto.create.topics",
    ] {
        let message = error(&set(&[&format!("kafka.{property}=x")]), &[]);
        let start = format!("configuration: kafka.{property} in --set cannot be set: ");
        assert!(
            message.starts_with(&start) && message.len() > start.len(),
            "{message}"
        );
    }
}

#[test]
fn a_kafka_value_that_makes_no_sense_is_refused_without_showing_a_secret() {
    assert_eq!(
        error(&set(&["kafka.session.timeout.ms=soon"]), &[]),
        "configuration: kafka.session.timeout.ms in --set: got \"soon\", expected a whole number from 1 to \
         3600000"
    );
    assert_eq!(
        file_error("[kafka]\nsasl.password = [\"hunter2\"]\n"),
        "configuration: kafka.sasl.password in FILE:2: got [redacted], expected text, a number, true or \
         false"
    );
    let brokers = Flags {
        brokers: Some("localhost:port".to_owned()),
        ..Flags::default()
    };
    assert_eq!(
        error(&brokers, &[]),
        "configuration: kafka.bootstrap.servers in --brokers: got \"localhost:port\", expected \
         HOST:PORT[,HOST:PORT…]"
    );
}

#[test]
fn statistics_can_be_neither_off_nor_rare_since_readiness_rests_on_them() {
    for value in ["0", "60000", "often"] {
        assert_eq!(
            error(
                &set(&[&format!("kafka.statistics.interval.ms={value}")]),
                &[]
            ),
            format!(
                "configuration: kafka.statistics.interval.ms in --set: got {value:?}, expected a whole \
                 number from 100 to 10000: the lag, and with it /readyz, comes from the statistics"
            )
        );
    }
    loaded(&set(&["kafka.statistics.interval.ms=5000"]));
}

#[test]
fn no_brokers_says_how_to_give_them() {
    assert_eq!(
        loaded(&Flags::default()).brokers().unwrap_err().to_string(),
        "configuration: no brokers; use --brokers HOST:PORT, SEQUENCER__KAFKA__BOOTSTRAP_SERVERS, or \
         kafka.bootstrap.servers in a file"
    );
}

#[test]
fn a_mechanism_that_this_program_does_not_have_is_refused_in_one_sentence() {
    for mechanism in ["GSSAPI", "AWS_MSK_IAM", "scram-sha-512", "oauthbearer", ""] {
        for property in ["sasl.mechanism", "sasl.mechanisms"] {
            let message = error(&set(&[&format!("kafka.{property}={mechanism}")]), &[]);
            assert_eq!(
                message,
                format!(
                    "configuration: kafka.{property} in --set: got {mechanism:?}, expected PLAIN, \
                     SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER; GSSAPI (Kerberos) and AWS_MSK_IAM are not \
                     supported"
                )
            );
        }
    }
    for (property, reason) in [
        (
            "sasl.kerberos.principal",
            "GSSAPI (Kerberos) is not supported",
        ),
        ("sasl.oauthbearer.assertion.file", "client credentials only"),
        ("sasl.oauthbearer.config", "client credentials only"),
        (
            "enable.sasl.oauthbearer.unsecure.jwt",
            "client credentials only",
        ),
        ("https.ca.pem", "https.ca.location"),
    ] {
        let message = error(&set(&[&format!("kafka.{property}=hunter2")]), &[]);
        let start = format!("configuration: kafka.{property} in --set cannot be set: ");
        assert!(message.starts_with(&start), "{message}");
        assert!(
            message.contains(reason) && !message.contains("hunter2"),
            "{message}"
        );
    }
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        loaded(&set(&[
            "kafka.security.protocol=SASL_SSL",
            &format!("kafka.sasl.mechanism={mechanism}"),
        ]));
    }
}

#[test]
fn oauthbearer_needs_its_provider_and_takes_no_value_that_cannot_work() {
    let mechanism = "kafka.sasl.mechanism=OAUTHBEARER";
    assert_eq!(
        error(
            &set(&[mechanism, "kafka.sasl.oauthbearer.client.id=me"]),
            &[]
        ),
        "configuration: kafka.sasl.mechanism in --set: got \"OAUTHBEARER\", expected \
         kafka.sasl.oauthbearer.token.endpoint.url, kafka.sasl.oauthbearer.client.secret beside it"
    );
    let whole = [
        mechanism,
        "kafka.security.protocol=SASL_SSL",
        "kafka.sasl.oauthbearer.method=oidc",
        "kafka.sasl.oauthbearer.token.endpoint.url=https://id.example/token",
        "kafka.sasl.oauthbearer.client.id=me",
        "kafka.sasl.oauthbearer.client.secret=hunter2",
        "kafka.sasl.oauthbearer.scope=kafka",
        "kafka.sasl.oauthbearer.extensions=logicalCluster=lkc-1",
        "kafka.https.ca.location=/etc/ssl/private-ca.pem",
    ];
    let settings = loaded(&set(&whole));
    assert!(!format!("{settings:?} {:?}", settings.describe()).contains("hunter2"));
    let told = crate::service::serve::connection(&settings).unwrap_err();
    assert!(told.to_string().contains("no brokers"), "{told}");
    for (wrong, expected) in [
        ("kafka.sasl.oauthbearer.method=default", "expected oidc"),
        (
            "kafka.sasl.oauthbearer.token.endpoint.url=id.example",
            "expected https://HOST/PATH",
        ),
        ("kafka.sasl.oauthbearer.client.secret=", "expected a text"),
    ] {
        let message = error(&set(&[&[wrong][..], &whole].concat()), &[]);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn sasl_without_a_mechanism_is_refused_instead_of_taken_for_kerberos() {
    let message = error(&set(&["kafka.security.protocol=sasl_ssl"]), &[]);
    assert!(
        message.contains("expected kafka.sasl.mechanism beside it: PLAIN"),
        "{message}"
    );
    // The two properties may come from different layers.
    let flags = set(&["kafka.security.protocol=sasl_ssl"]);
    let variables = environment(&[("SEQUENCER__KAFKA__SASL_MECHANISM", "PLAIN")]);
    assert!(Settings::load(&flags, variables).is_ok());
}

#[test]
fn a_mistyped_property_is_named_with_the_one_that_was_meant_before_brokers_are_missed() {
    let told = |flags: &Flags, variables: &[(&str, &str)]| {
        let (settings, _) = Settings::load(flags, environment(variables)).unwrap();
        crate::service::serve::connection(&settings)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        told(
            &Flags::default(),
            &[("SEQUENCER__KAFKA__BOOTSTRAP_SERVER", "a:1")]
        ),
        "configuration: unknown key \"kafka.bootstrap.server\" in environment variable \
         SEQUENCER__KAFKA__BOOTSTRAP_SERVER; did you mean SEQUENCER__KAFKA__BOOTSTRAP_SERVERS?"
    );
    assert_eq!(
        told(&set(&["kafka.sesion.timeout.ms=6000"]), &[]),
        "configuration: unknown key \"kafka.sesion.timeout.ms\" in --set; did you mean \
         \"kafka.session.timeout.ms\"?"
    );
    assert_eq!(
        told(&set(&["kafka.colour=hunter2"]), &[]),
        "configuration: unknown key \"kafka.colour\" in --set"
    );
    let secret = told(&set(&["kafka.sasl.pasword=hunter2"]), &[]);
    assert!(secret.contains("sasl.password") && !secret.contains("hunter2"));
}

#[test]
fn librdkafka_has_every_property_that_may_be_suggested() {
    use crate::kafka::clients::{Connection, PropertyError};
    for property in include_str!("../librdkafka.txt").lines() {
        // No value is valid for all properties. The test needs only a known name.
        let taken = Connection::check_property(property, "1");
        assert!(!matches!(taken, Err(PropertyError::Unknown)), "{property}");
    }
}

#[test]
fn whatever_lets_others_pose_as_the_brokers_is_warned_of_for_every_command() {
    let settings = loaded(&set(&[
        "kafka.enable.ssl.certificate.verification=0",
        "kafka.ssl.endpoint.identification.algorithm=none",
    ]));
    assert_eq!(settings.unverified.len(), 2, "{:?}", settings.unverified);
    let settings = loaded(&set(&["kafka.enable.ssl.certificate.verification=true"]));
    assert!(settings.unverified.is_empty());
}

#[test]
fn doubtful_values_are_warned_of() {
    let flags = set(&[
        "kafka.session.timeout.ms=45000",
        "kafka.enable.ssl.certificate.verification=false",
        "reply.mode=exactly_once",
        "checkpoint.interval_ms=5000",
    ]);
    let (_, warnings) = Settings::load(&flags, environment(&[])).unwrap();
    assert_eq!(
        warnings,
        [
            "kafka.session.timeout.ms in --set is 45000: the partitions of a crashed instance stand \
             still that long; 10000 or less is advised",
            "kafka.enable.ssl.certificate.verification in --set is false: anyone on the way can pose as \
             the brokers",
            "checkpoint.interval_ms is 5000 with reply.mode exactly_once: every answer waits up to that \
             long; 1000 or less is advised",
        ]
    );
}

#[test]
fn secrets_are_in_no_output() {
    let settings = loaded(&set(&[
        "kafka.sasl.password=hunter2",
        "kafka.ssl.key.pem=hunter2",
        "kafka.debug=all",
    ]));
    let described = settings.describe();
    assert!(described.contains(&("kafka.sasl.password".to_owned(), REDACTED.to_owned())));
    assert!(described.contains(&("kafka.debug".to_owned(), "all".to_owned())));
    let changed = settings.changed();
    assert!(!format!("{settings:?} {described:?} {changed:?}").contains("hunter2"));
    assert_eq!(
        settings.kafka.get("sasl.password").map(String::as_str),
        Some("hunter2")
    );
    let refused = settings
        .property_refused("sasl.password", "invalid value hunter2")
        .to_string();
    assert_eq!(
        refused,
        "configuration: kafka.sasl.password in --set cannot be set: [redacted]"
    );
}
