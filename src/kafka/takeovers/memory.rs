//! Memory that a restore needed and the service does not.
//!
//! A restore fills the allocator's arenas with fetched records, whose memory glibc keeps for what comes: of
//! 250 bytes a sequence that an idle service held after a large one, 150 were that.

/// Fewer state records leave nothing behind that would be worth the look.
const RECORDS_MIN: u64 = 10_000;

/// Gives back to the system what a restore of so many records has left free. It looks through all that is
/// free, some milliseconds for a million records, in which no other thread of the process gets memory from
/// the part that is looked at.
pub(super) fn give_back(records: u64) {
    if records >= RECORDS_MIN {
        trim();
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    // SAFETY: it may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries have no such call.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
