//! Limits how many pages are made at the same time. Their searches take seconds, and waiting requests keep
//! their connections. Probes and scrapes are not counted, and always find a free connection.

use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

/// Highest number of pages at the same time: half of the connections that one address may have.
const PAGES_MAX: usize = 8;

#[derive(Clone)]
pub(super) struct Pages(Arc<Semaphore>);

impl Default for Pages {
    fn default() -> Pages {
        Pages(Arc::new(Semaphore::new(PAGES_MAX)))
    }
}

pub(super) async fn bound(
    Extract(pages): Extract<Pages>,
    request: Request,
    next: Next,
) -> Response {
    match pages.0.try_acquire() {
        Ok(_page) => next.run(request).await,
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{PAGES_MAX} pages are being made already; try again\n"),
        )
            .into_response(),
    }
}
