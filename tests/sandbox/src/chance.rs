//! Seeded chance. Each question has its own sequence, so that the answer to one does not depend on how
//! requests of other tenants happened to interleave.

use std::collections::BTreeMap;

/// Answers questions at random, the same way for the same seed.
#[derive(Debug)]
pub(crate) struct Chance {
    seed: u64,
    asked: BTreeMap<String, u64>,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, asked: BTreeMap::new() }
    }

    /// The next number in the sequence of `question`.
    pub(crate) fn draw(&mut self, question: &str) -> u64 {
        let turn = match self.asked.get_mut(question) {
            Some(turn) => turn,
            None => self.asked.entry(question.to_owned()).or_default(),
        };
        *turn += 1;
        mix(self.seed ^ mix(hash(question)).wrapping_add(mix(*turn)))
    }

    /// True in `rate` of all cases; 0.0 is never and 1.0 is always.
    pub(crate) fn happens(&mut self, question: &str, rate: f64) -> bool {
        share(self.draw(question)) < rate
    }

    /// A number from 0 to `limit`, both included.
    pub(crate) fn up_to(&mut self, question: &str, limit: u32) -> u32 {
        let wide = self.draw(question) % (u64::from(limit) + 1);
        u32::try_from(wide).unwrap_or(limit)
    }

    /// A number that depends on the seed and on `thing` only, however often it is asked.
    pub(crate) fn of(&self, thing: &str) -> u64 {
        mix(self.seed ^ mix(hash(thing)))
    }

    /// A sequence of its own, for many small questions about one thing.
    pub(crate) fn stream(&mut self, question: &str) -> Stream {
        Stream { state: self.draw(question) }
    }

    pub(crate) fn guid(&mut self, question: &str) -> String {
        let (high, low) = (self.draw(question), self.draw(question));
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }

    /// A secret in the form of SAP's binding secrets, with their awkward characters.
    pub(crate) fn secret(&mut self, question: &str) -> String {
        let (guid, one, two) = (self.guid(question), self.draw(question), self.draw(question));
        format!("{guid}$Sandbox-{one:016x}_{two:016x}=")
    }
}

/// One sequence of numbers.
#[derive(Debug)]
pub(crate) struct Stream {
    state: u64,
}

impl Stream {
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// True in `rate` of all cases.
    pub(crate) fn happens(&mut self, rate: f64) -> bool {
        share(self.next()) < rate
    }

    /// A number below `limit`; 0 where nothing is below it.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let wide = self.next() % u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(wide).unwrap_or_default()
    }
}

/// A number from 0.0 up to 1.0: 32 bits are exact in an f64, and finer than any rate in a scenario.
fn share(number: u64) -> f64 {
    f64::from(u32::try_from(number >> 32).unwrap_or(u32::MAX)) / 4_294_967_296.0
}

/// FNV-1a: short, stable over versions of Rust, and good enough to tell questions apart.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finalizer of `SplitMix64`.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_answers() {
        let (mut one, mut two) = (Chance::new(7), Chance::new(7));
        let _ = two.draw("something in between");
        assert_eq!(one.secret("key"), two.secret("key"));
        assert_ne!(one.secret("key"), Chance::new(8).secret("key"));
    }

    #[test]
    fn rates_are_met() {
        let mut chance = Chance::new(1);
        let hits = (0..10_000).filter(|_| chance.happens("five percent", 0.05)).count();
        assert!((400..600).contains(&hits), "{hits}");
        assert!(!chance.happens("never", 0.0));
        assert!(chance.happens("always", 1.0));
    }
}
