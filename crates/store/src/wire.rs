//! Reading little-endian numbers from bytes that may be anything: every step is bounded by what is there.

use bytes::{BufMut, BytesMut};
use types::value::Value;
use types::{Error, Result};

/// A place in a file's body. Errors name the file and the offset.
pub(crate) struct Cursor<'a> {
    name: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `bytes`; `name` is the file's.
    pub fn new(name: &'a str, bytes: &'a [u8]) -> Self {
        Self { name, bytes, at: 0 }
    }

    /// An error about the bytes here.
    pub fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::corrupt(format!("{}: {what} at byte {} of its body", self.name, self.at))
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        match self.at.checked_add(length).and_then(|end| self.bytes.get(self.at..end)) {
            Some(bytes) => {
                self.at += length;
                Ok(bytes)
            }
            None => Err(self.wrong("an early end")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// A number of things of which each takes at least `bytes_each`: more than can follow is an error, so it bounds an allocation.
    pub fn count(&mut self, bytes_each: usize) -> Result<usize> {
        let count = self.u32()? as usize;
        match count.checked_mul(bytes_each) {
            Some(bytes) if bytes <= self.bytes.len() - self.at => Ok(count),
            _ => Err(self.wrong(format!("{count} entries that don't fit"))),
        }
    }

    /// What [`put_value`] wrote.
    pub fn value(&mut self) -> Result<Value> {
        Ok(match self.u8()? {
            VALUE_BOOL => Value::Bool(self.u8()? != 0),
            VALUE_INT => Value::Int(self.i64()?),
            VALUE_FLOAT => Value::Float(f64::from_bits(self.u64()?)),
            VALUE_STRING => {
                let length = self.count(1)?;
                let text = std::str::from_utf8(self.take(length)?);
                Value::String(text.map_err(|_| self.wrong("a text that isn't UTF-8"))?.into())
            }
            other => return Err(self.wrong(format!("a value of unknown kind {other}"))),
        })
    }

    /// Ends the reading: nothing may be left.
    pub fn finish(self) -> Result<()> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.wrong(format!("{} bytes too many", self.bytes.len() - self.at))) }
    }
}

const VALUE_BOOL: u8 = 1;
const VALUE_INT: u8 = 2;
const VALUE_FLOAT: u8 = 3;
const VALUE_STRING: u8 = 4;

/// A value with its kind before it.
pub(crate) fn put_value(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Bool(value) => out.put_slice(&[VALUE_BOOL, u8::from(*value)]),
        Value::Int(value) => {
            out.put_u8(VALUE_INT);
            out.put_i64_le(*value);
        }
        Value::Float(value) => {
            out.put_u8(VALUE_FLOAT);
            out.put_u64_le(value.to_bits());
        }
        Value::String(text) => {
            out.put_u8(VALUE_STRING);
            out.put_u32_le(text.len() as u32);
            out.put_slice(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip_and_counts_are_bounded() {
        let values = [Value::Bool(true), Value::Int(i64::MIN), Value::Float(f64::NEG_INFINITY), Value::String("ü".into())];
        let mut out = BytesMut::new();
        values.iter().for_each(|value| put_value(&mut out, value));
        let mut cursor = Cursor::new("f", &out);
        for value in &values {
            assert_eq!(&cursor.value().expect("written above"), value);
        }
        cursor.finish().expect("all was read");
        let mut cursor = Cursor::new("f", &[255, 255, 255, 255, 0, 0, 0, 0]);
        let error = cursor.count(8).expect_err("too many");
        assert_eq!(error.reason(), "f: 4294967295 entries that don't fit at byte 4 of its body: data integrity check failed");
        assert!(Cursor::new("f", &[0; 3]).finish().is_err());
    }
}
