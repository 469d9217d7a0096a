//! Sets quotas of a client with one hand-written request: rdkafka has no call for them.

use std::io::{Read, Write};
use std::net::TcpStream;

/// `AlterClientQuotas`, version 0, whose encoding has no tagged fields.
const KEY: i16 = 49;
const VERSION: i16 = 0;

/// Limits the bytes a second that a `client.id` may produce. None removes the limit.
pub fn limit_producer(bootstrap: &str, client_id: &str, bytes_each_second: Option<f64>) {
    let mut body = Vec::new();
    body.extend(KEY.to_be_bytes());
    body.extend(VERSION.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    text(&mut body, "administrator");
    // One entry, with one entity and one operation.
    body.extend(1_i32.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    text(&mut body, "client-id");
    text(&mut body, client_id);
    body.extend(1_i32.to_be_bytes());
    text(&mut body, "producer_byte_rate");
    body.extend(bytes_each_second.unwrap_or(0.0).to_be_bytes());
    body.push(u8::from(bytes_each_second.is_none()));
    // The request is carried out, and not only validated.
    body.push(0);
    let mut stream = TcpStream::connect(bootstrap).unwrap();
    stream
        .write_all(&u32::try_from(body.len()).unwrap().to_be_bytes())
        .unwrap();
    stream.write_all(&body).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    // The fields before are the correlation ID, the throttle time and the count. Here is the error of the only entry.
    let error = answer.get(12..14);
    assert_eq!(error, Some(&[0, 0][..]), "{answer:?}");
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text.as_bytes());
}
