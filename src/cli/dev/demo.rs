//! The demo: sends requests at a steady rate, and prints each answer in a line that a person can follow.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::cli::Error;
use crate::cli::reply::Reply;
use crate::kafka::admin::Cluster;
use crate::kafka::clients::Connection;
use crate::kafka::tools::requester::{Outcome, Request, Requester, Route};
use crate::service::settings::Settings;

/// The suggested commands use other names, so that their sequences belong to the user alone.
const NAMES: [&str; 3] = ["shipments", "customers", "parcels"];
/// Counts cycle from 1 to this.
const COUNT_MAX: u64 = 3;
/// The interval between two reports of the rate.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Highest number of answers printed in a second. The others are only counted.
const LINES_PER_S_MAX: u32 = 20;
/// After this long a request is reported as unanswered.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Longest wait for an answer, so that a stop is noticed soon.
const STEP_MAX: Duration = Duration::from_millis(50);
/// Pause after a failed read of replies.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// A client that asks and prints the answers.
pub(super) struct Demo {
    requester: Requester,
    interval: Duration,
    next_at: Instant,
    asked: u64,
    /// Shortest time between two printed answers. Zero when every answer is printed.
    quiet: Duration,
    quiet_until: Instant,
    interval_began: Instant,
    seen: Seen,
}

/// The answers since the last report.
#[derive(Debug, Default)]
struct Seen {
    answers: u64,
    ids: i64,
    latencies_us: Vec<u128>,
}

impl Demo {
    /// Creates a demo with `rate` requests a second.
    pub(super) fn new(
        connection: &Connection,
        settings: &Settings,
        cluster: &Cluster,
        rate: u32,
    ) -> Result<Demo, Error> {
        let partitions = |topic: &str| cluster.topics.get(topic).map_or(1, |t| t.partitions);
        let route = Route {
            request_partitions: partitions(&settings.topics.requests),
            requests: settings.topics.requests.clone(),
            reply_partitions: partitions(&settings.topics.replies),
            replies: settings.topics.replies.clone(),
        };
        let now = Instant::now();
        Ok(Demo {
            requester: Requester::new(connection, route, NAMES, ANSWER_MAX)?,
            interval: Duration::from_secs(1) / rate.max(1),
            next_at: now,
            asked: 0,
            quiet: match rate {
                ..=LINES_PER_S_MAX => Duration::ZERO,
                _ => Duration::from_secs(1) / LINES_PER_S_MAX,
            },
            quiet_until: now,
            interval_began: now,
            seen: Seen::default(),
        })
    }

    /// Does the work that is due, and returns quickly.
    pub(super) fn step(&mut self, out: &mut impl Write) -> Result<(), Error> {
        self.ask(out)?;
        let wait = self.next_at.saturating_duration_since(Instant::now());
        match self.requester.next(wait.min(STEP_MAX)) {
            Ok(Some(outcome)) => self.show(&outcome, out)?,
            Ok(None) => {}
            Err(error) => {
                writeln!(out, "demo: {error}")?;
                out.flush()?;
                std::thread::sleep(TROUBLE_PAUSE);
            }
        }
        for request in self.requester.give_up(ANSWER_MAX) {
            writeln!(out, "{}", unanswered(&request))?;
        }
        if self.interval_began.elapsed() >= REPORT_INTERVAL {
            let seen = std::mem::take(&mut self.seen);
            writeln!(out, "{}", seen.report(self.interval_began.elapsed()))?;
            self.interval_began = Instant::now();
        }
        Ok(out.flush()?)
    }

    fn ask(&mut self, out: &mut impl Write) -> Result<(), Error> {
        while self.next_at <= Instant::now() {
            let (name, value) = nth(self.asked);
            self.asked += 1;
            self.next_at += self.interval;
            if let Err(error) = self.requester.send(name, value.as_bytes()) {
                writeln!(out, "{name:<10}  {error}")?;
                // Requests that could not be sent are not sent later.
                self.next_at = Instant::now() + self.interval;
            }
        }
        Ok(())
    }

    fn show(&mut self, outcome: &Outcome, out: &mut impl Write) -> Result<(), Error> {
        let latency = outcome.request.at.elapsed();
        let ids = ids(outcome);
        if let Ok((first, last)) = ids {
            self.seen.answers += 1;
            self.seen.ids += last - first + 1;
            self.seen.latencies_us.push(latency.as_micros());
            // At a high rate only some answers are printed. Errors always are.
            if Instant::now() < self.quiet_until {
                return Ok(());
            }
            self.quiet_until = Instant::now() + self.quiet;
        }
        writeln!(out, "{}", line(&outcome.request, &ids, latency))?;
        Ok(())
    }
}

/// The `n`th request: names and counts in turn, so that each name gets each count.
fn nth(n: u64) -> (&'static str, String) {
    let names = NAMES.len() as u64;
    let name = NAMES[usize::try_from(n % names).unwrap_or(0)];
    match (n / names) % COUNT_MAX + 1 {
        1 => (name, String::new()),
        count => (name, count.to_string()),
    }
}

/// First and last ID, or the error.
fn ids(outcome: &Outcome) -> Result<(i64, i64), String> {
    let body = outcome.reply.as_ref().map_err(ToString::to_string)?;
    let reply: Reply = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    match reply {
        Reply {
            first: Some(first),
            last: Some(last),
            ..
        } => Ok((first, last)),
        Reply {
            error: Some(error), ..
        } => Err(format!("{}: {}", error.code, error.message)),
        _ => Err("neither IDs nor an error".to_owned()),
    }
}

fn line(request: &Request, ids: &Result<(i64, i64), String>, latency: Duration) -> String {
    let name = &request.name;
    let ids = match ids {
        Ok((first, last)) if first == last => first.to_string(),
        Ok((first, last)) => format!("{first}..{last}"),
        Err(error) => return format!("{name:<10}  {error}{}", place(request)),
    };
    let (partition, offset) = request.place.unwrap_or((-1, -1));
    let ms = latency.as_secs_f64() * 1e3;
    format!("{name:<10}  {ids:<16}  partition {partition:<3}  offset {offset:<9}  {ms:>7.1} ms")
}

fn place(request: &Request) -> String {
    request
        .place
        .map_or_else(String::new, |(partition, offset)| {
            format!(" (partition {partition}, offset {offset})")
        })
}

fn unanswered(request: &Request) -> String {
    let (name, waited_s) = (&request.name, ANSWER_MAX.as_secs());
    format!(
        "{name:<10}  no answer within {waited_s} s{}",
        place(request)
    )
}

impl Seen {
    fn report(mut self, elapsed: Duration) -> String {
        self.latencies_us.sort_unstable();
        let latencies = &self.latencies_us;
        let ms = |index: usize| latencies.get(index).map_or(0.0, |us| *us as f64 / 1e3);
        let (median, most) = (
            ms(latencies.len() / 2),
            ms(latencies.len().saturating_sub(1)),
        );
        let rate = self.answers as f64 / elapsed.as_secs_f64().max(1e-9);
        format!(
            "-- {} answers with {} IDs in {:.0} s: {rate:.1} a second, latency median {median:.1} ms, \
             longest {most:.1} ms",
            self.answers,
            self.ids,
            elapsed.as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(place: Option<(i32, i64)>) -> Request {
        Request {
            number: 0,
            name: "parcels".to_owned(),
            at: Instant::now(),
            place,
        }
    }

    #[test]
    fn every_name_asks_for_every_count() {
        let mut asked: Vec<_> = (0..9).map(nth).collect();
        asked.sort();
        asked.dedup();
        assert_eq!(asked.len(), 9);
        assert_eq!(nth(0), ("shipments", String::new()));
        assert_eq!(nth(8), ("parcels", "3".to_owned()));
    }

    #[test]
    fn answers_stand_below_each_other_and_errors_say_where() {
        let request = request(Some((2, 88)));
        let one = line(&request, &Ok((17, 17)), Duration::from_micros(940));
        let three = line(&request, &Ok((18, 20)), Duration::from_micros(12_000));
        assert_eq!(
            three,
            "parcels     18..20            partition 2    offset 88            12.0 ms"
        );
        assert_eq!(one.len(), three.len());
        let error = line(&request, &Err("exhausted: none".to_owned()), Duration::ZERO);
        assert_eq!(
            error,
            "parcels     exhausted: none (partition 2, offset 88)"
        );
    }

    #[test]
    fn the_report_says_what_came() {
        let seen = Seen {
            answers: 3,
            ids: 6,
            latencies_us: vec![3_000, 1_000, 2_000],
        };
        assert_eq!(
            seen.report(Duration::from_secs(5)),
            "-- 3 answers with 6 IDs in 5 s: 0.6 a second, latency median 2.0 ms, longest 3.0 ms"
        );
        assert!(
            Seen::default()
                .report(Duration::from_secs(5))
                .starts_with("-- 0 answers")
        );
    }
}
