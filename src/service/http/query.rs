//! Reads one value of a query string.

/// The decoded value of the first parameter of that name. Invalid UTF-8 is replaced.
pub(super) fn value(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    let (_, value) = pairs.find(|(found, _)| found == name)?;
    Some(value.into_owned())
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
