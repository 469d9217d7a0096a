//! `reply.headers.*`: the names of the clients' headers.

use serde::Deserialize;

use crate::wire::headers::{FamilyNames, Names};

/// The section as the `config` crate deserialises it.
#[derive(Deserialize)]
pub(super) struct Shape {
    kafka: WithPartition,
    nest: Nest,
    smallrye: WithPartition,
    faststream: WithoutPartition,
}

#[derive(Deserialize)]
struct WithPartition {
    correlation: String,
    topic: String,
    partition: String,
}

#[derive(Deserialize)]
struct WithoutPartition {
    correlation: String,
    topic: String,
}

#[derive(Deserialize)]
struct Nest {
    error: String,
    disposed: String,
}

impl From<WithPartition> for FamilyNames {
    fn from(shape: WithPartition) -> FamilyNames {
        FamilyNames {
            correlation: shape.correlation,
            topic: shape.topic,
            partition: Some(shape.partition),
        }
    }
}

impl From<WithoutPartition> for FamilyNames {
    fn from(shape: WithoutPartition) -> FamilyNames {
        FamilyNames {
            correlation: shape.correlation,
            topic: shape.topic,
            partition: None,
        }
    }
}

impl From<Shape> for Names {
    fn from(shape: Shape) -> Names {
        Names {
            kafka: shape.kafka.into(),
            nest_error: shape.nest.error,
            nest_disposed: shape.nest.disposed,
            smallrye: shape.smallrye.into(),
            faststream: shape.faststream.into(),
        }
    }
}

/// Every key with its header name, in the order of `config/default.toml`.
pub(super) fn pairs(names: &Names) -> impl Iterator<Item = (&'static str, &str)> {
    let Names {
        kafka,
        nest_error,
        nest_disposed,
        smallrye,
        faststream,
    } = names;
    let pairs = [
        ("reply.headers.kafka.correlation", Some(&kafka.correlation)),
        ("reply.headers.kafka.topic", Some(&kafka.topic)),
        ("reply.headers.kafka.partition", kafka.partition.as_ref()),
        ("reply.headers.nest.error", Some(nest_error)),
        ("reply.headers.nest.disposed", Some(nest_disposed)),
        (
            "reply.headers.smallrye.correlation",
            Some(&smallrye.correlation),
        ),
        ("reply.headers.smallrye.topic", Some(&smallrye.topic)),
        (
            "reply.headers.smallrye.partition",
            smallrye.partition.as_ref(),
        ),
        (
            "reply.headers.faststream.correlation",
            Some(&faststream.correlation),
        ),
        ("reply.headers.faststream.topic", Some(&faststream.topic)),
    ];
    pairs
        .into_iter()
        .filter_map(|(key, name)| Some((key, name?.as_str())))
}
