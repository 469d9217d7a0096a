//! Records that count only with a link: those that the service forwards, and the operator's that begins a rescale.

use sequencer::core::Offset;
use sequencer::core::link::{Link, LinkKey, Origin, Position};
use sequencer::core::rescale::OPERATOR;
use sequencer::wire::state::{self, Content};

use super::service::Service;
use super::tail;

/// The header that has the link of a record.
pub const FORWARDED: &str = "sequencer-forwarded";

/// The key of the links, from the state of a partition.
pub fn link_key(service: &Service) -> LinkKey {
    let records = tail::raw(&service.bootstrap, &service.state);
    let key = records.iter().find_map(|record| {
        let key = record.key.as_deref()?;
        match state::decode(key, record.value.as_deref(), None)
            .ok()?
            .content
        {
            Content::Footer(footer) => Some(footer.link_key),
            _ => None,
        }
    });
    key.expect("a footer")
}

/// Writes the operator's record that begins a rescale.
pub fn split(service: &Service, list: &[i32]) {
    let value = format!("{{\"op\":\"split\",\"partitions\":{list:?}}}").replace(' ', "");
    let offset = list.len() as i64;
    let link = Link {
        partition: OPERATOR,
        epoch: 0,
        position: Position {
            leader_epoch: -1,
            offset,
        },
        previous: Position::NONE,
        origin: Origin {
            partition: OPERATOR,
            offset: Offset(offset),
        },
        hops: 1,
    };
    let (key, value) = (b"__policy", value.as_bytes());
    let header = link.header(&link_key(service), 0, key, Some(value));
    let mut writer = service.writer();
    let headers = [(FORWARDED, header.as_bytes())];
    writer.send_with(Some(0), Some(key), Some(value), &headers);
    writer.finish();
}
