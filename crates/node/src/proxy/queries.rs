//! The vectors that a search is for, from its placeholder group.
//!
//! Vectors are of the field's type; a field of half floats takes floats too, rounded to the nearest.

use bytes::{Bytes, BytesMut};
use prost::Message;
use proto::common::{PlaceholderGroup, PlaceholderType};
use proto::milvus as m;
use types::buffer::Buffer;
use types::column::Values;
use types::schema::{DataType, Field};
use types::{Error, Result};

use super::columns;
use super::limits::Limits;

/// One vector for each query of a request, of `field`'s type.
///
/// # Errors
/// Milvus's text for what is wrong with them.
pub fn parse(request: &m::SearchRequest, field: &Field, limits: &Limits) -> Result<Values> {
    let group = match &request.search_input {
        Some(m::search_request::SearchInput::PlaceholderGroup(bytes)) => PlaceholderGroup::decode(bytes.clone())
            .map_err(|error| Error::invalid(format!("the placeholder group can't be read: {error}")))?,
        _ => PlaceholderGroup::default(),
    };
    let values = group.placeholders.first();
    let count = values.map_or(0, |placeholder| placeholder.values.len());
    if !(1..=limits.queries).contains(&(count as i64)) {
        let range = format!("nq (number of search vector per search request) should be in range [1, {}]", limits.queries);
        return Err(Error::invalid(format!("nq [{count}] is invalid, {range}, but got {count}")));
    }
    let placeholder = values.ok_or_else(|| Error::invalid("must have queries"))?;
    let given = DataType::from_number(placeholder.r#type);
    match (field.data_type, given) {
        (DataType::SparseFloatVector, Some(DataType::SparseFloatVector)) => columns::sparse_values(&placeholder.values),
        (expected, Some(given)) if expected == given && given.is_dense_vector() => {
            columns::dense_values(field, joined(field, given, &placeholder.values)?)
        }
        (DataType::Float16Vector, Some(DataType::FloatVector)) => {
            columns::dense_values(field, rounded(joined(field, DataType::FloatVector, &placeholder.values)?, half))
        }
        (DataType::BFloat16Vector, Some(DataType::FloatVector)) => {
            columns::dense_values(field, rounded(joined(field, DataType::FloatVector, &placeholder.values)?, bfloat))
        }
        (expected, _) => {
            let (name, expected, given) = (&field.name, type_name(expected.number()), type_name(placeholder.r#type));
            Err(Error::invalid(format!("vector type must be the same, field {name} - type {expected}, search ph type {given}")))
        }
    }
}

/// The bytes of dense vectors of type `given`. One query's are taken as they lie in the request.
fn joined(field: &Field, given: DataType, values: &[Bytes]) -> Result<Bytes> {
    let width = given.width(field.dimension.unwrap_or(0) as usize).ok_or_else(|| Error::internal("dense vectors have a width"))?;
    if let Some(wrong) = values.iter().find(|value| value.len() != width) {
        let actual = wrong.len();
        return Err(Error::invalid(format!("vector dimension mismatch, expected vector size(byte) {width}, actual {actual}.")));
    }
    if let [only] = values {
        return Ok(only.clone());
    }
    let mut all = BytesMut::with_capacity(width * values.len());
    values.iter().for_each(|value| all.extend_from_slice(value));
    Ok(all.freeze())
}

fn rounded(floats: Bytes, round: fn(f32) -> u16) -> Bytes {
    Buffer::from(Buffer::<f32>::from_bytes(floats).iter().map(|&value| round(value)).collect::<Vec<u16>>()).into_bytes()
}

/// The nearest IEEE 754 half float, the even one of two; what is too great or no number becomes an infinity.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let (exponent, mantissa) = ((bits >> 23 & 0xff) as i32 - 127 + 15, bits & 0x007f_ffff);
    sign | match exponent {
        31.. => 0x7c00,
        // A carry of the mantissa goes into the exponent, as it should.
        1..=30 => shifted((exponent as u32) << 23 | mantissa, 13) as u16,
        -10..=0 => shifted(mantissa | 0x0080_0000, (14 - exponent) as u32) as u16,
        _ => 0,
    }
}

/// The nearest upper half of a float, likewise; infinities and what is no number stay that.
fn bfloat(value: f32) -> u16 {
    if value.is_finite() { shifted(value.to_bits(), 16) as u16 } else { 0x7f80 }
}

/// `value >> bits`, rounded to the nearest, halves to the even.
fn shifted(value: u32, bits: u32) -> u32 {
    let (whole, rest, half) = (value >> bits, value & ((1 << bits) - 1), 1 << (bits - 1));
    whole + u32::from(rest > half || rest == half && whole & 1 == 1)
}

/// The searching library's names of types, as Milvus's text has them.
fn type_name(number: i32) -> String {
    match PlaceholderType::try_from(number) {
        Ok(PlaceholderType::BinaryVector) => "VECTOR_BINARY".to_owned(),
        Ok(PlaceholderType::FloatVector) => "VECTOR_FLOAT".to_owned(),
        Ok(PlaceholderType::Float16Vector) => "VECTOR_FLOAT16".to_owned(),
        Ok(PlaceholderType::BFloat16Vector) => "VECTOR_BFLOAT16".to_owned(),
        Ok(PlaceholderType::SparseFloatVector) => "VECTOR_SPARSE_U32_F32".to_owned(),
        Ok(PlaceholderType::Int8Vector) => "VECTOR_INT8".to_owned(),
        Ok(PlaceholderType::VarChar) => "VARCHAR".to_owned(),
        Ok(other) => format!("{other:?}").to_uppercase(),
        Err(_) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proto::common::PlaceholderValue;

    use super::*;

    #[test]
    fn floats_are_rounded_to_halves() {
        let cases = [
            (0.0, 0x0000, 0x0000),
            (-1.0, 0xbc00, 0xbf80),
            (0.1, 0x2e66, 0x3dcd),
            (65_504.0, 0x7bff, 0x4780),
            (65_520.0, 0x7c00, 0x4780),
            (2f32.powi(-24), 0x0001, 0x3380),
            (2f32.powi(-25), 0x0000, 0x3300),
            (1.5 * 2f32.powi(-25), 0x0001, 0x3340),
            (1.0 + 2f32.powi(-11), 0x3c00, 0x3f80),
            (1.0 + 3.0 * 2f32.powi(-11), 0x3c02, 0x3f80),
            (f32::MAX, 0x7c00, 0x7f80),
            (f32::NAN, 0x7c00, 0x7f80),
        ];
        for (value, as_half, as_bfloat) in cases {
            assert_eq!((half(value), bfloat(value)), (as_half, as_bfloat), "{value}");
        }
    }

    fn parsed(field: &str, given: PlaceholderType, values: &[&[u8]]) -> Result<Values> {
        let field: Field = serde_json::from_str(&format!(r#"{{"id": 101, "name": "v", {field}}}"#)).expect("a field");
        let values = values.iter().map(|value| Bytes::copy_from_slice(value)).collect();
        let placeholder = PlaceholderValue { tag: "$0".to_owned(), r#type: given as i32, values, element_level: false };
        let group = PlaceholderGroup { placeholders: vec![placeholder] }.encode_to_vec();
        let input = m::search_request::SearchInput::PlaceholderGroup(group.into());
        parse(&m::SearchRequest { search_input: Some(input), ..m::SearchRequest::default() }, &field, &Limits::default())
    }

    #[test]
    fn vectors_of_every_type() {
        use PlaceholderType as P;
        let ones: &[u8] = &[0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x80, 0xbf];
        let entry: &[u8] = &[7, 0, 0, 0, 0x00, 0x00, 0x80, 0x3f];
        let good = [
            (r#""data_type": "FloatVector", "dimension": 2"#, P::FloatVector, vec![ones, ones], 2),
            (r#""data_type": "BinaryVector", "dimension": 16"#, P::BinaryVector, vec![&ones[..2]], 1),
            (r#""data_type": "Float16Vector", "dimension": 2"#, P::Float16Vector, vec![&ones[..4]], 1),
            (r#""data_type": "BFloat16Vector", "dimension": 2"#, P::BFloat16Vector, vec![&ones[..4], &ones[4..]], 2),
            (r#""data_type": "Int8Vector", "dimension": 2"#, P::Int8Vector, vec![&ones[6..]], 1),
            (r#""data_type": "SparseFloatVector""#, P::SparseFloatVector, vec![entry, &[]], 2),
        ];
        for (field, given, values, count) in good {
            let queries = parsed(field, given, &values).expect("good queries");
            assert_eq!((queries.data_type().number(), queries.slots()), (given as i32, count), "{field}");
        }
        let halves = parsed(r#""data_type": "Float16Vector", "dimension": 2"#, P::FloatVector, &[ones]).expect("floats for halves");
        assert_eq!(halves, Values::Float16Vector { dimension: 2, data: vec![0x3c00, 0xbc00].into() });
        let wrong: [(&str, P, Vec<&[u8]>, &str); 6] = [
            (
                r#""data_type": "BinaryVector", "dimension": 16"#,
                P::FloatVector,
                vec![ones],
                "vector type must be the same, field v - type VECTOR_BINARY, search ph type VECTOR_FLOAT",
            ),
            (
                r#""data_type": "Int8Vector", "dimension": 4"#,
                P::Int8Vector,
                vec![ones],
                "vector dimension mismatch, expected vector size(byte) 4, actual 8.",
            ),
            (
                r#""data_type": "Float16Vector", "dimension": 1"#,
                P::Float16Vector,
                vec![&[0x00, 0x7c]],
                "float16 vector contain nan or infinity value.",
            ),
            (
                r#""data_type": "SparseFloatVector""#,
                P::SparseFloatVector,
                vec![&ones[..7]],
                "invalid data length in sparse float vector: 7",
            ),
            (r#""data_type": "SparseFloatVector""#, P::SparseFloatVector, vec![ones], "negative value in sparse float vector"),
            (r#""data_type": "SparseFloatVector""#, P::SparseFloatVector, vec![], "nq [0] is invalid"),
        ];
        for (field, given, values, text) in wrong {
            let error = parsed(field, given, &values).expect_err(text);
            assert!(error.reason().starts_with(text), "{error} … {text}");
        }
    }
}
