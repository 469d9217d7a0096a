//! The topics for machines: AsyncAPI 3, with the topics and headers of the default configuration.

use serde_json::{Map, Value, json};

use crate::cli::Error;
use crate::service::settings::{Flags, Settings};
use crate::wire::headers::{
    CORRELATION_BYTES_MAX, FORWARDED, Names, REQUEST_ID, TOPIC_BYTES_MAX, TRACE_BYTES_MAX,
    TRACEPARENT, TRACESTATE, UNDELIVERED,
};
use crate::wire::schema::{self, Style, name, text};

const STYLE: Style = Style {
    refs: "#/components/schemas/",
    ids_as_text: false,
};

/// The document.
///
/// # Errors
/// The default configuration cannot be read.
pub(super) fn document() -> Result<Value, Error> {
    let flags = Flags {
        // No topic has it, and the name of a host may not be valid for it.
        set: vec!["instance_id=any".to_owned()],
        ..Flags::default()
    };
    let (settings, _) = Settings::load(&flags, [])?;
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sequencer",
            "version": "1",
            "description": "Unique, gapless, monotonic IDs over Kafka, as the service sees its topics: it receives requests \
                            and sends replies. Topics and headers have their default names.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels(&settings),
        "operations": operations(&settings.reply_headers),
        "components": {
            "messages": messages(&settings.reply_headers),
            "schemas": schema::all(STYLE),
        },
    }))
}

fn channel(topic: &str, description: &str, messages: &[&str]) -> Value {
    let messages = messages.iter().map(|message| {
        let target = json!({"$ref": format!("#/components/messages/{message}")});
        ((*message).to_owned(), target)
    });
    json!({
        "address": topic,
        "description": description,
        "messages": Map::from_iter(messages),
        "bindings": {"kafka": {"topic": topic, "bindingVersion": "0.5.0"}},
    })
}

fn channels(settings: &Settings) -> Value {
    let topics = &settings.topics;
    let mut named = channel(
        "",
        "A topic that a request names. The service never creates it",
        &["reply"],
    );
    named["address"] = Value::Null;
    named["bindings"] = json!({});
    json!({
        "requests": channel(&topics.requests, "Clients write requests here", &["request"]),
        "replies": channel(
            &topics.replies,
            "Replies to requests that name no topic, or none that can be written",
            &["reply"],
        ),
        "named_replies": named,
        "gateway_replies": channel(&topics.gateway_replies, "Replies to gateways", &["reply"]),
        "ledger": channel(&topics.ledger, "Who got which ID of an audited sequence", &["page"]),
        "state": channel(&topics.state, "Checkpoints. Not for clients", &["internal"]),
        "heartbeats": channel(&topics.heartbeats, "Signs of life of instances. Not for clients", &["internal"]),
    })
}

/// One operation for each convention, since each names its reply topic in a header of its own.
fn operations(names: &Names) -> Value {
    let mut operations = Map::new();
    let requests = json!({"$ref": "#/channels/requests"});
    let messages = |channel: &str, message: &str| json!([{"$ref": format!("#/channels/{channel}/messages/{message}")}]);
    operations.insert(
        "answer".to_owned(),
        json!({
            "action": "receive",
            "summary": "A request without a reply topic",
            "channel": requests,
            "messages": messages("requests", "request"),
            "reply": {"channel": {"$ref": "#/channels/replies"}, "messages": messages("replies", "reply")},
        }),
    );
    for (convention, family) in [
        ("kafka", &names.kafka),
        ("smallrye", &names.smallrye),
        ("faststream", &names.faststream),
    ] {
        let header = &family.topic;
        operations.insert(
            format!("answer_{convention}"),
            json!({
                "action": "receive",
                "summary": format!("A request that names its reply topic in the header {header}"),
                "channel": requests,
                "messages": messages("requests", "request"),
                "reply": {
                    "address": {"location": format!("$message.header#/{header}")},
                    "channel": {"$ref": "#/channels/named_replies"},
                    "messages": messages("named_replies", "reply"),
                },
            }),
        );
    }
    operations.insert(
        "record".to_owned(),
        json!({
            "action": "send",
            "summary": "Grants of audited sequences",
            "channel": {"$ref": "#/channels/ledger"},
            "messages": messages("ledger", "page"),
        }),
    );
    Value::Object(operations)
}

fn header(description: &str, bytes_max: usize) -> Value {
    json!({"type": "string", "description": description, "maxLength": bytes_max})
}

/// A correlation, of any bytes.
fn correlation(description: &str) -> Value {
    header(description, CORRELATION_BYTES_MAX)
}

fn trace() -> [(String, Value); 2] {
    [TRACEPARENT, TRACESTATE].map(|name| {
        let schema = header("W3C trace context; passed on to the reply", TRACE_BYTES_MAX);
        (name.to_owned(), schema)
    })
}

fn request_headers(names: &Names) -> Value {
    let mut headers = Map::from_iter(trace());
    let mut request_id = text();
    request_id["description"] = json!("As request_id in the value. Both and different is an error");
    headers.insert(REQUEST_ID.to_owned(), request_id);
    headers.insert(
        FORWARDED.to_owned(),
        json!({"type": "string", "description": "Written by the service itself. From clients it is ignored"}),
    );
    for family in [&names.kafka, &names.smallrye, &names.faststream] {
        headers.insert(
            family.correlation.clone(),
            correlation("Goes back in the reply, byte for byte"),
        );
        headers.insert(
            family.topic.clone(),
            header("The topic of the reply", TOPIC_BYTES_MAX),
        );
        if let Some(partition) = &family.partition {
            headers.insert(
                partition.clone(),
                json!({
                    "type": "string",
                    "description": "The partition of the reply: 4 bytes, big-endian, or decimal text",
                }),
            );
        }
    }
    json!({"type": "object", "properties": headers})
}

fn reply_headers(names: &Names) -> Value {
    let mut headers = Map::from_iter(trace());
    for family in [&names.kafka, &names.smallrye, &names.faststream] {
        headers.insert(
            family.correlation.clone(),
            correlation("That of the request, under the same name"),
        );
    }
    headers.insert(
        names.nest_error.clone(),
        json!({"type": "string", "description": "The error object, on errors only"}),
    );
    headers.insert(
        names.nest_disposed.clone(),
        json!({"type": "string", "description": "One zero byte"}),
    );
    headers.insert(
        UNDELIVERED.to_owned(),
        json!({"type": "string", "description": "CAUSE: reason. Why the reply is not on the topic that the request names"}),
    );
    json!({"type": "object", "properties": headers})
}

fn messages(names: &Names) -> Value {
    let key = json!({"kafka": {"key": name(), "bindingVersion": "0.5.0"}});
    let schema = |name: &str| json!({"$ref": format!("{}{name}", STYLE.refs)});
    json!({
        "request": {
            "title": "A request",
            "headers": request_headers(names),
            "payload": schema("Request"),
            "bindings": key,
        },
        "reply": {
            "title": "A reply",
            "headers": reply_headers(names),
            "payload": schema("Reply"),
            "bindings": key,
        },
        "page": {"title": "A page of the ledger", "payload": schema("Page"), "bindings": key},
        "internal": {"title": "A record for the service alone", "contentType": "application/octet-stream"},
    })
}
