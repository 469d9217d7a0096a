//! The table of open connections. It decides which connection has to make room.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use tokio::time::Instant;

/// All open connections. Clones share the table.
#[derive(Clone, Default)]
pub(super) struct Open(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    next: u64,
    slots: BTreeMap<u64, Arc<Slot>>,
}

/// An open connection in the table.
pub(crate) struct Slot {
    number: u64,
    peer: IpAddr,
    state: Mutex<ConnectionState>,
}

struct ConnectionState {
    /// True while a request of the connection is being answered.
    answering: bool,
    /// The time since which the connection waits for its client: its accept, or the end of its last answer.
    since: Instant,
    closed: bool,
    waker: Option<Waker>,
}

impl Open {
    /// Adds a connection of this peer. If the limit is reached, the connection that has waited longest for its
    /// client makes room. None when all of them are being answered.
    pub(super) fn admit(&self, peer: IpAddr, per_peer: usize, all: usize) -> Option<Arc<Slot>> {
        let mut table = lock(&self.0);
        table.make_room(per_peer, |slot| slot.peer == peer)?;
        table.make_room(all, |_| true)?;
        let number = table.next;
        table.next += 1;
        let slot = Arc::new(Slot {
            number,
            peer,
            state: Mutex::new(ConnectionState {
                answering: false,
                since: Instant::now(),
                closed: false,
                waker: None,
            }),
        });
        table.slots.insert(number, Arc::clone(&slot));
        Some(slot)
    }

    pub(super) fn remove(&self, slot: &Slot) {
        lock(&self.0).slots.remove(&slot.number);
    }
}

impl Table {
    fn make_room(&mut self, max: usize, of: impl Fn(&Slot) -> bool) -> Option<()> {
        let slots = || self.slots.values().filter(|slot| of(slot));
        if slots().count() < max {
            return Some(());
        }
        let waiting = slots().filter_map(|slot| Some((slot.waiting_since()?, slot.number)));
        let (_, oldest) = waiting.min()?;
        if let Some(slot) = self.slots.remove(&oldest) {
            slot.close();
        }
        Some(())
    }
}

impl Slot {
    /// The time since which the connection waits for its client. None while a request of it is being answered.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let state = lock(&self.state);
        (!state.answering).then_some(state.since)
    }

    /// True when the connection must end. Otherwise the caller is woken when it must.
    pub(super) fn is_closed(&self, cx: &Context<'_>) -> bool {
        let mut state = lock(&self.state);
        state.waker = Some(cx.waker().clone());
        state.closed
    }

    /// Notes that the client has read a part of an answer.
    pub(super) fn wrote(&self) {
        lock(&self.state).since = Instant::now();
    }

    /// Marks the connection as being answered until the guard is dropped.
    pub(crate) fn answer(&self) -> Answering<'_> {
        lock(&self.state).answering = true;
        Answering(self)
    }

    fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

pub(crate) struct Answering<'a>(&'a Slot);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.answering = false;
        state.since = Instant::now();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn closed(slot: &Slot) -> bool {
        lock(&slot.state).closed
    }

    #[test]
    fn the_connection_that_waits_for_longest_makes_room_first_among_its_peers() {
        let open = Open::default();
        let other = open.admit(B, 2, 3).unwrap();
        let first = open.admit(A, 2, 3).unwrap();
        let second = open.admit(A, 2, 3).unwrap();
        first.wrote();
        // Of A's two connections, the second has waited longer now. B's has waited longest, but is not A's.
        let third = open.admit(A, 2, 3).unwrap();
        assert!(closed(&second) && !closed(&first) && !closed(&other));
        let fourth = open.admit(B, 2, 3).unwrap();
        assert!(closed(&other) && !closed(&first) && !closed(&third) && !closed(&fourth));
    }

    #[test]
    fn one_that_is_being_answered_is_not_closed() {
        let open = Open::default();
        let first = open.admit(A, 2, 2).unwrap();
        let answering = first.answer();
        let second = open.admit(A, 2, 2).unwrap();
        let third = open.admit(A, 2, 2).unwrap();
        assert!(closed(&second) && !closed(&first));
        let busy = third.answer();
        assert!(open.admit(A, 2, 2).is_none(), "both are being answered");
        assert!(open.admit(B, 2, 2).is_none(), "so are all there may be");
        drop(answering);
        assert!(open.admit(A, 2, 2).is_some());
        assert!(closed(&first));
        drop(busy);
        open.remove(&third);
        assert!(open.admit(B, 2, 2).is_some());
        assert!(!closed(&third), "it had gone by itself");
    }
}
