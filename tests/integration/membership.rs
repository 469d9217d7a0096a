//! A ready instance answers: an instance that is not a member of its group is not ready, and gives the reason.

use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::{cluster, http};

#[test]
fn an_instance_that_the_group_has_no_place_for_is_not_ready_and_says_why() {
    let kafka = cluster::own_broker_with("full-group", &[("group.max.size", "1")]);
    let service = Service::on(kafka.bootstrap(), "full-group", Mode::Immediate);
    let first = service.start("a");
    service.wait_shared(&[&first]);
    assert_eq!(first.metric("sequencer_connected"), Some(1.0));

    let mut second = service.spawn("b");
    let body = second.wait("to say that the group is full", |instance| {
        let page = http::get(instance.port(), "/readyz").ok()?;
        assert_eq!(page.status, 503, "{}", page.body);
        page.body.contains("JoinGroup failed").then_some(page.body)
    });
    assert!(body.contains("not a member of the group: "), "{body}");
    // Statistics come every second, for members and for others.
    second.wait("to have logged that it is no member", |instance| {
        let log = instance.log();
        log.contains("not a member of the group; requests are not answered here")
            .then_some(())
    });
    assert_eq!(second.metric("sequencer_connected"), Some(0.0));
    let ready = http::get(second.port(), "/readyz").unwrap();
    assert_eq!(ready.status, 503, "{}", ready.body);
    // A restart does not help.
    assert_eq!(http::get(second.port(), "/healthz").unwrap().status, 200);

    assert_eq!(first.sigterm_and_wait(), 0);
    second.wait_ready();
    second.wait("to have every partition", |instance| {
        (instance.running() == PARTITIONS as usize).then_some(())
    });
    assert_eq!(second.metric("sequencer_connected"), Some(1.0));
    assert_eq!(second.sigterm_and_wait(), 0);
}
