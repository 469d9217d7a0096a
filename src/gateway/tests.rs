//! Tests over real sockets, without a broker: the limits, and the answers that need no broker.

mod tls;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn, spawn_blocking};

use super::access::Access;
use super::app::{App, Limits, explained};
use super::call::problem::Own;
use super::callers::Callers;
use super::local::Local;
use super::metrics::Metrics;
use super::server;
use super::spans::Spans;
use crate::core::Code;
use crate::kafka::calls::{Calls, Options};
use crate::kafka::clients::Connection;
use crate::kafka::oauth::Tokens;
use crate::kafka::transactor::Topics;
use crate::service::http::tls::Tls;
use crate::service::http::trace::Tracer;
use crate::wire::headers::Names;

/// After this time, a hang fails the test.
const TIMEOUT: Duration = Duration::from_secs(30);

struct Server {
    address: SocketAddr,
    calls: Calls,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Starts a gateway whose cluster does not exist.
async fn start(in_flight_max: usize, connections_max: usize) -> Server {
    start_for(None, in_flight_max, connections_max).await
}

/// Like [`start`], with callers.
async fn start_for(
    callers: Option<Callers>,
    in_flight_max: usize,
    connections_max: usize,
) -> Server {
    start_with(callers, None, in_flight_max, connections_max).await
}

/// Like [`start_for`], with a certificate.
async fn start_with(
    callers: Option<Callers>,
    tls: Option<Tls>,
    in_flight_max: usize,
    connections_max: usize,
) -> Server {
    let connection = Connection {
        brokers: "127.0.0.1:1".to_owned(),
        properties: BTreeMap::new(),
        group: "g".to_owned(),
        instance_id: "i".to_owned(),
        awaited_transactions: false,
        tokens: Tokens::default(),
    };
    let options = Options {
        requests: "requests".to_owned(),
        replies: "replies".to_owned(),
        names: Names::default().smallrye,
        timeout: TIMEOUT,
    };
    let topics = Topics {
        requests: "requests".to_owned(),
        replies: "replies".to_owned(),
        state: "state".to_owned(),
        ledger: "ledger".to_owned(),
    };
    let tracer = Tracer::new(connection.clone(), topics);
    let (calls, _) = Calls::start(connection, options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let registry = Registry::new();
    let limits = Limits {
        in_flight_max,
        key_age_max_s: 60,
    };
    let local = || Access::Local(Local::new(&listener, "127.0.0.1:0"));
    let access = callers.map_or_else(local, Access::Callers);
    let metrics = Metrics::register(&registry).unwrap();
    let app = App::new(
        calls.clone(),
        tracer,
        limits,
        access,
        metrics,
        Spans::default(),
        registry,
    );
    let (stop, stopped) = oneshot::channel();
    let task = spawn(server::serve(listener, app, connections_max, tls, async {
        let _ = stopped.await;
    }));
    Server {
        address,
        calls,
        stop,
        task,
    }
}

impl Server {
    async fn end(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        self.calls.stop();
    }

    /// The whole answer to this request.
    async fn answer(&self, request: String) -> String {
        let address = self.address;
        let answered = spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            // The server may close the connection before it has read the whole request.
            let _ = stream.read_to_string(&mut answer);
            answer
        });
        answered.await.unwrap()
    }

    async fn call(&self, line: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        self.answer(request).await
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

const NEXT: &str = "POST /v1/sequences/a/next";
const LOCAL: &str = "Host: localhost:8378\r\n";
const JSON: &str = "Host: 127.0.0.1\r\nContent-Type: application/json\r\n";

#[tokio::test]
async fn a_call_that_is_not_carried_out_says_why() {
    let server = start(10, 100).await;
    let long = |bytes: usize| "x".repeat(bytes);
    for (line, headers, body, expected) in [
        ("GET /v1/x", LOCAL, String::new(), "404"),
        ("PUT /v1/sequences/a", LOCAL, String::new(), "405"),
        (NEXT, LOCAL, "{}".to_owned(), "415"),
        (NEXT, JSON, "{".to_owned(), "400"),
        (NEXT, JSON, long(16_385), "413"),
        (
            NEXT,
            &format!("{LOCAL}X: {}\r\n", long(16_385)),
            String::new(),
            "431",
        ),
        (
            NEXT,
            &format!("{LOCAL}Idempotency-Key: a\r\nidempotency-key: a\r\n"),
            String::new(),
            "400",
        ),
        (
            NEXT,
            &format!("{LOCAL}Idempotency-Key: gw-00000000-0000-7000-8000-000000000000\r\n"),
            String::new(),
            "409",
        ),
        (NEXT, LOCAL, String::new(), "503"),
    ] {
        let answer = server.call(line, headers, &body).await;
        assert_eq!(status(&answer), expected, "{line} {body:.20}: {answer}");
        let is_problem = answer.contains("content-type: application/problem+json\r\n");
        assert_eq!(is_problem, expected != "431", "{answer}");
    }
    let answer = server.call("PUT /v1/sequences/a", LOCAL, "").await;
    assert!(answer.contains("allow: GET, PATCH, DELETE\r\n"), "{answer}");
    let answer = server.call(NEXT, LOCAL, "").await;
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("idempotency-key: gw-"), "{answer}");
    assert!(answer.contains("\"code\": \"not_ready\""), "{answer}");
    server.end().await;
}

#[tokio::test]
async fn only_callers_on_this_machine_are_answered_and_probes_are_for_all() {
    let server = start(10, 100).await;
    for (headers, expected) in [
        (LOCAL, "503"),
        ("Host: 127.0.0.1:8378\r\n", "503"),
        ("Host: [::1]:8378\r\n", "503"),
        ("", "503"),
        ("Host: ids.example.com\r\n", "403"),
        ("Host: localhost\r\nHost: ids.example.com\r\n", "403"),
        ("Host: localhost\r\nOrigin: http://localhost\r\n", "403"),
        ("Host: localhost\r\nForwarded: for=10.0.0.1\r\n", "403"),
        ("Host: localhost\r\nX-Forwarded-For: 10.0.0.1\r\n", "403"),
        ("Host: localhost\r\nx-forwarded-proto: https\r\n", "403"),
    ] {
        let answer = server.call(NEXT, headers, "").await;
        assert_eq!(status(&answer), expected, "{headers}: {answer}");
    }
    let elsewhere = "Host: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.1\r\n";
    for (line, expected) in [
        ("GET /healthz", "200"),
        ("GET /readyz", "503"),
        ("GET /metrics", "403"),
    ] {
        let answer = server.call(line, elsewhere, "").await;
        assert_eq!(status(&answer), expected, "{line}: {answer}");
    }
    server.end().await;
}

#[tokio::test]
async fn a_slow_body_takes_one_place_and_no_probe_waits_for_it() {
    let server = start(1, 100).await;
    let mut slow = TcpStream::connect(server.address).unwrap();
    let head = format!("{NEXT} HTTP/1.1\r\n{JSON}Content-Length: 2\r\n\r\n{{");
    slow.write_all(head.as_bytes()).unwrap();
    while status(&server.call(NEXT, LOCAL, "").await) != "429" {}
    let full = server.call(NEXT, LOCAL, "").await;
    assert!(full.contains("retry-after: 1\r\n"), "{full}");
    let metrics = server.call("GET /metrics", LOCAL, "").await;
    assert!(
        metrics.contains("sequencer_gateway_calls_in_flight 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("sequencer_gateway_ready 0\n"), "{metrics}");
    drop(slow);
    while status(&server.call(NEXT, LOCAL, "").await) != "503" {}
    server.end().await;
}

#[tokio::test]
async fn a_probe_gets_in_however_many_connections_are_silent() {
    const CONNECTIONS_MAX: usize = 17;
    let server = start(1, CONNECTIONS_MAX).await;
    let connect = || TcpStream::connect(server.address).unwrap();
    let silent: Vec<TcpStream> = (0..3 * CONNECTIONS_MAX).map(|_| connect()).collect();
    let health = server.call("GET /healthz", LOCAL, "").await;
    assert_eq!(status(&health), "200", "{health}");
    drop(silent);
    server.end().await;
}

#[tokio::test]
async fn every_code_has_a_page() {
    let server = start(10, 100).await;
    let page = server.call("GET /v1/errors/exhausted", LOCAL, "").await;
    assert!(
        page.contains("| code | cause |") && page.contains("| `exhausted` |"),
        "{page}"
    );
    let missing = server.call("GET /v1/errors/nothing", LOCAL, "").await;
    assert_eq!(status(&missing), "404");
    let own = Own::ALL.iter().map(|code| code.as_str());
    for code in own.chain(Code::ALL.iter().map(|code| code.as_str())) {
        let page = explained(code).unwrap_or_else(|| panic!("{code}"));
        assert_eq!(page.lines().count(), 3, "{page}");
    }
    server.end().await;
}

/// Compares name, type and labels of each metric with the table of `docs/gateway.md`.
#[tokio::test]
async fn the_documented_metrics_are_those_that_are_exported() {
    let documented = include_str!("../../docs/gateway.md");
    let server = start(10, 100).await;
    let metrics = server.call("GET /metrics", LOCAL, "").await;
    let exported: Vec<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE sequencer_gateway_"))
        .collect();
    assert_eq!(exported.len(), 5, "{metrics}");
    for line in exported {
        let (name, kind) = line.split_once(' ').unwrap();
        let row = format!("| `sequencer_gateway_{name}` | {kind} |");
        assert!(documented.contains(&row), "{row}");
    }
    let rows = documented.matches("| `sequencer_gateway_").count();
    assert_eq!(rows, 5);
    server.end().await;
}

/// Two callers: one for everything with the token `aaaa`, one for invoices with the token `bbbb`.
fn two_callers(in_flight_max: usize) -> (tempfile::TempDir, Callers) {
    use sha2::{Digest, Sha256};
    let hash = |token: &str| blake3::Hash::from_bytes(Sha256::digest(token).into()).to_hex();
    let text = format!(
        "[callers.all]\nsha256 = \"{}\"\nscopes = [\"next:*\", \"read:*\", \"define:*\", \"operate:*\"]\n\
         [callers.billing]\nsha256 = \"{}\"\nscopes = [\"next:invoices/*\"]\n",
        hash("aaaa"),
        hash("bbbb")
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("callers.toml");
    std::fs::write(&path, text).unwrap();
    let callers = Callers::load(&path, in_flight_max).unwrap();
    (directory, callers)
}

#[tokio::test]
async fn a_caller_does_what_its_scopes_name_and_nothing_else() {
    let (_directory, callers) = two_callers(10);
    let server = start_for(Some(callers), 10, 100).await;
    const ALL: &str =
        "Authorization: Bearer aaaa\r\nHost: ids.example.com\r\nX-Forwarded-For: 10.0.0.1\r\n";
    const BILLING: &str = "Authorization: Bearer bbbb\r\n";
    for (line, headers, expected) in [
        // There is no broker, so a permitted call gets a 503.
        (NEXT, ALL, "503"),
        ("PATCH /v1/sequences/a", ALL, "503"),
        ("POST /v1/sequences/invoices%2F2026/next", BILLING, "503"),
        ("POST /v1/sequences/invoices/next", BILLING, "403"),
        ("GET /v1/sequences/invoices%2F2026", BILLING, "403"),
        ("PATCH /v1/sequences/invoices%2F2026", BILLING, "403"),
        ("DELETE /v1/sequences/invoices%2F2026", BILLING, "403"),
        (NEXT, "", "401"),
        (NEXT, "Authorization: Bearer cccc\r\n", "401"),
        (NEXT, "Authorization: Basic aaaa\r\n", "401"),
        ("GET /metrics", "", "401"),
        ("GET /metrics", BILLING, "200"),
        ("GET /healthz", "", "200"),
    ] {
        let answer = server.call(line, headers, "").await;
        assert_eq!(status(&answer), expected, "{line} {headers}: {answer}");
        let challenged = answer.contains("www-authenticate: Bearer\r\n");
        assert_eq!(challenged, expected == "401", "{answer}");
    }
    // The key and the name of its caller together exceed a `request_id`.
    let key = format!("{ALL}Idempotency-Key: {}\r\n", "x".repeat(252));
    let answer = server.call(NEXT, &key, "").await;
    assert_eq!(status(&answer), "400", "{answer}");
    server.end().await;
}

#[tokio::test]
async fn one_caller_does_not_take_the_places_of_all() {
    let (_directory, callers) = two_callers(1);
    let server = start_for(Some(callers), 10, 100).await;
    const BILLING: &str = "Authorization: Bearer bbbb\r\n";
    const ITS: &str = "POST /v1/sequences/invoices%2F1/next";
    let mut slow = TcpStream::connect(server.address).unwrap();
    let head = format!("{ITS} HTTP/1.1\r\n{BILLING}Content-Length: 2\r\n\r\n{{");
    slow.write_all(head.as_bytes()).unwrap();
    while status(&server.call(ITS, BILLING, "").await) != "429" {}
    let other = server
        .call(NEXT, "Authorization: Bearer aaaa\r\n", "")
        .await;
    assert_eq!(status(&other), "503", "{other}");
    drop(slow);
    server.end().await;
}

#[tokio::test]
async fn the_description_for_machines_is_the_one_in_the_documents() {
    let server = start(10, 100).await;
    let answer = server.call("GET /v1/openapi.json", LOCAL, "").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/openapi.json");
    let file = std::fs::read_to_string(path).unwrap();
    assert!(
        file == body,
        "write it again: sequencer schema openapi > docs/schema/openapi.json"
    );
    server.end().await;
}
