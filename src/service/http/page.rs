//! The status page: HTML from the status, and a small script that fetches the middle of the page again every
//! two seconds. It loads nothing from other servers, and is complete without the script.
//!
//! | path | content |
//! |---|---|
//! | `/` | the page; `?prefix=` adds the sequences with this prefix, `?sequence=&id=` the request that got an ID |
//! | `/live.json` | the middle of the page, for the script |
//! | `/sequences`, `/trace` | the results of these searches as JSON |
//! | `/page.css`, `/page.js` | the page's own files |
//!
//! The page changes nothing: there is no method but GET, and no handler that writes. Names of sequences are
//! input from users, so the templates escape every text. The policy in the headers lets the browser run only
//! the page's own script.
//!
//! | file | subject |
//! |---|---|
//! | `view` | the partitions and instances of the whole service, from all that is known here |
//! | `history` | rate and latency of the last minutes |
//! | `render` | the page around its sections |
//! | `alarms`, `rescale`, `facts`, `chart`, `instances`, `partitions` | the sections of its middle |
//! | `sequences`, `trace` | the searches |
//! | `text` | numbers and times |

mod alarms;
mod chart;
mod facts;
pub(super) mod history;
mod instances;
mod partitions;
mod render;
mod rescale;
mod sequences;
mod text;
mod trace;
mod view;

use axum::Router;
use axum::extract::State as Extract;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::Markup;
use serde::Serialize;

use super::search::{PREFIX_BYTES_MAX, SearchResult, search};
use super::{State, failed, json, query};
use crate::observe::clock::unix_ms;
use crate::observe::status::Status;
use trace::Question;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// Allows only files of this server, and no inline script or style.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/", get(page))
        .route("/live.json", get(live))
        .route("/sequences", get(sequences))
        .route("/trace", get(traced))
        .route(
            "/page.css",
            get(|| async { answer("text/css; charset=utf-8", STYLE.to_owned()) }),
        )
        .route(
            "/page.js",
            get(|| async { answer("text/javascript; charset=utf-8", SCRIPT.to_owned()) }),
        )
}

fn answer(kind: &'static str, body: String) -> Response {
    let headers: [(HeaderName, &str); 6] = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    (headers, body).into_response()
}

async fn page(Extract(state): Extract<State>, uri: Uri) -> Response {
    let prefix = query::value(uri.query(), "prefix");
    let found = match prefix.as_deref() {
        Some(prefix) => Some(find(&state, prefix).await),
        None => None,
    };
    let traced = ask(&state, uri.query()).await;
    // This comes after the searches, which may take seconds.
    let status = state.status.read();
    let live = middle(&state, &status, unix_ms());
    let searched = prefix.as_deref().zip(found.as_ref());
    let html = render::page(&status, &live, searched, traced.as_ref());
    answer("text/html; charset=utf-8", html.into_string())
}

async fn sequences(Extract(state): Extract<State>, uri: Uri) -> Response {
    let prefix = query::value(uri.query(), "prefix").unwrap_or_default();
    json(StatusCode::OK, &find(&state, &prefix).await)
}

async fn traced(Extract(state): Extract<State>, uri: Uri) -> Response {
    match ask(&state, uri.query()).await {
        None => {
            let usage = "give ?sequence=NAME&id=NUMBER\n";
            (StatusCode::BAD_REQUEST, usage).into_response()
        }
        Some(Question { answer, .. }) => match answer {
            Ok(trace) => json(StatusCode::OK, &trace),
            Err(problem) => (StatusCode::BAD_REQUEST, problem + "\n").into_response(),
        },
    }
}

/// Searches the request that got an ID. None when the query does not ask.
async fn ask(state: &State, query: Option<&str>) -> Option<Question> {
    let name = query::value(query, "sequence")?;
    let id = query::value(query, "id")?;
    let answer = match &state.tracer {
        Some(tracer) => tracer.trace(&name, &id).await,
        None => Err("there is no ledger here".to_owned()),
    };
    Some(Question { name, id, answer })
}

async fn find(state: &State, prefix: &str) -> SearchResult {
    if prefix.len() > PREFIX_BYTES_MAX {
        return SearchResult {
            problem: Some("no name is that long"),
            ..SearchResult::default()
        };
    }
    search(&state.inquiries, &state.status.read(), prefix).await
}

/// Renders the middle of the page, as of this time.
fn middle(state: &State, status: &Status, unix_ms: u64) -> Markup {
    render::live(&render::Live {
        status,
        silence: state.status.silence(),
        members: &state.owners(),
        points: &state.history.points(),
        rates: &state.history.rates(),
        unix_ms,
    })
}

/// The data that the script fetches.
#[derive(Serialize)]
struct Live {
    /// The middle of the page.
    html: String,
    /// The time of the data, in milliseconds since 1970.
    unix_ms: u64,
}

async fn live(Extract(state): Extract<State>) -> Response {
    let unix_ms = unix_ms();
    let html = middle(&state, &state.status.read(), unix_ms).into_string();
    match serde_json::to_string(&Live { html, unix_ms }) {
        Ok(body) => answer("application/json", body),
        Err(error) => failed(&error),
    }
}
