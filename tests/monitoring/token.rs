//! `http.token` of a real service.

use crate::prometheus::{Prometheus, folder};
use crate::support::http::{get, get_with};
use crate::support::instance::Instance;
use crate::support::records::Mode;
use crate::support::service::Service;
use crate::support::wait_for;

const TOKEN: &str = "only-readers.know/this~0123456789";
/// `reader:` and the token, in base 64, as a browser sends it.
const AS_PASSWORD: &str = "cmVhZGVyOm9ubHktcmVhZGVycy5rbm93L3RoaXN+MDEyMzQ1Njc4OQ==";

#[test]
fn with_a_token_only_the_probes_are_free_and_prometheus_sends_it_and_nothing_tells_it() {
    let service = Service::new("token", Mode::Immediate);
    let mut arguments = service.arguments();
    arguments.extend([
        "--set".to_owned(),
        "log.level=debug,sequencer=trace".to_owned(),
    ]);
    let variables = [("SEQUENCER__HTTP__TOKEN".to_owned(), TOKEN.to_owned())];
    let mut instance = Instance::spawn_with(&service.group, &arguments, &variables);
    instance.wait_ready();
    let port = instance.port();
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let password = format!("Authorization: Basic {AS_PASSWORD}\r\n");
    let wrong = "Authorization: Bearer only-readers.know/this~012345678\r\n";
    let mut told = String::new();
    for path in ["/", "/live.json", "/sequences?prefix=a", "/metrics"] {
        for (headers, status) in [("", 401), (wrong, 401), (&*bearer, 200), (&*password, 200)] {
            let answer = get_with(port, path, headers).unwrap();
            assert_eq!(answer.status, status, "{path} with {headers:?}");
            told.push_str(&answer.body);
        }
    }
    for path in ["/healthz", "/readyz"] {
        let answer = get(port, path).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        told.push_str(&answer.body);
    }
    match folder() {
        Ok(folder) => {
            let prometheus = Prometheus::start(&folder, &[port], Some(TOKEN));
            wait_for("a scrape with the token", || {
                (prometheus.query("up") == [1.0]).then_some(())
            });
            let prometheus = Prometheus::start(&folder, &[port], None);
            wait_for("a scrape without the token to be refused", || {
                (prometheus.query("up") == [0.0]).then_some(())
            });
        }
        Err(skipped) => println!("{skipped}"),
    }
    instance.sigterm();
    assert_eq!(instance.wait_exit(), 0);
    told.push_str(&instance.log());
    assert!(
        told.contains("http.token"),
        "the settings are logged: {told}"
    );
    assert!(
        !told.contains(TOKEN) && !told.contains(AS_PASSWORD),
        "{told}"
    );
}
