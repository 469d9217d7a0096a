//! Over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use tokio::task::{JoinHandle, spawn, spawn_blocking};

use super::*;
use crate::service::settings::ReplyMode;
use crate::service::status::{PartitionState, PartitionStatus, Status};

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
        status: Shared::new(Status::starting("a", "sequencer", ReplyMode::Immediate)),
        metrics: Metrics::register(&registry).unwrap(),
        registry,
        lag_max_records: 10,
        inquiries: Inquiries::default(),
        owners: None,
        tracer: None,
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
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
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
    // Nobody answers for the engine here.
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
            let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
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
async fn a_client_that_drips_its_request_is_cut_off_and_frees_its_slot() {
    let limited = Bounded::with_limits(
        bind("127.0.0.1:0").await.unwrap(),
        1,
        Duration::from_millis(200),
    );
    let address = axum::serve::Listener::local_addr(&limited).unwrap();
    let router = Router::new().route("/", get(|| async { "here\n" }));
    let task = spawn(axum::serve(limited, router).into_future());
    let dripping = spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        // Far more bytes than fit into the time; the server ends the connection in between.
        (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            stream.write_all(b"G").is_err()
        })
    });
    let (line, _) = ask(address, "/").await;
    assert_eq!(line, "HTTP/1.1 200 OK");
    assert!(dripping.await.unwrap());
    task.abort();
}
