//! Writes log lines to standard error on a thread of its own. So no other thread waits for a terminal, a pipe
//! or a disk, and a failed write loses this line and nothing else.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Most lines that wait to be written, about a megabyte. A rebalance of hundreds of partitions logs fewer at
/// once, and a stalled reader must not fill the memory.
const LINES_MAX: usize = 4_096;

/// How often [`Sink::flush`] checks whether all lines are written.
const FLUSH_LOOK: Duration = Duration::from_millis(1);

/// The lines of a log; clones share the thread that writes them.
#[derive(Clone)]
pub(super) struct Sink {
    lines: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    taken: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
}

impl Sink {
    /// Starts the thread. If the process may not start another thread, every line is lost.
    pub(super) fn start(to: impl Write + Send + 'static) -> Sink {
        let (lines, waiting) = sync_channel(LINES_MAX);
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let started = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(to, &waiting, &shared));
        // The receiver was dropped with the closure, so each line counts as lost.
        drop(started);
        Sink { lines, counts }
    }

    /// Waits until the lines so far are written, or until `deadline`.
    pub(super) fn flush(&self, deadline: Duration) {
        let until = Instant::now() + deadline;
        let taken = self.counts.taken.load(Ordering::Acquire);
        while self.counts.written.load(Ordering::Acquire) < taken && Instant::now() < until {
            thread::sleep(FLUSH_LOOK);
        }
    }

    /// Number of lines that were lost.
    pub(super) fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }
}

fn write_all(mut to: impl Write, lines: &Receiver<Vec<u8>>, counts: &Counts) {
    for line in lines {
        if to.write_all(&line).and_then(|()| to.flush()).is_err() {
            counts.lost.fetch_add(1, Ordering::Relaxed);
        }
        counts.written.fetch_add(1, Ordering::Release);
    }
}

impl Write for &Sink {
    /// The library writes an event in one call, so each call is one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // The line is counted first: the thread may finish it before this thread goes on.
        self.counts.taken.fetch_add(1, Ordering::Release);
        if self.lines.try_send(line.to_vec()).is_err() {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
            self.counts.written.fetch_add(1, Ordering::Release);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = &'a Sink;

    fn make_writer(&'a self) -> &'a Sink {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_no_failure() {
        let sink = Sink::start(Full);
        for _ in 0..3 {
            (&sink).write_all(b"a line\n").unwrap();
        }
        sink.flush(LONG);
        assert_eq!(sink.lost(), 3);
    }

    /// A reader that blocks until the test releases it.
    struct Stopped {
        go_on: Receiver<()>,
        seen: Arc<Mutex<usize>>,
    }

    impl Write for Stopped {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // After its sender is dropped, it takes everything.
            let _ = self.go_on.recv();
            *self.seen.lock().unwrap() += 1;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_makes_nobody_wait() {
        let (go_on, receiver) = sync_channel(0);
        let seen = Arc::new(Mutex::new(0));
        let sink = Sink::start(Stopped {
            go_on: receiver,
            seen: Arc::clone(&seen),
        });
        let lines = LINES_MAX + 10;
        for _ in 0..lines {
            (&sink).write_all(b"a line\n").unwrap();
        }
        // One line is being written.
        let lost = usize::try_from(sink.lost()).unwrap();
        assert!((9..=10).contains(&lost), "{lost}");
        drop(go_on);
        sink.flush(LONG);
        assert_eq!(*seen.lock().unwrap(), lines - lost);
    }
}
