//! The ledger of a name in each partition that has been its home, read as one ledger.
//!
//! The records of a name in a partition all come before those in the partition that it has moved to. So the
//! ledgers follow each other: an offset here counts on from the end of the ledger before. The first ledger, which
//! for most names is the only one, has its own offsets.

use std::cell::OnceCell;

use super::source::{Ledger, Live, Place, Raw};
use crate::core::Homes;
use crate::kafka::clients::Connection;
use crate::kafka::consumer::Flow;
use crate::kafka::error::Error;

/// The ledgers of a name, that of its first home first.
pub(crate) struct Lineage<L = Live> {
    ledgers: Vec<(i32, L)>,
    spans: OnceCell<Vec<Span>>,
}

/// The extent of one of the ledgers, as it was when the first question came. Later records are not read: they would
/// change the offsets of the ledgers behind.
#[derive(Clone, Copy, Debug)]
struct Span {
    partition: i32,
    start: i64,
    end: i64,
    /// The difference between an offset here and one in the ledger itself.
    ahead: i64,
}

/// How a range of a ledger is read.
type Reading<L> = fn(&L, i64, i64, &mut dyn FnMut(Raw<'_>) -> Flow) -> Result<(), Error>;

impl Lineage<Live> {
    /// The ledgers of a name, in a service with this list of N. They send no request yet.
    ///
    /// # Errors
    /// A configuration that the client library refuses.
    pub(crate) fn live(
        connection: &Connection,
        topic: &str,
        homes: &Homes,
        name: &str,
    ) -> Result<Lineage, Error> {
        let partitions = homes.lineage(name.as_bytes());
        let ledgers = partitions.into_iter().map(|partition| {
            let partition = i32::try_from(partition).unwrap_or(i32::MAX);
            Ok((partition, Live::new(connection, topic, partition)?))
        });
        Ok(Lineage::of(ledgers.collect::<Result<_, Error>>()?))
    }
}

impl<L: Ledger> Lineage<L> {
    /// Of these partitions, in this order.
    pub(crate) fn of(ledgers: Vec<(i32, L)>) -> Lineage<L> {
        Lineage {
            ledgers,
            spans: OnceCell::new(),
        }
    }

    /// The present home of the name.
    pub(crate) fn home(&self) -> i32 {
        self.ledgers.last().map_or(0, |(partition, _)| *partition)
    }

    fn spans(&self) -> Result<&[Span], Error> {
        if let Some(spans) = self.spans.get() {
            return Ok(spans);
        }
        let mut spans: Vec<Span> = Vec::with_capacity(self.ledgers.len());
        for (partition, ledger) in &self.ledgers {
            let (start, end) = ledger.extent()?;
            let ahead = spans
                .last()
                .map_or(0, |before| before.end + before.ahead - start);
            spans.push(Span {
                partition: *partition,
                start,
                end,
                ahead,
            });
        }
        Ok(self.spans.get_or_init(|| spans))
    }

    fn each(
        &self,
        from: i64,
        to: i64,
        on: &mut dyn FnMut(Raw<'_>) -> Flow,
        read: Reading<L>,
    ) -> Result<(), Error> {
        let spans = self.spans()?;
        for (span, (_, ledger)) in spans.iter().zip(&self.ledgers) {
            let (from, to) = (from - span.ahead, to - span.ahead);
            let (from, to) = (from.max(span.start), to.min(span.end));
            if from >= to {
                continue;
            }
            let mut flow = Flow::Continue;
            read(ledger, from, to, &mut |raw| {
                flow = on(Raw {
                    offset: raw.offset + span.ahead,
                    ..raw
                });
                flow
            })?;
            if flow == Flow::Stop {
                break;
            }
        }
        Ok(())
    }
}

impl<L: Ledger> Ledger for Lineage<L> {
    fn extent(&self) -> Result<(i64, i64), Error> {
        let spans = self.spans()?;
        let start = spans.first().map_or(0, |span| span.start);
        let end = spans.last().map_or(0, |span| span.end + span.ahead);
        Ok((start, end))
    }

    fn read(&self, from: i64, to: i64, on: &mut dyn FnMut(Raw<'_>) -> Flow) -> Result<(), Error> {
        self.each(from, to, on, L::read)
    }

    fn scan(&self, from: i64, to: i64, on: &mut dyn FnMut(Raw<'_>) -> Flow) -> Result<(), Error> {
        self.each(from, to, on, L::scan)
    }

    /// The first ledger that has a record of that time or later begins the range. It may hold earlier records of
    /// the ledgers behind it.
    fn at_time(&self, time_ms: i64) -> Result<i64, Error> {
        for (span, (_, ledger)) in self.spans()?.iter().zip(&self.ledgers) {
            let found = ledger.at_time(time_ms)?.max(span.start);
            if found < span.end {
                return Ok(found + span.ahead);
            }
        }
        Ok(self.extent()?.1)
    }

    fn place(&self, offset: i64) -> Place {
        let spans = self.spans.get().map_or(&[][..], Vec::as_slice);
        let holds = |span: &&Span| offset < span.end + span.ahead;
        let span = spans.iter().find(holds).or(spans.last());
        Place {
            partition: span.map_or_else(|| self.home(), |span| span.partition),
            offset: offset - span.map_or(0, |span| span.ahead),
        }
    }

    fn partitions(&self) -> Vec<i32> {
        let partitions = self.ledgers.iter().map(|(partition, _)| *partition);
        partitions.collect()
    }

    fn gone(&self) -> Vec<Place> {
        let spans = self.spans.get().into_iter().flatten();
        let cut = spans.filter(|span| span.start > 0);
        let place = cut.map(|span| Place {
            partition: span.partition,
            offset: span.start,
        });
        place.collect()
    }
}
