//! The fuzz target of the language: any bytes as a filter.
//!
//! Kept beside the code so that a plain test runs it on every build, and a fuzzer for as long as one likes.

use types::batch::Batch;
use types::bitset::Bitset;
use types::column::{Arrays, Column, Values};
use types::id::FieldId;
use types::schema::{DataType, Field, FieldKind, Schema};

use crate::{MissingJson, Options, Plan, Scratch, TemplateValue, Templates};

/// Compiles `bytes` as a filter; if it is one, evaluates it in every way there is.
///
/// # Panics
/// Where ways that must agree don't: a plan and its stored form, blocks and single rows, a filter and its negation on one row.
pub fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (schema, batch) = (schema(), batch());
    let mut scratch = Scratch::default();
    for missing in [MissingJson::Unknown, MissingJson::False] {
        let options = Options { templates: templates(), missing };
        let Ok(plan) = Plan::compile(&text, &schema, &options) else { return };
        let stored = serde_json::to_string(&plan).expect("a plan has a stored form");
        assert_eq!(serde_json::from_str::<Plan>(&stored).expect("a stored plan reads back"), plan, "{text}");
        let kept = plan.evaluate(&batch, batch.rows(), &mut scratch).expect("columns are of the schema's types");
        let denied = plan.negated().evaluate(&batch, batch.rows(), &mut scratch).expect("columns are of the schema's types");
        let candidates = Bitset::from_fn(batch.rows(), |row| row % 3 != 1);
        let within = plan.evaluate_within(&batch, &candidates, &mut scratch).expect("columns are of the schema's types");
        for row in 0..batch.rows() {
            let alone = plan.matches(&batch, row, &mut scratch).expect("columns are of the schema's types");
            assert_eq!(alone, kept.get(row), "row {row} of {text}");
            assert_eq!(within.get(row), candidates.get(row) && kept.get(row), "row {row} of {text}");
            assert!(!(kept.get(row) && denied.get(row)), "row {row} is kept by {text} and by its negation");
        }
    }
}

fn templates() -> Templates {
    let values = [
        ("n", TemplateValue::Int(2)),
        ("f", TemplateValue::Float(0.5)),
        ("s", TemplateValue::Text("b%".to_owned())),
        ("l", TemplateValue::Ints(vec![1, 2, 3])),
        ("j", TemplateValue::Json(vec!["1".to_owned(), "\"b\"".to_owned(), "[true]".to_owned()])),
    ];
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// One field of every type; names that fuzzers and people find quickly.
fn schema() -> Schema {
    let types = [
        ("i", DataType::Int64, FieldKind::Primary),
        ("a", DataType::Int8, FieldKind::Plain),
        ("c", DataType::Int16, FieldKind::Plain),
        ("d", DataType::Int32, FieldKind::Plain),
        ("b", DataType::Bool, FieldKind::Plain),
        ("f", DataType::Float, FieldKind::Plain),
        ("g", DataType::Double, FieldKind::Plain),
        ("s", DataType::VarChar, FieldKind::Plain),
        ("j", DataType::Json, FieldKind::Plain),
        ("v", DataType::FloatVector, FieldKind::Plain),
        ("r", DataType::Array, FieldKind::Plain),
        ("w", DataType::Array, FieldKind::Plain),
        ("$meta", DataType::Json, FieldKind::Dynamic),
    ];
    let field = |(i, (name, data_type, kind)): (usize, (&str, DataType, FieldKind))| Field {
        id: FieldId(100 + i as i64),
        name: name.to_owned(),
        description: String::new(),
        data_type,
        kind,
        auto_id: false,
        nullable: kind == FieldKind::Plain && !data_type.is_vector(),
        default: None,
        dimension: data_type.is_vector().then_some(2),
        max_length: None,
        element_type: (data_type == DataType::Array).then_some(if name == "w" { DataType::VarChar } else { DataType::Float }),
        max_capacity: (data_type == DataType::Array).then_some(4),
        type_params: std::collections::BTreeMap::new(),
    };
    Schema { version: 1, fields: types.into_iter().enumerate().map(field).collect() }
}

const TEXTS: [&str; 7] = ["", "a", "b", "ba", "中", "%_", "b\\"];
const JSONS: [&str; 9] = [
    "{}",
    "null",
    "1",
    r#"{"a":1,"b":[1,"b",true,[true]],"c":{"d":"ba"}}"#,
    r#"{"a":1.0,"b":[],"c":{}}"#,
    r#"{"a":"b","b":null}"#,
    r#"{"a":true,"b":{"0":1}}"#,
    r#"[1,{"a":2},"b"]"#,
    r#"{"a":9007199254740993,"b":[9007199254740992.0]}"#,
];

const ROWS: usize = 70;

/// Lists of none to four of the elements, of which there are three for each row.
fn arrays(elements: Values) -> Values {
    let lengths = (0..ROWS).map(|row| [3, 0, 4, 5][row % 4]);
    let mut offsets = vec![0u32];
    for length in lengths {
        let end = offsets[offsets.len() - 1] + length;
        offsets.push(end.min(elements.slots() as u32));
    }
    let last = offsets.len() - 1;
    offsets[last] = elements.slots() as u32;
    Values::Array(Arrays::from_parts(offsets.into(), elements).expect("offsets ascend to the number of elements"))
}

fn batch() -> Batch {
    let integers = |step: i64| (0..ROWS as i64).map(move |row| row.wrapping_mul(step) % 127);
    let texts = |texts: &[&str]| (0..ROWS).map(|row| texts[row % texts.len()]).collect();
    let values = [
        Values::Int64((0..ROWS as i64).map(|row| [row, i64::MIN + row, i64::MAX - row][row as usize % 3]).collect::<Vec<_>>().into()),
        Values::Int8(integers(3).map(|value| value as i8).collect::<Vec<_>>().into()),
        Values::Int16(integers(5).map(|value| value as i16).collect::<Vec<_>>().into()),
        Values::Int32(integers(7).map(|value| value as i32).collect::<Vec<_>>().into()),
        Values::Bool(integers(1).map(|value| (value % 2) as u8).collect::<Vec<_>>().into()),
        Values::Float(integers(11).map(|value| value as f32 / 10.0).collect::<Vec<_>>().into()),
        Values::Double(integers(13).map(|value| value as f64 / 10.0).collect::<Vec<_>>().into()),
        Values::VarChar(texts(&TEXTS)),
        Values::Json(texts(&JSONS)),
        Values::FloatVector { dimension: 2, data: vec![0.5; 2 * ROWS].into() },
        arrays(Values::Float((0..3 * ROWS).map(|at| (at % 5) as f32 / 2.0).collect::<Vec<_>>().into())),
        arrays(Values::VarChar((0..3 * ROWS).map(|at| TEXTS[at % TEXTS.len()]).collect())),
        Values::Json(texts(&JSONS[3..7])),
    ];
    let columns = values.into_iter().zip(schema().fields).enumerate().map(|(i, (values, field))| Column {
        field: field.id,
        validity: field.nullable.then(|| Bitset::from_fn(ROWS, |row| row % (i + 4) != 1)),
        values,
    });
    Batch::new(ROWS, columns.collect())
}
