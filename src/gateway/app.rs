//! The handlers: they carry HTTP requests through Kafka and answer them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::Registry;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use super::access::{Access, permits};
use super::call::key::{Key, RANDOM_BYTES};
use super::call::problem::{MEDIA_TYPE, Own, Problem};
use super::call::{Call, Incoming, openapi};
use super::callers::Caller;
use super::metrics::Metrics;
use super::spans::{CallSpan, Spans};
use crate::core::Code;
use crate::kafka::calls::{Calls, Places};
use crate::observe::clock::unix_ms;
use crate::service::http::trace::Tracer;
use crate::service::http::{gathered, probed};
use crate::wire::headers::TRACEPARENT;

/// Highest number of bytes of a body. The largest body has a name and a reason of 255 bytes, which JSON may write as
/// six bytes each, and the numbers of a definition.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Longest time for a body to arrive, in seconds. A client sends the body with the head.
const BODY_S_MAX: u64 = 5;

/// Longest silence of the thread of the calls, in seconds, before a restart may help. It is several times as long as
/// the thread's questions to brokers that are away.
const SILENCE_S_MAX: u64 = 120;

/// The header of the key, in requests and answers.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The table of errors, which explains each code.
const ERRORS: &str = include_str!("../../docs/errors.md");

/// The limits from the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// `gateway.in_flight_max`.
    pub in_flight_max: usize,
    /// `gateway.key_age_max_s`.
    pub key_age_max_s: u64,
}

/// The state of all handlers.
#[derive(Clone)]
pub(super) struct App(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub calls: Calls,
    pub tracer: Tracer,
    limits: Limits,
    in_flight: Arc<Semaphore>,
    access: Access,
    metrics: Metrics,
    spans: Spans,
    registry: Registry,
    stopping: watch::Sender<bool>,
}

impl App {
    pub(super) fn new(
        calls: Calls,
        tracer: Tracer,
        limits: Limits,
        access: Access,
        metrics: Metrics,
        spans: Spans,
        registry: Registry,
    ) -> App {
        App(Arc::new(Shared {
            calls,
            tracer,
            limits,
            in_flight: Arc::new(Semaphore::new(limits.in_flight_max)),
            access,
            metrics,
            spans,
            registry,
            stopping: watch::Sender::new(false),
        }))
    }

    /// Marks the gateway as stopping. It is no longer ready.
    pub(super) fn stop(&self) {
        self.0.stopping.send_replace(true);
    }

    /// Resolves when the gateway stops.
    pub(super) async fn stopped(&self) {
        // `self` holds the sender, so this cannot fail.
        let _ = self.0.stopping.subscribe().wait_for(|stops| *stops).await;
    }

    /// The reason why calls are not taken at present. None when they are.
    pub(super) fn obstacle(&self) -> Option<String> {
        match *self.0.stopping.borrow() {
            true => Some("the gateway is stopping".to_owned()),
            false => self.0.calls.obstacle(),
        }
    }
}

/// Routes the probes, and every other path to the calls.
pub(super) fn router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/errors/{code}", get(error))
        .route(
            "/v1/openapi.json",
            get(async || ([(CONTENT_TYPE, JSON)], openapi::document())),
        )
        .fallback(call)
        .with_state(app)
}

#[derive(Serialize)]
struct Health {
    status: String,
    /// Milliseconds since the last turn of the thread of the calls.
    silence_ms: u64,
}

async fn healthz(State(app): State<App>) -> Response {
    let silence = app.0.calls.silence();
    let healthy = silence < Duration::from_secs(SILENCE_S_MAX);
    let health = Health {
        status: match healthy {
            true => "ok".to_owned(),
            false => format!(
                "the thread of the calls is silent for {} s",
                silence.as_secs()
            ),
        },
        silence_ms: u64::try_from(silence.as_millis()).unwrap_or(u64::MAX),
    };
    probed(healthy, &health)
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<String>,
}

async fn readyz(State(app): State<App>) -> Response {
    let reasons = Vec::from_iter(app.obstacle());
    let ready = reasons.is_empty();
    probed(ready, &Readiness { ready, reasons })
}

const JSON: &str = "application/json";

async fn metrics(State(app): State<App>, request: Request) -> Response {
    if let Err(problem) = app.0.access.check(request.uri(), request.headers()) {
        return problem_response(&problem);
    }
    let Shared {
        metrics, registry, ..
    } = &*app.0;
    let free = app.0.in_flight.available_permits();
    let in_flight = app.0.limits.in_flight_max.saturating_sub(free);
    metrics
        .in_flight
        .set(i64::try_from(in_flight).unwrap_or(i64::MAX));
    metrics.ready.set(i64::from(app.obstacle().is_none()));
    gathered(registry)
}

/// The description of a code. The `type` of a problem names its path.
async fn error(Path(code): Path<String>) -> Response {
    match explained(&code) {
        Some(row) => ([(CONTENT_TYPE, "text/markdown; charset=utf-8")], row).into_response(),
        None => problem_response(&Problem::own(Own::NotFound, "there is no such error code")),
    }
}

/// The head of the table that contains the code, and the row of the code.
pub(super) fn explained(code: &str) -> Option<String> {
    let begin = format!("| `{code}` |");
    let rows: Vec<&str> = ERRORS.lines().collect();
    let at = rows.iter().position(|row| row.starts_with(&begin))?;
    let head = rows[..at].iter().rposition(|row| row.starts_with("|---"))?;
    let table = rows.get(head.checked_sub(1)?..=head)?;
    Some(format!("{}\n{}\n", table.join("\n"), rows[at]))
}

async fn call(State(app): State<App>, request: Request) -> Response {
    let began = Instant::now();
    let span = app.0.spans.call(
        request.method().as_str(),
        request.uri().path(),
        request.headers(),
    );
    let mut response = match app.answer(request, &span).await {
        Ok(response) => response,
        Err(problem) => problem_response(&problem),
    };
    if let Some(traceparent) = span.end(response.status().as_u16()) {
        response.headers_mut().insert(TRACEPARENT, traceparent);
    }
    let metrics = &app.0.metrics;
    metrics.answered(response.status().as_u16());
    metrics
        .duration_seconds
        .observe(began.elapsed().as_secs_f64());
    response
}

fn problem_response(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "no-store")];
    let mut response = (status, headers, problem.to_json()).into_response();
    let headers = response.headers_mut();
    if let Some(seconds) = problem.retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let allow = problem.allow.as_deref();
    if let Some(allow) = allow.and_then(|allow| HeaderValue::from_str(allow).ok()) {
        headers.insert(ALLOW, allow);
    }
    response
}

/// The values of a header, in order.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a [u8]> {
    let values = headers.get_all(name).iter();
    values.map(HeaderValue::as_bytes).collect()
}

impl App {
    async fn answer(&self, request: Request, span: &CallSpan) -> Result<Response, Problem> {
        let (parts, body) = request.into_parts();
        let caller = self.0.access.check(&parts.uri, &parts.headers)?;
        let caller = caller.as_deref();
        let tenant = caller.map(|caller| caller.name.as_str());
        let given = Key::read(&values(&parts.headers, &IDEMPOTENCY_KEY), tenant)?;
        // The places are taken before the body is read, so that requests with slow bodies count, too.
        let places = self.places(caller)?;
        let body = read_body(body).await?;
        let call = Call::read(&Incoming {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            content_types: &values(&parts.headers, &CONTENT_TYPE),
            body: &body,
        })?;
        span.names(&call.name);
        permits(caller, &call)?;
        let key = match given {
            Some(key) => key,
            None => drawn(tenant)?,
        };
        key.check_age(unix_ms(), self.0.limits.key_age_max_s)?;
        let answered = self.carry_out(&call, &key, span, caller, places).await;
        let mut response = match answered {
            Ok(body) => {
                let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, "no-store")];
                (headers, body).into_response()
            }
            Err(mut problem) => {
                // A repeat of this call needs the same key.
                if !call.op.only_reads() && problem.status >= 500 {
                    problem.idempotency_key = Some(key.as_str().to_owned());
                }
                problem_response(&problem)
            }
        };
        if !call.op.only_reads()
            && let Ok(key) = HeaderValue::from_bytes(key.to_header().as_bytes())
        {
            response.headers_mut().insert(IDEMPOTENCY_KEY, key);
        }
        Ok(response)
    }

    /// Takes a place among the calls in progress, and among those of the caller.
    pub(super) fn places(&self, caller: Option<&Caller>) -> Result<Places, Problem> {
        let place = |semaphore: &Arc<Semaphore>, limit: &str| {
            Arc::clone(semaphore).try_acquire_owned().map_err(|_| {
                let detail = format!("as many calls wait as {limit} allows");
                Problem::own(Own::TooManyCalls, detail)
            })
        };
        let own = caller.map(|caller| place(&caller.in_flight, "gateway.in_flight_per_caller_max"));
        Ok((
            place(&self.0.in_flight, "gateway.in_flight_max")?,
            own.transpose()?,
        ))
    }
}

async fn read_body(body: Body) -> Result<Vec<u8>, Problem> {
    let read = tokio::time::timeout(
        Duration::from_secs(BODY_S_MAX),
        to_bytes(body, BODY_BYTES_MAX),
    );
    match read.await {
        Ok(Ok(body)) => Ok(body.to_vec()),
        Ok(Err(_)) => Err(Problem::refused(
            Code::RequestTooLarge,
            format!("the body must be readable, and at most {BODY_BYTES_MAX} bytes"),
        )),
        Err(_) => Err(Problem::own(
            Own::BodyTimeout,
            format!("the body did not arrive within {BODY_S_MAX} s"),
        )),
    }
}

fn drawn(tenant: Option<&str>) -> Result<Key, Problem> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| {
        let detail = format!("no randomness from the system: {error}");
        Problem::own(Own::NotReady, detail)
    })?;
    Ok(Key::draw(unix_ms(), random, tenant))
}
