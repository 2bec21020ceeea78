//! What clients may send for each type, and the texts for what they may not.

use proto::schema::{
    ArrayArray, BoolArray, DoubleArray, FloatArray, IntArray, JsonArray, LongArray, ScalarField, SparseFloatArray, StringArray,
    VectorField, vector_field,
};
use types::column::Arrays;
use types::id::FieldId;

use super::*;

fn schema(fields: &[&str]) -> Schema {
    serde_json::from_str(&format!(r#"{{"version": 1, "fields": [{}]}}"#, fields.join(","))).expect("a schema")
}

fn key_and(field: &str) -> Schema {
    schema(&[r#"{"id": 100, "name": "id", "data_type": "Int64", "kind": "Primary", "auto_id": true}"#, field])
}

fn scalars(name: &str, data: Data, valid_data: &[bool]) -> FieldData {
    let field = Some(field_data::Field::Scalars(ScalarField { data: Some(data) }));
    FieldData { field_name: name.to_owned(), valid_data: valid_data.to_vec(), field, ..FieldData::default() }
}

fn vectors(dim: i64, floats: &[f32], valid_data: &[bool]) -> FieldData {
    vectors_of(dim, vector_field::Data::FloatVector(FloatArray::from(floats.to_vec())), valid_data)
}

fn vectors_of(dim: i64, data: vector_field::Data, valid_data: &[bool]) -> FieldData {
    let field = Some(field_data::Field::Vectors(VectorField { dim, data: Some(data) }));
    FieldData { field_name: "f".to_owned(), valid_data: valid_data.to_vec(), field, ..FieldData::default() }
}

/// The column `f` of a write of two rows whose keys are drawn.
fn column(field: &str, given: &[FieldData]) -> Result<Column> {
    let schema = key_and(field);
    let limits = Limits::default();
    let expected = Expected { schema: &schema, limits: &limits, rows: 2, drawn: Some(&[7, 8]) };
    let batch = batch(&expected, given)?;
    assert_eq!(batch.column(FieldId(100)).expect("keys").values, Values::Int64(vec![7, 8].into()));
    Ok(batch.column(FieldId(101)).expect("the column").clone())
}

fn field(data_type: &str, more: &str) -> String {
    format!(r#"{{"id": 101, "name": "f", "data_type": "{data_type}"{more}}}"#)
}

fn list_of(rows: Vec<Data>) -> ArrayArray {
    ArrayArray { data: rows.into_iter().map(|data| ScalarField { data: Some(data) }).collect(), element_type: 0 }
}

fn bools(data: &[bool]) -> Data {
    Data::BoolData(BoolArray { data: data.to_vec() })
}

fn floats(data: &[f32]) -> Data {
    Data::FloatData(FloatArray::from(data.to_vec()))
}

fn doubles(data: &[f64]) -> Data {
    Data::DoubleData(DoubleArray { data: data.to_vec() })
}

fn ints(data: &[i32]) -> Data {
    Data::IntData(IntArray { data: data.to_vec() })
}

fn longs(data: &[i64]) -> Data {
    Data::LongData(LongArray { data: data.to_vec() })
}

fn texts(data: &[&str]) -> Data {
    Data::StringData(StringArray { data: data.iter().map(|text| (*text).to_owned()).collect() })
}

fn jsons(data: &[&str]) -> Data {
    Data::JsonData(JsonArray { data: data.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect() })
}

#[test]
fn every_type() {
    let cases = [
        ("Bool", "", Data::BoolData(BoolArray { data: vec![true, false] }), Values::Bool(vec![1, 0].into())),
        ("Int8", "", ints(&[-128, 127]), Values::Int8(vec![-128, 127].into())),
        ("Int16", "", ints(&[-32_768, 3]), Values::Int16(vec![-32_768, 3].into())),
        ("Int32", "", ints(&[i32::MIN, 3]), Values::Int32(vec![i32::MIN, 3].into())),
        ("Int64", "", longs(&[i64::MIN, 3]), Values::Int64(vec![i64::MIN, 3].into())),
        ("Float", "", Data::FloatData(FloatArray::from(vec![0.5, 1.0])), Values::Float(vec![0.5, 1.0].into())),
        ("Double", "", Data::DoubleData(DoubleArray { data: vec![0.5, 1.0] }), Values::Double(vec![0.5, 1.0].into())),
        ("VarChar", r#", "max_length": 3"#, texts(&["", "äb"]), Values::VarChar(["", "äb"].into_iter().collect())),
        ("Json", "", jsons(&["1", r#"{"a": [null]}"#]), Values::Json(["1", r#"{"a": [null]}"#].into_iter().collect())),
    ];
    for (name, more, data, values) in cases {
        let given = column(&field(name, more), &[scalars("f", data, &[])]);
        assert_eq!(given, Ok(Column::new(FieldId(101), values)), "{name}");
    }
    let lists = |rows: Vec<Data>| Data::ArrayData(list_of(rows));
    let arrays = [
        ("Bool", lists(vec![bools(&[true]), bools(&[false, true])]), Values::Bool(vec![1, 0, 1].into()), [0, 1, 3]),
        ("Int8", lists(vec![ints(&[]), ints(&[-128, 127])]), Values::Int8(vec![-128, 127].into()), [0, 0, 2]),
        ("Int16", lists(vec![ints(&[5]), ints(&[])]), Values::Int16(vec![5].into()), [0, 1, 1]),
        ("Int32", lists(vec![ints(&[5]), ints(&[i32::MIN])]), Values::Int32(vec![5, i32::MIN].into()), [0, 1, 2]),
        ("Int64", lists(vec![longs(&[5]), longs(&[i64::MIN])]), Values::Int64(vec![5, i64::MIN].into()), [0, 1, 2]),
        ("Float", lists(vec![floats(&[0.5, 1.0]), floats(&[])]), Values::Float(vec![0.5, 1.0].into()), [0, 2, 2]),
        ("Double", lists(vec![doubles(&[0.5]), doubles(&[1.0])]), Values::Double(vec![0.5, 1.0].into()), [0, 1, 2]),
        ("VarChar", lists(vec![texts(&["a", ""]), texts(&["äb"])]), Values::VarChar(["a", "", "äb"].into_iter().collect()), [0, 2, 3]),
    ];
    for (element, data, elements, offsets) in arrays {
        let field = field("Array", &format!(r#", "element_type": "{element}", "max_capacity": 2, "max_length": 3"#));
        let expected = Arrays::from_parts(offsets.to_vec().into(), elements).expect("lists");
        assert_eq!(column(&field, &[scalars("f", data, &[])]), Ok(Column::new(FieldId(101), Values::Array(expected))), "{element}");
    }
    let bytes = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    let (one, two) = ([1, 0, 0, 0, 0, 0, 128, 63], [1, 0, 0, 0, 0, 0, 128, 63, 9, 0, 0, 0, 0, 0, 0, 64]);
    let sparse = SparseFloatArray { contents: vec![bytes(&one), bytes(&two)], dim: 10 };
    let entries: [(&[u32], &[f32]); 2] = [(&[1], &[1.0]), (&[1, 9], &[1.0, 2.0])];
    let dense = [
        (
            "BinaryVector",
            16,
            vector_field::Data::BinaryVector(bytes(&[1, 2, 3, 4])),
            Values::BinaryVector { dimension: 16, data: vec![1, 2, 3, 4].into() },
        ),
        ("Int8Vector", 1, vector_field::Data::Int8Vector(bytes(&[1, 255])), Values::Int8Vector { dimension: 1, data: vec![1, -1].into() }),
        (
            "Float16Vector",
            1,
            vector_field::Data::Float16Vector(bytes(&[0, 0x3c, 1, 0])),
            Values::Float16Vector { dimension: 1, data: vec![0x3c00, 1].into() },
        ),
        (
            "BFloat16Vector",
            1,
            vector_field::Data::Bfloat16Vector(bytes(&[0x80, 0x3f, 1, 0])),
            Values::BFloat16Vector { dimension: 1, data: vec![0x3f80, 1].into() },
        ),
        ("SparseFloatVector", 10, vector_field::Data::SparseFloatVector(sparse), Values::SparseFloatVector(entries.into_iter().collect())),
    ];
    for (name, dim, data, values) in dense {
        let dimension = if name == "SparseFloatVector" { String::new() } else { format!(r#", "dimension": {dim}"#) };
        assert_eq!(column(&field(name, &dimension), &[vectors_of(dim, data, &[])]), Ok(Column::new(FieldId(101), values)), "{name}");
    }
    let vector = column(&field("FloatVector", r#", "dimension": 2"#), &[vectors(2, &[1.0, 2.0, 3.0, 4.0], &[])]).expect("vectors");
    assert_eq!(vector.values, Values::FloatVector { dimension: 2, data: vec![1.0, 2.0, 3.0, 4.0].into() });
}

#[test]
fn nulls_come_compact_and_defaults_stand_in_for_them() {
    let null = r#", "nullable": true"#;
    let some = column(&field("Int64", null), &[scalars("f", longs(&[9]), &[false, true])]).expect("one value");
    assert_eq!((some.is_valid(0), some.is_valid(1), &some.values), (false, true, &Values::Int64(vec![0, 9].into())));
    let all = column(&field("Int64", null), &[scalars("f", longs(&[8, 9]), &[true, true])]).expect("two values");
    assert_eq!(all, Column::new(FieldId(101), Values::Int64(vec![8, 9].into())));
    let none = column(&field("VarChar", r#", "nullable": true, "max_length": 9"#), &[]).expect("absent");
    assert!(!none.is_valid(0) && !none.is_valid(1));
    let default = r#", "default": {"Int": 5}"#;
    let filled = column(&field("Int16", default), &[scalars("f", ints(&[9]), &[false, true])]).expect("one value");
    assert_eq!(filled, Column::new(FieldId(101), Values::Int16(vec![5, 9].into())));
    assert_eq!(column(&field("Int16", default), &[]), Ok(Column::new(FieldId(101), Values::Int16(vec![5, 5].into()))));
    let vector = r#", "nullable": true, "dimension": 2"#;
    let half = column(&field("FloatVector", vector), &[vectors(2, &[1.0, 2.0], &[true, false])]).expect("one vector");
    assert_eq!((half.rows(), half.values.slots(), half.is_valid(1)), (2, 1, false));
    let array = r#", "nullable": true, "element_type": "Int64", "max_capacity": 2"#;
    let one = Data::ArrayData(list_of(vec![longs(&[5, 6])]));
    let expected = Arrays::from_parts(vec![0, 0, 2].into(), Values::Int64(vec![5, 6].into())).expect("lists");
    let found = column(&field("Array", array), &[scalars("f", one, &[false, true])]).expect("one list");
    assert_eq!((found.is_valid(0), found.is_valid(1), found.values), (false, true, Values::Array(expected)));
    for (name, more) in [("SparseFloatVector", ""), ("Int8Vector", r#", "dimension": 3"#), ("Array", r#", "element_type": "VarChar""#)] {
        let nullable = field(name, &format!(r#", "nullable": true{more}"#));
        let nothing = FieldData { field_name: "f".to_owned(), valid_data: vec![false, false], ..FieldData::default() };
        for given in [&[][..], &[nothing]] {
            let column = column(&nullable, given).expect("nulls");
            assert_eq!((column.rows(), column.is_valid(0), column.is_valid(1)), (2, false, false), "{name}");
        }
    }
}

/// What is wrong with lists and with vectors that aren't of floats.
#[test]
fn milvus_texts_of_lists_and_vectors() {
    let bytes = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    let array = |element: &str| field("Array", &format!(r#", "element_type": "{element}", "max_capacity": 2, "max_length": 3"#));
    let lists = |rows: Vec<Data>| vec![scalars("f", Data::ArrayData(list_of(rows)), &[])];
    let sparse = |row: &[u8]| {
        let contents = vec![bytes(row), Bytes::new()];
        vec![vectors_of(0, vector_field::Data::SparseFloatVector(SparseFloatArray { contents, dim: 0 }), &[])]
    };
    let entries = |entries: &[(u32, f32)]| {
        let bytes: Vec<u8> = entries.iter().flat_map(|(i, v)| [i.to_le_bytes(), v.to_le_bytes()].concat()).collect();
        sparse(&bytes)
    };
    let mismatch = "insert data does not match: invalid parameter[expected=";
    let illegal = "invalid parameter[expected=need";
    let int8 = |data: &[u8], dim| vec![vectors_of(dim, vector_field::Data::Int8Vector(bytes(data)), &[])];
    let bits = |data: &[u8], dim| vec![vectors_of(dim, vector_field::Data::BinaryVector(bytes(data)), &[])];
    let nothing = || vec![FieldData { field_name: "f".to_owned(), ..FieldData::default() }];
    let cases: Vec<(String, Vec<FieldData>, String)> = vec![
        (
            array("Int64"),
            lists(vec![longs(&[1]), longs(&[1, 2, 3])]),
            "the length (3) of 1th array exceeds max capacity (2): invalid parameter[expected=valid length array]".into(),
        ),
        (
            array("Int64"),
            lists(vec![longs(&[1]), ints(&[1])]),
            format!("{mismatch}int64 array][actual=*schemapb.ScalarField_IntData array]"),
        ),
        (
            array("Bool"),
            vec![scalars("f", Data::ArrayData(ArrayArray { data: vec![ScalarField::default(); 2], element_type: 0 }), &[])],
            format!("{mismatch}bool array][actual=nil array]"),
        ),
        (array("Int8"), lists(vec![ints(&[1]), ints(&[1, 200])]), "the 1th element (200) out of range: [-128, 127]".into()),
        (
            array("VarChar"),
            lists(vec![texts(&["a"]), texts(&["a", "äbc"])]),
            "length of Array array field \"f\" exceeds max length, row number: 1, array index: 1, length: 4, max length: 3".into(),
        ),
        (array("Int64"), nothing(), format!("array field 'f' is illegal, array type mismatch: {illegal} Int64 array][actual=got nil]")),
        (array("Int64"), lists(vec![longs(&[1])]), "the num_rows (1) of field (f) is not equal to passed num_rows (2)".into()),
        (field("SparseFloatVector", ""), entries(&[(2, 1.0), (2, 1.0)]), "unsorted or same indices in sparse float vector".into()),
        (field("SparseFloatVector", ""), entries(&[(2, -1.0)]), "negative value in sparse float vector".into()),
        (field("SparseFloatVector", ""), entries(&[(2, f32::NAN)]), "value 'NaN' is not a number or infinity".into()),
        (
            field("SparseFloatVector", ""),
            entries(&[(u32::MAX, 1.0)]),
            "invalid index in sparse float vector: must be less than 2^32-1".into(),
        ),
        (field("SparseFloatVector", ""), sparse(&[0; 9]), "invalid data length in sparse float vector: 9".into()),
        (
            field("SparseFloatVector", ""),
            nothing(),
            format!("sparse float field 'f' is illegal, nil SparseFloatVector: {illegal} sparse float array][actual=got nil]"),
        ),
        (
            field("Int8Vector", r#", "dimension": 2"#),
            bits(&[0; 4], 2),
            format!("int8 vector field 'f' is illegal, array type mismatch: {illegal} int8 vector][actual=got nil]"),
        ),
        (
            field("Int8Vector", r#", "dimension": 2"#),
            int8(&[0; 4], 4),
            "the dim (4) of field data(f) is not equal to schema dim (2)".into(),
        ),
        (field("Int8Vector", r#", "dimension": 2"#), int8(&[0; 3], 2), "the length(3) of int8 data should divide the dim(2)".into()),
        (field("BinaryVector", r#", "dimension": 16"#), bits(&[0; 3], 16), "the length(24) of all bits should divide the dim(16)".into()),
        (
            field("Float16Vector", r#", "dimension": 1"#),
            vec![vectors_of(1, vector_field::Data::Float16Vector(bytes(&[0, 0, 0, 0x7c])), &[])],
            "float16 vector contain nan or infinity value.".into(),
        ),
        (
            field("BFloat16Vector", r#", "dimension": 1"#),
            vec![vectors_of(1, vector_field::Data::Bfloat16Vector(bytes(&[0, 0, 0xc0, 0xff])), &[])],
            "bfloat16 vector contain nan or infinity value.".into(),
        ),
    ];
    for (field, given, text) in cases {
        let error = column(&field, &given).expect_err("a wrong column");
        assert_eq!(error.code().0, 1100, "{text}");
        assert!(error.reason().starts_with(&text), "{} … {text}", error.reason());
    }
}

#[test]
fn milvus_texts() {
    let number = field("Int64", "");
    let vector = field("FloatVector", r#", "dimension": 2"#);
    let text = field("VarChar", r#", "max_length": 3"#);
    let json = field("Json", "");
    let long_json = format!("\"{}\"", "x".repeat(65_536));
    let nan = Data::DoubleData(DoubleArray { data: vec![0.0, f64::NAN] });
    let infinite = Data::FloatData(FloatArray::from(vec![f32::NEG_INFINITY, 1.0]));
    let mismatch = "illegal, array type mismatch: invalid parameter[expected=need";
    let cases: Vec<(String, Vec<FieldData>, String)> = vec![
        (number.clone(), vec![], "fieldSchema(f) has no corresponding fieldData pass in".into()),
        (number.clone(), vec![scalars("f", longs(&[1]), &[])], "the num_rows (1) of field (f) is not equal to passed num_rows (2)".into()),
        (number.clone(), vec![scalars("g", longs(&[1, 2]), &[])], "more fieldData has pass in, field name: g".into()),
        (
            number.clone(),
            vec![scalars("f", texts(&["", ""]), &[])],
            format!("integer field 'f' is {mismatch} long int array][actual=got nil]"),
        ),
        (
            number.clone(),
            vec![scalars("f", longs(&[1]), &[true, false])],
            "the field(f) is not nullable, but null values are passed in".into(),
        ),
        (
            number.clone(),
            vec![scalars("$meta", jsons(&["{}", "{}"]), &[])],
            "without dynamic schema enabled, the field name cannot be set to $meta".into(),
        ),
        (field("Int8", ""), vec![scalars("f", ints(&[-129, 1]), &[])], "the 0th element (-129) out of range: [-128, 127]".into()),
        (field("Int16", ""), vec![scalars("f", ints(&[1, 32_768]), &[])], "the 1th element (32768) out of range: [-32768, 32767]".into()),
        (field("Double", ""), vec![scalars("f", nan, &[])], "value 'NaN' is not a number or infinity".into()),
        (field("Float", ""), vec![scalars("f", infinite, &[])], "value '-Inf' is not a number or infinity".into()),
        (
            text.clone(),
            vec![scalars("f", texts(&["abc", "äbc"]), &[])],
            "length of varchar field f exceeds max length, row number: 1, length: 4, max length: 3".into(),
        ),
        (json.clone(), vec![scalars("f", jsons(&["1", "{"]), &[])], "json field 'f' is illegal, row number: 1: EOF".into()),
        (
            json.clone(),
            vec![scalars("f", jsons(&[&long_json, "1"]), &[])],
            "the length (65538) of json field (f) exceeds max length (65536)".into(),
        ),
        (
            vector.clone(),
            vec![scalars("f", longs(&[1, 2]), &[])],
            format!("float vector field 'f' is {mismatch} float vector][actual=got nil]"),
        ),
        (vector.clone(), vec![vectors(3, &[0.0; 6], &[])], "the dim (3) of field data(f) is not equal to schema dim (2)".into()),
        (vector.clone(), vec![vectors(2, &[0.0; 3], &[])], "the length(3) of float data should divide the dim(2)".into()),
        (vector.clone(), vec![vectors(2, &[0.0; 6], &[])], "the num_rows (3) of field (f) is not equal to passed num_rows (2)".into()),
        (vector.clone(), vec![vectors(2, &[0.0, f32::NAN, 0.0, 0.0], &[])], "value 'NaN' is not a number or infinity".into()),
        (
            field("Int64", r#", "nullable": true"#),
            vec![scalars("f", longs(&[1, 2]), &[true])],
            "the length of valid_data of field(f) is wrong: invalid parameter[expected=2][actual=1]".into(),
        ),
        (
            field("Int64", r#", "nullable": true"#),
            vec![scalars("f", longs(&[1, 2]), &[true, false])],
            "the length of field is wrong, field name: f: invalid parameter[expected=1][actual=2]".into(),
        ),
    ];
    for (field, given, text) in cases {
        let error = column(&field, &given).expect_err("a wrong column");
        assert_eq!(error.code().0, 1100, "{text}");
        assert!(error.reason().starts_with(&text), "{} … {text}", error.reason());
    }
}

#[test]
fn dynamic_rows_are_objects_without_the_schemas_names() {
    let dynamic = r#"{"id": 101, "name": "$meta", "data_type": "Json", "kind": "Dynamic", "default": {"String": "{}"}}"#;
    let given = |rows: &[&str]| FieldData { is_dynamic: true, ..scalars("", jsons(rows), &[]) };
    assert_eq!(column(dynamic, &[]).expect("filled").values, Values::Json(["{}", "{}"].into_iter().collect()));
    let rows = [r#"{"a": 1}"#, "{}"];
    assert_eq!(column(dynamic, &[given(&rows)]).expect("as given").values, Values::Json(rows.into_iter().collect()));
    for (row, text) in [
        (r#"{"$meta": 1}"#, "cannot set json key to: $meta: invalid parameter"),
        (r#"{"id": 1}"#, "dynamic field name cannot include the static field name: id: invalid parameter"),
    ] {
        assert_eq!(column(dynamic, &[given(&[row, "{}"])]).expect_err("a wrong key").reason(), text);
    }
    assert!(column(dynamic, &[given(&["[]", "{}"])]).expect_err("no object").reason().starts_with("json field '$meta' is illegal"));
}

#[test]
fn drawn_keys_are_decimal_texts_where_keys_are_texts() {
    let schema = schema(&[r#"{"id": 100, "name": "id", "data_type": "VarChar", "kind": "Primary", "auto_id": true, "max_length": 64}"#]);
    let limits = Limits::default();
    let expected = Expected { schema: &schema, limits: &limits, rows: 2, drawn: Some(&[7, 80]) };
    let batch = batch(&expected, &[]).expect("keys alone");
    assert_eq!(batch.columns()[0].values, Values::VarChar(["7", "80"].into_iter().collect()));
    let error = given_keys(&expected, &[]).expect_err("no keys given");
    assert_eq!(error.reason(), "must assign pk when upsert, primary field: id: invalid parameter");
}
