//! A broker like those in production: TLS, SASL/SCRAM and ACLs.
//!
//! Its plain listener is for the broker itself and for the tests' own tools: every user of it is a super user. The
//! program under test uses the other listeners: `secure`, `identified` with OAUTHBEARER instead of SCRAM, and two with
//! a wrong certificate.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use sequencer::embedded::{Kafka, Listener, Options};

use super::acls::{self, Acl};
use super::certificates::{Authority, Identity};
use super::command::{Outcome, run_with};
use super::identity::{self, Provider};
use super::instance::Instance;
use super::service::Service;
use super::{cluster, http};

/// Number of users that the broker knows. A test with many cases has one user for each.
const USERS: usize = 96;
/// The users' password, which must never appear in an output.
pub const PASSWORD: &str = "planted-7f3a9c";
/// A mistyped password, which is as secret as the right one.
pub const WRONG_PASSWORD: &str = "planted-mistyped-51d2";

/// The broker, and the data that its clients need.
pub struct Secured {
    kafka: Kafka,
    /// Port of the listener with the right certificate.
    pub secure: u16,
    /// Port of the OAUTHBEARER listener, with the right certificate.
    pub identified: u16,
    /// Port of the listener whose certificate was valid until yesterday.
    pub expired: u16,
    /// Port of the listener whose certificate is for another address.
    pub misnamed: u16,
    /// The authority that signed the certificates of all listeners.
    pub authority: PathBuf,
    /// An authority that signed none of these certificates.
    pub stranger: PathBuf,
}

/// Returns the broker, which is started on first use and ends with this process.
pub fn secured() -> &'static Secured {
    static SECURED: OnceLock<Secured> = OnceLock::new();
    SECURED.get_or_init(Secured::start)
}

/// The name of one of the users.
pub fn user(number: usize) -> String {
    assert!(number < USERS, "add users to the broker");
    format!("user-{number}")
}

impl Secured {
    fn start() -> Secured {
        let authority = Authority::new("authority of the tests");
        let listeners = [
            ("SECURE", authority.sign("127.0.0.1", 30)),
            ("IDENTIFIED", authority.sign("127.0.0.1", 30)),
            ("EXPIRED", authority.sign("127.0.0.1", -1)),
            ("MISNAMED", authority.sign("192.0.2.1", 30)),
        ];
        let mut options = Options::single(cluster::directory().join("secured"));
        options.properties.extend(authorized());
        options.scram_users = (0..USERS)
            .map(|number| (user(number), PASSWORD.to_owned()))
            .collect();
        let ports = listeners.each_ref().map(|_| http::free_port());
        for ((name, identity), port) in listeners.iter().zip(ports) {
            options.properties.extend(shows(name, identity));
            options.listeners.push(Listener {
                broker: 0,
                name: (*name).to_owned(),
                protocol: "SASL_SSL".to_owned(),
                port,
                advertised_port: port,
            });
        }
        let kafka = Kafka::start(options).unwrap();
        let file = |name: &str, pem: String| {
            let path = cluster::directory().join(name);
            fs::write(&path, pem).unwrap();
            path
        };
        Secured {
            kafka,
            secure: ports[0],
            identified: ports[1],
            expired: ports[2],
            misnamed: ports[3],
            authority: file("authority.pem", authority.pem()),
            stranger: file("stranger.pem", Authority::new("a stranger").pem()),
        }
    }

    /// The address of the plain listener, which allows everything.
    pub fn plain(&self) -> &str {
        self.kafka.bootstrap()
    }

    /// The connection data of a user.
    pub fn client(&self, user: &str) -> Client {
        Client {
            address: format!("127.0.0.1:{}", self.secure),
            user: user.to_owned(),
            password: PASSWORD.to_owned(),
            authority: self.authority.clone(),
            protocol: "sasl_ssl",
            identity: Vec::new(),
        }
    }

    /// The connection data of a client with tokens, which has all permissions.
    pub fn client_of(&self, provider: &Provider) -> Client {
        Client {
            address: format!("127.0.0.1:{}", self.identified),
            password: identity::CLIENT_SECRET.to_owned(),
            identity: vec![
                "kafka.sasl.mechanism=OAUTHBEARER".to_owned(),
                format!(
                    "kafka.sasl.oauthbearer.token.endpoint.url={}",
                    provider.endpoint()
                ),
                format!("kafka.sasl.oauthbearer.client.id={}", identity::CLIENT_ID),
                "kafka.sasl.oauthbearer.scope=kafka".to_owned(),
                format!("kafka.https.ca.location={}", provider.authority.display()),
            ],
            ..self.client("")
        }
    }

    /// Grants a user exactly these ACLs.
    pub fn grant(&self, user: &str, acls: &[Acl]) {
        acls::grant(self.plain(), user, acls);
    }
}

fn authorized() -> Vec<(String, String)> {
    [
        (
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        ),
        (
            "super.users",
            &format!("User:ANONYMOUS;User:{}", identity::SUBJECT),
        ),
        ("sasl.enabled.mechanisms", "SCRAM-SHA-512"),
        (
            "listener.name.identified.sasl.enabled.mechanisms",
            "OAUTHBEARER",
        ),
        (
            "listener.name.identified.oauthbearer.sasl.jaas.config",
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
             unsecuredLoginStringClaim_sub=\"broker\";",
        ),
        // The broker ends a connection when its token expires, unless the client shows a newer token.
        (
            "listener.name.identified.oauthbearer.connections.max.reauth.ms",
            "3600000",
        ),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// The certificate settings of a listener.
fn shows(listener: &str, identity: &Identity) -> Vec<(String, String)> {
    let prefix = format!("listener.name.{}", listener.to_lowercase());
    [
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.certificate.chain", &identity.chain),
        ("ssl.keystore.key", &identity.key),
        (
            "scram-sha-512.sasl.jaas.config",
            "org.apache.kafka.common.security.scram.ScramLoginModule required;",
        ),
    ]
    .map(|(key, value)| (format!("{prefix}.{key}"), value.to_owned()))
    .into()
}

/// The connection flags of `sequencer`.
#[derive(Clone)]
pub struct Client {
    pub address: String,
    pub user: String,
    pub password: String,
    pub authority: PathBuf,
    pub protocol: &'static str,
    /// The settings of a client with tokens. The password is its secret.
    pub identity: Vec<String>,
}

impl Client {
    /// The connection settings, without the password.
    pub fn settings(&self) -> Vec<String> {
        let mut settings = vec![
            format!("kafka.security.protocol={}", self.protocol),
            format!("kafka.ssl.ca.location={}", self.authority.display()),
        ];
        if self.identity.is_empty() {
            settings.push("kafka.sasl.mechanism=SCRAM-SHA-512".to_owned());
            settings.push(format!("kafka.sasl.username={}", self.user));
        }
        settings.extend(self.identity.iter().cloned());
        settings
    }

    /// The environment, which holds the password.
    pub fn environment(&self) -> Vec<(String, String)> {
        let name = match self.identity.is_empty() {
            true => "SEQUENCER__KAFKA__SASL_PASSWORD",
            false => "SEQUENCER__KAFKA__SASL_OAUTHBEARER_CLIENT_SECRET",
        };
        vec![(name.to_owned(), self.password.clone())]
    }

    fn arguments(&self, service: &Service) -> Vec<String> {
        let mut arguments = service.arguments();
        let at = arguments
            .iter()
            .position(|argument| *argument == service.bootstrap);
        arguments[at.unwrap()] = self.address.clone();
        for setting in self.settings() {
            arguments.extend(["--set".to_owned(), setting]);
        }
        arguments
    }

    /// Runs a command against a service's topics.
    pub fn run(&self, service: &Service, words: &[&str]) -> Outcome {
        let mut arguments: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        arguments.extend(self.arguments(service));
        run_with(&arguments, &self.environment())
    }

    /// Starts `serve` without waiting for it.
    pub fn serve(&self, service: &Service, instance: &str) -> Instance {
        let mut arguments = self.arguments(service);
        arguments.extend(["--reply-mode".to_owned(), service.mode.as_str().to_owned()]);
        let id = format!("instance_id={instance}");
        for setting in [id].iter().chain(&service.settings) {
            arguments.extend(["--set".to_owned(), setting.clone()]);
        }
        let name = format!("{}-{instance}", service.group);
        Instance::spawn_with(&name, &arguments, &self.environment())
    }
}
