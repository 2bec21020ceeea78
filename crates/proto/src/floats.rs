//! `milvus.proto.schema.FloatArray` decoded in bulk: the one message that is not generated.
//!
//! It carries every float vector of a request, so decoding it value by value would cost more than all the rest of the
//! message. On the wire a packed `repeated float` is the same bytes as a `bytes` field: a varint of the length, then the
//! values in little-endian order. So the usual array, one packed chunk, is kept as a slice of the received message:
//! nothing is copied or looked at.
//!
//! What this is not: a column. Turn it into one with [`FloatArray::into_bytes`]; the values lie at any address there.
//!
//! Invariants:
//! - A length in bytes is a multiple of four.
//! - It accepts what a generated message accepts (one chunk, several, single values, any mix), refuses what that refuses,
//!   and encodes to the same bytes. `tests/it/floats.rs` holds the two against each other.
//!
//! Start at [`FloatArray`], then its `merge_field`.

use std::borrow::Cow;
use std::fmt;

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use prost::encoding::{self, DecodeContext, WireType};

const _: () = assert!(cfg!(target_endian = "little"), "values are shared with the wire, whose order is little-endian");

/// The tag of the only field, `data`.
const DATA_TAG: u32 = 1;
const FLOAT_BYTES: usize = size_of::<f32>();
/// How many values `Debug` prints: an array may hold a hundred million.
const DEBUG_VALUES_MAX: usize = 8;

/// An array of `f32`, either a slice of a received message or values of its own.
///
/// ```
/// use proto::schema::FloatArray;
///
/// let array = FloatArray::from(vec![0.5, -1.0]);
/// assert_eq!(array.len(), 2);
/// assert_eq!(array.floats()[..], [0.5, -1.0]);
/// assert_eq!(array.iter().sum::<f32>(), -0.5);
/// ```
#[derive(Clone)]
pub struct FloatArray {
    source: Source,
}

#[derive(Clone)]
enum Source {
    /// Little-endian values at any address, a multiple of four bytes long.
    Wire(Bytes),
    Owned(Vec<f32>),
}

impl FloatArray {
    /// An array over little-endian `bytes`, which it shares. `None` if they aren't a whole number of values.
    pub fn from_bytes(bytes: Bytes) -> Option<Self> {
        bytes.len().is_multiple_of(FLOAT_BYTES).then_some(Self { source: Source::Wire(bytes) })
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.as_bytes().len() / FLOAT_BYTES
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// The values, borrowed where their address is aligned, else copied.
    pub fn floats(&self) -> Cow<'_, [f32]> {
        let bytes = self.as_bytes();
        match bytemuck::try_cast_slice(bytes) {
            Ok(floats) => Cow::Borrowed(floats),
            Err(_) => Cow::Owned(values(bytes).collect()),
        }
    }

    /// The values one by one, without a copy of the array.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f32> + '_ {
        values(self.as_bytes())
    }

    /// The values as little-endian bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.source {
            Source::Wire(bytes) => bytes,
            Source::Owned(floats) => bytemuck::cast_slice(floats),
        }
    }

    /// The values as little-endian bytes, never copied. They may share, and so keep, the memory of a whole message.
    pub fn into_bytes(self) -> Bytes {
        match self.source {
            Source::Wire(bytes) => bytes,
            Source::Owned(floats) => Bytes::from_owner(OwnedFloats(floats)),
        }
    }

    /// The values as a vector to append to. An array that comes in several pieces leaves the message's memory here.
    fn make_owned(&mut self) -> &mut Vec<f32> {
        if let Source::Wire(bytes) = &self.source {
            self.source = Source::Owned(values(bytes).collect());
        }
        match &mut self.source {
            Source::Owned(floats) => floats,
            Source::Wire(_) => unreachable!("replaced above"),
        }
    }

    /// Takes one field `data` of wire type `wire_type` from `buf`.
    fn merge_data(&mut self, wire_type: WireType, buf: &mut impl Buf, ctx: DecodeContext) -> Result<(), DecodeError> {
        if wire_type != WireType::LengthDelimited {
            let mut value = 0.0;
            encoding::float::merge(wire_type, &mut value, buf, ctx)?;
            self.make_owned().push(value);
            return Ok(());
        }
        let length = usize::try_from(encoding::decode_varint(buf)?).map_err(|_| underflow())?;
        if length > buf.remaining() || !length.is_multiple_of(FLOAT_BYTES) {
            return Err(underflow());
        }
        let chunk = buf.copy_to_bytes(length);
        if self.is_empty() {
            self.source = Source::Wire(chunk);
        } else {
            self.make_owned().extend(values(&chunk));
        }
        Ok(())
    }
}

/// The values in little-endian `bytes` at any address.
fn values(bytes: &[u8]) -> impl ExactSizeIterator<Item = f32> + '_ {
    bytes.chunks_exact(FLOAT_BYTES).map(bytemuck::pod_read_unaligned)
}

/// The error for a chunk that ends inside of a value or beyond the message. prost has no public constructor that isn't
/// deprecated, so this asks it to read a value from nothing.
fn underflow() -> DecodeError {
    encoding::float::merge(WireType::ThirtyTwoBit, &mut 0.0, &mut [].as_slice(), DecodeContext::default())
        .expect_err("no value can be read from an empty buffer")
}

/// Lets `Bytes` hold a vector of floats without a copy.
struct OwnedFloats(Vec<f32>);

impl AsRef<[u8]> for OwnedFloats {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl prost::Message for FloatArray {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        let bytes = self.as_bytes();
        if !bytes.is_empty() {
            encoding::encode_key(DATA_TAG, WireType::LengthDelimited, buf);
            encoding::encode_varint(bytes.len() as u64, buf);
            buf.put_slice(bytes);
        }
    }

    fn merge_field(&mut self, tag: u32, wire_type: WireType, buf: &mut impl Buf, ctx: DecodeContext) -> Result<(), DecodeError> {
        if tag != DATA_TAG {
            return encoding::skip_field(wire_type, tag, buf, ctx);
        }
        self.merge_data(wire_type, buf, ctx).map_err(|mut error| {
            error.push("FloatArray", "data");
            error
        })
    }

    fn encoded_len(&self) -> usize {
        match self.as_bytes().len() {
            0 => 0,
            length => encoding::key_len(DATA_TAG) + encoding::encoded_len_varint(length as u64) + length,
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Default for FloatArray {
    fn default() -> Self {
        Self { source: Source::Wire(Bytes::new()) }
    }
}

impl From<Vec<f32>> for FloatArray {
    fn from(floats: Vec<f32>) -> Self {
        Self { source: Source::Owned(floats) }
    }
}

impl FromIterator<f32> for FloatArray {
    fn from_iter<I: IntoIterator<Item = f32>>(floats: I) -> Self {
        Self::from(Vec::from_iter(floats))
    }
}

/// By value, as `Vec<f32>` compares: NaN equals nothing, the two zeros equal each other.
impl PartialEq for FloatArray {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for FloatArray {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FloatArray({}) ", self.len())?;
        let mut list = formatter.debug_list();
        list.entries(self.iter().take(DEBUG_VALUES_MAX));
        if self.len() > DEBUG_VALUES_MAX { list.finish_non_exhaustive() } else { list.finish() }
    }
}
