//! Rounds of inputs until a bound is reached.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::input::Input;
use crate::mutate::{Mutation, mutations};

/// Overrides the seed.
const SEED_VARIABLE: &str = "SEQUENCER_FUZZ_SEED";
/// Inputs of one round; those that showed something new join the pool after it.
const ROUND: u32 = 1_000;
/// Inputs of the pool at most: beyond it nothing joins.
const POOL_MAX: usize = 4_000;
/// Bytes of an input of the pool at most.
const INPUT_BYTES_MAX: usize = 200 * 1024;
/// Attempts to do with fewer mutations, and then with less of the input.
const SHRINK_MAX: u32 = 500;
const SMALLER_MAX: usize = 2_000;

/// What an input showed: words such as the error codes of its replies.
pub type Seen = BTreeSet<String>;

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// After this long.
    Time(Duration),
    /// After so many rounds.
    Rounds(u64),
}

/// A run.
pub struct Engine {
    seed: u64,
    pool: Vec<Input>,
    /// Pairs of what one input showed: all combinations are too many to tell what is new.
    seen: BTreeSet<(String, String)>,
}

impl Engine {
    pub fn new(seed: u64, pool: Vec<Input>) -> Engine {
        Engine {
            seed,
            pool,
            seen: BTreeSet::new(),
        }
    }

    /// With the seed of the environment, or a new one.
    pub fn from_environment(pool: Vec<Input>) -> Engine {
        let seed = match std::env::var(SEED_VARIABLE) {
            Ok(text) => text.parse().unwrap(),
            Err(_) => RandomState::new().hash_one(0_u8),
        };
        Engine::new(seed, pool)
    }

    /// Runs until the bound is reached.
    ///
    /// # Panics
    /// With seed and smallest input, when `check` panics or finds something wrong.
    pub fn run(&mut self, bound: Bound, check: impl Fn(&Input) -> Result<Seen, String>) {
        if let Err(failure) = self.try_run(bound, check) {
            panic!("{failure}");
        }
    }

    /// The same with the failure as a text.
    pub fn try_run(
        &mut self,
        bound: Bound,
        check: impl Fn(&Input) -> Result<Seen, String>,
    ) -> Result<(), String> {
        let began = Instant::now();
        for input in &self.pool {
            if failure(input, &check).is_some() {
                return Err(self.report(input.clone(), &check));
            }
        }
        let mut rounds = 0;
        while match bound {
            Bound::Time(time) => began.elapsed() < time,
            Bound::Rounds(count) => rounds < count,
        } {
            self.round(rounds, &check)?;
            rounds += 1;
        }
        let (seen, pool) = (self.seen.len(), self.pool.len());
        let inputs = rounds * u64::from(ROUND);
        println!("{inputs} inputs, {seen} pairs of outcomes, a pool of {pool}");
        Ok(())
    }

    fn report(&self, input: Input, check: &impl Fn(&Input) -> Result<Seen, String>) -> String {
        let (input, reason) = smallest(input, check);
        let seed = self.seed;
        format!(
            "repeat with {SEED_VARIABLE}={seed}\n{reason}\n--- the smallest input found:\n{input}---"
        )
    }

    fn round(
        &mut self,
        round: u64,
        check: &impl Fn(&Input) -> Result<Seen, String>,
    ) -> Result<(), String> {
        let fresh = RefCell::new(Vec::new());
        let (pool, seen) = (&self.pool, RefCell::new(std::mem::take(&mut self.seen)));
        let strategy = (any::<Index>(), mutations());
        let input = |(index, mutations): &(Index, Vec<Mutation>)| {
            let mut input = index.get(pool).clone();
            for mutation in mutations {
                mutation.apply(&mut input, pool);
            }
            input
        };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&round.to_le_bytes());
        let config = Config {
            cases: ROUND,
            failure_persistence: None,
            max_shrink_iters: SHRINK_MAX,
            ..Config::default()
        };
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let result = TestRunner::new_with_rng(config, random).run(&strategy, |choice| {
            let input = input(&choice);
            let shown = check(&input).map_err(TestCaseError::fail)?;
            let mut new = false;
            for (one, other) in shown
                .iter()
                .flat_map(|one| shown.iter().map(move |b| (one, b)))
            {
                new |= seen.borrow_mut().insert((one.clone(), other.clone()));
            }
            if new && input.bytes() <= INPUT_BYTES_MAX {
                fresh.borrow_mut().push(input);
            }
            Ok(())
        });
        self.seen = seen.into_inner();
        match result {
            Ok(()) => {}
            Err(TestError::Fail(_, choice)) => {
                return Err(self.report(input(&choice), check));
            }
            Err(TestError::Abort(reason)) => return Err(reason.to_string()),
        }
        let room = POOL_MAX.saturating_sub(self.pool.len());
        self.pool.extend(fresh.into_inner().into_iter().take(room));
        Ok(())
    }
}

/// Why an input fails, if it does.
fn failure(input: &Input, check: &impl Fn(&Input) -> Result<Seen, String>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| check(input))) {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Some(format!("panic: {}", text.unwrap_or_default()))
        }
    }
}

/// Takes parts away as long as what is left fails, for whatever reason.
fn smallest(mut input: Input, check: &impl Fn(&Input) -> Result<Seen, String>) -> (Input, String) {
    let mut reason = failure(&input, check).unwrap_or_default();
    let mut attempts = 0;
    'again: loop {
        for candidate in input.smaller() {
            attempts += 1;
            if attempts > SMALLER_MAX {
                return (input, reason);
            }
            if let Some(why) = failure(&candidate, check) {
                (input, reason) = (candidate, why);
                continue 'again;
            }
        }
        return (input, reason);
    }
}
