//! Returns memory that a restore needed and the service does not need.
//!
//! A restore fills the allocator's arenas with fetched records. glibc keeps this memory for later use: of the
//! 250 bytes a sequence that an idle service held after a large restore, 150 were such memory.

/// A restore with fewer state records leaves too little memory to return.
const RECORDS_MIN: u64 = 10_000;

/// Returns the memory that a restore of `records` state records has left free to the system. glibc looks
/// through all free memory. This takes some milliseconds for a million records, and in this time no other
/// thread can allocate from the arena that glibc looks at.
pub(super) fn give_back(records: u64) {
    if records >= RECORDS_MIN {
        trim();
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    // SAFETY: the call is allowed at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries have no such call.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
