//! Asks the service in the same way as any client. The commands that send requests share this file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

use super::args::{AskArgs, ConnectionArgs};
use super::session::Session;
use super::signals::LastWords;
use super::{Error, shell};
use crate::core::Name;
use crate::core::limits::TEXT_FIELD_BYTES_MAX;
use crate::core::name::POLICY;
use crate::kafka;
use crate::kafka::admin::Access;
use crate::kafka::tools::requester::{Failure, Outcome, Request, Requester, Route};
use crate::service::settings::is_secret;
use crate::wire::headers::Block;

/// Names with this prefix belong to the service, which decides itself which of them it refuses.
const RESERVED_PREFIX: &str = "__";

/// Requests in progress at the same time: enough that none waits for the network, and few enough that the
/// producer's queue and the service's answers keep up.
const IN_FLIGHT_MAX: usize = 1_000;

/// Longest wait for an answer before the requests that have waited too long are checked.
const STEP_MAX: Duration = Duration::from_millis(20);

/// The effect of a request, for the message about a request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The request takes IDs.
    Takes,
    /// The request changes something that can be described.
    Changes,
    /// The request changes nothing.
    Reads,
}

pub(super) const TAKES: Effect = Effect::Takes;
pub(super) const CHANGES: Effect = Effect::Changes;
pub(super) const READS: Effect = Effect::Reads;

impl Effect {
    /// The effect that did not happen, when the request was certainly not written.
    const fn spared(self) -> &'static str {
        match self {
            Effect::Takes => "no ID was taken",
            Effect::Changes => "nothing was changed",
            Effect::Reads => "nothing was asked",
        }
    }

    /// The effect that may come later, when the request is or may be in the log.
    const fn later(self) -> &'static str {
        match self {
            Effect::Takes => "it may have taken its IDs, or take them later",
            Effect::Changes => "it may have been applied, or be applied later",
            Effect::Reads => "it changes nothing",
        }
    }

    /// Advice to the user for this case.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Effect::Takes => {
                "Ask again soon, with its request_id: that gets the same IDs and no further ones:"
            }
            Effect::Changes => "Look whether it was applied before you repeat it:",
            Effect::Reads => "Ask again:",
        }
    }
}

/// One request to the service.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    /// The record's key: the name of the sequence.
    pub name: &'a str,
    /// The request partition. None when the name decides it.
    pub partition: Option<i32>,
    /// The record's value.
    pub value: Vec<u8>,
    /// The record's headers, as [`Block`] has them.
    pub headers: Vec<u8>,
}

/// A client of the service.
pub(super) struct Client {
    session: Session,
    requester: Requester,
    /// The longest wait for an answer: the part of `--timeout-ms` that connecting has left.
    wait: Duration,
    /// The value of `--timeout-ms`.
    timeout: Duration,
    /// The flags with which a command of this program finds the same service.
    again: Again,
    /// The command that repeats a request for IDs.
    repeat: Option<String>,
}

impl Client {
    /// Connects, and reads the replies to these names from now on.
    pub(super) fn open<'a>(
        args: &AskArgs,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Client, Error> {
        Client::on(Session::open(&args.connection.flags())?, args, names)
    }

    /// Like [`Client::open`], with a session.
    pub(super) fn on<'a>(
        session: Session,
        args: &AskArgs,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Client, Error> {
        let timeout = Duration::from_millis(args.timeout_ms);
        let begin = Instant::now();
        let left = || timeout.saturating_sub(begin.elapsed());
        let cluster = session.admin.cluster_within(timeout)?;
        let topics = &session.settings.topics;
        let route = Route {
            request_partitions: session.partitions(&cluster, &topics.requests, Access::Write)?,
            requests: topics.requests.clone(),
            reply_partitions: session.partitions(&cluster, &topics.replies, Access::Read)?,
            replies: topics.replies.clone(),
        };
        let requester = Requester::new(&session.connection, route, names, left());
        let requester = session.admin.explained(requester)?;
        let wait = left();
        if wait.is_zero() {
            return Err(Error::Failed(format!(
                "connected, but --timeout-ms {} was over: nothing was sent",
                timeout.as_millis()
            )));
        }
        Ok(Client {
            session,
            requester,
            wait,
            timeout,
            again: Again::of(args),
            repeat: None,
        })
    }

    /// The flags with which a command of this program finds the same service.
    pub(super) fn again(&self) -> &Again {
        &self.again
    }

    /// Asks for IDs once, and returns the body of the reply. `repeat` is the command that gets the same IDs.
    pub(super) fn take(
        &mut self,
        name: &str,
        value: Vec<u8>,
        repeat: String,
    ) -> Result<Vec<u8>, Error> {
        self.repeat = Some(repeat);
        self.ask(name, value, TAKES)
    }

    /// Iterates over all partitions of the request topic.
    pub(super) fn request_partitions(&self) -> impl Iterator<Item = i32> + use<> {
        (0..self.requester.request_partitions()).filter_map(|partition| partition.try_into().ok())
    }

    /// Sends one request, and returns the body of its reply.
    pub(super) fn ask(
        &mut self,
        name: &str,
        value: Vec<u8>,
        effect: Effect,
    ) -> Result<Vec<u8>, Error> {
        let ask = Ask {
            name,
            partition: None,
            value,
            headers: Vec::new(),
        };
        let mut bodies = self.ask_all(&[ask], effect)?;
        bodies
            .pop()
            .unwrap_or_else(|| Err(Error::Failed("no request was sent".to_owned())))
    }

    /// Sends all requests at the same time. Returns the body of each reply, or why there is none, in the order
    /// of the requests.
    pub(super) fn ask_all(
        &mut self,
        asks: &[Ask<'_>],
        effect: Effect,
    ) -> Result<Vec<Result<Vec<u8>, Error>>, Error> {
        let mut bodies: Vec<_> = asks.iter().map(|_| None).collect();
        let mut indices: BTreeMap<usize, usize> = BTreeMap::new();
        let mut unsent = asks.iter().enumerate();
        let mut looked = Instant::now();
        let _last_words = self.last_words(asks, effect)?;
        loop {
            // Requests go in waves. Between two waves every request is reported, and the requester can forget
            // the replies to others that it kept until then.
            if indices.len() <= IN_FLIGHT_MAX / 2 {
                for (index, ask) in unsent.by_ref().take(IN_FLIGHT_MAX - indices.len()) {
                    match self.send(ask) {
                        Ok(number) => drop(indices.insert(number, index)),
                        // The producer did not take the request.
                        Err(error) => {
                            let failure = Failure {
                                error,
                                never_written: true,
                            };
                            bodies[index] = Some(Err(self.failed(ask.name, &failure, effect)));
                        }
                    }
                }
            }
            if indices.is_empty() {
                break;
            }
            let step = STEP_MAX.min(self.wait);
            match self.requester.next(step) {
                Ok(Some(Outcome { request, reply })) => {
                    if let Some(index) = indices.remove(&request.number) {
                        let failed = |failure| self.failed(&request.name, &failure, effect);
                        bodies[index] = Some(reply.map_err(failed));
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    self.unreadable(&error, asks, &indices, effect, &mut bodies);
                    break;
                }
            }
            if looked.elapsed() < step {
                continue;
            }
            looked = Instant::now();
            self.requester.take_back(self.wait);
            for request in self.requester.give_up(self.wait) {
                if let Some(index) = indices.remove(&request.number) {
                    bodies[index] = Some(Err(self.unanswered(&request, effect)));
                }
            }
        }
        Ok(bodies.into_iter().flatten().collect())
    }

    /// The message for an interrupt: an interrupted command gives the same information as one that timed out. A
    /// file of definitions can be applied again, and needs no such message.
    fn last_words(&self, asks: &[Ask<'_>], effect: Effect) -> Result<Option<LastWords>, Error> {
        let name = match asks {
            [first, rest @ ..] if rest.iter().all(|ask| ask.name == first.name) => first.name,
            _ => return Ok(None),
        };
        if effect == READS {
            return Ok(None);
        }
        let requests = &self.session.settings.topics.requests;
        let what = format!("interrupted: the request may be in {requests}");
        LastWords::of(self.unsure(name, &what, effect).to_string()).map(Some)
    }

    /// Handles the case that replies can no longer be read: requests that were sent may be answered unseen.
    fn unreadable(
        &self,
        error: &kafka::error::Error,
        asks: &[Ask<'_>],
        sent: &BTreeMap<usize, usize>,
        effect: Effect,
        bodies: &mut [Option<Result<Vec<u8>, Error>>],
    ) {
        for index in sent.values() {
            let unsure = self.unsure(asks[*index].name, &error.to_string(), effect);
            bodies[*index] = Some(Err(unsure));
        }
        for (ask, body) in asks.iter().zip(bodies) {
            let failure = || Failure {
                error: error.clone(),
                never_written: true,
            };
            body.get_or_insert_with(|| Err(self.failed(ask.name, &failure(), effect)));
        }
    }

    fn send(&mut self, ask: &Ask<'_>) -> Result<usize, kafka::error::Error> {
        match ask.partition {
            Some(partition) => {
                let headers = Block(&ask.headers);
                self.requester
                    .send_with(partition, ask.name, &ask.value, headers)
            }
            None => self.requester.send(ask.name, &ask.value),
        }
    }

    /// The error for a request that the producer reports as failed.
    fn failed(&self, name: &str, failure: &Failure, effect: Effect) -> Error {
        let requests = &self.session.settings.topics.requests;
        let waited_ms = self.timeout.as_millis();
        let waited = match (failure.error.is_purged(), failure.never_written) {
            (true, true) => format!("was not sent within {waited_ms} ms"),
            (true, false) => format!("was not confirmed within {waited_ms} ms"),
            (false, _) => format!("failed: {}", failure.error),
        };
        if failure.never_written {
            let ask = match failure.error.is_purged() {
                true => ": has the topic a leader?",
                false => "",
            };
            let spared = effect.spared();
            return Error::Failed(format!(
                "the request to {requests} {waited}, so {spared}{ask}"
            ));
        }
        self.unsure(name, &format!("the request to {requests} {waited}"), effect)
    }

    /// The error for a request without an answer in time. At most its place in the log is known.
    fn unanswered(&self, request: &Request, effect: Effect) -> Error {
        let settings = &self.session.settings;
        let (requests, group) = (&settings.topics.requests, &settings.group);
        let waited_ms = self.timeout.as_millis();
        let Some((partition, offset)) = request.place else {
            let what = format!("{requests} did not confirm the request within {waited_ms} ms");
            return self.unsure(&request.name, &what, effect);
        };
        let what = format!(
            "no answer within {waited_ms} ms: is `sequencer serve` running with group {group}, and \
             does `sequencer inspect --partition {partition}` say that the partition halts?\nThe \
             request stays in {requests}, partition {partition}, at offset {offset}"
        );
        self.unsure(&request.name, &what, effect)
    }

    /// The error for a request that may be in the log: what this can mean, and how to go on.
    fn unsure(&self, name: &str, what: &str, effect: Effect) -> Error {
        let (later, remedy) = (effect.later(), effect.remedy());
        let command = match (&self.repeat, effect) {
            (Some(repeat), Effect::Takes) => repeat.clone(),
            _ if name == POLICY => self.again.command("policy", &[]),
            _ => self.again.command("describe", &[name]),
        };
        Error::Failed(format!(
            "{what}. It may be answered at any time: {later}.\n{remedy}\n  {command}"
        ))
    }
}

/// Command lines of this program that find the same service, quoted for a shell.
#[derive(Clone, Debug)]
pub(super) struct Again {
    program: String,
    flags: Vec<OsString>,
    /// Keys whose `--set` may hold a secret. The command line names them, and never repeats their values.
    secrets: Vec<String>,
}

impl Again {
    /// Takes the flags of this call. A later command finds settings from the environment or a file by itself.
    pub(super) fn of(args: &AskArgs) -> Again {
        let ConnectionArgs { brokers, common } = &args.connection;
        let mut flags = Vec::new();
        let mut secrets = Vec::new();
        let mut flag = |name: &str, value: &OsStr| flags.push(joined(name, value));
        if let Some(brokers) = brokers {
            flag("--brokers", brokers.as_ref());
        }
        if let Some(config) = &common.config {
            flag("--config", config.as_ref());
        }
        if let Some(group) = &common.group {
            flag("--group", group.as_ref());
        }
        for set in &common.set {
            let key = set.split('=').next().unwrap_or_default().trim();
            if is_secret(key) {
                secrets.push(key.to_owned());
            } else {
                flag("--set", set.as_ref());
            }
        }
        Again {
            program: shell::program(),
            flags,
            secrets,
        }
    }

    /// The command line for a command and its arguments, which may begin like flags.
    pub(super) fn command(&self, verb: &str, arguments: &[&str]) -> String {
        let mut words = vec![OsString::from(verb)];
        words.extend(self.flags.iter().cloned());
        if arguments.iter().any(|argument| argument.starts_with('-')) {
            words.push("--".into());
        }
        words.extend(arguments.iter().map(OsString::from));
        let line = format!("{} {}", self.program, shell::line(words));
        match self.secrets.as_slice() {
            [] => line,
            secrets => format!(
                "{line}\n(with the --set of {} as well, which is not printed: it may be secret)",
                secrets.join(", ")
            ),
        }
    }

    /// Adds flags, which come before the present ones.
    pub(super) fn with(mut self, flags: impl IntoIterator<Item = (&'static str, String)>) -> Again {
        let flags = flags.into_iter();
        let mut all: Vec<_> = flags
            .map(|(name, value)| joined(name, value.as_ref()))
            .collect();
        all.append(&mut self.flags);
        Again { flags: all, ..self }
    }
}

/// A flag and its value as one word. This also works for a value that begins like a flag.
fn joined(name: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(name);
    word.push("=");
    word.push(value);
    word
}

/// Refuses a name that can never be valid, without asking the service.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    match Name::from_key(Some(name.as_bytes())) {
        Err(rejection) if !name.starts_with(RESERVED_PREFIX) => {
            Err(Error::Usage(rejection.message))
        }
        _ => Ok(()),
    }
}

/// Refuses a text that can never be valid, without asking the service.
pub(super) fn check_text(flag: &str, text: Option<&str>) -> Result<(), Error> {
    match text {
        Some(text) if !(1..=TEXT_FIELD_BYTES_MAX).contains(&text.len()) => {
            Err(Error::Usage(format!(
                "{flag} must be 1 to {TEXT_FIELD_BYTES_MAX} bytes, got {}",
                text.len()
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    #[test]
    fn what_could_never_be_right_is_refused_without_asking() {
        for name in ["", "line\nbreak", &"a".repeat(256)] {
            assert!(matches!(check_name(name), Err(Error::Usage(_))), "{name}");
        }
        for name in ["orders", "счёт-№ 7", "__policy"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let refused = check_text("--reason", Some(&"a".repeat(256))).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "--reason must be 1 to 255 bytes, got 256"
        );
        assert!(check_text("--reason", Some("")).is_err());
        assert!(check_text("--reason", None).is_ok());
    }

    fn again(line: &str) -> Again {
        let Command::Next(args) = Cli::parse_from(line.split(' ')).command else {
            panic!("not next")
        };
        Again::of(&args.ask)
    }

    #[test]
    fn a_printed_command_finds_the_same_service_and_tells_no_secret() {
        let line = "sequencer next a --brokers b:1 --config f.toml --group g --set topics.requests=r \
                    --set kafka.security.protocol=SASL_SSL --set kafka.sasl.password=hunter2";
        let printed = again(line).command("describe", &["my orders"]);
        let (command, note) = printed.split_once('\n').unwrap();
        assert!(command.ends_with(
            " describe --brokers=b:1 --config=f.toml --group=g --set=topics.requests=r \
             --set=kafka.security.protocol=SASL_SSL 'my orders'"
        ));
        assert!(note.contains("kafka.sasl.password"), "{note}");
        assert!(!printed.contains("hunter2"));
    }

    #[test]
    fn a_printed_command_is_read_as_it_was_meant() {
        let again = again("sequencer next a").with([("--request-id", "-x".to_owned())]);
        let command = again.command("next", &["-name"]);
        assert!(
            command.ends_with(" next --request-id=-x -- -name"),
            "{command}"
        );
        let words = command.split(' ').skip(1);
        let cli = Cli::parse_from(std::iter::once("sequencer").chain(words));
        let Command::Next(args) = cli.command else {
            panic!("not next")
        };
        assert_eq!(args.name, "-name");
        assert_eq!(args.request_id.as_deref(), Some("-x"));
    }

    #[test]
    fn only_what_was_certainly_not_written_is_called_harmless() {
        for effect in [TAKES, CHANGES] {
            assert!(effect.later().contains("may have"), "{effect:?}");
            assert!(effect.spared().contains("no"), "{effect:?}");
        }
    }
}
