//! Texts to values: the types that keys have, and how each is read.
//!
//! As in Milvus: durations are a number in the key's unit or `5s`, `10m`, `1h30m`; sizes a number in the key's unit or `64m`, `1g`;
//! truth is `true`, `t`, `1` and their opposites.

use std::fmt;
use std::time::Duration;

use super::key::Unit;

/// A type that a key can have.
pub trait Value: Sized + PartialEq {
    /// Reads a text; `None` if it isn't one of these.
    fn parse(text: &str, unit: Unit) -> Option<Self>;

    /// What is allowed, in words.
    fn allowed(unit: Unit) -> String;

    /// The number that the key's range bounds, in the key's unit.
    fn magnitude(&self, _unit: Unit) -> Option<f64> {
        None
    }
}

/// A size in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Bytes(pub u64);

/// A bound on a number or a size (then in bytes), or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit(pub Option<u64>);

impl Limit {
    /// Whether `amount` stays within.
    pub fn admits(self, amount: u64) -> bool {
        self.0.is_none_or(|most| amount <= most)
    }
}

/// A bound on a rate per second (sizes in bytes), or none.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate(pub Option<f64>);

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "***" })
    }
}

/// One of a few words.
pub(super) trait Choice: Copy + 'static {
    const CHOICES: &'static [(&'static str, Self)];
}

impl<T: Choice + PartialEq> Value for T {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        Self::CHOICES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
    }

    fn allowed(_: Unit) -> String {
        let names: Vec<_> = Self::CHOICES.iter().map(|(name, _)| *name).collect();
        format!("one of {}", names.join(", "))
    }
}

impl Value for bool {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        match text {
            "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(true),
            "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    fn allowed(_: Unit) -> String {
        "true or false".to_owned()
    }
}

fn whole(unit: Unit) -> String {
    match unit {
        Unit::None => "a whole number".to_owned(),
        _ => format!("a whole number ({})", unit.name()),
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn parse(text: &str, _: Unit) -> Option<Self> {
                text.parse().ok()
            }

            fn allowed(unit: Unit) -> String {
                whole(unit)
            }

            fn magnitude(&self, _: Unit) -> Option<f64> {
                Some(*self as f64)
            }
        }
    )*};
}

whole_numbers!(u16, u32, u64, i64);

impl Value for f64 {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn allowed(unit: Unit) -> String {
        if unit == Unit::None { "a number".to_owned() } else { format!("a number ({})", unit.name()) }
    }

    fn magnitude(&self, _: Unit) -> Option<f64> {
        Some(*self)
    }
}

impl Value for String {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        Some(text.to_owned())
    }

    fn allowed(_: Unit) -> String {
        "a text".to_owned()
    }
}

impl Value for Secret {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    fn allowed(_: Unit) -> String {
        "a text, never shown".to_owned()
    }
}

impl Value for Vec<String> {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        Some(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    fn allowed(_: Unit) -> String {
        "a list, or texts separated by commas".to_owned()
    }
}

impl<T: Value> Value for Option<T> {
    fn parse(text: &str, unit: Unit) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::parse(text, unit).map(Some) }
    }

    fn allowed(unit: Unit) -> String {
        T::allowed(unit)
    }

    fn magnitude(&self, unit: Unit) -> Option<f64> {
        self.as_ref()?.magnitude(unit)
    }
}

impl Value for Duration {
    fn parse(text: &str, unit: Unit) -> Option<Self> {
        if let Ok(number) = text.parse::<f64>() {
            return scaled(number, unit.scale()).map(Duration::from_nanos);
        }
        parse_parts(text).map(Duration::from_nanos)
    }

    fn allowed(unit: Unit) -> String {
        format!("a number ({}), or a duration such as 500ms, 5s, 1h30m", unit.name())
    }

    fn magnitude(&self, unit: Unit) -> Option<f64> {
        Some(self.as_nanos() as f64 / unit.scale() as f64)
    }
}

/// `number` times `scale`, if it is a whole of u64 and not negative.
fn scaled(number: f64, scale: u64) -> Option<u64> {
    let product = number * scale as f64;
    (product >= 0.0 && product < u64::MAX as f64).then(|| product.round() as u64)
}

/// Nanoseconds of `1h30m`, `1.5s`, `300ms`.
fn parse_parts(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut nanos = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let scale = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        nanos = nanos.checked_add(scaled(number.parse().ok()?, scale)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(nanos)
}

/// Bytes of a number in the unit, or of `64m`, `1.5g`, `512kb`.
fn parse_bytes(text: &str, unit: Unit) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len();
    let (number, suffix) = lower.split_at(digits);
    let scale = match suffix {
        "" => unit.scale(),
        "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    let number = number.trim_end();
    match number.parse::<u64>() {
        Ok(number) => number.checked_mul(scale),
        Err(_) => scaled(number.parse().ok()?, scale),
    }
}

fn sizes(unit: Unit) -> String {
    format!("a number ({}), or a size such as 512k, 64m, 1g", unit.name())
}

impl Value for Bytes {
    fn parse(text: &str, unit: Unit) -> Option<Self> {
        parse_bytes(text, unit).map(Self)
    }

    fn allowed(unit: Unit) -> String {
        sizes(unit)
    }

    fn magnitude(&self, unit: Unit) -> Option<f64> {
        Some(self.0 as f64 / unit.scale() as f64)
    }
}

/// Milvus's ways to say "no bound": any negative number.
fn is_unbounded(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|number| number < 0.0)
}

impl Value for Limit {
    fn parse(text: &str, unit: Unit) -> Option<Self> {
        if is_unbounded(text) { Some(Self(None)) } else { parse_bytes(text, unit).map(|limit| Self(Some(limit))) }
    }

    fn allowed(unit: Unit) -> String {
        if unit == Unit::None { format!("{}, or -1 for no bound", whole(unit)) } else { format!("{}, or -1 for no bound", sizes(unit)) }
    }
}

impl Value for Rate {
    fn parse(text: &str, unit: Unit) -> Option<Self> {
        if is_unbounded(text) {
            return Some(Self(None));
        }
        let number = f64::parse(text, unit)?;
        Some(Self(Some(number * unit.scale() as f64)))
    }

    fn allowed(unit: Unit) -> String {
        format!("{}, or -1 for no bound", f64::allowed(unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, unit, expected: Option<u64>| {
            assert_eq!(Duration::parse(text, unit), expected.map(Duration::from_millis), "{text:?} in {}", unit.name());
        };
        check("5000", Unit::Milliseconds, Some(5_000));
        check("3", Unit::Seconds, Some(3_000));
        check("0.2", Unit::Seconds, Some(200));
        check("2", Unit::Hours, Some(7_200_000));
        check("1", Unit::Days, Some(86_400_000));
        check("5s", Unit::Milliseconds, Some(5_000));
        check("1h30m", Unit::Seconds, Some(5_400_000));
        check("1.5s", Unit::Seconds, Some(1_500));
        check("300ms", Unit::Seconds, Some(300));
        check("-1", Unit::Seconds, None);
        check("5 s", Unit::Seconds, None);
        check("5x", Unit::Seconds, None);
        check("s", Unit::Seconds, None);
        check("", Unit::Seconds, None);
        check("1e300", Unit::Days, None);
        check("NaN", Unit::Days, None);
    }

    #[test]
    fn sizes_and_limits() {
        let check = |text: &str, unit, expected: Option<u64>| {
            assert_eq!(Bytes::parse(text, unit), expected.map(Bytes), "{text:?} in {}", unit.name());
        };
        check("5242880", Unit::Bytes, Some(5_242_880));
        check("16", Unit::Megabytes, Some(16 << 20));
        check("64m", Unit::Bytes, Some(64 << 20));
        check("64MB", Unit::Megabytes, Some(64 << 20));
        check("1.5g", Unit::Bytes, Some(3 << 29));
        check("2 GiB", Unit::Bytes, Some(2 << 30));
        check("18446744073709551615", Unit::Bytes, Some(u64::MAX));
        check("18446744073709551615", Unit::Megabytes, None);
        check("-1", Unit::Bytes, None);
        check("m", Unit::Bytes, None);
        check("4x", Unit::Bytes, None);
        assert_eq!(Limit::parse("-1", Unit::Megabytes), Some(Limit(None)));
        assert_eq!(Limit::parse("2", Unit::Megabytes), Some(Limit(Some(2 << 20))));
        assert!(Limit(None).admits(u64::MAX) && Limit(Some(2)).admits(2) && !Limit(Some(2)).admits(3));
        assert_eq!(Rate::parse("0.5", Unit::MegabytesPerSecond), Some(Rate(Some(524_288.0))));
        assert_eq!(Rate::parse("-1", Unit::PerSecond), Some(Rate(None)));
        assert_eq!(Rate::parse("many", Unit::PerSecond), None);
    }

    #[test]
    fn the_rest() {
        for (text, expected) in
            [("1", Some(true)), ("t", Some(true)), ("True", Some(true)), ("FALSE", Some(false)), ("yes", None), ("", None)]
        {
            assert_eq!(bool::parse(text, Unit::None), expected, "{text:?}");
        }
        assert_eq!(u16::parse("65536", Unit::None), None);
        assert_eq!(u16::parse("tcp://10.0.0.1:9000", Unit::None), None);
        assert_eq!(Vec::<String>::parse(" a:1, b:2,", Unit::None), Some(vec!["a:1".to_owned(), "b:2".to_owned()]));
        assert_eq!(Option::<u16>::parse("", Unit::None), Some(None));
        assert_eq!(format!("{:?}", Secret("x".to_owned())), "***");
    }
}
