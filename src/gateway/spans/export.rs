//! Sends spans to a collector by OTLP over HTTP. A thread of its own does it, so no call waits for a collector.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanExporter,
    SpanProcessor,
};
use prometheus::IntCounterVec;
use tracing::{info, warn};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

/// Most spans that wait for the collector. Further ones are dropped and counted. A span has less than a KiB.
const QUEUE_SPANS_MAX: usize = 8_192;

/// Most spans in one request to the collector, the default of OpenTelemetry.
const BATCH_SPANS_MAX: usize = 512;

/// Longest time between two requests to the collector, in seconds.
const DELAY_S_MAX: u64 = 1;

/// Longest time for one request to the collector, in seconds.
const REQUEST_S_MAX: u64 = 5;

/// The longest answer of a collector that is read. It has a message at most.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// The values of the label `result`.
pub(in crate::gateway) const SENT: &str = "sent";
pub(in crate::gateway) const FAILED: &str = "failed";
pub(in crate::gateway) const DROPPED: &str = "dropped";

/// The export to this endpoint.
///
/// # Errors
/// The endpoint is no URL.
pub(super) fn provider(
    endpoint: &str,
    instance_id: &str,
    counts: &IntCounterVec,
) -> Result<SdkTracerProvider, String> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(Client(agent()))
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(with_exporter(exporter, instance_id, counts))
}

fn with_exporter(
    exporter: impl SpanExporter + 'static,
    instance_id: &str,
    counts: &IntCounterVec,
) -> SdkTracerProvider {
    let queue = Arc::new(Queue {
        length: AtomicUsize::new(0),
        counts: counts.clone(),
    });
    let exporter = Counted {
        exporter,
        queue: Arc::clone(&queue),
        fails: AtomicBool::new(false),
    };
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_SPANS_MAX)
        .with_max_export_batch_size(BATCH_SPANS_MAX)
        .with_scheduled_delay(Duration::from_secs(DELAY_S_MAX))
        .build();
    let batches = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches)
        .build();
    let resource = Resource::builder()
        .with_service_name("sequencer-gateway")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance_id.to_owned()),
        ])
        .build();
    // The sampler follows the caller, and OTEL_TRACES_SAMPLER.
    SdkTracerProvider::builder()
        .with_span_processor(Bounded { batches, queue })
        .with_resource(resource)
        .build()
}

fn agent() -> Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::NativeTls)
        .root_certs(RootCerts::PlatformVerifier);
    let config = Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(REQUEST_S_MAX)))
        .http_status_as_error(false)
        // Headers from the environment are for this endpoint only.
        .max_redirects(0)
        .tls_config(tls.build());
    Agent::new_with_config(config.build())
}

/// The HTTP client of the exporter. It blocks, on the thread of the export.
#[derive(Debug)]
struct Client(Agent);

impl Client {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let response = self.0.run(Request::from_parts(parts, &body[..]))?;
        let (parts, mut body) = response.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

impl HttpClient for Client {
    fn send_bytes<'life, 'future>(
        &'life self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'life: 'future,
        Self: 'future,
    {
        Box::pin(async move { self.send(request) })
    }
}

/// The spans that wait, and those that have left.
struct Queue {
    length: AtomicUsize,
    counts: IntCounterVec,
}

impl Queue {
    fn count(&self, result: &str, spans: usize) {
        let counter = self.counts.with_label_values(&[result]);
        counter.inc_by(u64::try_from(spans).unwrap_or(u64::MAX));
    }

    /// Takes a place. False if there is none.
    fn enter(&self) -> bool {
        let entered = self
            .length
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |length| {
                (length < QUEUE_SPANS_MAX).then_some(length + 1)
            });
        entered.is_ok()
    }
}

/// Bounds the queue of the batches, and counts the spans that it drops. The SDK drops them without a count.
struct Bounded<P> {
    batches: P,
    queue: Arc<Queue>,
}

impl<P> fmt::Debug for Bounded<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bounded")
    }
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        match self.queue.enter() {
            true => self.batches.on_end(span),
            false => self.queue.count(DROPPED, 1),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Counts the spans that leave the queue.
struct Counted<E> {
    exporter: E,
    queue: Arc<Queue>,
    /// True if the last batch failed.
    fails: AtomicBool,
}

impl<E> fmt::Debug for Counted<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.queue.length.fetch_sub(spans, Ordering::Relaxed);
        let result = self.exporter.export(batch).await;
        let failed = self.fails.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Ok(()) => {
                self.queue.count(SENT, spans);
                if failed {
                    info!("spans reach the collector again");
                }
            }
            Err(error) => {
                self.queue.count(FAILED, spans);
                // The same once a second would be no news.
                if !failed {
                    warn!(reason = %error, "spans do not reach the collector: calls go on without them");
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};

    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use prometheus::Opts;

    use super::*;

    /// An exporter that waits for a message before each batch.
    #[derive(Debug)]
    struct Stuck(Mutex<Receiver<()>>);

    impl SpanExporter for Stuck {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            let _ = self.0.lock().unwrap().recv();
            Ok(())
        }
    }

    #[test]
    fn a_collector_that_hangs_costs_spans_and_no_time() {
        let counts = IntCounterVec::new(Opts::new("spans", "spans"), &["result"]).unwrap();
        let count = |result: &str| counts.with_label_values(&[result]).get();
        let (go, wait) = channel();
        let spans = with_exporter(Stuck(Mutex::new(wait)), "i", &counts);
        let tracer = spans.tracer("test");
        let all = u64::try_from(2 * QUEUE_SPANS_MAX).unwrap();
        for _ in 0..all {
            drop(tracer.start("span"));
        }
        // The batch that hangs has left the queue.
        let dropped = count(DROPPED);
        let held = u64::try_from(QUEUE_SPANS_MAX + BATCH_SPANS_MAX).unwrap();
        assert!(dropped >= all - held, "{dropped}");
        drop(go);
        spans.shutdown().unwrap();
        assert_eq!(count(SENT), all - dropped);
        assert_eq!(count(FAILED), 0);
    }
}
