//! Seeded chance: a trial that went wrong can be drawn again from the number it prints.

use rekeyd::clock::{Clock as _, SystemClock};

/// A stream of numbers from a seed (`SplitMix64`).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).expect("an index fits")]
    }

    /// `count` of these, in order; all where there are fewer.
    pub(crate) fn some<T: Clone>(&mut self, from: &[T], count: usize) -> Vec<T> {
        let mut left: Vec<usize> = (0..from.len()).collect();
        while left.len() > count {
            let gone = usize::try_from(self.below(left.len() as u64)).expect("an index fits");
            left.remove(gone);
        }
        left.into_iter().map(|at| from[at].clone()).collect()
    }
}

/// The seed of this run: `KILL_SEED`, or a fresh one. It is printed.
pub(crate) fn base_seed() -> u64 {
    let given = std::env::var("KILL_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| SystemClock::new().nonce() % 1_000_000_000);
    println!("kill: seed={seed} (again with KILL_SEED={seed})");
    seed
}
