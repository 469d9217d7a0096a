//! What operators look at, as they look at it: the dashboard and the alerts in a real Prometheus, the
//! status page in a real browser, both against a real `serve` over a real broker under load.
//!
//! | file | subject |
//! |---|---|
//! | `dashboard` | every query of the dashboard has data, every alert's expression is evaluated |
//! | `prometheus` | a Prometheus that scrapes one instance |
//! | `token` | with `http.token` Prometheus and readers need it, and nothing tells it |
//! | `page` | the status page: searches, a partition that halts under a reader's eyes, a rescale, an instance that is killed |
//! | `browser` | a script that drives a browser: `page.mjs` and `service.mjs`, with `browser.mjs` |
//!
//! Without a Prometheus, a Chromium or a Node.js that can be had, the test is skipped, in a line that
//! begins with `skipped:`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "shared with the integration tests, which use all of it"
)]
#[path = "../integration/support/mod.rs"]
mod support;

mod browser;
mod dashboard;
mod page;
mod prometheus;
mod token;
