//! Spans of calls through a gateway, as a collector gets them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;

use crate::support::records::Mode;
use crate::support::service::Service;
use crate::support::{DEADLINE, http, tail, wait_for};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector, which runs until the process ends.
struct Collector {
    port: u16,
    requests: Receiver<ExportTraceServiceRequest>,
}

impl Collector {
    fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A gateway may end in the middle of a request.
                if let Ok(request) = receive(stream) {
                    let _ = sender.send(request);
                }
            }
        });
        Collector { port, requests }
    }

    fn setting(&self) -> String {
        format!(
            "gateway.otlp_endpoint=http://127.0.0.1:{}/v1/traces",
            self.port
        )
    }

    /// The spans of the next requests, until there are so many.
    fn spans(&self, count: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        while spans.len() < count {
            let request = self.requests.recv_timeout(DEADLINE).unwrap();
            for resource in request.resource_spans {
                let named = resource.resource.unwrap().attributes;
                let name = named.iter().find(|pair| pair.key == "service.name");
                let value = name.unwrap().value.clone().unwrap().value.unwrap();
                assert_eq!(value, Value::StringValue("sequencer-gateway".to_owned()));
                spans.extend(
                    resource
                        .scope_spans
                        .into_iter()
                        .flat_map(|scope| scope.spans),
                );
            }
        }
        spans
    }
}

fn receive(mut stream: TcpStream) -> std::io::Result<ExportTraceServiceRequest> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    ExportTraceServiceRequest::decode(&body[..]).map_err(std::io::Error::other)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The attributes of a span, as texts.
fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let pairs = span.attributes.iter();
    let pairs = pairs.map(|pair| {
        let value = match pair.value.as_ref().unwrap().value.as_ref().unwrap() {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            other => panic!("{other:?}"),
        };
        (pair.key.as_str(), value)
    });
    pairs.collect()
}

#[test]
fn the_span_of_a_call_continues_the_callers_trace_and_the_record_the_spans() {
    let service = Service::new("gateway-spans", Mode::Immediate);
    let instance = service.start("a");
    let collector = Collector::start();
    let gateway = service.gateway("g", &[&collector.setting()]);
    let headers = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: v=1\r\n");
    let send = |headers: &str| {
        let path = "/v1/sequences/orders/next";
        http::send(gateway.port(), "POST", path, headers, "", DEADLINE).unwrap()
    };
    let answer = send(&headers);
    assert_eq!(answer.status, 200, "{answer:?}");

    let spans = collector.spans(3);
    let of_kind = |kind: SpanKind| {
        let found = spans.iter().find(|span| span.kind == kind as i32);
        found.unwrap_or_else(|| panic!("{kind:?}: {spans:?}"))
    };
    let [call, write, wait] =
        [SpanKind::Server, SpanKind::Producer, SpanKind::Internal].map(of_kind);
    assert_eq!(spans.len(), 3, "{spans:?}");
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    assert_eq!(hex(&call.parent_span_id), PARENT);
    assert_eq!(call.trace_state, "v=1");
    assert_eq!(call.name, "POST /v1/sequences/{name}/next");
    for child in [write, wait] {
        assert_eq!(child.parent_span_id, call.span_id, "{child:?}");
    }
    assert!(write.end_time_unix_nano <= wait.start_time_unix_nano);
    assert!(wait.end_time_unix_nano <= call.end_time_unix_nano);

    // The answer has the context of the call, and the record that of its write.
    let context = |span: &Span| format!("00-{TRACE}-{}-01", hex(&span.span_id));
    assert_eq!(answer.header("traceparent"), Some(context(call).as_str()));
    let records = tail::raw(&service.bootstrap, &service.requests);
    let record = records
        .iter()
        .find(|record| record.key.as_deref() == Some(b"orders"));
    let record = record.unwrap();
    assert_eq!(
        record.header("traceparent"),
        Some(context(write).as_bytes())
    );
    assert_eq!(record.header("tracestate"), Some(&b"v=1"[..]));
    let noted = attributes(call);
    assert_eq!(noted["sequencer.sequence"], "orders");
    assert_eq!(noted["http.response.status_code"], "200");
    for noted in [noted, attributes(write)] {
        let partition = &noted["messaging.destination.partition.id"];
        assert_eq!(*partition, record.partition.to_string());
        assert_eq!(noted["messaging.kafka.offset"], record.offset.to_string());
    }

    // Without a context, a call begins a trace. A caller that does not sample gets no span.
    let unsampled = send(&headers.replace("-01\r\n", "-00\r\n"));
    assert!(unsampled.header("traceparent").unwrap().ends_with("-00"));
    let own = send("");
    let spans = collector.spans(3);
    assert!(spans.iter().all(|span| hex(&span.trace_id) != TRACE));
    assert!(
        own.header("traceparent")
            .unwrap()
            .contains(&hex(&spans[0].trace_id))
    );
    assert_eq!(gateway.sigterm_and_wait(), 0);
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn without_its_collector_a_gateway_answers_all_the_same() {
    let service = Service::new("gateway-no-spans", Mode::Immediate);
    let instance = service.start("a");
    let endpoint = format!(
        "gateway.otlp_endpoint=http://127.0.0.1:{}/",
        http::free_port()
    );
    let gateway = service.gateway("g", &[&endpoint]);
    for id in 1..=20 {
        let path = "/v1/sequences/orders/next";
        let answer = http::send(gateway.port(), "POST", path, "", "", DEADLINE).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(
            answer.body.contains(&format!("\"first\":{id},")),
            "{answer:?}"
        );
    }
    wait_for("the lost spans to be counted", || {
        let failed = gateway.metric("sequencer_gateway_spans_total{result=\"failed\"}");
        (failed > Some(0.0)).then_some(())
    });
    assert_eq!(gateway.sigterm_and_wait(), 0);
    assert_eq!(instance.sigterm_and_wait(), 0);
}
