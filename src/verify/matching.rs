//! Matches each request with its replies: I3, I4, I5, and whether a reply has the content that the log
//! requires.

use std::io;

use super::body::Gives;
use super::code;
use super::facts::{self, Due, Given, Kind, Layout, NO_SEQUENCE, Reply};
use super::partition::Begin;
use super::progress::Progress;
use super::report::{Invariant, Report};
use super::spill::Spill;

/// The data to match, and where the IDs in replies go.
pub(super) struct Matching<'a> {
    pub layout: &'a Layout,
    /// The reply topics by number.
    pub topics: &'a [String],
    /// The begin of each partition.
    pub begins: &'a [Begin],
    pub given: &'a mut Spill<Given>,
    pub report: &'a mut Report,
}

impl Matching<'_> {
    /// Matches all requests, range by range.
    pub(super) fn all(
        &mut self,
        dues: &mut Spill<Due>,
        replies: &mut Spill<Reply>,
        progress: &mut Progress,
    ) -> io::Result<()> {
        progress.stage("matching requests and replies", dues.len());
        let mut done = 0;
        for range in 0..dues.ranges() {
            let turns = dues.turns(range).max(replies.turns(range));
            for turn in 0..turns {
                let mut dues = dues.load(range, turn, turns)?;
                let mut replies = replies.load(range, turn, turns)?;
                // Strays come before the answer from home, in the order in which they were forwarded.
                dues.sort_unstable_by_key(|due| {
                    (due.place, due.kind != Kind::Stray, due.hops, due.home)
                });
                replies.sort_unstable_by_key(|reply| {
                    (reply.place, reply.topic, reply.partition, reply.offset)
                });
                self.range(&dues, &replies, |steps| {
                    done += steps;
                    progress.reached(done);
                })?;
            }
        }
        Ok(())
    }

    fn range(
        &mut self,
        mut dues: &[Due],
        mut replies: &[Reply],
        mut step: impl FnMut(u64),
    ) -> io::Result<()> {
        loop {
            let next = [
                dues.first().map(|d| d.place),
                replies.first().map(|r| r.place),
            ];
            let Some(place) = next.into_iter().flatten().min() else {
                return Ok(());
            };
            let of_place = dues.iter().take_while(|due| due.place == place).count();
            let (due, later) = dues.split_at(of_place);
            let of_place = replies
                .iter()
                .take_while(|reply| reply.place == place)
                .count();
            let (reply, later_replies) = replies.split_at(of_place);
            (dues, replies) = (later, later_replies);
            step(due.len() as u64);
            self.place(place, due, reply)?;
        }
    }

    /// Matches all facts about one record of a client.
    fn place(&mut self, place: u64, dues: &[Due], replies: &[Reply]) -> io::Result<()> {
        let at = self.layout.at(place);
        let stray = dues.iter().rfind(|due| due.kind == Kind::Stray);
        let mut answers = dues.iter().filter(|due| due.kind != Kind::Stray);
        let due = answers.next();
        for _ in answers {
            self.report.wrong(Invariant::OneGrant, at, || {
                "the log holds two answers to this one record: it was forwarded home and counted \
                 where it lies, or counted twice at home"
                    .to_owned()
            });
        }
        self.report.counts.replies += replies.len() as u64;
        self.report.counts.replies_again += replies.len().saturating_sub(1) as u64;
        let Some(due) = due else {
            if let Some(stray) = stray {
                self.lost_stray(at, stray);
            }
            // The answer lies in a part of the home partition that is not checked.
            if stray.is_some_and(|stray| self.home_is_later(stray)) {
                return Ok(());
            }
            for reply in replies {
                self.report.wrong(Invariant::Answered, at, || {
                    let reply = self
                        .topics
                        .get(usize::from(reply.topic))
                        .map_or_else(String::new, |topic| {
                            format!("{topic}-{} at {}", reply.partition, reply.offset)
                        });
                    match stray {
                        Some(_) => format!("the reply in {reply} answers a stray that is not home"),
                        None => format!(
                            "the reply in {reply} answers a record that is no committed request"
                        ),
                    }
                });
            }
            return Ok(());
        };
        if stray.is_none() && due.home != due.place {
            self.report.wrong(Invariant::Answered, at, || {
                "home holds a forward of this record, which is no stray".to_owned()
            });
        }
        self.report.checked(Invariant::Answered);
        if due.kind == Kind::Again {
            self.report.checked(Invariant::OneGrant);
        }
        self.stable(at, due, replies);
        for reply in replies {
            self.says_what_the_log_says(at, due, reply);
        }
        if replies.is_empty() {
            self.missing(at, due);
        }
        self.given(due, replies)
    }

    fn lost_stray(&mut self, at: (u32, i64), stray: &Due) {
        if !stray.is(facts::REQUIRED) {
            return;
        }
        if self.home_is_later(stray) {
            self.report.counts.strays_outside += 1;
            return;
        }
        self.report.checked(Invariant::Answered);
        self.report.wrong(Invariant::Answered, at, || {
            let home = stray.sequence;
            let covered = if stray.is(facts::COVERED) {
                "though a checkpoint covers it"
            } else {
                "and no checkpoint covers it yet: is the service running?"
            };
            format!("the stray was not forwarded to its home, partition {home}, {covered}")
        });
    }

    fn home_is_later(&self, stray: &Due) -> bool {
        // The record that was forwarded last, which is the client's own after one hop.
        let (source, offset) = self.layout.at(stray.home);
        let home = usize::try_from(stray.sequence).ok();
        let begin = home.and_then(|home| self.begins.get(home));
        begin.is_some_and(|begin| begin.is_after_stray(source, offset))
    }

    fn missing(&mut self, at: (u32, i64), due: &Due) {
        if !due.is(facts::REQUIRED) {
            return;
        }
        if due.is(facts::CUT) {
            self.report.counts.replies_gone += 1;
            return;
        }
        self.report.wrong(Invariant::Answered, at, || {
            let mut words = format!("no reply ({} due)", words_due(due));
            words.push_str(if due.is(facts::COVERED) {
                ", though a checkpoint covers it"
            } else {
                ", and no checkpoint covers it yet: is the service running?"
            });
            if due.is(facts::NAMES_TOPIC) {
                words.push_str("; its headers name a reply topic: is it among --replies?");
            }
            words
        });
    }

    fn stable(&mut self, at: (u32, i64), due: &Due, replies: &[Reply]) {
        let [first, others @ ..] = replies else {
            return;
        };
        if others.is_empty() {
            return;
        }
        self.report.checked(Invariant::Stable);
        let other = others.iter().find(|reply| reply.hash != first.hash);
        if let Some(other) = other.filter(|_| !due.is(facts::RELIVED)) {
            self.report.wrong(Invariant::Stable, at, || {
                format!(
                    "{} and {} have other bodies",
                    words_reply(self.topics, first),
                    words_reply(self.topics, other)
                )
            });
        }
    }

    fn says_what_the_log_says(&mut self, at: (u32, i64), due: &Due, reply: &Reply) {
        self.report.checked(Invariant::Contract);
        if reply.hash == due.hash && reply.key == due.key {
            return;
        }
        if due.is(facts::RELIVED) {
            return;
        }
        let words = || {
            let reply_words = words_reply(self.topics, reply);
            if reply.hash == due.hash {
                format!("{reply_words} has another key than the request")
            } else {
                format!("{reply_words}, the log says {}", words_due(due))
            }
        };
        let ids = Gives::Ids {
            first: due.first,
            last: due.last(),
            increment: due.increment,
        };
        if due.kind == Kind::Again && matches!(reply.gives, Gives::Ids { .. }) && reply.gives != ids
        {
            self.report.wrong(Invariant::OneGrant, at, words);
        }
        self.report.wrong(Invariant::Contract, at, words);
    }

    /// Stores the IDs in the first reply, for I1 and I2. IDs without a reply count as given too.
    fn given(&mut self, due: &Due, replies: &[Reply]) -> io::Result<()> {
        if due.sequence == NO_SEQUENCE || due.kind == Kind::Again || due.is(facts::RELIVED) {
            return Ok(());
        }
        let mut given = Given {
            home: due.home,
            place: due.place,
            sequence: due.sequence,
            run: due.run,
            life: due.life,
            first: due.first,
            last: due.last(),
            increment: due.increment,
            first_due: due.first,
            unseen: true,
        };
        match replies.first().map(|reply| reply.gives) {
            None if due.kind == Kind::Granted => {}
            Some(Gives::Ids {
                first,
                last,
                increment,
            }) => {
                given.first = first;
                given.last = last;
                given.increment = increment;
                given.unseen = false;
                if due.kind != Kind::Granted {
                    // No answer was due.
                    given.first_due = first;
                }
            }
            _ => return Ok(()),
        }
        self.given.push(&given)
    }
}

fn words_due(due: &Due) -> String {
    match due.kind {
        Kind::Granted => format!("{} to {}", due.first, due.last()),
        Kind::Again => format!("{} to {} again", due.first, due.last()),
        Kind::Other => "a description".to_owned(),
        Kind::Refused(code) => code::word_at(code).to_owned(),
        Kind::Stray => "a forward".to_owned(),
    }
}

fn words_reply(topics: &[String], reply: &Reply) -> String {
    let topic = topics
        .get(usize::from(reply.topic))
        .map_or("", |topic| topic);
    let gives = match reply.gives {
        Gives::Ids { first, last, .. } => format!("gives {first} to {last}"),
        Gives::Error(code) => format!("says {}", code::word_at(code)),
        Gives::Other => "says something else".to_owned(),
    };
    format!(
        "the reply in {topic}-{} at {} {gives}",
        reply.partition, reply.offset
    )
}
