//! Documents that are almost right: the documented answers, mutated at random, for every reader of answers. What a
//! reader makes of one is its own business; it must not panic, and it must not take long.

use serde_json::Value;

use crate::clock::{Clock, SystemClock};

/// Mutations per reader, unless `MUTATIONS` says otherwise.
const FEW: u64 = 40_000;

/// Nothing that is read takes longer; even a mutation of a mutation has a few kilobytes.
const LONGEST_SECONDS: u64 = 5;

/// Values that have surprised readers before.
const ODD: [&str; 16] = [
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "18446744073709551616",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[]",
    "{}",
    "[[[[[[[[]]]]]]]]",
    "\"2026-99-99T00:00:00Z\"",
    "\"/Date(99999999999999999)/\"",
    "\"https://[::1\"",
    "\"-----BEGIN CERTIFICATE-----\"",
];

/// A sequence of numbers that is the same in every run: what failed once fails again.
pub(crate) struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).expect("a length");
        usize::try_from(self.next() % limit).expect("it is below a length")
    }
}

/// Reads mutations of `samples` with `read`, and prints how many. `read` says nothing; it may panic, and the test with it.
pub(crate) fn batter(reader: &str, samples: &[&str], mut read: impl FnMut(&[u8])) {
    let wanted =
        std::env::var("MUTATIONS").map_or(FEW, |text| text.parse().expect("`MUTATIONS` is a number"));
    let clock = SystemClock::new();
    let mut dice = Dice(1);
    for number in 0..wanted {
        let sample = samples[dice.below(samples.len())];
        let document = mutated(sample, &mut dice);
        let started = clock.monotonic();
        read(&document);
        let took = clock.monotonic().saturating_sub(started);
        let text = String::from_utf8_lossy(&document);
        assert!(took.as_secs() < LONGEST_SECONDS, "{reader}: mutation {number} took {took:?}: {text}");
    }
    println!("malformed: reader={reader} mutations={wanted} panics=0 hangs=0");
}

/// One to four mutations, of the document or of its bytes.
fn mutated(sample: &str, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = sample.as_bytes().to_vec();
    for _ in 0..=dice.below(4) {
        bytes = match serde_json::from_slice::<Value>(&bytes) {
            Ok(value) if dice.below(3) > 0 => in_structure(value, dice),
            _ => in_bytes(bytes, dice),
        };
    }
    bytes
}

/// One value anywhere becomes another, or goes, or comes twice.
fn in_structure(mut value: Value, dice: &mut Dice) -> Vec<u8> {
    let odd: Value = serde_json::from_str(ODD[dice.below(ODD.len())]).unwrap_or(Value::Null);
    let depth = dice.below(8);
    let place = place(&mut value, dice, depth);
    match (dice.below(4), place) {
        (0, Value::Array(entries)) if !entries.is_empty() => {
            let twice = entries[dice.below(entries.len())].clone();
            entries.push(twice);
        }
        (1, Value::Array(entries)) if !entries.is_empty() => {
            entries.remove(dice.below(entries.len()));
        }
        (0, Value::Object(fields)) if !fields.is_empty() => {
            let name = fields.keys().nth(dice.below(fields.len())).cloned();
            fields.remove(&name.unwrap_or_default());
        }
        (1, Value::Object(fields)) if !fields.is_empty() => {
            let name = fields.keys().nth(dice.below(fields.len())).cloned().unwrap_or_default();
            fields.insert(name.to_uppercase(), odd);
        }
        (2, place) => *place = Value::Array(vec![place.take()]),
        (_, place) => *place = odd,
    }
    value.to_string().into_bytes()
}

/// Some value so deep in another, or as deep as it goes.
fn place<'v>(value: &'v mut Value, dice: &mut Dice, depth: usize) -> &'v mut Value {
    let inside = match value {
        Value::Array(entries) => entries.len(),
        Value::Object(fields) => fields.len(),
        _ => 0,
    };
    if depth == 0 || inside == 0 {
        return value;
    }
    let at = dice.below(inside);
    let next = match value {
        Value::Array(entries) => entries.get_mut(at),
        Value::Object(fields) => fields.values_mut().nth(at),
        _ => None,
    };
    place(next.expect("it is below the number of values inside"), dice, depth - 1)
}

fn in_bytes(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let at = dice.below(bytes.len() + 1);
    match dice.below(6) {
        0 => bytes.truncate(at),
        1 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        2 => bytes.insert(at, u8::try_from(dice.below(256)).expect("a byte")),
        3 if at < bytes.len() => drop(bytes.remove(at)),
        4 => {
            let piece = bytes[at..(at + dice.below(64)).min(bytes.len())].to_vec();
            let to = dice.below(bytes.len() + 1);
            bytes.splice(to..to, piece);
        }
        _ => {
            let odd = ODD[dice.below(ODD.len())].bytes();
            bytes.splice(at..at, odd);
        }
    }
    bytes
}

#[test]
fn mutations_differ_from_what_they_were_made_of_and_come_again() {
    let sample = r#"{"a":[1,{"b":"c"}],"d":null}"#;
    let all = || {
        let mut dice = Dice(1);
        (0..500).map(|_| mutated(sample, &mut dice)).collect::<Vec<_>>()
    };
    let found = all();
    let distinct: std::collections::BTreeSet<_> = found.iter().collect();
    assert!(distinct.len() > 300, "{}", distinct.len());
    assert!(found.iter().filter(|bytes| bytes.as_slice() == sample.as_bytes()).count() < 50);
    assert_eq!(found, all());
}
