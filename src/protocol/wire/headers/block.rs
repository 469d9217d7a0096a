//! The headers of a reply or a forward in one buffer, without an allocation for each header.

/// Appends one header to a block.
pub fn push(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    // Names come from the contract or from the configuration, which bounds them. No record can hold a value
    // whose length needs more than four bytes.
    let name_length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    let value_length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&name_length.to_be_bytes());
    out.extend_from_slice(&name.as_bytes()[..usize::from(name_length)]);
    out.extend_from_slice(&value_length.to_be_bytes());
    out.extend_from_slice(value);
}

/// A block of headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block<'a>(pub &'a [u8]);

impl<'a> Block<'a> {
    /// A block without headers.
    pub const EMPTY: Block<'static> = Block(&[]);

    /// True when the block has no headers.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over names and values in order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (name, after) = length_prefixed::<2>(rest)?;
            let (value, after) = length_prefixed::<4>(after)?;
            rest = after;
            Some((std::str::from_utf8(name).ok()?, value))
        })
    }
}

fn length_prefixed<const BYTES: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(BYTES)?;
    let length = length
        .iter()
        .fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_comes_back_in_order() {
        let mut bytes = Vec::new();
        push(&mut bytes, "a", b"");
        push(&mut bytes, "correlation_id", &[0, 255, 7]);
        let all: Vec<_> = Block(&bytes).iter().collect();
        assert_eq!(all, [("a", &b""[..]), ("correlation_id", &[0, 255, 7][..])]);
        assert_eq!(Block::EMPTY.iter().count(), 0);
    }

    #[test]
    fn a_torn_block_ends_where_it_is_torn() {
        let mut bytes = Vec::new();
        push(&mut bytes, "a", b"1");
        push(&mut bytes, "b", b"2");
        assert_eq!(Block(&bytes[..bytes.len() - 1]).iter().count(), 1);
    }
}
