//! The callers and their scopes. A file contains the hashes of their tokens, and is read again when it changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tracing::{error, info};

use super::call::Op;
use crate::wire::route::matches;

/// The interval between two looks at the file.
const RELOAD_INTERVAL: Duration = Duration::from_secs(2);

/// Largest file, in bytes: a few thousand callers.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Longest name of a caller, in bytes. It precedes the key in a `request_id`, which has at most 255 bytes.
const NAME_BYTES_MAX: usize = 64;

/// The calls that a scope permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Next,
    Read,
    Define,
    Operate,
}

impl Verb {
    const ALL: [(&'static str, Verb); 4] = [
        ("next", Verb::Next),
        ("read", Verb::Read),
        ("define", Verb::Define),
        ("operate", Verb::Operate),
    ];

    const fn of(op: Op) -> Verb {
        match op {
            Op::Next => Verb::Next,
            Op::Describe | Op::Trace => Verb::Read,
            Op::Define => Verb::Define,
            Op::SetNext | Op::Retire => Verb::Operate,
        }
    }
}

/// A caller in the file.
pub(super) struct Caller {
    /// The name. It is the requester of the caller's records, and the tenant of its keys.
    pub name: String,
    /// The hash of the caller's token.
    hash: blake3::Hash,
    scopes: Vec<(Verb, String)>,
    /// The caller's places among the calls in progress.
    pub in_flight: Arc<Semaphore>,
}

impl Caller {
    /// True if a scope permits this operation on this sequence. Scopes match the record's key, byte for byte.
    pub(super) fn permits(&self, op: Op, name: &str) -> bool {
        let verb = Verb::of(op);
        let permits = |(known, pattern): &(Verb, String)| *known == verb && matches(pattern, name);
        self.scopes.iter().any(permits)
    }
}

/// The word of the scope that an operation needs.
pub(super) fn scope_of(op: Op) -> &'static str {
    let verb = Verb::of(op);
    let known = Verb::ALL.iter().find(|(_, known)| *known == verb);
    known.map_or("", |(word, _)| word)
}

/// The content of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    callers: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    sha256: String,
    scopes: Vec<String>,
}

/// The callers of the last valid file. Clones share them.
#[derive(Clone)]
pub(super) struct Callers(Arc<Shared>);

struct Shared {
    path: PathBuf,
    in_flight_max: usize,
    callers: RwLock<Vec<Arc<Caller>>>,
}

impl Callers {
    /// Reads the file. `in_flight_max`: the limit of calls in progress for each caller.
    ///
    /// # Errors
    /// The reason why the file cannot be used.
    pub(super) fn load(path: &Path, in_flight_max: usize) -> Result<Callers, String> {
        let callers = parse(&read(path)?, &[], in_flight_max)?;
        Ok(Callers(Arc::new(Shared {
            path: path.to_owned(),
            in_flight_max,
            callers: RwLock::new(callers),
        })))
    }

    /// The caller with this token. Each hash is compared, in constant time. So the time of an answer does not show how
    /// much of a guess was right.
    pub(super) fn find(&self, token: &[u8]) -> Option<Arc<Caller>> {
        let hash = blake3::Hash::from_bytes(Sha256::digest(token).into());
        let mut found = None;
        for caller in self.all() {
            // `blake3::Hash` compares in constant time.
            if caller.hash == hash {
                found = Some(caller);
            }
        }
        found
    }

    fn all(&self) -> Vec<Arc<Caller>> {
        let callers = self.0.callers.read();
        callers.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again whenever it has changed.
    pub(super) async fn follow(self) {
        let mut last = read(&self.0.path);
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            self.look(&mut last);
        }
    }

    /// Keeps the callers if the file cannot be used. An empty file must not admit everybody, and a mistake in the file
    /// must not refuse everybody.
    fn look(&self, last: &mut Result<String, String>) {
        let text = read(&self.0.path);
        if text == *last {
            return;
        }
        let callers = text
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|text| parse(text, &self.all(), self.0.in_flight_max));
        *last = text;
        let path = self.0.path.display();
        match callers {
            Ok(callers) => {
                info!(%path, count = callers.len(), "the callers were read again");
                let held = self.0.callers.write();
                *held.unwrap_or_else(PoisonError::into_inner) = callers;
            }
            Err(reason) => {
                error!(%path, reason, "the file of callers cannot be used: the previous callers stay valid");
            }
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.len() > FILE_BYTES_MAX {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Reads the callers of a file. A caller of the previous file keeps its places.
fn parse(
    text: &str,
    before: &[Arc<Caller>],
    in_flight_max: usize,
) -> Result<Vec<Arc<Caller>>, String> {
    let File { callers } = toml::from_str(text).map_err(|error| error.to_string())?;
    if callers.is_empty() {
        return Err("it has no caller".to_owned());
    }
    let caller = |(name, entry): (String, Entry)| {
        let wrong = |reason: String| format!("caller {name:?}: {reason}");
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(allowed) {
            return Err(wrong(format!(
                "a name is 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' and '-'"
            )));
        }
        let hash = blake3::Hash::from_hex(entry.sha256.to_ascii_lowercase())
            .map_err(|_| wrong("sha256 must be 64 hexadecimal digits".to_owned()))?;
        let scopes = entry.scopes.iter().map(|scope| self::scope(scope));
        let scopes = scopes.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        let kept = before.iter().find(|known| known.name == name);
        let in_flight = match kept {
            Some(known) => Arc::clone(&known.in_flight),
            None => Arc::new(Semaphore::new(in_flight_max)),
        };
        Ok(Arc::new(Caller {
            name,
            hash,
            scopes,
            in_flight,
        }))
    };
    let callers: Vec<Arc<Caller>> = callers.into_iter().map(caller).collect::<Result<_, _>>()?;
    for (index, caller) in callers.iter().enumerate() {
        let twice = |other: &&Arc<Caller>| other.hash == caller.hash;
        if let Some(other) = callers[..index].iter().find(twice) {
            let (one, other) = (&caller.name, &other.name);
            return Err(format!("callers {other:?} and {one:?} have one sha256"));
        }
    }
    Ok(callers)
}

/// Reads `VERB:PATTERN`. A pattern may contain a colon.
fn scope(text: &str) -> Result<(Verb, String), String> {
    let known = text.split_once(':').and_then(|(word, pattern)| {
        let (_, verb) = Verb::ALL.iter().find(|(known, _)| *known == word)?;
        (!pattern.is_empty()).then(|| (*verb, pattern.to_owned()))
    });
    known.ok_or_else(|| {
        format!("scope {text:?} must be next, read, define or operate, a colon, and a pattern of names such as *")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The hash of "0123456789abcdef", as sha256sum prints it.
    const SHA256: &str = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";

    fn file(name: &str, sha256: &str, scopes: &str) -> String {
        format!("[callers.{name}]\nsha256 = \"{sha256}\"\nscopes = {scopes}\n")
    }

    fn parsed(text: &str) -> Result<Vec<Arc<Caller>>, String> {
        parse(text, &[], 10)
    }

    #[test]
    fn a_scope_is_compared_with_the_name_byte_for_byte() {
        let text = file(
            "billing",
            SHA256,
            r#"["next:invoices/*", "read:*", "define:a:b"]"#,
        );
        let callers = parsed(&text).unwrap();
        let [caller] = &callers[..] else {
            panic!("one caller")
        };
        for (op, name, permitted) in [
            (Op::Next, "invoices/2026", true),
            (Op::Next, "invoices/", true),
            (Op::Next, "invoices", false),
            (Op::Next, "Invoices/2026", false),
            (Op::Next, "invoices%2F2026", false),
            (Op::Next, "a/../invoices/2026", false),
            (Op::Describe, "anything", true),
            (Op::Define, "a:b", true),
            (Op::Define, "a", false),
            (Op::SetNext, "invoices/2026", false),
            (Op::Retire, "invoices/2026", false),
        ] {
            assert_eq!(caller.permits(op, name), permitted, "{op:?} {name}");
        }
    }

    #[test]
    fn a_file_that_opens_no_door_is_refused() {
        for (text, word) in [
            ("", "callers"),
            ("[callers]", "no caller"),
            (&file("a", "abc", "[]"), "64 hexadecimal"),
            (&file("a", SHA256, r#"["next"]"#), "a colon"),
            (&file("a", SHA256, r#"["next:"]"#), "a colon"),
            (&file("a", SHA256, r#"["all:*"]"#), "next, read"),
            (&file("\"a:b\"", SHA256, "[]"), "a name is"),
            (&(file("a", SHA256, "[]") + "x = 1"), "unknown field"),
            (
                &(file("a", SHA256, "[]") + &file("b", SHA256, "[]")),
                "one sha256",
            ),
        ] {
            let reason = parsed(text).err().unwrap();
            assert!(reason.contains(word), "{text}: {reason}");
        }
    }

    #[test]
    fn a_broken_file_leaves_the_old_callers_in_force() {
        const TEXT: &[u8] = b"0123456789abcdef";
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("callers.toml");
        assert!(Callers::load(&path, 10).is_err());
        fs::write(&path, file("a", SHA256, r#"["next:*"]"#)).unwrap();
        let callers = Callers::load(&path, 10).unwrap();
        let mut last = read(&path);
        assert!(callers.find(&TEXT[1..]).is_none());
        let before = callers.find(TEXT).unwrap();
        for broken in ["", "[callers]", "x"] {
            fs::write(&path, broken).unwrap();
            callers.look(&mut last);
            assert!(callers.find(TEXT).is_some(), "{broken}");
        }
        fs::remove_file(&path).unwrap();
        callers.look(&mut last);
        assert!(callers.find(TEXT).is_some());
        fs::write(&path, file("a", SHA256, r#"["read:*"]"#)).unwrap();
        callers.look(&mut last);
        let after = callers.find(TEXT).unwrap();
        assert!(!after.permits(Op::Next, "x") && after.permits(Op::Describe, "x"));
        assert!(Arc::ptr_eq(&before.in_flight, &after.in_flight));
        fs::write(&path, file("a", &SHA256.replace('9', "8"), "[]")).unwrap();
        callers.look(&mut last);
        assert!(callers.find(TEXT).is_none());
    }
}
