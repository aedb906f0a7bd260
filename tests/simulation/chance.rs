//! Chance, from a seed: the same seed gives the same answers in the same order.

/// A sequence of numbers that looks like chance.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

/// The finalizer of `SplitMix64`.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Dice of its own for one thing, so that its rolls do not disturb the others'.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.roll())
    }

    /// A number below `limit`, which is not zero.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `rate` of 10 000 cases.
    pub(crate) fn happens(&mut self, rate: u64) -> bool {
        self.below(10_000) < rate
    }

    pub(crate) fn pick<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.index(things.len())]
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// A wait that is short most of the time and long now and then: the scale goes up by powers of two.
    pub(crate) fn skewed(&mut self, longest: u64) -> u64 {
        let scale = longest >> self.below(12);
        self.between(0, scale.max(1))
    }

    pub(crate) fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.index(last + 1));
        }
    }
}
