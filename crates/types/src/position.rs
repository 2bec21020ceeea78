//! Where a frame lies in a log: an opaque ordered value of 24 bytes, and the identity of that log.
//!
//! A number is not enough: a topic that was deleted and made again starts its offsets anew, and Pulsar's ids have three parts.
//! Every log's adapter encodes its own ids big-endian, so that byte order is log order.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which log a position belongs to: drawn at random when a channel's log is created.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LogId(pub u128);

/// The place of one frame. `from` bounds are inclusive: a reader that starts at `p` gets the frames at `p` and above.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position {
    /// The log. Compare positions only where this is equal; `Ord` puts it first so that a mistake is at least stable.
    pub log: LogId,
    /// Big-endian key inside the log.
    pub key: [u8; 24],
}

impl Position {
    /// At or below every frame of a log.
    pub fn start(log: LogId) -> Self {
        Self { log, key: [0; 24] }
    }

    /// A position from one number (offset, byte address).
    pub fn from_u64(log: LogId, value: u64) -> Self {
        Self::from_parts(log, [0, 0, value])
    }

    /// A position from three numbers, most significant first.
    pub fn from_parts(log: LogId, parts: [u64; 3]) -> Self {
        let mut key = [0; 24];
        for (slot, part) in key.chunks_exact_mut(8).zip(parts) {
            slot.copy_from_slice(&part.to_be_bytes());
        }
        Self { log, key }
    }

    /// The three numbers that [`Self::from_parts`] took.
    pub fn parts(&self) -> [u64; 3] {
        let part = |i: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.key[i * 8..i * 8 + 8]);
            u64::from_be_bytes(bytes)
        };
        [part(0), part(1), part(2)]
    }

    /// The lowest number of the three, for logs whose ids are one number.
    pub fn to_u64(&self) -> u64 {
        self.parts()[2]
    }

    /// The lowest position above this one: where to read on after a frame, and the end of a log whose last frame is here.
    pub fn next(mut self) -> Self {
        for byte in self.key.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        self
    }

    /// The highest position below this one; a log's start has none below it and stays.
    pub fn previous(mut self) -> Self {
        if self.key == [0; 24] {
            return self;
        }
        for byte in self.key.iter_mut().rev() {
            let borrow = *byte == 0;
            *byte = byte.wrapping_sub(1);
            if !borrow {
                break;
            }
        }
        self
    }

    /// The stored form: the log's id and the key, 40 bytes.
    pub fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..16].copy_from_slice(&self.log.0.to_be_bytes());
        bytes[16..].copy_from_slice(&self.key);
        bytes
    }

    /// The reverse of [`Self::to_bytes`].
    pub fn from_bytes(bytes: &[u8; 40]) -> Self {
        let (mut log, mut key) = ([0; 16], [0; 24]);
        log.copy_from_slice(&bytes[..16]);
        key.copy_from_slice(&bytes[16..]);
        Self { log: LogId(u128::from_be_bytes(log)), key }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.parts();
        write!(f, "{a}:{b}:{c}@{:08x}", (self.log.0 >> 96) as u32)
    }
}

impl Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let hex: String = self.to_bytes().iter().map(|b| format!("{b:02x}")).collect();
        serializer.serialize_str(&hex)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0u8; 40];
        if text.len() != 80 || !text.is_ascii() {
            return Err(serde::de::Error::custom("a position has 80 hexadecimal digits"));
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(serde::de::Error::custom)?;
        }
        Ok(Self::from_bytes(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_next_and_stored_form() {
        let log = LogId(7 << 100);
        let low = Position::from_parts(log, [1, 2, u64::MAX]);
        assert_eq!(low.next(), Position::from_parts(log, [1, 3, 0]));
        assert!(low < low.next());
        assert_eq!(low.next().previous(), low);
        assert_eq!(Position::start(log).previous(), Position::start(log));
        assert!(Position::start(log) <= Position::from_u64(log, 0));
        assert_eq!(Position::from_bytes(&low.to_bytes()), low);
        let json = serde_json::to_string(&low).expect("a position is a string");
        assert_eq!(serde_json::from_str::<Position>(&json).expect("written above"), low);
        assert!(serde_json::from_str::<Position>("\"00\"").is_err());
    }
}
