//! Grants and reads ACLs with hand-written requests: librdkafka's wrapper has no call for them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::{DEADLINE, wait_for};

/// Kafka's API keys and the versions of the two requests.
const CREATE_ACLS: (i16, i16) = (30, 1);
const DESCRIBE_ACLS: (i16, i16) = (29, 1);
const ALLOW: u8 = 3;
const ANY: u8 = 1;

/// One permission of one user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acl {
    /// `topic`, `group` or `transactional ID`, as in the documents.
    pub resource: String,
    pub name: String,
    /// True for every resource whose name begins with `name`.
    pub prefix: bool,
    pub operation: String,
}

impl Acl {
    fn resource_number(&self) -> u8 {
        match self.resource.as_str() {
            "topic" => 2,
            "group" => 3,
            "cluster" => 4,
            "transactional ID" => 5,
            other => panic!("no such resource: {other}"),
        }
    }

    fn pattern_number(&self) -> u8 {
        if self.prefix { 4 } else { 3 }
    }

    fn operation_number(&self) -> u8 {
        match self.operation.as_str() {
            "Read" => 3,
            "Write" => 4,
            "Create" => 5,
            "Delete" => 6,
            "Alter" => 7,
            "Describe" => 8,
            "DescribeConfigs" => 10,
            other => panic!("no such operation: {other}"),
        }
    }
}

/// Grants these ACLs to a user, through the listener of a super user, and waits until the broker applies them.
pub fn grant(bootstrap: &str, user: &str, acls: &[Acl]) {
    if acls.is_empty() {
        return;
    }
    let mut body = Vec::new();
    body.extend((acls.len() as i32).to_be_bytes());
    for acl in acls {
        body.push(acl.resource_number());
        text(&mut body, &acl.name);
        body.push(acl.pattern_number());
        text(&mut body, &format!("User:{user}"));
        text(&mut body, "*");
        body.push(acl.operation_number());
        body.push(ALLOW);
    }
    let answer = ask(bootstrap, CREATE_ACLS, &body);
    // After the throttle time and the count, there is a code and a null or a text for each ACL.
    let count = i32::from_be_bytes(answer[4..8].try_into().unwrap());
    assert_eq!(count, acls.len() as i32);
    let mut rest = &answer[8..];
    for acl in acls {
        let code = i16::from_be_bytes(rest[..2].try_into().unwrap());
        assert_eq!(code, 0, "{acl:?}: {}", String::from_utf8_lossy(rest));
        let length = i16::from_be_bytes(rest[2..4].try_into().unwrap());
        rest = &rest[4 + length.max(0) as usize..];
    }
    // The controller has the ACLs. The broker gets them a little later.
    let last = acls.last().unwrap();
    wait_for("the ACLs to be applied", || {
        is_applied(bootstrap, user, last).then_some(())
    });
}

fn is_applied(bootstrap: &str, user: &str, acl: &Acl) -> bool {
    let mut filter = vec![acl.resource_number()];
    text(&mut filter, &acl.name);
    filter.push(acl.pattern_number());
    text(&mut filter, &format!("User:{user}"));
    text(&mut filter, "*");
    filter.push(acl.operation_number());
    filter.push(ANY);
    let answer = ask(bootstrap, DESCRIBE_ACLS, &filter);
    // The number of matching resources follows the throttle time, the code, and a null or a text.
    let length = i16::from_be_bytes(answer[6..8].try_into().unwrap()).max(0) as usize;
    i32::from_be_bytes(answer[8 + length..12 + length].try_into().unwrap()) > 0
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend((text.len() as i16).to_be_bytes());
    body.extend(text.as_bytes());
}

/// Sends one request on its own connection. Returns the answer without its correlation ID.
fn ask(bootstrap: &str, (request, version): (i16, i16), body: &[u8]) -> Vec<u8> {
    const TIMEOUT: Duration = DEADLINE;
    let mut message = Vec::new();
    message.extend(request.to_be_bytes());
    message.extend(version.to_be_bytes());
    // A correlation ID, and no client ID.
    message.extend(1_i32.to_be_bytes());
    message.extend((-1_i16).to_be_bytes());
    message.extend(body);
    let mut stream = TcpStream::connect(bootstrap).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
        .write_all(&(message.len() as i32).to_be_bytes())
        .unwrap();
    stream.write_all(&message).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; i32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    answer.split_off(4)
}
