//! Ledger records that wait for their transaction, and the pages that carry them.
//!
//! A page saves what each Kafka record costs beside its text: its key, its place in the queues of the client
//! and the broker, and a hash. A full page goes before a page that was begun earlier. So the records of a busy
//! ledger stay near the order of their grants, and a search finds the next record of its sequence nearby.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::encode;
use crate::core::ledger::{Hash, Ledger, Line};
use crate::wire::reply::{number, text};

/// Most records of one page. With eight, the cost of a Kafka record beside its text is small compared with the
/// text. A search reads whole pages of other sequences, and still reads little. In bytes a page is far below
/// the size limit of a topic: no record has more than a few texts of 255 bytes.
pub const PAGE_RECORDS_MAX: usize = 8;

/// Ledger records that wait for their transaction, in log order.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    lines: Vec<Held>,
}

/// One record. Its name and text are stored side by side, from here to the start of the next one.
#[derive(Clone, Copy, Debug)]
struct Held {
    start: usize,
    name: usize,
    end: usize,
    record: u64,
    previous: Hash,
}

impl Ledger for Lines {
    fn write(&mut self, line: &Line<'_>) -> Hash {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line.sequence.as_bytes());
        let begin = self.bytes.len();
        encode(&mut self.bytes, line);
        self.lines.push(Held {
            start,
            name: begin - start,
            end: self.bytes.len(),
            record: line.record,
            previous: line.previous,
        });
        Hash::of(&line.previous, &self.bytes[begin..])
    }
}

/// The lines of one page.
struct Page {
    lines: [usize; PAGE_RECORDS_MAX],
    count: usize,
}

impl Lines {
    /// Calls `on` with the key and the value of each page, in the order in which they must be written.
    pub fn each_page(&self, mut on: impl FnMut(&[u8], &[u8])) {
        let mut value = Vec::new();
        let mut write = |page: &mut Page| {
            value.clear();
            if let Some(key) = self.write_page(page, &mut value) {
                on(key, &value);
            }
            page.count = 0;
        };
        let mut pages: Vec<Page> = Vec::new();
        // The current page of each name. A collision of names costs time and nothing else.
        let mut named: HashTable<usize> = HashTable::new();
        for (index, line) in self.lines.iter().enumerate() {
            let name = self.name(line);
            let name_of = |page: &usize| self.name(&self.lines[pages[*page].lines[0]]);
            let hash = |page: &usize| xxh3_64(name_of(page));
            let found = named
                .entry(xxh3_64(name), |page| name_of(page) == name, hash)
                .or_insert(pages.len());
            let place = *found.get();
            if place == pages.len() {
                pages.push(Page {
                    lines: [index; PAGE_RECORDS_MAX],
                    count: 0,
                });
            }
            let page = &mut pages[place];
            // A chain may begin again.
            let follows = |last: &Held| last.record.checked_add(1) == Some(line.record);
            let last = page.count.checked_sub(1);
            let last = last.map(|last| &self.lines[page.lines[last]]);
            if !last.is_none_or(follows) {
                write(page);
            }
            page.lines[page.count] = index;
            page.count += 1;
            if page.count == PAGE_RECORDS_MAX {
                write(page);
            }
        }
        pages.retain(|page| page.count > 0);
        pages.sort_unstable_by_key(|page| page.lines[0]);
        pages.iter_mut().for_each(write);
    }

    /// Appends a page's value and returns its key.
    fn write_page(&self, page: &Page, value: &mut Vec<u8>) -> Option<&[u8]> {
        let lines = &page.lines[..page.count];
        let first = &self.lines[*lines.first()?];
        let name = self.name(first);
        value.extend_from_slice(b"{\"sequence\":");
        // The bytes were valid UTF-8 when they were written.
        text(value, std::str::from_utf8(name).unwrap_or_default());
        number(value, b",\"record\":", first.record);
        value.extend_from_slice(b",\"previous\":\"");
        let previous = blake3::Hash::from_bytes(first.previous.0).to_hex();
        value.extend_from_slice(previous.as_bytes());
        value.extend_from_slice(b"\",\"records\":[");
        for (place, line) in lines.iter().map(|line| &self.lines[*line]).enumerate() {
            if place > 0 {
                value.push(b',');
            }
            value.extend_from_slice(&self.bytes[line.start + line.name..line.end]);
        }
        value.extend_from_slice(b"]}");
        Some(name)
    }

    fn name(&self, line: &Held) -> &[u8] {
        &self.bytes[line.start..line.start + line.name]
    }

    /// Takes all lines, and leaves room for as many again. Growing from nothing would copy them several times.
    pub fn take(&mut self) -> Lines {
        let room = Lines {
            bytes: Vec::with_capacity(self.bytes.len()),
            lines: Vec::with_capacity(self.lines.len()),
        };
        std::mem::replace(self, room)
    }

    /// Puts the lines of an aborted transaction back in front of the later ones.
    pub fn prepend(&mut self, mut earlier: Lines) {
        let by = earlier.bytes.len();
        earlier.lines.extend(self.lines.iter().map(|line| Held {
            start: line.start + by,
            end: line.end + by,
            ..*line
        }));
        earlier.bytes.extend_from_slice(&self.bytes);
        *self = earlier;
    }

    /// Number of lines that wait.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// True when no line waits.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Bytes of the texts and names that wait.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::core::Grant;
    use crate::core::ledger::Event;
    use crate::wire::ledger::tests::line;
    use crate::wire::ledger::{decode, hex};

    /// The chains of some sequences, for tests.
    #[derive(Default)]
    struct Chains {
        lines: Lines,
        ends: BTreeMap<&'static str, (u64, Hash)>,
    }

    impl Chains {
        fn grant(&mut self, sequence: &'static str) {
            let (records, previous) = *self.ends.entry(sequence).or_insert((0, Hash::NONE));
            let first = i64::try_from(records).unwrap() + 1;
            let hash = self.lines.write(&Line {
                sequence,
                record: records + 1,
                previous,
                ..line(Event::Granted(Grant {
                    first,
                    last: first,
                    count: 1,
                    increment: 1,
                }))
            });
            self.ends.insert(sequence, (records + 1, hash));
        }
    }

    /// For each page: the key, the number of its first record, and the number of its records.
    fn pages(lines: &Lines) -> Vec<(String, u64, usize)> {
        let mut pages = Vec::new();
        lines.each_page(|key, value| {
            let entries = decode(value).unwrap();
            let key = String::from_utf8(key.to_vec()).unwrap();
            assert!(entries.iter().all(|entry| entry.sequence == key));
            pages.push((key, entries[0].record, entries.len()));
        });
        pages
    }

    fn page(key: &str, record: u64, count: usize) -> (String, u64, usize) {
        (key.to_owned(), record, count)
    }

    #[test]
    fn a_full_page_goes_first_and_the_others_in_the_order_in_which_they_were_begun() {
        let mut chains = Chains::default();
        chains.grant("rare \"1\"");
        for _ in 0..10 {
            chains.grant("b");
            chains.grant("a");
        }
        chains.grant("last");
        assert_eq!(
            pages(&chains.lines),
            [
                page("b", 1, 8),
                page("a", 1, 8),
                page("rare \"1\"", 1, 1),
                page("b", 9, 2),
                page("a", 9, 2),
                page("last", 1, 1),
            ]
        );
    }

    #[test]
    fn the_pages_of_a_sequence_are_one_chain() {
        let mut chains = Chains::default();
        (0..20).for_each(|_| chains.grant("a"));
        let mut before = Hash::NONE;
        chains.lines.each_page(|_, value| {
            for entry in decode(value).unwrap() {
                assert_eq!(entry.previous, hex(&before));
                before = entry.hash;
            }
        });
        assert_eq!(before, chains.ends["a"].1);
    }

    #[test]
    fn a_chain_that_begins_anew_begins_a_page() {
        let mut chains = Chains::default();
        chains.grant("a");
        chains.grant("a");
        chains.ends.clear();
        chains.grant("a");
        assert_eq!(pages(&chains.lines), [page("a", 1, 2), page("a", 1, 1)]);
    }

    #[test]
    fn lines_of_an_aborted_transaction_go_before_later_ones() {
        let mut chains = Chains::default();
        chains.grant("a");
        chains.grant("b");
        let aborted = std::mem::take(&mut chains.lines);
        chains.grant("c");
        chains.grant("a");
        chains.lines.prepend(aborted);
        assert_eq!(
            pages(&chains.lines),
            [page("a", 1, 2), page("b", 1, 1), page("c", 1, 1)]
        );
        assert_eq!(chains.lines.len(), 4);
    }
}
