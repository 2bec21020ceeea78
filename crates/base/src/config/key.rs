//! One key as the table declares it.

/// What a plain number counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Nothing, or things.
    None,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Hours.
    Hours,
    /// Days.
    Days,
    /// Bytes.
    Bytes,
    /// Units of 1,048,576 bytes.
    Megabytes,
    /// Units of 1,073,741,824 bytes.
    Gigabytes,
    /// Units of 1,048,576 bytes per second.
    MegabytesPerSecond,
    /// Things per second.
    PerSecond,
    /// Hundredths.
    Percent,
}

impl Unit {
    /// The unit's name; empty for [`Unit::None`].
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Hours => "h",
            Self::Days => "days",
            Self::Bytes => "bytes",
            Self::Megabytes => "MB",
            Self::Gigabytes => "GB",
            Self::MegabytesPerSecond => "MB/s",
            Self::PerSecond => "per second",
            Self::Percent => "%",
        }
    }

    /// How many of the smallest unit (ns for durations, bytes for sizes, itself for the rest) one is.
    pub(super) fn scale(self) -> u64 {
        match self {
            Self::Milliseconds => 1_000_000,
            Self::Seconds => 1_000_000_000,
            Self::Hours => 3_600_000_000_000,
            Self::Days => 86_400_000_000_000,
            Self::Megabytes | Self::MegabytesPerSecond => 1 << 20,
            Self::Gigabytes => 1 << 30,
            Self::None | Self::Bytes | Self::PerSecond | Self::Percent => 1,
        }
    }
}

/// What becomes of a key's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It is acted upon.
    Acted,
    /// Nothing yet: any but the default is named at start.
    Ignored,
    /// Nothing yet, and whoever sets it would rely on it: any but the default refuses the start with this text, which says what to do.
    Refused(&'static str),
}

/// A key of the table: what it is called within its section, and all that can be said about it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name within its section, as Milvus writes it.
    pub name: &'static str,
    /// The default as it would stand in a file; empty means "not set".
    pub default: &'static str,
    /// What it does, line by line.
    pub doc: &'static [&'static str],
    /// What a plain number counts.
    pub unit: Unit,
    /// Smallest and greatest number, in the unit.
    pub range: Option<(f64, f64)>,
    /// Whether a change takes effect without a restart.
    pub reloads: bool,
    /// Whether the value must not be shown.
    pub secret: bool,
    /// Full names that older files use.
    pub old: &'static [&'static str],
    /// A variable of the environment that sets it beside the usual ones.
    pub variable: Option<&'static str>,
    /// What becomes of its value. A house rule compares this with who reads it.
    pub effect: Effect,
    /// Whether the key stands for every name below it (`kafka.producer.<anything>`).
    pub open: bool,
}

impl Key {
    pub(super) const fn new(name: &'static str, default: &'static str, doc: &'static [&'static str]) -> Self {
        let (unit, range) = (Unit::None, None);
        let (old, effect): (&[&str], _) = (&[], Effect::Acted);
        Self { name, default, doc, unit, range, reloads: false, secret: false, old, variable: None, effect, open: false }
    }

    pub(super) const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    pub(super) const fn range(mut self, least: f64, most: f64) -> Self {
        self.range = Some((least, most));
        self
    }

    pub(super) const fn reloads(mut self) -> Self {
        self.reloads = true;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(super) const fn old(mut self, names: &'static [&'static str]) -> Self {
        self.old = names;
        self
    }

    pub(super) const fn variable(mut self, name: &'static str) -> Self {
        self.variable = Some(name);
        self
    }

    pub(super) const fn ignored(mut self) -> Self {
        self.effect = Effect::Ignored;
        self
    }

    pub(super) const fn refused(mut self, instead: &'static str) -> Self {
        self.effect = Effect::Refused(instead);
        self
    }

    pub(super) const fn open(mut self) -> Self {
        self.open = true;
        self
    }
}

/// A key in its place.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// The full name: `proxy.http.enabled`.
    pub path: String,
    /// Where its value is in [`super::Config`]: `proxy.http.enabled`, in the names of fields.
    pub field: String,
    /// What the table says about it.
    pub key: Key,
    /// What is allowed, in words.
    pub allowed: String,
}

/// A name without what Milvus ignores in names: case, `.`, `/` and `_`. A leading `milvus` is dropped where more follows it.
pub fn normalize(name: &str) -> String {
    let lower = name.to_lowercase();
    let kept = lower.strip_prefix("milvus.").unwrap_or(&lower);
    kept.chars().filter(|c| !matches!(c, '.' | '/' | '_')).collect()
}
