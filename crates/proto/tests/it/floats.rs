//! `FloatArray` against the message that the generator would have made of it.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use proto::schema::{FieldData, FloatArray, VectorField, field_data, vector_field};

/// What prost derives for `FloatArray`.
#[derive(Clone, PartialEq, Message)]
struct Plain {
    #[prost(float, repeated, tag = "1")]
    data: Vec<f32>,
}

/// A field of the wire, valid or not.
#[derive(Clone, Debug)]
enum Piece {
    Packed(Vec<f32>),
    Single(f32),
    /// Of another tag.
    Unknown(u32, Vec<u8>),
    /// A packed chunk with a length that needn't be a multiple of four.
    Ragged(Vec<u8>),
    /// A packed chunk that claims to be longer than it is.
    Short(u64),
    /// Tag 1 as a varint.
    WrongType(u64),
}

impl Piece {
    fn put(&self, buf: &mut BytesMut) {
        let mut delimited = |tag: u32, bytes: &[u8]| {
            encode_key(tag, WireType::LengthDelimited, buf);
            encode_varint(bytes.len() as u64, buf);
            buf.put_slice(bytes);
        };
        match self {
            Self::Packed(values) => delimited(1, bytemuck::cast_slice(values)),
            Self::Unknown(tag, bytes) => delimited(*tag, bytes),
            Self::Ragged(bytes) => delimited(1, bytes),
            Self::Single(value) => {
                encode_key(1, WireType::ThirtyTwoBit, buf);
                buf.put_f32_le(*value);
            }
            Self::Short(length) => {
                encode_key(1, WireType::LengthDelimited, buf);
                encode_varint(*length, buf);
            }
            Self::WrongType(value) => {
                encode_key(1, WireType::Varint, buf);
                encode_varint(*value, buf);
            }
        }
    }
}

/// Any bit pattern: NaNs with payloads and denormals must pass unchanged.
fn any_float() -> impl Strategy<Value = f32> {
    any::<u32>().prop_map(f32::from_bits)
}

fn valid_piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        3 => prop::collection::vec(any_float(), 0..40).prop_map(Piece::Packed),
        2 => any_float().prop_map(Piece::Single),
        1 => (2u32..5, prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(tag, bytes)| Piece::Unknown(tag, bytes)),
    ]
}

fn any_piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        6 => valid_piece(),
        1 => prop::collection::vec(any::<u8>(), 0..9).prop_map(Piece::Ragged),
        1 => any::<u64>().prop_map(Piece::Short),
        1 => any::<u64>().prop_map(Piece::WrongType),
    ]
}

fn wire(pieces: &[Piece]) -> Bytes {
    let mut buf = BytesMut::new();
    for piece in pieces {
        piece.put(&mut buf);
    }
    buf.freeze()
}

fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|float| float.to_bits()).collect()
}

/// Both messages take `bytes`, alone and inside of others, or both refuse them.
fn check(bytes: &Bytes) {
    let plain = Plain::decode(bytes.clone());
    let array = FloatArray::decode(bytes.clone());
    let copied = FloatArray::decode(&bytes[..]);
    match (plain, array, copied) {
        (Ok(plain), Ok(array), Ok(copied)) => check_equal(&plain, &array, &copied),
        (Err(_), Err(_), Err(_)) => {}
        (plain, array, copied) => panic!("{plain:?}, but {array:?} and {copied:?} for {bytes:02x?}"),
    }
}

fn check_equal(plain: &Plain, array: &FloatArray, copied: &FloatArray) {
    let expected = bits(&plain.data);
    assert_eq!(bits(&array.floats()), expected);
    assert_eq!(bits(&copied.floats()), expected);
    assert_eq!(bits(&array.iter().collect::<Vec<_>>()), expected);
    assert_eq!((array.len(), array.is_empty()), (expected.len(), expected.is_empty()));
    assert_eq!(array == copied, plain.data == plain.data.clone(), "compared by value, NaN unlike itself");
    let encoded = plain.encode_to_vec();
    for array in [array.clone(), FloatArray::from(plain.data.clone())] {
        assert_eq!(array.encoded_len(), encoded.len());
        assert_eq!(array.encode_to_vec(), encoded);
        let shared = FloatArray::from_bytes(array.clone().into_bytes()).expect("whole values");
        assert_eq!(bits(&shared.floats()), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn takes_every_valid_encoding(pieces in prop::collection::vec(valid_piece(), 0..8)) {
        let bytes = wire(&pieces);
        prop_assert!(FloatArray::decode(bytes.clone()).is_ok());
        check(&bytes);
    }

    #[test]
    fn takes_and_refuses_the_same(
        pieces in prop::collection::vec(any_piece(), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = wire(&pieces);
        check(&bytes);
        check(&bytes.slice(..cut.index(bytes.len() + 1)));
    }

    #[test]
    fn takes_and_refuses_the_same_noise(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        check(&bytes.into());
    }

    #[test]
    fn merges_like_the_generated_one(
        first in prop::collection::vec(valid_piece(), 0..4),
        second in prop::collection::vec(valid_piece(), 0..4),
    ) {
        let mut plain = Plain::default();
        let mut array = FloatArray::default();
        for bytes in [wire(&first), wire(&second)] {
            plain.merge(bytes.clone()).unwrap();
            array.merge(bytes).unwrap();
        }
        prop_assert_eq!(bits(&array.floats()), bits(&plain.data));
        array.clear();
        prop_assert!(array.is_empty());
    }
}

fn vector_column(array: FloatArray) -> FieldData {
    let data = Some(vector_field::Data::FloatVector(array));
    let vectors = VectorField { dim: 4, data };
    FieldData { field: Some(field_data::Field::Vectors(vectors)), ..Default::default() }
}

fn array_of(column: FieldData) -> FloatArray {
    let Some(field_data::Field::Vectors(VectorField { data, .. })) = column.field else { panic!("a vector column") };
    let Some(vector_field::Data::FloatVector(array)) = data else { panic!("a float vector") };
    array
}

#[test]
fn one_chunk_is_a_slice_of_the_message() {
    let floats: Vec<f32> = (0..1_000).map(|value| value as f32).collect();
    let message = Bytes::from(vector_column(floats.clone().into()).encode_to_vec());
    let array = array_of(FieldData::decode(message.clone()).unwrap());
    let (inner, outer) = (array.as_bytes().as_ptr_range(), message.as_ptr_range());
    assert!(outer.start <= inner.start && inner.end <= outer.end, "decoding copies nothing");
    let start = array.as_bytes().as_ptr();
    assert_eq!(*array.floats(), floats);
    assert_eq!(array.into_bytes().as_ptr(), start, "and turning it into bytes neither");
}

#[test]
fn own_floats_become_bytes_without_a_copy() {
    let floats = vec![1.5f32; 1_000];
    let start = floats.as_ptr().cast::<u8>();
    assert_eq!(FloatArray::from(floats).into_bytes().as_ptr(), start);
}

#[test]
fn values_at_odd_addresses_are_read() {
    let floats = [1.0f32, -2.5, f32::MAX];
    for shift in 0..4 {
        let mut buf = vec![0; shift];
        buf.extend_from_slice(bytemuck::cast_slice(&floats));
        let array = FloatArray::from_bytes(Bytes::from(buf).slice(shift..)).expect("whole values");
        assert_eq!(*array.floats(), floats, "shifted by {shift}");
        assert!(array.iter().eq(floats), "shifted by {shift}");
    }
    assert!(FloatArray::from_bytes(Bytes::from_static(&[0; 6])).is_none());
}

#[test]
fn a_chunk_must_end_inside_of_its_own_message() {
    // A column whose array claims three more floats than it has, with enough bytes after it.
    let array = wire(&[Piece::Short(12)]);
    let mut vectors = BytesMut::new();
    Piece::Unknown(2, array.to_vec()).put(&mut vectors);
    let mut column = BytesMut::new();
    Piece::Unknown(4, vectors.to_vec()).put(&mut column);
    Piece::Unknown(2, b"name of the field".to_vec()).put(&mut column);
    assert!(FieldData::decode(column.freeze()).is_err());
}

#[test]
fn errors_name_the_field() {
    let error = FloatArray::decode(wire(&[Piece::Ragged(vec![0; 5])])).unwrap_err().to_string();
    assert!(error.contains("FloatArray.data"), "{error}");
}

#[test]
fn debug_is_short() {
    assert_eq!(format!("{:?}", FloatArray::from(vec![0.5, 2.0])), "FloatArray(2) [0.5, 2.0]");
    let long = format!("{:?}", FloatArray::from(vec![0.0; 1_000_000]));
    assert!(long.starts_with("FloatArray(1000000) [0.0, ") && long.len() < 100, "{long}");
}
