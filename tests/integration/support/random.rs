//! Seeded randomness. A failing test prints its seed, which repeats the run.

use std::hash::{BuildHasher, RandomState};

/// Overrides the seed of every test.
const SEED_VARIABLE: &str = "SEQUENCER_TEST_SEED";

/// xorshift64*: small, and good enough for a varied load.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Takes the seed from [`SEED_VARIABLE`], or a new one for each run. The seed is printed to the test's
    /// output, which is shown when the test fails.
    pub fn from_environment() -> Random {
        let seed = match std::env::var(SEED_VARIABLE) {
            Ok(text) => text
                .parse()
                .unwrap_or_else(|_| panic!("{SEED_VARIABLE} must be a number, is {text:?}")),
            Err(_) => RandomState::new().hash_one(0_u8),
        };
        println!("repeat with {SEED_VARIABLE}={seed}");
        Random::new(seed)
    }

    /// Creates a generator from a seed. xorshift stays at 0 forever, so another seed replaces 0.
    pub fn new(seed: u64) -> Random {
        Random(if seed == 0 {
            0x9e37_79b9_7f4a_7c15
        } else {
            seed
        })
    }

    /// A separate generator, for another thread or part.
    pub fn fork(&mut self) -> Random {
        Random::new(self.next())
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder is below 2^-32 for every bound used here.
        self.next() % bound
    }
}
