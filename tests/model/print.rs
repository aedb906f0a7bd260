//! The fingerprint of a state: 128 bits of what decides how it goes on, and of nothing else.
//!
//! Whatever serialises is read through serde, so that a field that is new in the domain counts at once. Instants are
//! not hashed as they are: what matters is how they lie to each other. So every instant is rounded up to the grid of
//! the model's clock (every "now" is on that grid, so that no comparison with it changes), and the gap between two
//! neighbours counts up to [`FAR`], which is longer than every span of the policy. Two states with one fingerprint
//! then differ in no comparison of two instants and in no sum of an instant and a span.

use std::fmt::{self, Write};

use serde::Serialize;
use serde::ser::{self, Error as _};

use super::clock::{BEGIN, FAR, GRID};

/// What is told to people and decides nothing.
const TOLD: [(&str, &str); 11] = [
    ("Record", "credential"),
    ("Record", "sequence"),
    ("Record", "succeeded_at"),
    ("Rotation", "begun_at"),
    ("Rotation", "proven_at"),
    ("Outcome", "at"),
    ("Outcome", "seconds_to_proof"),
    ("Halt", "at"),
    // The age of a key decides only whether it is due, which the state says itself.
    ("Key", "created_at"),
    ("Key", "expires_at"),
    ("Failure", "not_before"),
];

/// Takes in a state piece by piece.
#[derive(Default)]
pub(crate) struct Print {
    words: Vec<u64>,
    /// Where an instant stands among the words, and which.
    times: Vec<(usize, i64)>,
}

const MULTIPLY: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(MULTIPLY);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(23)
}

impl Print {
    pub(crate) fn word(&mut self, word: impl Into<u64>) {
        self.words.push(word.into());
    }

    pub(crate) fn number(&mut self, number: usize) {
        self.words.push(number as u64);
    }

    pub(crate) fn text(&mut self, text: &str) {
        let mut hash = text.len() as u64;
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = mix(hash, u64::from_le_bytes(word));
        }
        self.words.push(hash);
    }

    /// An instant, in steps of the grid.
    pub(crate) fn instant(&mut self, at: i64) {
        self.times.push((self.words.len(), at));
        self.words.push(0);
    }

    /// Whatever serialises.
    pub(crate) fn part(&mut self, part: &impl Serialize) {
        part.serialize(&mut *self).expect("a state serialises");
    }

    pub(crate) fn finish(mut self) -> u128 {
        let mut order: Vec<usize> = (0..self.times.len()).collect();
        order.sort_by_key(|index| self.times[*index].1);
        let (mut last, mut place): (Option<i64>, u64) = (None, 0);
        for index in order {
            let (word, at) = self.times[index];
            let gap = last.map_or(0, |last| (at - last).min(FAR));
            place += u64::try_from(gap).expect("the instants are in order");
            last = Some(at);
            self.words[word] = place + 1;
        }
        let (mut high, mut low): (u64, u64) = (0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);
        for word in self.words {
            high = mix(high, word);
            low = mix(low.rotate_left(7), word ^ MULTIPLY);
        }
        (u128::from(high) << 64) | u128::from(low)
    }
}

/// The seconds since 1970 of an instant as chrono writes it, rounded up; `None` for any other text.
fn seconds(text: &[u8]) -> Option<i64> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        digits
            .iter()
            .try_fold(0_i64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    };
    let mark = |at: usize, is: u8| (*text.get(at)? == is).then_some(());
    mark(4, b'-').and_then(|()| mark(7, b'-')).and_then(|()| mark(10, b'T')).and_then(|()| mark(13, b':'))?;
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let time = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    // Days since 1970 in the proleptic calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1 - 719_468;
    Some(days * 86_400 + time + i64::from(text.get(19) == Some(&b'.')))
}

/// Text on the stack.
struct Short {
    bytes: [u8; 64],
    length: usize,
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// What could not be hashed.
#[derive(Debug)]
pub(crate) struct Unprintable(String);

impl fmt::Display for Unprintable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unprintable {}

impl ser::Error for Unprintable {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The fields of one struct, by the struct's name.
pub(crate) struct Fields<'a> {
    print: &'a mut Print,
    name: &'static str,
}

type Done = Result<(), Unprintable>;

impl<'a> ser::Serializer for &'a mut Print {
    type Ok = ();
    type Error = Unprintable;
    type SerializeSeq = Fields<'a>;
    type SerializeTuple = Fields<'a>;
    type SerializeTupleStruct = Fields<'a>;
    type SerializeTupleVariant = Fields<'a>;
    type SerializeMap = Fields<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    fn serialize_bool(self, value: bool) -> Done {
        self.word(value);
        Ok(())
    }
    fn serialize_i8(self, value: i8) -> Done {
        self.serialize_i64(value.into())
    }
    fn serialize_i16(self, value: i16) -> Done {
        self.serialize_i64(value.into())
    }
    fn serialize_i32(self, value: i32) -> Done {
        self.serialize_i64(value.into())
    }
    fn serialize_i64(self, value: i64) -> Done {
        self.word(value.cast_unsigned());
        Ok(())
    }
    fn serialize_u8(self, value: u8) -> Done {
        self.word(value);
        Ok(())
    }
    fn serialize_u16(self, value: u16) -> Done {
        self.word(value);
        Ok(())
    }
    fn serialize_u32(self, value: u32) -> Done {
        self.word(value);
        Ok(())
    }
    fn serialize_u64(self, value: u64) -> Done {
        self.word(value);
        Ok(())
    }
    fn serialize_f32(self, value: f32) -> Done {
        self.word(value.to_bits());
        Ok(())
    }
    fn serialize_f64(self, value: f64) -> Done {
        self.word(value.to_bits());
        Ok(())
    }
    fn serialize_char(self, value: char) -> Done {
        self.word(u32::from(value));
        Ok(())
    }
    fn serialize_str(self, value: &str) -> Done {
        self.text(value);
        Ok(())
    }
    fn serialize_bytes(self, _: &[u8]) -> Done {
        Err(Unprintable::custom("no state holds bytes"))
    }
    fn serialize_none(self) -> Done {
        self.word(0_u8);
        Ok(())
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        self.word(1_u8);
        value.serialize(self)
    }
    fn serialize_unit(self) -> Done {
        self.word(2_u8);
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Done {
        self.word(index);
        Ok(())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Done {
        self.word(index);
        value.serialize(self)
    }
    fn serialize_seq(self, length: Option<usize>) -> Result<Fields<'a>, Unprintable> {
        self.number(length.unwrap_or_default());
        Ok(Fields { print: self, name: "" })
    }
    fn serialize_tuple(self, length: usize) -> Result<Fields<'a>, Unprintable> {
        self.serialize_seq(Some(length))
    }
    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Fields<'a>, Unprintable> {
        self.serialize_seq(Some(length))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        length: usize,
    ) -> Result<Fields<'a>, Unprintable> {
        self.word(index);
        self.serialize_seq(Some(length))
    }
    fn serialize_map(self, length: Option<usize>) -> Result<Fields<'a>, Unprintable> {
        self.serialize_seq(length)
    }
    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Fields<'a>, Unprintable> {
        self.number(length);
        Ok(Fields { print: self, name })
    }
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        _: &'static str,
        length: usize,
    ) -> Result<Fields<'a>, Unprintable> {
        self.word(index);
        self.serialize_struct(name, length)
    }
    /// This is how chrono writes an instant.
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Done {
        let mut text = Short { bytes: [0; 64], length: 0 };
        if write!(text, "{value}").is_ok()
            && let Some(seconds) = seconds(&text.bytes[..text.length])
        {
            self.instant((seconds - BEGIN + GRID - 1).div_euclid(GRID));
            return Ok(());
        }
        self.text(&value.to_string());
        Ok(())
    }
}

impl Fields<'_> {
    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        if TOLD.contains(&(self.name, key)) {
            return Ok(());
        }
        value.serialize(&mut *self.print)
    }
}

impl ser::SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = Unprintable;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        self.field(key, value)
    }
    fn skip_field(&mut self, _: &'static str) -> Done {
        // What is left out must not look like what comes after it.
        self.print.word(3_u8);
        Ok(())
    }
    fn end(self) -> Done {
        Ok(())
    }
}

impl ser::SerializeStructVariant for Fields<'_> {
    type Ok = ();
    type Error = Unprintable;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        self.field(key, value)
    }
    fn end(self) -> Done {
        Ok(())
    }
}

impl ser::SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = Unprintable;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        key.serialize(&mut *self.print)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut *self.print)
    }
    fn end(self) -> Done {
        Ok(())
    }
}

/// The three kinds of rows differ in the name of the method only.
macro_rules! row {
    ($kind:ident, $method:ident) => {
        impl ser::$kind for Fields<'_> {
            type Ok = ();
            type Error = Unprintable;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
                value.serialize(&mut *self.print)
            }
            fn end(self) -> Done {
                Ok(())
            }
        }
    };
}

row!(SerializeSeq, serialize_element);
row!(SerializeTuple, serialize_element);
row!(SerializeTupleStruct, serialize_field);
row!(SerializeTupleVariant, serialize_field);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::stamp;

    fn print(times: &[i64]) -> u128 {
        let mut print = Print::default();
        for at in times {
            print.part(&stamp(*at));
        }
        print.finish()
    }

    #[test]
    fn instants_are_read_as_chrono_writes_them() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-03-01T01:02:03Z", Some(1_772_326_923)),
            ("2024-02-29T23:59:59.000000001Z", Some(1_709_251_200)),
            ("first-ciapi", None),
            ("", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn only_distances_count_and_only_up_to_far() {
        assert_eq!(print(&[3, 5, 4]), print(&[103, 105, 104]));
        assert_ne!(print(&[3, 5, 4]), print(&[3, 4, 5]));
        assert_ne!(print(&[3, 5]), print(&[3, 6]));
        assert_eq!(print(&[0, FAR]), print(&[0, FAR * 7]));
        assert_ne!(print(&[0, FAR]), print(&[0, FAR - 1]));
        let mut mixed = Print::default();
        mixed.part(&stamp(3));
        mixed.instant(5);
        mixed.part(&stamp(4));
        assert_eq!(mixed.finish(), print(&[3, 5, 4]), "both ways of saying when are one");
    }
}
