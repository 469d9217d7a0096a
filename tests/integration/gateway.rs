//! `sequencer gateway` as its callers see it: real sockets, a real broker, and owners and brokers that go away.

use std::thread;
use std::time::Duration;

use sequencer::embedded::{Kafka, Options};
use serde_json::Value;

use crate::cli::command;
use crate::support::broker::Controls;
use crate::support::instance::Instance;
use crate::support::records::Mode;
use crate::support::service::Service;
use crate::support::{DEADLINE, cluster, http, wait_for};

/// The longest wait of a call for its reply, in tests of calls without a reply. Other tests use the default.
const SHORT: &str = "gateway.timeout_ms=2000";

/// An answer, with its body as JSON.
#[derive(Debug)]
struct Answer {
    status: u16,
    key: Option<String>,
    retry_after: Option<String>,
    json: Value,
}

impl Answer {
    fn assert(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.json["code"].as_str()),
            (status, Some(code)),
            "{self:?}"
        );
        assert_eq!(self.json["status"], status);
    }

    /// First and last ID.
    fn ids(&self) -> (i64, i64) {
        assert_eq!(self.status, 200, "{self:?}");
        let id = |field: &str| {
            self.json[field]
                .as_i64()
                .unwrap_or_else(|| panic!("{self:?}"))
        };
        (id("first"), id("last"))
    }
}

fn call(port: u16, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let json = match body {
        "" => "",
        _ => "Content-Type: application/json\r\n",
    };
    let headers = format!("{json}{headers}");
    let response = http::send(port, method, path, &headers, body, DEADLINE).unwrap();
    let header = |name| response.header(name).map(str::to_owned);
    Answer {
        status: response.status,
        key: header("idempotency-key"),
        retry_after: header("retry-after"),
        json: serde_json::from_str(&response.body)
            .unwrap_or_else(|error| panic!("{error}: {response:?}")),
    }
}

fn next(gateway: &Instance, name: &str, key: &str) -> Answer {
    let header = match key {
        "" => String::new(),
        key => format!("Idempotency-Key: {key}\r\n"),
    };
    let path = format!("/v1/sequences/{name}/next");
    call(gateway.port(), "POST", &path, &header, "")
}

/// Runs `sequencer verify` on the whole log, with the gateway's own requests, and on all replies to gateways.
fn verify(service: &Service) {
    let outcome = command(service, &["verify"]);
    assert_eq!(outcome.code, 0, "{}", outcome.said());
}

#[test]
fn the_first_id_is_one_call_and_the_same_key_gets_the_same_id() {
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let service = Service::new("gateway-first", mode);
        let instance = service.start("a");
        let gateway = service.gateway("g", &[]);
        let first = next(&gateway, "orders", "");
        assert_eq!(first.ids(), (1, 1));
        let drawn = first.key.clone().expect("a drawn key");
        assert!(drawn.starts_with("gw-"), "{drawn}");
        assert_eq!(first.json["request_id"], drawn.as_str());
        assert_eq!(next(&gateway, "orders", &drawn).ids(), (1, 1));
        assert_eq!(next(&gateway, "orders", "\"mine\"").ids(), (2, 2));
        assert_eq!(next(&gateway, "orders", "mine").ids(), (2, 2));
        assert_eq!(next(&gateway, "orders", "other").ids(), (3, 3));
        // A key counts for one sequence only.
        assert_eq!(next(&gateway, "a%2Fb", "mine").ids(), (1, 1));
        let body = r#"{"sequence":"a/b","count":"10"}"#;
        let ten = call(gateway.port(), "POST", "/v1/next?ids=string", "", body);
        assert_eq!(
            (&ten.json["first"], &ten.json["last"]),
            (&"2".into(), &"11".into())
        );
        let other_count = call(
            gateway.port(),
            "POST",
            "/v1/sequences/orders/next",
            "Idempotency-Key: mine\r\n",
            r#"{"count":2}"#,
        );
        other_count.assert(422, "request_id_reused");
        assert_eq!(gateway.sigterm_and_wait(), 0);
        assert_eq!(instance.sigterm_and_wait(), 0);
        verify(&service);
    }
}

#[test]
fn a_sequence_is_defined_shown_moved_and_retired() {
    let service = Service::new("gateway-define", Mode::Immediate);
    let instance = service.start("a");
    let gateway = service.gateway("g", &[]);
    let port = gateway.port();
    const PATH: &str = "/v1/sequences/invoices";
    call(port, "GET", PATH, "", "").assert(404, "unknown_sequence");
    let defined = call(port, "PATCH", PATH, "", r#"{"start":1000,"max":1010}"#);
    assert_eq!(defined.status, 200, "{defined:?}");
    assert_eq!(defined.json["definition"]["start"], 1000);
    // Absent fields keep their values.
    let changed = call(port, "PATCH", PATH, "", r#"{"max":1020,"reason":"more"}"#);
    assert_eq!(changed.json["definition"]["start"], 1000);
    assert_eq!(changed.json["definition"]["max"], 1020);
    let described = call(port, "GET", PATH, "", "");
    assert_eq!(
        (described.status, &described.json["next"]),
        (200, &1000.into())
    );
    assert_eq!(described.json["changed"]["reason"], "more");
    let backwards = call(port, "PATCH", PATH, "", r#"{"min":9,"max":1}"#);
    backwards.assert(422, "invalid_definition");
    let moved = call(
        port,
        "POST",
        &format!("{PATH}/set-next"),
        "",
        r#"{"next":1015}"#,
    );
    assert_eq!((moved.status, &moved.json["next"]), (200, &1015.into()));
    let back = call(
        port,
        "POST",
        &format!("{PATH}/set-next"),
        "",
        r#"{"next":1001}"#,
    );
    back.assert(422, "invalid_definition");
    let many = call(port, "POST", &format!("{PATH}/next"), "", r#"{"count":7}"#);
    many.assert(409, "exhausted");
    assert_eq!(many.json["sequence"], "invoices");
    assert!(many.json["offset"].is_i64() && many.json["partition"].is_i64());
    assert_eq!(next(&gateway, "invoices", "k").ids(), (1015, 1015));
    let retired = call(port, "DELETE", &format!("{PATH}?reason=merged"), "", "");
    assert_eq!(
        (retired.status, &retired.json["retired"]),
        (200, &true.into())
    );
    next(&gateway, "invoices", "").assert(410, "retired");
    // A change of one field does not revive a retired name.
    call(port, "PATCH", PATH, "", r#"{"max":2000}"#).assert(410, "retired");
    let shown = call(port, "GET", PATH, "", "");
    assert_eq!(shown.json["retired"], true, "{shown:?}");
    an_id_is_traced(&gateway);
    blocks_are_taken_as_cosid_does(&gateway);
    assert_eq!(gateway.sigterm_and_wait(), 0);
    assert_eq!(instance.sigterm_and_wait(), 0);
    verify(&service);
}

fn an_id_is_traced(gateway: &Instance) {
    let port = gateway.port();
    const PATH: &str = "/v1/sequences/audited";
    call(port, "GET", &format!("{PATH}/ids/1"), "", "").assert(404, "unknown_sequence");
    call(port, "PATCH", PATH, "", r#"{"audit":true}"#);
    assert_eq!(next(gateway, "audited", "k").ids(), (1, 1));
    // The next checkpoint writes the grant to the ledger.
    let traced = wait_for("the grant to be in the ledger", || {
        let traced = call(port, "GET", &format!("{PATH}/ids/1"), "", "");
        assert_eq!(traced.status, 200, "{traced:?}");
        (!traced.json["grants"][0].is_null()).then_some(traced)
    });
    assert_eq!(traced.json["grants"][0]["record"]["request_id"], "k");
    let nobody = call(
        port,
        "POST",
        "/v1/trace",
        "",
        r#"{"sequence":"audited","id":2}"#,
    );
    assert_eq!(
        (nobody.status, &nobody.json["grants"]),
        (200, &Value::Array(Vec::new()))
    );
    call(port, "GET", "/v1/sequences/invoices/ids/1000", "", "").assert(409, "not_audited");
}

fn blocks_are_taken_as_cosid_does(gateway: &Instance) {
    let port = gateway.port();
    let send = |method: &str, path: &str| {
        let answer = http::send(port, method, path, "", "", DEADLINE).unwrap();
        (answer.status, answer.body)
    };
    call(port, "PATCH", "/segments/shop/orders?step=100", "", "").assert(404, "unknown_sequence");
    for _ in 0..2 {
        let made = send(
            "POST",
            "/segments/distributor/shop/orders?offset=50&step=100",
        );
        assert_eq!(made, (200, String::new()));
    }
    for (step, last) in [(100_u64, 150_u64), (214_748_364_700, 214_748_364_850)] {
        let taken = send("PATCH", &format!("/segments/shop/orders?step={step}"));
        assert_eq!(taken, (200, last.to_string()));
    }
    assert_eq!(
        next(gateway, "shop%2Forders", "k").ids(),
        (214_748_364_851, 214_748_364_851)
    );
    call(
        port,
        "PATCH",
        "/v1/sequences/shop%2Fdown",
        "",
        r#"{"increment":-1}"#,
    );
    call(port, "PATCH", "/segments/shop/down?step=1", "", "").assert(409, "not_by_one");
    call(port, "DELETE", "/v1/sequences/shop%2Forders", "", "");
    call(port, "PATCH", "/segments/shop/orders?step=1", "", "").assert(410, "retired");
    let again = "/segments/distributor/shop/orders?offset=0&step=1";
    call(port, "POST", again, "", "").assert(410, "retired");
}

#[test]
fn a_repeated_change_is_carried_out_once() {
    let service = Service::new("gateway-once", Mode::Immediate);
    let instance = service.start("a");
    let gateway = service.gateway("g", &[]);
    let port = gateway.port();
    const PATH: &str = "/v1/sequences/invoices/set-next";
    const KEY: &str = "Idempotency-Key: k\r\n";
    assert_eq!(next(&gateway, "invoices", "").ids(), (1, 1));
    let moved = call(port, "POST", PATH, KEY, r#"{"next":100}"#);
    assert_eq!((moved.status, &moved.json["next"]), (200, &100.into()));
    assert_eq!(next(&gateway, "invoices", "").ids(), (100, 100));
    // A second execution would be refused, since 100 is now below the next ID.
    let again = call(port, "POST", PATH, KEY, r#"{"next":100}"#);
    assert_eq!((again.status, &again.json["next"]), (200, &101.into()));
    call(port, "POST", PATH, KEY, r#"{"next":200}"#).assert(422, "request_id_reused");
    assert_eq!(gateway.sigterm_and_wait(), 0);
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn without_an_owner_a_call_is_a_504_and_its_repeat_gets_the_id_of_the_first_call() {
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let service = Service::new("gateway-silent", mode);
        let instance = service.start("a");
        let gateway = service.gateway("g", &[SHORT]);
        assert_eq!(instance.sigterm_and_wait(), 0);
        let silent = next(&gateway, "orders", "k");
        silent.assert(504, "no_reply");
        assert_eq!(
            (silent.json["idempotency_key"].as_str(), silent.retry_after),
            (Some("k"), None)
        );
        // The record is in the log, and the answer names its place.
        assert!(silent.json["offset"].is_i64(), "{:?}", silent.json);
        let drawn = next(&gateway, "orders", "");
        drawn.assert(504, "no_reply");
        let key = drawn.key.expect("a drawn key");
        assert_eq!(drawn.json["idempotency_key"], key.as_str());
        let describe = call(gateway.port(), "GET", "/v1/sequences/orders", "", "");
        describe.assert(504, "no_reply");
        assert!(describe.json.get("idempotency_key").is_none());
        // A change looks at the sequence first. Without an answer, nothing of the change is written.
        let change = call(
            gateway.port(),
            "PATCH",
            "/v1/sequences/orders",
            "",
            r#"{"max":5}"#,
        );
        change.assert(503, "not_written");
        let instance = service.start("a");
        assert_eq!(next(&gateway, "orders", "k").ids(), (1, 1));
        assert_eq!(next(&gateway, "orders", &key).ids(), (2, 2));
        assert_eq!(next(&gateway, "orders", "later").ids(), (3, 3));
        assert_eq!(gateway.sigterm_and_wait(), 0);
        assert_eq!(instance.sigterm_and_wait(), 0);
        verify(&service);
    }
}

#[test]
fn without_a_broker_nothing_is_written_and_the_answer_is_a_503() {
    let service = Service::on(
        &format!("127.0.0.1:{}", http::free_port()),
        "gateway-alone",
        Mode::Immediate,
    );
    let mut gateway = service.spawn_gateway("g", &[SHORT]);
    let port = gateway.port();
    let ready = gateway.wait("to answer its probes", |_| http::get(port, "/readyz").ok());
    assert_eq!(ready.status, 503);
    assert_eq!(http::get(port, "/healthz").unwrap().status, 200);
    let refused = next(&gateway, "orders", "k");
    refused.assert(503, "not_ready");
    assert_eq!(refused.retry_after.as_deref(), Some("1"));
    assert_eq!(refused.json["idempotency_key"], "k");
    let reason = gateway.wait("to name the broker", |_| {
        let body = http::get(port, "/readyz").unwrap().body;
        body.contains(&service.bootstrap).then_some(body)
    });
    assert!(reason.contains("cannot reach"), "{reason}");
    assert_eq!(gateway.sigterm_and_wait(), 0);
}

#[test]
fn a_broker_that_goes_away_makes_503s_and_no_hole() {
    let mut kafka = Kafka::start(Options::single(cluster::directory().join("gateway"))).unwrap();
    let service = Service::on(kafka.bootstrap(), "gateway-broker", Mode::Immediate);
    let instance = service.start("a");
    let gateway = service.gateway("g", &[SHORT]);
    assert_eq!(next(&gateway, "orders", "1").ids(), (1, 1));
    kafka.stop_broker(0);
    // The gateway notices the lost connection either before it writes, or by the record.
    let away = next(&gateway, "orders", "2");
    assert!(matches!(away.status, 503 | 504), "{away:?}");
    let away = next(&gateway, "orders", "2");
    away.assert(503, "not_written");
    assert!(away.retry_after.is_some());
    kafka.start_broker(0);
    let mut gateway = gateway;
    let back = gateway.wait("to be answered again", |gateway| {
        let answer = next(gateway, "orders", "2");
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(back.ids(), (2, 2));
    assert_eq!(next(&gateway, "orders", "3").ids(), (3, 3));
    assert_eq!(gateway.sigterm_and_wait(), 0);
    assert_eq!(instance.sigterm_and_wait(), 0);
    verify(&service);
}

#[test]
fn a_stop_answers_what_is_in_progress() {
    let service = Service::new("gateway-stop", Mode::Immediate);
    let instance = service.start("a");
    let gateway = service.gateway(
        "g",
        &["gateway.timeout_ms=60000", "shutdown.deadline_ms=3000"],
    );
    let port = gateway.port();
    assert_eq!(instance.sigterm_and_wait(), 0);
    let waiting = thread::spawn(move || {
        call(
            port,
            "POST",
            "/v1/sequences/orders/next",
            "Idempotency-Key: k\r\n",
            "",
        )
    });
    let mut gateway = gateway;
    gateway.wait("to have a call in progress", |gateway| {
        (gateway.metric("sequencer_gateway_calls_in_flight") == Some(1.0)).then_some(())
    });
    // The record takes a moment to reach the broker. Then its place is known.
    thread::sleep(Duration::from_millis(500));
    gateway.sigterm();
    let answer = waiting.join().unwrap();
    answer.assert(504, "no_reply");
    assert!(answer.json["offset"].is_i64(), "{answer:?}");
    assert_eq!(gateway.wait_exit(), 0);
}

#[test]
fn two_gateways_of_one_name_each_get_their_own_replies() {
    let service = Service::new("gateway-twins", Mode::Immediate);
    let instance = service.start("a");
    let gateways = [service.gateway("g", &[]), service.gateway("g", &[])];
    let mut last = 0;
    for round in 0..20 {
        for (index, gateway) in gateways.iter().enumerate() {
            let key = format!("{index}-{round}");
            let answer = next(gateway, "orders", &key);
            last += 1;
            assert_eq!(answer.ids(), (last, last));
            assert_eq!(answer.json["request_id"], key);
        }
    }
    let [one, other] = gateways;
    assert_eq!(one.sigterm_and_wait(), 0);
    // After a restart, the gateway ignores replies to its earlier calls.
    let again = service.gateway("g", &[]);
    assert_eq!(next(&again, "orders", "new").ids(), (last + 1, last + 1));
    assert_eq!(other.sigterm_and_wait(), 0);
    assert_eq!(instance.sigterm_and_wait(), 0);
    verify(&service);
}

/// The hash is the output of sha256sum for the token `0123456789abcdef`.
const CALLERS: &str = r#"
[callers.billing]
sha256 = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f"
scopes = ["next:invoices/*", "define:invoices/*"]
"#;

#[test]
fn a_caller_takes_ids_within_its_scopes_and_is_named_as_the_requester() {
    let service = Service::new("gateway-callers", Mode::Immediate);
    let instance = service.start("a");
    let file = cluster::directory().join("callers.toml");
    std::fs::write(&file, CALLERS).unwrap();
    let setting = format!("gateway.callers={}", file.display());
    let gateway = service.gateway("g", &[&setting]);
    let port = gateway.port();
    const TOKEN: &str = "Authorization: Bearer 0123456789abcdef\r\nIdempotency-Key: k\r\n";
    const PATH: &str = "/v1/sequences/invoices%2F1";
    next(&gateway, "invoices%2F1", "k").assert(401, "unauthorized");
    call(port, "POST", "/v1/sequences/orders/next", TOKEN, "").assert(403, "out_of_scope");
    let defined = call(port, "PATCH", PATH, TOKEN, r#"{"audit":true}"#);
    assert_eq!(defined.json["changed"], Value::Null);
    assert_eq!(defined.json["definition"]["audit"], true, "{defined:?}");
    call(port, "GET", PATH, TOKEN, "").assert(403, "out_of_scope");
    let taken = call(
        port,
        "POST",
        &format!("{PATH}/next"),
        &TOKEN.replace(": k", ": n"),
        "",
    );
    assert_eq!(taken.ids(), (1, 1));
    assert_eq!(taken.json["request_id"], "billing:n");
    assert_eq!(taken.key.as_deref(), Some("n"));
    let described = command(&service, &["describe", "invoices/1", "--json"]);
    let described: Value = serde_json::from_str(&described.stdout).unwrap();
    assert_eq!(described["changed"]["requester"], "billing", "{described}");
    assert_eq!(gateway.sigterm_and_wait(), 0);
    assert_eq!(instance.sigterm_and_wait(), 0);
    verify(&service);
}
