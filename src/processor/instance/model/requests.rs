//! Requests, what each of them must get, and what it got.

use super::*;

impl World {
    pub(super) fn append_request(&mut self) {
        let partition = self.random.below(PARTITIONS);
        let count = 1 + self.random.below(3) as u64;
        let name = format!("p{partition}-{}", self.random.below(4));
        let log = &mut self.requests[partition];
        let (key, value, valid) = match self.random.below(20) {
            0 => return log.records.push(None),
            1 => (None, Some(b"1".to_vec()), false),
            2 => (Some(name.clone()), Some(b"0".to_vec()), false),
            3 => (Some(name.clone()), Some(b"{\"op\":".to_vec()), false),
            _ => (
                Some(name.clone()),
                Some(count.to_string().into_bytes()),
                true,
            ),
        };
        let expected = valid.then(|| {
            let last_id = log.last_ids.entry(name).or_default();
            let first = *last_id + 1;
            *last_id += count.cast_signed();
            Grant {
                first,
                last: *last_id,
                count,
            }
        });
        log.records.push(Some(Request {
            key: key.map(String::into_bytes),
            value,
            expected,
            body: None,
            answers: 0,
        }));
    }

    /// Somebody reads a reply: I1 and I2 by what was expected, I3 by what was read before.
    pub(super) fn reply_seen(&mut self, partition: usize, offset: usize, body: &[u8]) {
        let request = self.requests[partition].records[offset].as_mut().unwrap();
        if let Some(earlier) = &request.body {
            assert!(i3_stable(earlier, body), "I3");
            return;
        }
        assert_eq!(granted(body), request.expected, "I1, I2");
        request.body = Some(body.to_vec());
    }

    /// The requests of a partition below `next` and at or above `from`.
    pub(super) fn between(
        &self,
        partition: usize,
        from: i64,
        next: i64,
    ) -> impl Iterator<Item = (i64, &Request)> {
        let records = self.requests[partition].records.iter().enumerate();
        records
            .filter_map(|(offset, record)| Some((number(offset), record.as_ref()?)))
            .filter(move |(offset, _)| (from..next).contains(offset))
    }

    pub(super) fn check_all_answers(&self) {
        for (partition, log) in self.requests.iter().enumerate() {
            let mut grants: BTreeMap<&[u8], Grant> = BTreeMap::new();
            for (offset, request) in self.between(partition, 0, i64::MAX) {
                let body = request.body.as_deref();
                let body = body.unwrap_or_else(|| panic!("I4: {partition}:{offset}"));
                let Some(grant) = granted(body) else { continue };
                let key = request.key.as_deref().unwrap();
                let earlier = grants.insert(key, grant);
                let next = earlier.map_or(1, |earlier| earlier.last + 1);
                assert!(
                    earlier.is_none_or(|earlier| i1_unique(earlier, grant)),
                    "I1"
                );
                assert!(i2_gapless_and_monotonic(next, grant), "I2");
            }
            let last_ids = grants
                .into_iter()
                .map(|(key, grant)| (String::from_utf8(key.to_vec()).unwrap(), grant.last));
            assert_eq!(last_ids.collect::<BTreeMap<_, _>>(), log.last_ids);
        }
    }
}

/// The IDs in a reply; `None` when it is an error.
fn granted(body: &[u8]) -> Option<Grant> {
    let reply: serde_json::Value = serde_json::from_slice(body).unwrap();
    let field = |name: &str| reply.get(name).and_then(serde_json::Value::as_i64);
    assert!(reply.get("error").is_some() != reply.get("first").is_some());
    Some(Grant {
        first: field("first")?,
        last: field("last")?,
        count: field("count")?.cast_unsigned(),
    })
}
