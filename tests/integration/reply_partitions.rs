//! The default reply topic gets more partitions while the service runs.

use crate::support::admin::Admin;
use crate::support::load::Names;
use crate::support::murmur2::partition_of;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::tail;

/// Number of partitions afterwards.
const GROWN: i32 = PARTITIONS + 3;

#[test]
fn replies_are_spread_over_the_partitions_that_the_reply_topic_gets_later() {
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let mut random = Random::from_environment();
        let service = Service::new("reply-growth", mode);
        let mut instance = service.start("a");
        service.preload(&Names::new(50), 500, &mut random);
        service.check();
        let admin = Admin::new(&service.bootstrap);
        admin.grow(&service.replies, GROWN);
        instance.wait("to see that the reply topic has grown", |instance| {
            let grown = "the default reply topic has grown";
            instance.log().contains(grown).then_some(())
        });
        let before = service.all_replies().len();
        let mut writer = service.writer();
        let names: Vec<String> = (0..100).map(|i| format!("later-{i}")).collect();
        for name in &names {
            writer.send(Some(name.as_bytes()), None);
        }
        let sent = writer.finish() as usize;
        service.tail().wait_answered(before + sent);
        let replies = tail::replies(&service.bootstrap, &service.replies, service.isolation());
        let later = |key: &Option<Vec<u8>>| key.as_ref().is_some_and(|k| k.starts_with(b"later-"));
        let mut spread = [0; GROWN as usize];
        for reply in replies.iter().filter(|reply| later(&reply.key)) {
            let key = reply.key.as_deref().unwrap();
            assert_eq!(reply.partition, partition_of(key, GROWN));
            spread[reply.partition as usize] += 1;
        }
        assert!(spread.iter().all(|count| *count > 0), "{spread:?}");
        assert_eq!(spread.iter().sum::<usize>(), sent);
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}
