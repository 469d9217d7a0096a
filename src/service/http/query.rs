//! Reads one value of a query string.

/// The decoded value of the first parameter of that name. Invalid UTF-8 is replaced.
pub(super) fn value(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut values = pairs
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value);
    values.next().map(decode)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, beyond @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = beyond;
                }
                _ => bytes.push(b'%'),
            },
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_broken_ones_do_no_harm() {
        for (query, decoded) in [
            ("prefix=orders", "orders"),
            ("a=b&prefix=a+b%20c&prefix=x", "a b c"),
            ("prefix=%D1%81%3Cb%3E%26", "с<b>&"),
            ("prefix=%ff%", "\u{fffd}%"),
            ("prefix=%4", "%4"),
            ("prefix=%+1", "% 1"),
            ("prefix", ""),
        ] {
            assert_eq!(
                value(Some(query), "prefix").as_deref(),
                Some(decoded),
                "{query}"
            );
        }
        assert_eq!(value(Some("prefixes=a"), "prefix"), None);
        assert_eq!(value(None, "prefix"), None);
    }
}
