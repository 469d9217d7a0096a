//! Tests over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn, spawn_blocking};

use super::*;
use crate::observe::status::{PartitionState, PartitionStatus, Status};
use crate::processor::Mode;

struct Server {
    address: SocketAddr,
    status: Shared,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

async fn start() -> Server {
    start_with(None).await
}

async fn start_with(token: Option<Token>) -> Server {
    let registry = Registry::new();
    let state = State {
        status: Shared::new(Status::starting("a", "sequencer", Mode::Immediate)),
        metrics: Metrics::register(&registry).unwrap(),
        registry,
        lag_max_records: 10,
        history: History::default(),
        inquiries: Inquiries::default(),
        owners: None,
        tracer: None,
        hosts: Hosts::new(None, "127.0.0.1:0", &[], token.is_some()),
        token,
    };
    let status = state.status.clone();
    let listener = bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move {
        let _: Result<(), _> = stopped.await;
    };
    Server {
        address,
        status,
        stop,
        task: spawn(serve(listener, state, shutdown)),
    }
}

/// The status line and the whole response.
async fn ask(address: SocketAddr, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    send(address, request).await
}

async fn send(address: SocketAddr, request: String) -> (String, String) {
    let response = spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    });
    let response = response.await.unwrap();
    (
        response.lines().next().unwrap_or_default().to_owned(),
        response,
    )
}

#[tokio::test]
async fn an_instance_becomes_ready_and_stays_healthy_all_along() {
    let server = start().await;
    let (line, body) = ask(server.address, "/readyz").await;
    assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
    assert!(
        body.contains("\"not a member of the group: joining it\""),
        "{body}"
    );

    let halted = PartitionStatus {
        state: PartitionState::Halted,
        reason: Some("a gap".to_owned()),
        ..Default::default()
    };
    server.status.update(|status| {
        status.connected = true;
        status.partitions.insert(2, halted);
    });
    let (line, body) = ask(server.address, "/readyz").await;
    assert_eq!(line, "HTTP/1.1 200 OK");
    assert!(
        body.contains("\"ready\": true") && body.contains("\"reason\": \"a gap\""),
        "{body}"
    );

    let (line, body) = ask(server.address, "/healthz").await;
    assert_eq!(line, "HTTP/1.1 200 OK");
    assert!(
        body.contains("\"status\": \"ok\"") && body.contains("\"partition\": 2"),
        "{body}"
    );
}

#[tokio::test]
async fn metrics_are_prometheus_text_and_follow_the_status() {
    let server = start().await;
    server.status.update(|status| {
        status.partitions.insert(3, PartitionStatus::default());
    });
    let (line, body) = ask(server.address, "/metrics").await;
    assert_eq!(line, "HTTP/1.1 200 OK");
    assert!(
        body.contains("content-type: text/plain; version=0.0.4"),
        "{body}"
    );
    assert!(
        body.contains("sequencer_partition_state{partition=\"3\",state=\"restoring\"} 1"),
        "{body}"
    );
}

#[tokio::test]
async fn another_path_is_not_found_and_says_what_is_there() {
    let server = start().await;
    let (line, body) = ask(server.address, "/health").await;
    assert_eq!(line, "HTTP/1.1 404 Not Found");
    assert!(
        body.ends_with("not found; there are /, /healthz, /readyz, /metrics\n"),
        "{body}"
    );
}

#[tokio::test]
async fn the_page_is_made_here_and_lets_the_browser_fetch_nothing_from_elsewhere() {
    let server = start().await;
    server.status.update(|status| {
        status.connected = true;
        status.request_partitions = 1;
    });
    let (line, body) = ask(server.address, "/").await;
    assert_eq!(line, "HTTP/1.1 200 OK");
    assert!(
        body.contains("content-security-policy: default-src 'none';"),
        "{body}"
    );
    assert!(body.contains("<tr data-partition=\"0\">"), "{body}");
    let others = ["http://", "https://", "<style", "onclick", "javascript:"];
    for other in others {
        assert!(!body.contains(other), "{other} in {body}");
    }
    for path in ["/page.css", "/page.js", "/live.json", "/sequences?prefix=a"] {
        let (line, _) = ask(server.address, path).await;
        assert_eq!(line, "HTTP/1.1 200 OK", "{path}");
    }
    // No engine answers in this test.
    let (line, body) = ask(server.address, "/?prefix=%3Cb%3E").await;
    assert_eq!(line, "HTTP/1.1 200 OK");
    assert!(body.contains("value=\"&lt;b&gt;\""), "{body}");
    for (path, says) in [
        ("/trace", "give ?sequence=NAME&id=NUMBER"),
        ("/trace?sequence=a", "give ?sequence=NAME&id=NUMBER"),
        ("/trace?sequence=a&id=1", "there is no ledger here"),
    ] {
        let (line, body) = ask(server.address, path).await;
        assert_eq!(line, "HTTP/1.1 400 Bad Request", "{path}");
        assert!(body.contains(says), "{body}");
    }
    let (line, body) = ask(server.address, "/?sequence=%3Ci%3E&id=1").await;
    assert_eq!(line, "HTTP/1.1 200 OK");
    assert!(
        body.contains("value=\"&lt;i&gt;\"") && body.contains("no ledger"),
        "{body}"
    );
}

#[tokio::test]
async fn with_a_token_only_the_probes_are_free() {
    let server = start_with(Some(Token::new("0123456789abcdef"))).await;
    for path in [
        "/",
        "/live.json",
        "/sequences",
        "/trace?sequence=a&id=1",
        "/metrics",
        "/page.js",
        "/page.css",
    ] {
        let (line, body) = ask(server.address, path).await;
        assert_eq!(line, "HTTP/1.1 401 Unauthorized", "{path}");
        assert!(body.contains("www-authenticate: Basic"), "{body}");
        assert!(!body.contains("0123456789abcdef"), "{body}");
    }
    let (line, _) = ask(server.address, "/healthz").await;
    assert_eq!(line, "HTTP/1.1 200 OK");
    let (line, _) = ask(server.address, "/readyz").await;
    assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
    let with = "/metrics HTTP/1.1\r\nAuthorization: Bearer 0123456789abcdef\r\nX:";
    let (line, _) = ask(server.address, with).await;
    assert_eq!(line, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn nothing_can_be_changed() {
    let server = start().await;
    for path in ["/", "/metrics", "/sequences", "/healthz"] {
        let address = server.address;
        let line = spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let request =
                format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).unwrap();
            response.lines().next().unwrap_or_default().to_owned()
        });
        assert_eq!(
            line.await.unwrap(),
            "HTTP/1.1 405 Method Not Allowed",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_way_out() {
    let server = start().await;
    let address = server.address.to_string();
    let error = bind(&address)
        .await
        .map_err(|error| error.to_string())
        .err();
    assert_eq!(
        error,
        Some(format!(
            "http.address {address}: address already in use; set --http HOST:PORT, or --set \
             http.address= to turn it off"
        ))
    );
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_client_that_says_nothing() {
    let server = start().await;
    let silent = TcpStream::connect(server.address).unwrap();
    (&silent).write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    ask(server.address, "/healthz").await;
    server.stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), server.task).await;
    assert!(ended.unwrap().unwrap().is_ok());
}

#[tokio::test]
async fn a_silent_engine_fails_the_probe_that_restarts_it() {
    let server = start().await;
    server.status.silent_for(Duration::from_secs(31));
    let (line, body) = ask(server.address, "/healthz").await;
    assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
    assert!(
        body.contains("\"status\": \"the engine has not reported for 31 s\""),
        "{body}"
    );
}

#[tokio::test]
async fn a_web_site_whose_name_resolves_to_this_machine_reads_nothing() {
    let server = start().await;
    let under = |path: &str, name: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        send(server.address, request)
    };
    for path in [
        "/",
        "/live.json",
        "/sequences",
        "/trace?sequence=a&id=1",
        "/metrics",
    ] {
        let (line, body) = under(path, "rebound.example.com:8377").await;
        assert_eq!(line, "HTTP/1.1 421 Misdirected Request", "{path}");
        assert!(body.contains("http.hosts"), "{body}");
        let (line, _) = under(path, "127.0.0.1:8377").await;
        assert_ne!(line, "HTTP/1.1 421 Misdirected Request", "{path}");
    }
    // A probe may use any name.
    let (line, _) = under("/healthz", "10.0.0.7:8377").await;
    assert_eq!(line, "HTTP/1.1 200 OK");
}

/// A connection whose client does not end it.
fn hold(address: SocketAddr, kind: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    match kind {
        // A client that sends nothing.
        0 => {}
        1 => stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
            .unwrap(),
        // A connection that is kept after an answer.
        _ => {
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                .unwrap();
            let mut byte = [0];
            // Reads the answer, or the end of a connection that had to make room.
            let _ = stream.read(&mut byte);
        }
    }
    stream
}

#[tokio::test]
async fn connections_that_stay_open_do_not_keep_probes_out() {
    for kind in 0..3 {
        let server = start().await;
        let address = server.address;
        let held = spawn_blocking(move || (0..200).map(|_| hold(address, kind)).collect());
        let held: Vec<TcpStream> = held.await.unwrap();
        for (path, status) in [("/healthz", "200"), ("/readyz", "503"), ("/metrics", "200")] {
            let (line, _) = ask(address, path).await;
            assert!(line.contains(status), "{path}: {line}");
        }
        // Without this drop, the clients would have closed their connections before.
        drop(held);
    }
}

/// Connections from enough addresses to fill the port. One address alone may not fill it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn nor_do_those_of_many_addresses() {
    let server = start().await;
    let mut held = Vec::new();
    for host in 2..=9 {
        for _ in 0..16 {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            let from = SocketAddr::from(([127, 0, 0, host], 0));
            socket.bind(from).unwrap();
            held.push(socket.connect(server.address).await.unwrap());
        }
    }
    for path in ["/healthz", "/metrics"] {
        let (line, _) = ask(server.address, path).await;
        assert_eq!(line, "HTTP/1.1 200 OK", "{path}");
    }
    drop(held);
}

/// A server with a page that takes as long as the test wants.
struct Slow {
    address: SocketAddr,
    arrived: Arc<Notify>,
    go_on: Arc<Notify>,
}

async fn slow(limits: Limits) -> Slow {
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (arrives, waits) = (Arc::clone(&arrived), Arc::clone(&go_on));
    let page = move || async move {
        arrives.notify_one();
        waits.notified().await;
        "slow\n"
    };
    let router = Router::new()
        .route("/slow", get(page))
        .route("/", get(|| async { "here\n" }))
        .layer(from_fn(bounded::answering))
        .into_make_service_with_connect_info::<Own>();
    let listener = Bounded::new(bind("127.0.0.1:0").await.unwrap(), limits);
    let address = axum::serve::Listener::local_addr(&listener).unwrap();
    spawn(axum::serve(listener, router).into_future());
    Slow {
        address,
        arrived,
        go_on,
    }
}

#[tokio::test]
async fn a_connection_that_is_being_answered_keeps_its_place() {
    let limits = Limits {
        per_peer: 4,
        // This is shorter than the answer takes: an answer has no deadline here.
        head: Duration::from_millis(50),
        ..Limits::default()
    };
    let Slow {
        address,
        arrived,
        go_on,
    } = slow(limits).await;
    let answered = spawn(ask(address, "/slow"));
    arrived.notified().await;
    let held = spawn_blocking(move || (0..20).map(|_| hold(address, 0)).collect());
    let held: Vec<TcpStream> = held.await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    go_on.notify_one();
    let (line, body) = answered.await.unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK");
    assert!(body.ends_with("slow\n"), "{body}");
    drop(held);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_serves_until_then() {
    let limits = Limits {
        idle: Duration::from_millis(200),
        ..Limits::default()
    };
    let address = slow(limits).await.address;
    let seen = spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        for _ in 0..2 {
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .unwrap();
        }
        let mut all = String::new();
        // Reads until the server closes the connection.
        stream.read_to_string(&mut all).unwrap();
        all
    });
    assert_eq!(seen.await.unwrap().matches("here\n").count(), 2);
}

#[tokio::test]
async fn pages_are_bounded_in_number_and_probes_are_not_among_them() {
    let waits = || async { std::future::pending::<&'static str>().await };
    let router = Router::new()
        .route("/page", get(waits))
        .route_layer(from_fn_with_state(Pages::default(), busy::bound))
        .route("/probe", get(|| async { "here\n" }));
    let listener = bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn(axum::serve(listener, router).into_future());
    let mut pages: tokio::task::JoinSet<_> = (0..9).map(|_| ask(address, "/page")).collect();
    // One of nine is refused. The others wait as long as the test does.
    let (line, body) = pages.join_next().await.unwrap().unwrap();
    assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
    assert!(body.contains("8 pages"), "{body}");
    let (line, _) = ask(address, "/probe").await;
    assert_eq!(line, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_client_that_drips_its_request_is_cut_off() {
    let limits = Limits {
        head: Duration::from_millis(200),
        ..Limits::default()
    };
    let address = slow(limits).await.address;
    let dripping = spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        // Far more bytes than fit into the time. The server ends the connection in between.
        (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            stream.write_all(b"G").is_err()
        })
    });
    assert!(dripping.await.unwrap());
}
