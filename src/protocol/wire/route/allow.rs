//! The topics that a client may name for its replies.

/// Patterns that match whole names; `*` stands for any characters. Some topics are refused even if a pattern
/// matches.
#[derive(Clone, Debug)]
pub struct AllowList {
    patterns: Vec<String>,
    refused: Vec<String>,
}

impl AllowList {
    /// `refused` are the request, state and ledger topics.
    pub fn new(patterns: Vec<String>, refused: Vec<String>) -> AllowList {
        AllowList { patterns, refused }
    }

    /// True when clients may name the topic. Names that begin with `__` are Kafka's own, and are refused.
    pub fn allows(&self, topic: &str) -> bool {
        !topic.starts_with("__")
            && !self.refused.iter().any(|refused| refused == topic)
            && self.patterns.iter().any(|pattern| matches(pattern, topic))
    }
}

/// True when a topic's whole name matches a pattern, in which `*` stands for any characters.
// The parts between the stars follow each other. The first and the last part are anchored.
pub fn matches(pattern: &str, topic: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == topic;
    };
    let Some(mut topic) = topic.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match topic.find(part) {
            Some(at) => topic = &topic[at + part.len()..],
            None => return false,
        }
    }
    topic.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, topic, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*.reply", "orders.reply", true),
            ("*.reply", ".reply", true),
            ("*.reply", "orders.reply.old", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("a*a", "a", false),
            ("*", "anything", true),
            ("*x*", "axb", true),
            ("*x*", "ab", false),
        ] {
            assert_eq!(matches(pattern, topic), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn own_topics_and_those_of_kafka_are_refused_whatever_the_patterns_say() {
        let allow = AllowList::new(vec!["*".to_owned()], vec!["sequencer.state".to_owned()]);
        assert!(allow.allows("orders.reply"));
        assert!(!allow.allows("sequencer.state"));
        assert!(!allow.allows("__consumer_offsets"));
    }
}
