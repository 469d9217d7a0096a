//! The status of an instance: the engine publishes it, and HTTP shows it.
//!
//! | file | subject |
//! |---|---|
//! | [`status`] | the partitions and peers of an instance, for the status page |
//! | [`told`] | the status that an instance tells its peers |
//! | [`metrics`] | counters, gauges and histograms |
//! | [`clock`] | the time of day |

pub(crate) mod clock;
pub(crate) mod metrics;
pub(crate) mod status;
pub(crate) mod told;
