//! I6, stop rather than guess. A partition whose state or log is not consistent halts, gives the reason, and prints the
//! command that repairs it. The other partitions go on. After the command, IDs go on above all IDs that were given.

use std::collections::BTreeMap;

use crate::support::admin::{self, Admin};
use crate::support::broker::Controls;
use crate::support::check::cause;
use crate::support::command::run;
use crate::support::instance::Instance;
use crate::support::load::{Names, Writer};
use crate::support::murmur2::names_at_home;
use crate::support::random::Random;
use crate::support::records::{Mode, Repair, Reply, Request};
use crate::support::service::{PARTITIONS, Service};
use crate::support::{cluster, heavy, tail};

/// The partition that is damaged.
const DAMAGED: i32 = 1;

/// Number of requests before the damage.
const BEFORE: u64 = 400;

/// A service that has answered and was then stopped cleanly, and its log.
struct Stopped {
    service: Service,
    admin: Admin,
    requests: Vec<Request>,
    replies: Vec<Reply>,
}

impl Stopped {
    fn new(scenario: &str) -> Stopped {
        Stopped::of(Service::new(scenario, Mode::Immediate))
    }

    fn of(service: Service) -> Stopped {
        let mut random = Random::from_environment();
        let instance = service.start("a");
        service.preload(&Names::new(40), BEFORE, &mut random);
        service.check();
        assert_eq!(instance.sigterm_and_wait(), 0);
        let (requests, replies) = (service.request_log(), service.all_replies());
        Stopped {
            admin: Admin::new(&service.bootstrap),
            service,
            requests,
            replies,
        }
    }

    fn committed(&self, partition: i32) -> i64 {
        let Service {
            bootstrap,
            group,
            requests,
            ..
        } = &self.service;
        admin::committed(bootstrap, group, requests, PARTITIONS)[&partition]
    }

    /// The highest ID in a reply of a partition.
    fn highest(&self, partition: i32) -> i64 {
        let last = |reply: &Reply| {
            let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            (cause(&body).unwrap().0 == partition).then(|| body["last"].as_i64().unwrap_or(0))
        };
        self.replies.iter().filter_map(last).max().unwrap_or(0)
    }

    /// Starts an instance, which must halt these partitions with this word in the reason.
    fn halts(&self, partitions: &[i32], word: &str) -> (Instance, Vec<String>) {
        let mut instance = self.service.start("a");
        // All checks use one response: on a busy machine the next one may not come in time.
        let halted = instance.wait(&format!("to halt partitions {partitions:?}"), |instance| {
            let halted = instance.halted();
            (halted.len() + instance.running() == PARTITIONS as usize).then_some(halted)
        });
        assert_eq!(
            halted.keys().copied().collect::<Vec<_>>(),
            partitions,
            "{halted:#?}"
        );
        assert_eq!(
            instance.metric("sequencer_halted_partitions"),
            Some(partitions.len() as f64)
        );
        let log = instance.log();
        for (partition, halted) in &halted {
            assert!(
                halted.reason.contains(word),
                "the reason should say {word:?}: {halted:?}"
            );
            let command = format!("sequencer recover --partition {partition} ");
            assert!(halted.repair.starts_with(&command), "{halted:?}");
            assert!(halted.repair.contains(" --brokers "), "{halted:?}");
            assert!(
                log.contains(&halted.repair),
                "the log should print {:?}",
                halted.repair
            );
        }
        (
            instance,
            halted.into_values().map(|halted| halted.repair).collect(),
        )
    }

    /// Sends a request to each partition: requests on halted partitions must wait, and the others are answered.
    fn others_go_on(&self, halted: &[i32]) {
        let mut writer = self.service.writer();
        (0..PARTITIONS).for_each(|partition| ask(&mut writer, partition));
        writer.finish();
        let others = PARTITIONS as usize - halted.len();
        self.service.tail().wait_answered(BEFORE as usize + others);
    }

    /// Stops the instance, runs the commands that it printed, and returns their effect on the log.
    fn repair(&self, instance: Instance, commands: &[String]) -> Vec<Repair> {
        assert_eq!(instance.sigterm_and_wait(), 0);
        let repairs = commands.iter().map(|command| self.recover(command, &[]));
        repairs.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    /// Runs a printed command unchanged. Runs it first without `--yes`, when it must write nothing. None when the log
    /// was folded again, because then the log alone decides.
    fn recover(&self, command: &str, further: &[&str]) -> Option<Repair> {
        let mut words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(words[..3], ["sequencer", "recover", "--partition"]);
        let partition = words[3].parse().unwrap();
        words.remove(0);
        let end = || {
            let Service {
                bootstrap, state, ..
            } = &self.service;
            tail::high_watermark(bootstrap, state, partition)
        };
        let before = end();
        let looked = run(&words);
        assert_eq!(
            (looked.code, end()),
            (0, before),
            "without --yes it only shows what it would do"
        );
        let for_programs = run(&[&words[..], &["-o", "json"]].concat());
        let told: serde_json::Value = serde_json::from_str(&for_programs.stdout).unwrap();
        assert_eq!((&told["written"], end()), (&false.into(), before));
        words.extend(further);
        words.push("--yes");
        let done = run(&words);
        assert_eq!(done.code, 0, "{}", done.said());

        let number = |before: &str| -> Option<i64> {
            let (_, rest) = looked.stdout.split_once(before)?;
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok()
        };
        let from = number("goes on at offset ").unwrap();
        assert_eq!(told["repair"]["next_offset"], from, "{told}");
        let Some(above) = number("every new name go on above ID ") else {
            assert!(looked.stdout.contains("no ID jumps"), "{}", looked.stdout);
            return None;
        };
        assert_eq!(told["repair"]["floor"], above, "{told}");
        assert_eq!(told["repair"]["kind"], "jump", "{told}");
        let inspected = self.inspect(partition, &[]);
        assert!(
            inspected.contains(&format!("went on at {from}, each sequence")),
            "the jump is on record: {inspected}"
        );
        let view = self.inspect(partition, &["--json", "--limit", "1000"]);
        let view: serde_json::Value = serde_json::from_str(&view).unwrap();
        let rows = view["sequences"].as_array().unwrap().iter();
        let next: BTreeMap<String, i64> = rows
            .map(|row| {
                let name = row["name"].as_str().unwrap().to_owned();
                (name, row["next_id"].as_i64().unwrap())
            })
            .collect();
        let highest = self.highest(partition);
        assert!(next.values().any(|next| *next > highest), "no margin");
        Some(Repair {
            partition,
            from,
            above,
            next,
        })
    }

    fn inspect(&self, partition: i32, further: &[&str]) -> String {
        let mut words = vec!["inspect".to_owned(), "--partition".to_owned()];
        words.push(partition.to_string());
        words.extend(further.iter().map(|&word| word.to_owned()));
        words.extend(self.service.arguments());
        run(&words).stdout
    }

    /// Checks that after the repair every partition runs, and the log with all replies is right.
    fn goes_on(&self, requests_lost: &[Request], repairs: &[Repair]) {
        let instance = self.service.start("a");
        self.service.wait_shared(&[&instance]);
        let mut writer = self.service.writer();
        (0..PARTITIONS).for_each(|partition| ask(&mut writer, partition));
        writer.finish();
        let requests = self.all_requests(requests_lost);
        self.service.tail().wait_answered(requests.len());
        self.service.judge(
            Mode::Immediate,
            &requests,
            &self.service.all_replies(),
            repairs,
        );
        assert_eq!(instance.sigterm_and_wait(), 0);
    }

    /// The log before the damage and the log now, without the requests that were lost unanswered.
    fn all_requests(&self, lost: &[Request]) -> Vec<Request> {
        let known = self
            .requests
            .iter()
            .cloned()
            .chain(self.service.request_log());
        let mut all: BTreeMap<(i32, i64), Request> = known
            .map(|request| ((request.partition, request.offset), request))
            .collect();
        for request in lost {
            all.remove(&(request.partition, request.offset));
        }
        all.into_values().collect()
    }
}

/// Sends a request for one ID of a name whose home is this partition.
fn ask(writer: &mut Writer, partition: i32) {
    let name = names_at_home(partition, PARTITIONS, 1).remove(0);
    writer.send(Some(name.as_bytes()), None);
}

#[test]
fn a_state_without_a_footer_that_matches_halts_its_partition_until_it_is_repaired() {
    let stopped = Stopped::new("refuse-footer");
    replace_state(&stopped, flip_digest);
    let (instance, commands) = stopped.halts(&[DAMAGED], "footer");
    stopped.others_go_on(&[DAMAGED]);
    let repairs = stopped.repair(instance, &commands);
    assert!(repairs.is_empty(), "the log is whole, so no ID jumps");
    stopped.goes_on(&[], &repairs);
}

#[test]
fn a_running_owner_takes_up_the_repair_of_a_partition_that_it_reported_as_halted() {
    let stopped = Stopped::new("refuse-running");
    replace_state(&stopped, flip_digest);
    let (mut instance, commands) = stopped.halts(&[DAMAGED], "footer");
    let repair = stopped.recover(&commands[0], &["--owner-halted"]);
    instance.wait("to run every partition", |instance| {
        (instance.running() == PARTITIONS as usize).then_some(())
    });
    assert_eq!(instance.sigterm_and_wait(), 0);
    assert!(repair.is_none(), "the log is whole, so no ID jumps");
    stopped.goes_on(&[], &[]);
}

#[test]
fn a_partition_with_a_running_owner_is_not_repaired() {
    let stopped = Stopped::new("refuse-owned");
    let instance = stopped.service.start("a");
    stopped.service.wait_shared(&[&instance]);
    let end = || tail::high_watermark(&stopped.service.bootstrap, &stopped.service.state, DAMAGED);
    let before = end();
    let from = stopped.committed(DAMAGED).to_string();
    let mut words = vec![
        "recover",
        "--partition",
        "1",
        "--from",
        &from,
        "--above",
        "1000000",
        "--yes",
    ];
    let arguments = stopped.service.arguments();
    words.extend(arguments.iter().map(String::as_str));
    let outcome = run(&words);
    assert_eq!((outcome.code, end()), (1, before), "nothing was written");
    outcome.line_with("stop it");
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn a_counter_that_was_changed_behind_its_footer_halts_its_partition() {
    let stopped = Stopped::new("refuse-counter");
    replace_state(&stopped, |key, value| {
        // The counter is the last field of an entry.
        if key.first() == Some(&b'S') {
            *value.last_mut().unwrap() ^= 1;
        }
    });
    let (instance, commands) = stopped.halts(&[DAMAGED], "footer");
    stopped.others_go_on(&[DAMAGED]);
    let repairs = stopped.repair(instance, &commands);
    assert!(repairs.is_empty(), "the log is whole, so no ID jumps");
    stopped.goes_on(&[], &repairs);
}

/// Flips a bit of the digest in a footer's value, which follows version, writer, batch number and next offset.
pub fn flip_digest(key: &[u8], value: &mut [u8]) {
    const DIGEST_AT: usize = 1 + 8 + 8 + 8;
    if key == b"F" {
        value[DIGEST_AT] ^= 1;
    }
}

/// Leaves only the last value of each key in the damaged partition's state, and changes it, like a compaction of a
/// damaged log.
fn replace_state(stopped: &Stopped, change: impl Fn(&[u8], &mut [u8])) {
    let Stopped { service, admin, .. } = stopped;
    replace_state_of(DAMAGED, service, admin, change);
}

/// Like [`replace_state`], for any partition.
pub fn replace_state_of(
    partition: i32,
    service: &Service,
    admin: &Admin,
    change: impl Fn(&[u8], &mut [u8]),
) {
    let mut last = BTreeMap::new();
    for record in tail::raw(&service.bootstrap, &service.state) {
        if record.partition == partition {
            last.insert(record.key.unwrap(), record.value);
        }
    }
    let settings = admin.own_settings(&service.state);
    // Records of a compacted topic cannot be deleted.
    let mut deletable = settings.clone();
    deletable.insert("cleanup.policy".to_owned(), "delete".to_owned());
    admin.replace_settings(&service.state, &deletable);
    let end = tail::high_watermark(&service.bootstrap, &service.state, partition);
    admin.delete_records(&service.state, partition, end);
    admin.replace_settings(&service.state, &settings);

    let mut writer = Writer::new(&service.bootstrap, &service.state);
    let footer = last.remove(b"F".as_slice()).unwrap();
    for (key, value) in last.into_iter().chain([(b"F".to_vec(), footer)]) {
        let value = value.map(|mut value| {
            change(&key, &mut value);
            value
        });
        writer.send_to(Some(partition), Some(&key), value.as_deref());
    }
    writer.finish();
}

#[test]
fn a_batch_that_does_not_add_up_behind_one_that_does_is_passed_over() {
    let stopped = Stopped::new("refuse-zombie");
    let Service {
        bootstrap, state, ..
    } = &stopped.service;
    let mut writer = Writer::new(bootstrap, state);
    // The records of a zombie: an old counter, in the batch of a footer that matches no state.
    for wanted in [b'S', b'F'] {
        let records = tail::raw(bootstrap, state);
        let mut found = records
            .into_iter()
            .filter(|record| record.partition == DAMAGED);
        let record = found
            .rfind(|record| record.key.as_ref().unwrap()[0] == wanted)
            .unwrap();
        let (key, mut value) = (record.key.unwrap(), record.value.unwrap());
        flip_digest(&key, &mut value);
        if wanted == b'S' {
            let at = value.len() - 8;
            value[at..].copy_from_slice(&1_i64.to_be_bytes());
        }
        writer.send_to(Some(DAMAGED), Some(&key), Some(&value));
    }
    writer.finish();
    stopped.goes_on(&[], &[]);
}

#[test]
fn requests_deleted_ahead_of_the_checkpoint_halt_their_partition_until_it_is_repaired() {
    const LOST: usize = 3;
    let stopped = Stopped::new("refuse-deleted");
    let Service {
        bootstrap,
        requests,
        ..
    } = &stopped.service;
    let checkpoint = stopped.committed(DAMAGED);
    let mut writer = stopped.service.writer();
    (0..=LOST).for_each(|_| ask(&mut writer, DAMAGED));
    writer.finish();
    let of_damaged =
        |request: &Request| request.partition == DAMAGED && request.offset >= checkpoint;
    let unanswered: Vec<Request> = stopped
        .service
        .request_log()
        .into_iter()
        .filter(of_damaged)
        .collect();
    assert_eq!(
        unanswered.len(),
        LOST + 1,
        "after a clean stop the checkpoint covers all that was answered"
    );
    stopped
        .admin
        .delete_records(requests, DAMAGED, unanswered[LOST].offset);
    assert_eq!(
        tail::high_watermark(bootstrap, requests, DAMAGED),
        unanswered[LOST].offset + 1
    );

    let (instance, commands) = stopped.halts(&[DAMAGED], "deleted");
    stopped.others_go_on(&[DAMAGED]);
    let repairs = stopped.repair(instance, &commands);
    assert_eq!(repairs[0].from, unanswered[LOST].offset);
    stopped.goes_on(&unanswered[..LOST], &repairs);
}

#[test]
fn a_state_without_a_footer_and_a_log_without_its_beginning_go_on_above_every_id() {
    let stopped = Stopped::new("refuse-jump");
    replace_state(&stopped, flip_digest);
    let requests = &stopped.service.requests;
    let checkpoint = stopped.committed(DAMAGED);
    stopped.admin.delete_records(requests, DAMAGED, checkpoint);
    let (instance, commands) = stopped.halts(&[DAMAGED], "footer");
    let repairs = stopped.repair(instance, &commands);
    assert_eq!(
        repairs.len(),
        1,
        "what came before the log's start is not known"
    );
    assert_eq!(repairs[0].from, checkpoint);
    stopped.goes_on(&[], &repairs);
}

/// This has the result of an unclean election: the log's file is cut while its broker is down.
#[test]
fn a_truncated_request_log_halts_its_partition_until_it_is_repaired() {
    let _machine = heavy();
    let mut kafka = cluster::own_broker("refuse-truncated");
    let service = Service::on(kafka.bootstrap(), "refuse-truncated", Mode::Immediate);
    let stopped = Stopped::of(service);
    let checkpoint = stopped.committed(DAMAGED);
    kafka.stop_broker(0);
    let data = cluster::directory().join("refuse-truncated/broker-1/data");
    let kept = cut_log(&data, &format!("{}-{DAMAGED}", stopped.service.requests));
    kafka.start_broker(0);
    assert!(
        kept < checkpoint,
        "{kept} is below the checkpoint at {checkpoint}"
    );

    let (instance, commands) = stopped.halts(&[DAMAGED], "truncated");
    let repairs = stopped.repair(instance, &commands);
    assert_eq!(repairs[0].from, kept);

    let mut instance = stopped.service.start("a");
    stopped.service.wait_shared(&[&instance]);
    let mut writer = stopped.service.writer();
    (0..PARTITIONS).for_each(|partition| ask(&mut writer, partition));
    writer.finish();
    // New requests have the offsets of answered ones. The replies to the answered ones belong to another log.
    let earlier = |reply: &Reply| {
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        let (partition, offset) = cause(&body).unwrap();
        let known =
            |known: &Reply| (known.partition, known.offset) == (reply.partition, reply.offset);
        partition == DAMAGED && offset >= kept && stopped.replies.iter().any(known)
    };
    let requests = stopped.service.request_log();
    let lost = |request: &&Request| request.partition == DAMAGED && request.offset >= kept;
    let lost = stopped.requests.iter().filter(lost).count();
    assert!(lost > 0);
    let answers = stopped.replies.len() + requests.len() + lost - stopped.requests.len();
    instance.wait("to answer what is new", |_| {
        (stopped.service.all_replies().len() >= answers).then_some(())
    });
    let mut replies = stopped.service.all_replies();
    replies.retain(|reply| !earlier(reply));
    stopped
        .service
        .judge(Mode::Immediate, &requests, &replies, &repairs);
    assert_eq!(instance.sigterm_and_wait(), 0);
    kafka.stop().unwrap();
}

/// Cuts the only segment of a partition's log before its third batch from the end, and returns the new end of
/// the log. A batch begins with its base offset and the length of the rest.
pub fn cut_log(data: &std::path::Path, partition: &str) -> i64 {
    const HEAD_BYTES: usize = 8 + 4;
    const BATCHES_LOST: usize = 3;
    let path = data.join(partition).join("00000000000000000000.log");
    let bytes = std::fs::read(&path).unwrap();
    let (mut batches, mut at) = (Vec::new(), 0);
    while let Some(head) = bytes.get(at..at + HEAD_BYTES) {
        let base = i64::from_be_bytes(head[..8].try_into().unwrap());
        let length = i32::from_be_bytes(head[8..].try_into().unwrap());
        if length <= 0 {
            break;
        }
        batches.push((at, base));
        at += HEAD_BYTES + length as usize;
    }
    let (at, base) = batches[batches.len().saturating_sub(BATCHES_LOST)];
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(at as u64).unwrap();
    // This makes the broker check the files.
    std::fs::remove_file(data.join(".kafka_cleanshutdown")).unwrap();
    base
}

#[test]
fn requests_deleted_behind_the_checkpoint_are_no_reason_to_halt() {
    let stopped = Stopped::new("refuse-retention");
    stopped.admin.delete_records(
        &stopped.service.requests,
        DAMAGED,
        stopped.committed(DAMAGED),
    );
    stopped.goes_on(&[], &[]);
}

#[test]
fn a_state_topic_made_again_halts_every_partition_that_has_a_past() {
    let stopped = Stopped::new("refuse-state");
    stopped.admin.delete(&stopped.service.state);
    let all: Vec<i32> = (0..PARTITIONS).collect();
    let (instance, commands) = stopped.halts(&all, "state");
    let repairs = stopped.repair(instance, &commands);
    assert!(repairs.is_empty(), "the log is whole, so no ID jumps");
    stopped.goes_on(&[], &repairs);
}

#[test]
fn a_request_topic_made_again_halts_every_partition_that_has_a_past() {
    let stopped = Stopped::new("refuse-requests");
    let Service {
        bootstrap,
        requests,
        replies,
        ..
    } = &stopped.service;
    stopped.admin.delete(requests);
    stopped.admin.create(
        requests,
        PARTITIONS,
        &[("message.timestamp.type", "LogAppendTime")],
    );
    let ends: Vec<i64> = (0..PARTITIONS)
        .map(|p| tail::high_watermark(bootstrap, replies, p))
        .collect();

    let all: Vec<i32> = (0..PARTITIONS).collect();
    let (instance, commands) = stopped.halts(&all, "recreated");
    let repairs = stopped.repair(instance, &commands);
    let mut instance = stopped.service.start("a");
    stopped.service.wait_shared(&[&instance]);
    let mut random = Random::from_environment();
    stopped
        .service
        .preload(&Names::new(40), BEFORE, &mut random);

    // Offsets begin again at 0, so only later replies belong to this log.
    let later = |reply: &Reply| reply.offset >= ends[reply.partition as usize];
    let new = || {
        stopped
            .service
            .all_replies()
            .into_iter()
            .filter(later)
            .collect::<Vec<_>>()
    };
    instance.wait("to answer the requests of the new topic", |_| {
        (new().len() >= BEFORE as usize).then_some(())
    });
    stopped.service.judge(
        Mode::Immediate,
        &stopped.service.request_log(),
        &new(),
        &repairs,
    );
    assert_eq!(instance.sigterm_and_wait(), 0);
}
