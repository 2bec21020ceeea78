//! Scalar indexes against a scan of the column, for every type, kind and question; damaged files.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use index::file::scrub;
use index::scalar::{Question, ScalarIndex, ScalarKind, build, open};
use proptest::prelude::*;
use types::bitset::Bitset;
use types::blob::MemoryBlob;
use types::column::{Arrays, Column, Values};
use types::id::FieldId;
use types::schema::{DataType, Field, FieldKind};

fn opened(column: &Column, kind: ScalarKind) -> Arc<dyn ScalarIndex> {
    let bytes = build(column, kind).expect("the column has an index").to_bytes();
    let blob = MemoryBlob::new("scalar", Bytes::from(bytes));
    scrub(&blob).expect("what was written is sound");
    open(&blob).expect("what was written opens")
}

/// A value that questions are asked about.
#[derive(Clone, PartialEq, Debug)]
enum Value {
    Integer(i64),
    Float(f64),
    Text(String),
}

/// What a row holds: nothing if it is null, several values if it is an array.
fn values_at(column: &Column, row: usize) -> Vec<Value> {
    let at = |values: &Values, slot: usize| match values {
        Values::Bool(values) => Value::Integer(values[slot].into()),
        Values::Int8(values) => Value::Integer(values[slot].into()),
        Values::Int64(values) => Value::Integer(values[slot]),
        Values::Float(values) => Value::Float(values[slot].into()),
        Values::Double(values) => Value::Float(values[slot]),
        Values::VarChar(texts) => Value::Text(texts.get(slot).to_owned()),
        other => panic!("no test has a column of {}", other.data_type()),
    };
    if !column.is_valid(row) {
        return Vec::new();
    }
    match &column.values {
        Values::Array(arrays) => arrays.range(row).map(|slot| at(arrays.elements(), slot)).collect(),
        values => vec![at(values, row)],
    }
}

fn wants(question: &Question<'_>, value: &Value) -> bool {
    match (question, value) {
        (Question::Integers(low, high), Value::Integer(value)) => (*low..=*high).contains(&(*value).into()),
        (Question::IntegerSet(set), Value::Integer(value)) => set.contains(value),
        (Question::Floats(low, high), Value::Float(value)) => low <= value && value <= high,
        (Question::FloatSet(set), Value::Float(value)) => set.contains(value),
        (Question::Texts(low, high), Value::Text(text)) => {
            let above = match low {
                Bound::Included(low) => text.as_bytes() >= *low,
                Bound::Excluded(low) => text.as_bytes() > *low,
                Bound::Unbounded => true,
            };
            let below = match high {
                Bound::Included(high) => text.as_bytes() <= *high,
                Bound::Excluded(high) => text.as_bytes() < *high,
                Bound::Unbounded => true,
            };
            above && below
        }
        (Question::TextSet(set), Value::Text(text)) => set.iter().any(|wanted| **wanted == **text),
        (Question::TextTest { prefix, test }, Value::Text(text)) => text.as_bytes().starts_with(prefix) && test(text.as_bytes()),
        _ => false,
    }
}

fn check(column: &Column, question: &Question<'_>) {
    let expected = Bitset::from_fn(column.rows(), |row| values_at(column, row).iter().any(|value| wants(question, value)));
    for kind in ScalarKind::ALL {
        let index = opened(column, kind);
        assert_eq!(index.rows(), column.rows());
        assert_eq!(index.present(), column.validity.as_ref());
        let answer = index.answer(question).expect("the question is of the column's type");
        assert_eq!(answer, expected, "{kind:?}");
        if let Some(estimate) = index.estimate(question) {
            assert!(estimate >= answer.count_ones(), "{kind:?}: {estimate}");
        }
    }
}

fn integers() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -5i64..6, 1 => prop::sample::select(&[i64::MIN, i64::MAX, 300, -129][..])]
}

fn floats() -> impl Strategy<Value = f64> {
    prop::sample::select(&[0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1e300, -1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 5e-324][..])
}

fn texts() -> impl Strategy<Value = String> {
    "[ab\u{e9}]{0,3}"
}

fn validity(rows: usize) -> impl Strategy<Value = Option<Bitset>> {
    prop::option::of(proptest::collection::vec(any::<bool>(), rows).prop_map(|bits| Bitset::from_fn(bits.len(), |row| bits[row])))
}

/// The values alone, or as elements of arrays of up to three.
fn columns(values: impl Strategy<Value = Values> + 'static) -> impl Strategy<Value = Column> {
    (values, any::<bool>()).prop_flat_map(|(values, arrays)| {
        let values = if arrays {
            let end = values.slots() as u32;
            let offsets: Vec<u32> = (0..=end).step_by(3).chain(if end.is_multiple_of(3) { None } else { Some(end) }).collect();
            Values::Array(Arrays::from_parts(offsets.into(), values).expect("offsets ascend"))
        } else {
            values
        };
        let rows = values.slots();
        (Just(values), validity(rows)).prop_map(|(values, validity)| Column { field: FieldId(100), validity, values })
    })
}

fn integer_values() -> impl Strategy<Value = Values> {
    proptest::collection::vec(integers(), 0..200).prop_flat_map(|values| {
        prop_oneof![
            Just(Values::Int64(values.clone().into())),
            Just(Values::Int8(values.iter().map(|&value| value as i8).collect::<Vec<_>>().into())),
            Just(Values::Bool(values.iter().map(|&value| u8::from(value > 0)).collect::<Vec<_>>().into())),
        ]
    })
}

fn float_values() -> impl Strategy<Value = Values> {
    proptest::collection::vec(floats(), 0..200).prop_flat_map(|values| {
        prop_oneof![
            Just(Values::Double(values.clone().into())),
            Just(Values::Float(values.iter().map(|&value| value as f32).collect::<Vec<_>>().into())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn integers_as_a_scan_finds_them(column in columns(integer_values()), a in integers(), b in integers(), set in proptest::collection::vec(integers(), 0..5)) {
        check(&column, &Question::Integers(a.into(), b.into()));
        check(&column, &Question::Integers(i128::MIN, b.into()));
        check(&column, &Question::IntegerSet(&set));
    }

    #[test]
    fn floats_as_a_scan_finds_them(column in columns(float_values()), a in floats(), b in floats(), set in proptest::collection::vec(floats(), 0..5)) {
        check(&column, &Question::Floats(a, b));
        check(&column, &Question::Floats(f64::NEG_INFINITY, b));
        check(&column, &Question::FloatSet(&set));
    }

    #[test]
    fn texts_as_a_scan_finds_them(
        column in columns(proptest::collection::vec(texts(), 0..200).prop_map(|texts| Values::VarChar(texts.iter().collect()))),
        (a, b) in (texts(), texts()),
        set in proptest::collection::vec(texts(), 0..5),
    ) {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        check(&column, &Question::Texts(Bound::Included(a), Bound::Excluded(b)));
        check(&column, &Question::Texts(Bound::Excluded(a), Bound::Included(b)));
        check(&column, &Question::Texts(Bound::Unbounded, Bound::Unbounded));
        let mut set: Vec<Arc<str>> = set.iter().map(|text| text.as_str().into()).collect();
        set.sort_unstable();
        check(&column, &Question::TextSet(&set));
        check(&column, &Question::TextTest { prefix: a, test: &|text| text.len() % 2 == 0 });
        check(&column, &Question::TextTest { prefix: b"", test: &|text| text.ends_with(b) });
    }

    #[test]
    fn damaged_files_never_panic(values in proptest::collection::vec(texts(), 1..60), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let column = Column::new(FieldId(100), Values::VarChar(values.iter().collect()));
        for kind in [ScalarKind::Inverted, ScalarKind::Bitmap] {
            let mut bytes = build(&column, kind).expect("the column has an index").to_bytes();
            let place = at.index(bytes.len());
            bytes[place] = byte;
            if byte < 16 {
                bytes.truncate(cut.index(bytes.len()));
            }
            let Ok(index) = open(&MemoryBlob::new("scalar", Bytes::from(bytes))) else { continue };
            index.answer(&Question::Texts(Bound::Unbounded, Bound::Excluded(b"b")));
            index.answer(&Question::TextTest { prefix: b"a", test: &|_| true });
            index.answer(&Question::Integers(0, 1));
        }
    }
}

#[test]
fn questions_of_another_type_have_no_answer() {
    let column = Column::new(FieldId(100), Values::Int64(vec![1, 2].into()));
    let index = opened(&column, ScalarKind::Inverted);
    assert!(index.answer(&Question::Floats(0.0, 1.0)).is_none());
    assert!(index.estimate(&Question::TextSet(&[])).is_none());
    let vectors = Column::new(FieldId(100), Values::FloatVector { dimension: 1, data: vec![0.5].into() });
    assert!(build(&vectors, ScalarKind::Inverted).is_err_and(|error| error.reason().contains("has no scalar index")));
    let json = Column::new(FieldId(100), Values::Json(["{}"].into_iter().collect()));
    assert!(build(&json, ScalarKind::Inverted).is_err());
}

#[test]
fn which_fields_may_have_which_index() {
    let field = |data_type, kind, element_type| Field {
        id: FieldId(100),
        name: "f".to_owned(),
        description: String::new(),
        data_type,
        kind,
        auto_id: false,
        nullable: false,
        default: None,
        dimension: None,
        max_length: None,
        element_type,
        max_capacity: None,
        type_params: std::collections::BTreeMap::new(),
    };
    let check = |name: &str, (data_type, kind, element): (DataType, FieldKind, Option<DataType>), expected: Option<&str>| {
        let kind_of_index = ScalarKind::from_name(name).expect("a name of a type");
        let found = kind_of_index.check(&field(data_type, kind, element)).err().map(|error| error.reason().to_owned());
        assert_eq!(found.is_some(), expected.is_some(), "{name} {data_type}");
        if let (Some(found), Some(expected)) = (found, expected) {
            assert!(found.contains(expected), "{found}");
        }
    };
    let plain = |data_type| (data_type, FieldKind::Plain, None);
    let array = |element| (DataType::Array, FieldKind::Plain, Some(element));
    check("INVERTED", plain(DataType::Bool), None);
    check("INVERTED", plain(DataType::Double), None);
    check("INVERTED", array(DataType::Float), None);
    check("INVERTED", plain(DataType::FloatVector), Some("INVERTED are not supported on FloatVector field"));
    check("BITMAP", plain(DataType::VarChar), None);
    check("BITMAP", array(DataType::Int8), None);
    check("BITMAP", plain(DataType::Float), Some("bitmap index are only supported on bool, int, string and array field"));
    check("BITMAP", array(DataType::Float), Some("bitmap index are only supported on bool, int, string for array field"));
    check("BITMAP", (DataType::Int64, FieldKind::Primary, None), Some("create bitmap index on primary key not supported"));
    check("STL_SORT", plain(DataType::VarChar), None);
    check("STL_SORT", plain(DataType::Bool), Some("STL_SORT are only supported on numeric, varchar or timestamptz field, got Bool"));
    check("TRIE", plain(DataType::VarChar), None);
    check("Trie", plain(DataType::Int64), Some("TRIE are only supported on varchar field"));
    assert_eq!(ScalarKind::from_name("HYBRID"), None);
}
