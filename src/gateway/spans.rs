//! The spans of a call (OpenTelemetry), and the W3C trace context that its records carry.
//!
//! Without `gateway.otlp_endpoint` there are no spans, and the caller's context is passed on as it came. With it, a call
//! has a span that continues the caller's trace, and each of its records has two children: the write and the wait for
//! the reply. The record carries the context of its write.

mod export;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use prometheus::IntCounterVec;

pub(super) use export::{DROPPED, FAILED, SENT};

use super::call::{answer, route};
use crate::kafka::calls::{End, Fate};
use crate::wire::headers::{TRACE_BYTES_MAX, TRACEPARENT, TRACESTATE};

/// Longest wait for the last spans to go out at the end, in seconds. A collector answers in milliseconds or is away.
const FLUSH_S_MAX: u64 = 1;

/// The source of spans. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Spans(Option<Arc<Source>>);

struct Source {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    /// The request topic.
    topic: String,
}

/// A W3C trace context, as headers have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TraceHeaders {
    traceparent: Option<HeaderValue>,
    tracestate: Option<HeaderValue>,
}

/// The span of a call. It ends at the latest when this is dropped.
pub(super) struct CallSpan {
    /// None without export.
    recorded: Option<(Arc<Source>, Context)>,
    /// The context of the call.
    headers: TraceHeaders,
}

/// The span of the write of a record.
pub(super) struct Write<'a> {
    /// The call's span, and this one. None without export.
    recorded: Option<(&'a Arc<Source>, &'a Context, Context)>,
    began: SystemTime,
    /// The context for the record.
    headers: TraceHeaders,
}

impl Spans {
    /// Starts the export to this endpoint.
    ///
    /// # Errors
    /// The reason why the endpoint cannot be used.
    pub(super) fn start(
        endpoint: &str,
        instance_id: &str,
        topic: &str,
        counts: &IntCounterVec,
    ) -> Result<Spans, String> {
        let provider = export::provider(endpoint, instance_id, counts)?;
        Ok(Spans(Some(Arc::new(Source {
            tracer: provider.tracer("sequencer-gateway"),
            provider,
            topic: topic.to_owned(),
        }))))
    }

    /// Begins the span of a call.
    pub(super) fn call(&self, method: &str, path: &str, headers: &HeaderMap) -> CallSpan {
        let given = TraceHeaders::of(headers);
        let Some(source) = &self.0 else {
            return CallSpan {
                recorded: None,
                headers: given,
            };
        };
        // Routes and methods are few. A path has the name of a sequence, and would make a span name of each.
        let route = route::template(path);
        let method = match method {
            "GET" | "POST" | "PATCH" | "DELETE" => method,
            _ => "_OTHER",
        };
        let name = match &route {
            Some(route) => format!("{method} {route}"),
            None => "HTTP".to_owned(),
        };
        let mut attributes = vec![KeyValue::new("http.request.method", method.to_owned())];
        attributes.extend(route.map(|route| KeyValue::new("http.route", route)));
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &given);
        let span = source
            .tracer
            .span_builder(name)
            .with_kind(SpanKind::Server)
            .with_attributes(attributes)
            .start_with_context(&source.tracer, &parent);
        let context = parent.with_span(span);
        CallSpan {
            headers: TraceHeaders::injected(&context),
            recorded: Some((Arc::clone(source), context)),
        }
    }

    /// Sends what waits, for a second at most. Later spans are lost.
    pub(super) fn stop(&self) {
        if let Some(source) = &self.0 {
            // A failure is logged and counted where it happens.
            let _ = source
                .provider
                .shutdown_with_timeout(Duration::from_secs(FLUSH_S_MAX));
        }
    }
}

impl CallSpan {
    /// Notes the sequence of the call.
    pub(super) fn names(&self, sequence: &str) {
        if let Some((_, context)) = &self.recorded {
            let name = KeyValue::new("sequencer.sequence", sequence.to_owned());
            context.span().set_attribute(name);
        }
    }

    /// Begins the write of a record.
    pub(super) fn write(&self) -> Write<'_> {
        let began = SystemTime::now();
        let Some((source, context)) = &self.recorded else {
            return Write {
                recorded: None,
                began,
                headers: self.headers.clone(),
            };
        };
        let span = source
            .tracer
            .span_builder(format!("send {}", source.topic))
            .with_kind(SpanKind::Producer)
            .with_start_time(began)
            .with_attributes([
                KeyValue::new("messaging.system", "kafka"),
                KeyValue::new("messaging.destination.name", source.topic.clone()),
            ])
            .start_with_context(&source.tracer, context);
        let own = context.with_span(span);
        Write {
            headers: TraceHeaders::injected(&own),
            recorded: Some((source, context, own)),
            began,
        }
    }

    /// Ends the span, and returns the `traceparent` for the answer.
    pub(super) fn end(self, status: u16) -> Option<HeaderValue> {
        if let Some((_, context)) = &self.recorded {
            let span = context.span();
            span.set_attribute(KeyValue::new(
                "http.response.status_code",
                i64::from(status),
            ));
            // The convention of OpenTelemetry: a refusal is not an error of the server.
            if status >= 500 {
                span.set_status(Status::error(""));
            }
            span.end();
        }
        self.headers.traceparent
    }
}

impl Write<'_> {
    pub(super) fn traceparent(&self) -> Option<&[u8]> {
        self.headers.traceparent.as_ref().map(HeaderValue::as_bytes)
    }

    pub(super) fn tracestate(&self) -> Option<&[u8]> {
        self.headers.tracestate.as_ref().map(HeaderValue::as_bytes)
    }

    /// Ends the write and the wait for the reply. The write ends with its report, or with the reply if that was faster.
    pub(super) fn end(self, end: &End) {
        let Some((source, call, own)) = &self.recorded else {
            return;
        };
        let (fate, place, missing) = match end {
            End::Reply { body, fate } => (fate, answer::place(body), None),
            End::NoReply { fate, reason } => (fate, None, Some(reason)),
        };
        let now = SystemTime::now();
        let (place, written) = match fate {
            Fate::Written {
                partition,
                offset,
                latency,
            } => (
                Some((*partition, *offset)),
                (self.began + *latency).min(now),
            ),
            Fate::Unwritten(_) | Fate::Unreported | Fate::Doubtful(_) => (place, now),
        };
        let span = own.span();
        if let Some((partition, offset)) = place {
            for span in [&span, &call.span()] {
                // A text, by the convention of OpenTelemetry.
                let partition =
                    KeyValue::new("messaging.destination.partition.id", partition.to_string());
                span.set_attribute(partition);
                span.set_attribute(KeyValue::new("messaging.kafka.offset", offset));
            }
        }
        if let Fate::Unwritten(reason) | Fate::Doubtful(reason) = fate {
            span.set_status(Status::error(reason.clone()));
        }
        span.end_with_timestamp(written);
        if matches!(fate, Fate::Unwritten(_)) {
            return;
        }
        let mut wait = source
            .tracer
            .span_builder("wait for the reply")
            .with_kind(SpanKind::Internal)
            .with_start_time(written)
            .start_with_context(&source.tracer, call);
        if let Some(reason) = missing {
            wait.set_status(Status::error(reason.clone()));
        }
        wait.end_with_timestamp(now);
    }
}

impl TraceHeaders {
    /// The context in the headers of a request, as far as a record can carry it. Two `traceparent` are none; several
    /// `tracestate` are one list (W3C Trace Context, sections 3.2 and 3.3).
    fn of(headers: &HeaderMap) -> TraceHeaders {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let traceparent = match (values.next(), values.next()) {
            (Some(one), None) if fits(one) => one,
            _ => return TraceHeaders::default(),
        };
        let states: Vec<&[u8]> = headers
            .get_all(TRACESTATE)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        let tracestate = (!states.is_empty()).then(|| states.join(&b','));
        TraceHeaders {
            traceparent: Some(traceparent.clone()),
            tracestate: tracestate
                .and_then(|state| HeaderValue::from_bytes(&state).ok())
                .filter(fits),
        }
    }

    fn injected(context: &Context) -> TraceHeaders {
        let mut headers = TraceHeaders::default();
        TraceContextPropagator::new().inject_context(context, &mut headers);
        headers
    }
}

fn fits(value: &HeaderValue) -> bool {
    value.len() <= TRACE_BYTES_MAX
}

impl Extractor for TraceHeaders {
    fn get(&self, key: &str) -> Option<&str> {
        let value = match key {
            TRACEPARENT => &self.traceparent,
            TRACESTATE => &self.tracestate,
            _ => &None,
        };
        value.as_ref().and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

impl Injector for TraceHeaders {
    fn set(&mut self, key: &str, value: String) {
        let value = HeaderValue::try_from(value)
            .ok()
            .filter(|value| !value.is_empty());
        match key {
            TRACEPARENT => self.traceparent = value,
            TRACESTATE => self.tracestate = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn without_export_the_callers_context_is_passed_on_as_it_came() {
        let long = "x".repeat(TRACE_BYTES_MAX + 1);
        for (given, parent, state) in [
            (&[(TRACEPARENT, PARENT)][..], Some(PARENT), None),
            (
                &[
                    (TRACEPARENT, "any"),
                    (TRACESTATE, "a=1"),
                    (TRACESTATE, "b=2"),
                ],
                Some("any"),
                Some("a=1,b=2"),
            ),
            (&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)], None, None),
            (&[(TRACESTATE, "a=1")], None, None),
            (
                &[(TRACEPARENT, PARENT), (TRACESTATE, &long)],
                Some(PARENT),
                None,
            ),
            (&[(TRACEPARENT, &long)], None, None),
        ] {
            let span = Spans::default().call("POST", "/v1/next", &headers(given));
            let write = span.write();
            assert_eq!(write.traceparent(), parent.map(str::as_bytes), "{given:?}");
            assert_eq!(write.tracestate(), state.map(str::as_bytes), "{given:?}");
            drop(write);
            let answered = span.end(200);
            assert_eq!(
                answered.as_ref().map(HeaderValue::as_bytes),
                parent.map(str::as_bytes)
            );
        }
    }
}
