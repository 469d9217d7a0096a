//! Clients: their requests, their partitioners, and their transactions.

use sequencer::core::partitioner::partition_of;

use crate::log::{Record, Uid, What};
use crate::oracle::{Asked, Fields, Meaning};
use crate::transactions::{Fate, LogId};
use crate::world::{Request, World};

pub struct Written {
    pub asked: Asked,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl World {
    pub fn client_step(&mut self) {
        if self.operator_step() || self.requests.len() >= self.config.requests_max {
            return;
        }
        let transaction = if self.random.one_in(12) && self.clients.len() < 2 {
            let number = self.open_transaction(None);
            self.clients.push(number);
            Some(number)
        } else if self.random.one_in(4) {
            self.clients.last().copied()
        } else {
            None
        };
        let written = self.something();
        if self.config.outside && self.random.one_in(8) {
            if self.random.one_in(4) {
                return self.copy_a_forward();
            }
            if self.may_come_from_outside(&written) {
                return self.outside_step(written);
            }
        }
        let partition = self.some_partition(&written);
        self.write(partition, written, transaction);
    }

    /// Most clients have the Java client's partitioner, and know the number of partitions.
    fn some_partition(&mut self, written: &Written) -> usize {
        let count = self.partitions.len();
        match &written.key {
            Some(key) if self.random.chance(75) && !key.starts_with(b"__") => {
                partition_of(key, count as u32) as usize
            }
            _ => self.random.below(count),
        }
    }

    pub fn write(&mut self, partition: usize, written: Written, transaction: Option<usize>) -> Uid {
        let Written {
            asked,
            key,
            value,
            headers,
        } = written;
        let uid = self.requests.len();
        let timestamp = self.log_time();
        let offset = self.partitions[partition].requests.append(Record {
            key: key.clone(),
            value: value.clone(),
            headers,
            timestamp,
            leader_epoch: 0,
            transaction,
            what: What::Client(uid),
        });
        if let Some(number) = transaction {
            let log = LogId::Requests(partition);
            self.transactions.all[number].pending.insert(log);
        }
        self.trace.bytes(value.as_deref().unwrap_or_default());
        self.asked(asked, key, (partition, offset), transaction)
    }

    /// Notes a request of a client, and the place that its reply names.
    pub fn asked(
        &mut self,
        asked: Asked,
        key: Option<Vec<u8>>,
        (partition, offset): (usize, i64),
        transaction: Option<usize>,
    ) -> Uid {
        let uid = self.requests.len();
        self.coverage.requests += 1;
        self.trace.bytes(key.as_deref().unwrap_or_default());
        let at = self.places.entry((partition, offset)).or_default();
        at.push(uid);
        self.requests.push(Request {
            asked,
            key,
            partition,
            offset,
            lies_in: partition,
            hops: 0,
            transaction,
            expected: None,
            body: None,
            answers: 0,
            lost: false,
            may_repeat: false,
        });
        uid
    }

    /// LogAppendTime, which steps back now and then.
    pub fn log_time(&mut self) -> i64 {
        let back = if self.random.one_in(30) { 50 } else { 0 };
        self.now_ms as i64 - back
    }

    pub fn client_transaction_step(&mut self) {
        if !self.clients.is_empty() && self.random.chance(40) {
            let chosen = self.random.below(self.clients.len());
            let number = self.clients.swap_remove(chosen);
            self.end_client(number);
        }
    }

    pub fn end_client(&mut self, number: usize) {
        let fate = if self.random.chance(60) {
            self.coverage.state("client transaction committed");
            Fate::Committed
        } else {
            self.coverage.state("client transaction aborted");
            Fate::Aborted
        };
        self.decide(number, fate);
    }

    fn something(&mut self) -> Written {
        let names = [
            "orders", "invoices", "счёт", "a", "b c", "tickets", "x-1", "z",
        ];
        let name = names[self.random.below(self.config.names)].to_owned();
        let headers = self.some_headers();
        let mut written = match self.random.below(20) {
            0 | 1 => self.invalid(name),
            2..5 => self.operation(name),
            _ => self.next(name),
        };
        written.headers.extend(headers);
        written
    }

    fn next(&mut self, name: String) -> Written {
        let count = 1 + self.random.below(3);
        if self.random.chance(65) {
            let value = match self.random.below(3) {
                0 if count == 1 => None,
                1 => Some(format!("{{\"op\":\"next\",\"count\":{count}}}")),
                _ => Some(count.to_string()),
            };
            let meaning = Meaning::Next {
                count: count as i128,
            };
            return named(name, meaning, None, value);
        }
        // Few, so that they come again, or more than a segment of an own window holds.
        let ids = if self.random.chance(50) { 8 } else { 60 };
        let id = self.random.below(ids);
        // Mostly a repeat of the same request.
        let count = if self.random.chance(85) {
            1 + id % 3
        } else {
            count
        };
        let meaning = Meaning::Next {
            count: count as i128,
        };
        let id = format!("r{id}");
        if self.random.chance(50) {
            let value = format!("{{\"count\":{count},\"request_id\":\"{id}\"}}");
            return named(name, meaning, Some(id), Some(value));
        }
        let mut written = named(name, meaning, Some(id.clone()), Some(count.to_string()));
        let header = ("sequencer-request-id".to_owned(), id.into_bytes());
        written.headers.push(header);
        written
    }

    /// Some have a `request_id`, and mostly repeat the same record.
    fn operation(&mut self, name: String) -> Written {
        let mut written = self.operation_once(name);
        self.sign(&mut written);
        if self.random.chance(40) && written.asked.meaning != Meaning::Describe {
            let letter = if self.random.chance(80) { 'o' } else { 'r' };
            let id = format!("{letter}{}", self.random.below(3));
            let header = ("sequencer-request-id".to_owned(), id.clone().into_bytes());
            written.headers.push(header);
            written.asked.request_id = Some(id);
        }
        written
    }

    /// Adds an author and a reason to some operators' records. This draws no random number, so that a seed
    /// keeps its faults.
    fn sign(&mut self, written: &mut Written) {
        let forced = matches!(written.asked.meaning, Meaning::SetNext { force: true, .. });
        let number = self.requests.len();
        let requester = [None, Some("ops"), Some("\"maria\"@höst")][number % 3];
        let reason = [None, Some("a new\nyear")][number % 2];
        let reason = match written.asked.meaning {
            Meaning::Describe => None,
            // It has this one already.
            _ if forced => Some("why"),
            _ => reason,
        };
        let value = written.value.as_mut().expect("an object");
        for (field, text) in [
            ("requester", requester),
            ("reason", reason.filter(|_| !forced)),
        ] {
            if let Some(text) = text {
                value.pop();
                let text = serde_json::json!(text);
                value.extend(format!(",\"{field}\":{text}}}").bytes());
            }
        }
        (written.asked.requester, written.asked.reason) = (requester, reason);
    }

    fn operation_once(&mut self, name: String) -> Written {
        let random = &mut self.random;
        match random.below(10) {
            0..4 => {
                let mut fields = Fields::default();
                let mut text = String::from("{\"op\":\"define\"");
                let mut number = |field: &str, value: Option<i128>| {
                    if let Some(value) = value {
                        text.push_str(&format!(",\"{field}\":{value}"));
                    }
                    value
                };
                let some = |random: &mut crate::random::Random, from: &[i128]| {
                    random.chance(35).then(|| random.pick(from))
                };
                fields.start = number("start", some(random, &[1, 5, 100, -10, 0]));
                fields.increment = number("increment", some(random, &[1, 2, 7, -1, -3, 0]));
                fields.min = number("min", some(random, &[1, 0, 5, -1_000]));
                fields.max = number("max", some(random, &[10, 40, 1_000, i128::from(i64::MAX)]));
                fields.max_count = number("max_count", some(random, &[1, 2, 5, 1_000]));
                let remember = [0, 1, 3, 20, 60, 600_000, 1_000_000];
                fields.remember = number("remember", some(random, &remember));
                if random.chance(35) {
                    let cycle = random.chance(50);
                    let word = if cycle { "cycle" } else { "error" };
                    text.push_str(&format!(",\"at_end\":\"{word}\""));
                    fields.cycle = Some(cycle);
                }
                if random.chance(40) {
                    let audit = random.chance(75);
                    text.push_str(&format!(",\"audit\":{audit}"));
                    fields.audit = Some(audit);
                }
                text.push('}');
                named(name, Meaning::Define(fields), None, Some(text))
            }
            4..7 => {
                let next = random.pick(&[1_i128, 3, 20, 50, 400, -5]);
                let force = random.chance(30);
                let forced = if force {
                    ",\"force\":true,\"reason\":\"why\""
                } else {
                    ""
                };
                let text = format!("{{\"op\":\"set_next\",\"next\":{next}{forced}}}");
                named(name, Meaning::SetNext { next, force }, None, Some(text))
            }
            7 => named(
                name,
                Meaning::Describe,
                None,
                Some("{\"op\":\"describe\"}".into()),
            ),
            8 => named(
                name,
                Meaning::Retire,
                None,
                Some("{\"op\":\"retire\"}".into()),
            ),
            _ => {
                let refuse = random.chance(40);
                let word = if refuse { "refuse" } else { "create" };
                let audit = !refuse && random.chance(50);
                let audited = if audit { ",\"audit\":true" } else { "" };
                let text = format!("{{\"op\":\"policy\",\"undefined\":\"{word}\"{audited}}}");
                named(
                    "__policy".into(),
                    Meaning::Policy { refuse, audit },
                    None,
                    Some(text),
                )
            }
        }
    }

    fn invalid(&mut self, name: String) -> Written {
        let (value, code) = self.random.pick(&[
            ("0", "invalid_count"),
            ("{\"op\":", "malformed_request"),
            ("{\"counts\":1}", "unknown_field"),
            ("{\"op\":\"take\"}", "unknown_op"),
            ("5.0", "malformed_request"),
            ("9007199254740992", "invalid_count"),
        ]);
        let mut written = named(name, Meaning::Invalid(code), None, Some(value.into()));
        match self.random.below(5) {
            4 => {
                // An order without a link.
                written = named(
                    "__policy".into(),
                    Meaning::Invalid("unknown_field"),
                    None,
                    Some("{\"op\":\"split\",\"partitions\":[1,2]}".into()),
                );
            }
            0 => {
                written.key = self.random.chance(50).then(|| b"a\nb".to_vec());
                written.asked.name = None;
                written.asked.meaning = Meaning::Invalid("invalid_name");
            }
            1 => {
                written.value = Some(b"{\"request_id\":\"one\"}".to_vec());
                let header = ("sequencer-request-id".to_owned(), b"another".to_vec());
                written.headers.push(header);
                written.asked.meaning = Meaning::Invalid("request_id_conflict");
            }
            _ => {}
        }
        written
    }

    /// Headers that name the destination of the reply, rightly or wrongly. None of them changes an ID.
    fn some_headers(&mut self) -> Vec<(String, Vec<u8>)> {
        let mut headers = Vec::new();
        let mut push = |name: &str, value: &[u8]| headers.push((name.to_owned(), value.to_vec()));
        if self.random.chance(25) {
            let topics: [&[u8]; 5] = [b"my.reply", b"__offsets", b"not allowed", b"", b"requests"];
            push("kafka_replyTopic", self.random.pick(&topics));
            push("kafka_correlationId", &self.random.next().to_be_bytes());
        }
        if self.random.chance(10) {
            let partitions: [&[u8]; 3] = [&[0, 0, 0, 1], b"1", b"one"];
            push("kafka_replyPartition", self.random.pick(&partitions));
        }
        if self.random.chance(5) {
            push("REPLY_TOPIC", b"other.reply");
        }
        if self.random.chance(5) {
            // Only the service can create a valid link.
            push(
                "sequencer-forwarded",
                b"0:0:0.5:-1.-1:0.5:1:00000000000000000000000000000000",
            );
        }
        headers
    }
}

fn named(name: String, meaning: Meaning, id: Option<String>, value: Option<String>) -> Written {
    Written {
        key: Some(name.clone().into_bytes()),
        asked: Asked {
            name: Some(name),
            meaning,
            request_id: id,
            requester: None,
            reason: None,
        },
        value: value.map(String::into_bytes),
        headers: Vec::new(),
    }
}

/// A request for one ID.
pub fn one_id(name: &str) -> Written {
    named(name.to_owned(), Meaning::Next { count: 1 }, None, None)
}
