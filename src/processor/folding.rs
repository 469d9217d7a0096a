//! A request log on its way into the fold.
//!
//! The owner and a repair fold by the same step, so a repair gives the IDs that the owner gave.

use super::halt::Halt;
use super::partition::Record;
use crate::core::digest::fingerprint;
use crate::core::fold::{Answer, At};
use crate::core::ledger::Ledger;
use crate::core::link::{Link, LinkKey};
use crate::core::rescale::{OPERATOR, Order};
use crate::core::{Fold, NextOffset, Request};
use crate::wire::rescale;
use crate::wire::state::Fingerprint;

/// The counters of one partition, and the position in its log up to which they are folded.
#[derive(Clone, Debug)]
pub(crate) struct Folding {
    pub(crate) partition: u32,
    pub(crate) link_key: LinkKey,
    pub(crate) fold: Fold,
    /// The offset of the next record to fold.
    pub(crate) next: NextOffset,
    /// The last record that was folded.
    pub(crate) last_applied: Option<Fingerprint>,
    /// Records with a link that this service's key did not make for this partition: forged, copied, or made with
    /// a key that is lost.
    pub(crate) unknown_links: u64,
}

impl Folding {
    /// Folds a record. Returns its answer, and its link if another partition has forwarded it here.
    ///
    /// # Errors
    /// Why no more records may be folded. A record with a link that does not count has not moved the fold: it is
    /// the first one that is read when the partition goes on.
    // The answer and the halt are large. As a call of its own this would copy one of them for each record: 5 %.
    #[inline(always)]
    pub(super) fn record(
        &mut self,
        record: &Record<'_>,
        request: &Request<'_>,
        ledger: &mut dyn Ledger,
    ) -> Result<(Answer, Option<Link>), Halt> {
        let at = At {
            partition: self.partition,
            leader_epoch: record.leader_epoch,
            offset: record.offset,
            timestamp: record.timestamp,
        };
        let link = self.link(record);
        let order = link.and_then(|link| Some((link, self.order(record)?)));
        let answer = match order {
            Some((link, order)) => self.fold.rescale(at, link, order),
            None => {
                // An operator's link is on no chain. It proves nothing but who gives an order.
                let link = link.filter(|link| link.partition != OPERATOR);
                self.fold.apply(at, link, request, ledger)
            }
        };
        let here = NextOffset(record.offset.0);
        match answer {
            Answer::Broken { link, accepted } => {
                return Err(Halt::LinkBroken {
                    source: link.partition,
                    offset: link.position.offset,
                    previous: link.previous.offset,
                    accepted: accepted.offset,
                    at: here,
                });
            }
            Answer::TooManyHops { home, link } => {
                return Err(Halt::TooManyHops {
                    origin: link.origin,
                    home,
                    at: here,
                });
            }
            Answer::Unfit { source, order } => {
                return Err(Halt::OrderUnfit {
                    source,
                    order,
                    homes: Box::new(self.fold.scalars().homes),
                    at: here,
                });
            }
            Answer::Adopts { .. } => return Ok((answer, link)),
            _ => {}
        }
        self.sound()?;
        self.next = NextOffset::after(record.offset);
        self.last_applied = Some(Fingerprint {
            offset: record.offset,
            leader_epoch: record.leader_epoch,
            hash: fingerprint(record.key, record.value, record.timestamp.0),
        });
        Ok((answer, link))
    }

    /// The order in a record with a valid link.
    #[cold]
    fn order(&self, record: &Record<'_>) -> Option<Order> {
        rescale::decode(record.key, record.value)
    }

    /// Checks that the invariants of the fold hold.
    ///
    /// # Errors
    /// The invariant that does not hold.
    #[inline]
    pub(super) fn sound(&self) -> Result<(), Halt> {
        match self.fold.broken() {
            None => Ok(()),
            Some(invariant) => Err(Halt::InvariantBroken {
                invariant,
                at: self.next,
            }),
        }
    }

    /// The link of a record that another partition forwarded here, if the link is valid. A link that was copied
    /// from another partition is not.
    #[inline]
    fn link(&mut self, record: &Record<'_>) -> Option<Link> {
        let (header, name) = (record.headers.forwarded?, record.key?);
        let link = Link::verified(header, &self.link_key, self.partition, name, record.value);
        self.unknown_links += u64::from(link.is_none());
        link
    }
}
