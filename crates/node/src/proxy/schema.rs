//! A client's schema, checked and turned into ours: every rule of CreateCollection with Milvus's texts.
//!
//! Not here: the way back (`describe`), and the checks of rows (`columns`).
//!
//! Start at [`parse`].

use std::collections::{BTreeMap, BTreeSet};

use proto::common::KeyValuePair;
use proto::schema::value_field::Data;
use proto::schema::{CollectionSchema, DataType as WireType, FieldSchema, ValueField};
use types::id::FieldId;
use types::schema::{DYNAMIC_FIELD_NAME, DataType, FIRST_USER_FIELD, Field, FieldKind, Schema};
use types::value::Value;
use types::{Code, Error, Result};

use super::limits::Limits;
use super::names;

/// What a schema is checked against.
pub struct Rules<'a> {
    /// The new collection's name, for texts.
    pub collection: &'a str,
    /// Bounds.
    pub limits: &'a Limits,
}

/// The schema of a new collection, version 1.
///
/// # Errors
/// Milvus's text for the first rule that is broken.
pub fn parse(wire: &CollectionSchema, rules: &Rules<'_>) -> Result<Schema> {
    check_unsupported(wire)?;
    check_counts(wire, rules.limits)?;
    check_duplicates(&wire.fields)?;
    check_primary(&wire.fields)?;
    check_types(&wire.fields)?;
    check_partition_key(&wire.fields)?;
    check_clustering_key(&wire.fields)?;
    let mut fields = Vec::with_capacity(wire.fields.len() + 1);
    for (i, field) in wire.fields.iter().enumerate() {
        let mut field = parse_field(field, rules)?;
        field.id = FieldId(FIRST_USER_FIELD.0 + i as i64);
        field.auto_id |= wire.auto_id && field.kind == FieldKind::Primary;
        fields.push(field);
    }
    if wire.enable_dynamic_field {
        fields.push(dynamic_field(FieldId(FIRST_USER_FIELD.0 + fields.len() as i64)));
    }
    Ok(Schema { version: 1, fields })
}

/// A field that is to be added to a collection with rows, without an id.
///
/// # Errors
/// Milvus's text for the first rule that is broken.
pub fn parse_added(wire: &FieldSchema, schema: &Schema, rules: &Rules<'_>) -> Result<Field> {
    let (name, limits) = (&wire.name, rules.limits);
    check_types(std::slice::from_ref(wire))?;
    if wire.is_primary_key {
        return Err(Error::invalid(format!("not support to add pk field, field name = {name}")));
    }
    if wire.auto_id {
        return Err(Error::invalid(format!("only primary field can speficy AutoID with true, field name = {name}")));
    }
    if wire.is_partition_key {
        return Err(Error::invalid(format!("not support to add partition key field, field name  = {name}")));
    }
    let clustering = schema.fields.iter().find(|field| field.kind == FieldKind::ClusteringKey);
    if let (true, Some(key)) = (wire.is_clustering_key, clustering) {
        return Err(Error::invalid(format!("already has another clutering key field, field name: {}", key.name)));
    }
    check_clustering_key(std::slice::from_ref(wire))?;
    if !wire.nullable {
        return Err(Error::invalid(format!("added field must be nullable, please check it, field name = {name}")));
    }
    let fields = schema.fields.iter().filter(|field| field.kind != FieldKind::Dynamic).count();
    if fields >= limits.fields {
        return Err(Error::invalid(format!("The number of fields has reached the maximum value {}", limits.fields)));
    }
    let field = parse_field(wire, rules)?;
    if field.data_type.is_vector() && schema.vectors().count() >= limits.vector_fields {
        return Err(Error::invalid(format!("maximum vector field's number should be limited to {}", limits.vector_fields)));
    }
    if schema.field(name).is_some() {
        return Err(Error::invalid(format!("duplicated field name {name}")));
    }
    Ok(field)
}

/// `$meta`. Rows that were written before it was there, or without it, have no keys beyond the schema.
fn dynamic_field(id: FieldId) -> Field {
    Field {
        id,
        name: DYNAMIC_FIELD_NAME.to_owned(),
        description: "dynamic schema".to_owned(),
        data_type: DataType::Json,
        kind: FieldKind::Dynamic,
        auto_id: false,
        nullable: false,
        default: Some(Value::String("{}".into())),
        dimension: None,
        max_length: None,
        element_type: None,
        max_capacity: None,
        type_params: BTreeMap::new(),
    }
}

fn check_unsupported(wire: &CollectionSchema) -> Result<()> {
    let unsupported = |what: &str| Err(Error::new(Code::UNSUPPORTED, format!("{what} are not supported: unsupported operation")));
    if !wire.functions.is_empty() {
        return unsupported("functions");
    }
    if !wire.struct_array_fields.is_empty() {
        return unsupported("struct array fields");
    }
    if wire.enable_namespace || !wire.external_source.is_empty() {
        return unsupported("namespaces and external collections");
    }
    Ok(())
}

fn check_counts(wire: &CollectionSchema, limits: &Limits) -> Result<()> {
    if wire.fields.len() > limits.fields {
        return Err(Error::invalid(format!("maximum field's number should be limited to {}", limits.fields)));
    }
    let vectors = wire.fields.iter().filter(|field| field.data_type >= WireType::BinaryVector as i32).count();
    if vectors > limits.vector_fields {
        return Err(Error::invalid(format!("maximum vector field's number should be limited to {}", limits.vector_fields)));
    }
    if vectors == 0 {
        return Err(Error::invalid("schema does not contain vector field"));
    }
    Ok(())
}

fn check_duplicates(fields: &[FieldSchema]) -> Result<()> {
    let mut names = BTreeSet::new();
    match fields.iter().find(|field| !names.insert(&field.name)) {
        Some(field) => Err(Error::invalid(format!("duplicated field name {} found", field.name))),
        None => Ok(()),
    }
}

fn check_primary(fields: &[FieldSchema]) -> Result<()> {
    let mut primaries = fields.iter().filter(|field| field.is_primary_key);
    let Some(primary) = primaries.next() else {
        return Err(Error::invalid("primary key is not specified"));
    };
    if let Some(second) = primaries.next() {
        let (first, second) = (&primary.name, &second.name);
        return Err(Error::invalid(format!("there are more than one primary key, field name = {first}, {second}")));
    }
    if !is_key_type(primary.data_type) {
        return Err(Error::invalid("the data type of primary key should be Int64 or VarChar"));
    }
    if let Some(field) = fields.iter().find(|field| field.auto_id && !field.is_primary_key) {
        return Err(Error::invalid(format!("only primary field can speficy AutoID with true, field name = {}", field.name)));
    }
    if primary.default_value.is_some() {
        return Err(Error::invalid(format!("primary field not support default_value, fieldName: {}", primary.name)));
    }
    if primary.nullable {
        return Err(Error::invalid(format!("primary field not support null, fieldName: {}", primary.name)));
    }
    Ok(())
}

fn is_key_type(number: i32) -> bool {
    number == WireType::Int64 as i32 || number == WireType::VarChar as i32
}

fn check_types(fields: &[FieldSchema]) -> Result<()> {
    for field in fields {
        match WireType::try_from(field.data_type) {
            Ok(WireType::None) | Err(_) => {
                let name = WireType::try_from(field.data_type).map_or("", |data_type| data_type.as_str_name());
                return Err(Error::invalid(format!("data type {name} is not valid")));
            }
            Ok(WireType::String) => {
                return Err(Error::invalid("string data type not supported yet, please use VarChar type instead"));
            }
            Ok(other) if DataType::from_number(field.data_type).is_none() => {
                let (data_type, name) = (other.as_str_name(), &field.name);
                return Err(Error::invalid(format!("data type {data_type} not supported, field name = {name}")));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

fn check_partition_key(fields: &[FieldSchema]) -> Result<()> {
    let mut keys = fields.iter().filter(|field| field.is_partition_key);
    let Some(key) = keys.next() else { return Ok(()) };
    if let Some(second) = keys.next() {
        let (first, second) = (&key.name, &second.name);
        return Err(Error::invalid(format!("there are more than one partition key, field name = {first}, {second}")));
    }
    if key.is_primary_key {
        return Err(Error::invalid(format!("the partition key field must not be primary field, field name = {}", key.name)));
    }
    if !is_key_type(key.data_type) {
        return Err(Error::invalid(format!("the data type of partition key should be Int64 or VarChar, field name = {}", key.name)));
    }
    if key.nullable {
        return Err(Error::invalid(format!("partition key field not support nullable, field name = {}", key.name)));
    }
    Ok(())
}

fn check_clustering_key(fields: &[FieldSchema]) -> Result<()> {
    let mut keys = fields.iter().filter(|field| field.is_clustering_key);
    if let (Some(first), Some(second)) = (keys.next(), keys.next()) {
        let (first, second) = (&first.name, &second.name);
        return Err(Error::invalid(format!("there are more than one clustering key, field name = {first}, {second}")));
    }
    match fields.iter().find(|field| field.is_clustering_key && field.data_type >= WireType::BinaryVector as i32) {
        Some(field) => Err(Error::new(Code(107), format!("vector clustering key not allowed[field={}]", field.name))),
        None => Ok(()),
    }
}

fn parse_field(wire: &FieldSchema, rules: &Rules<'_>) -> Result<Field> {
    names::field(&wire.name, rules.limits.name_bytes)?;
    let data_type = DataType::from_number(wire.data_type).ok_or_else(|| Error::internal("a data type that was checked"))?;
    let type_params = type_params(&wire.type_params)?;
    let dimension = if data_type.is_vector() { dimension(wire, data_type, &type_params, rules.limits)? } else { None };
    let element_type = if data_type == DataType::Array { Some(element_type(wire)?) } else { None };
    let max_capacity = if data_type == DataType::Array { Some(max_capacity(&wire.name, &type_params, rules)?) } else { None };
    let has_texts = [Some(data_type), element_type].contains(&Some(DataType::VarChar));
    let max_length = if has_texts { Some(max_length(&wire.name, &type_params, rules)?) } else { None };
    let kind = match (wire.is_primary_key, wire.is_partition_key, wire.is_clustering_key) {
        (true, ..) => FieldKind::Primary,
        (_, true, _) => FieldKind::PartitionKey,
        (.., true) => FieldKind::ClusteringKey,
        _ => FieldKind::Plain,
    };
    let default = wire.default_value.as_ref().and_then(|value| value.data.as_ref());
    let default = default.map(|value| parse_default(wire, data_type, value, max_length)).transpose()?;
    Ok(Field {
        id: FieldId(0),
        name: wire.name.clone(),
        description: wire.description.clone(),
        data_type,
        kind,
        auto_id: wire.auto_id,
        nullable: wire.nullable,
        default,
        dimension,
        max_length,
        element_type,
        max_capacity,
        type_params,
    })
}

/// Parameters of a field by key.
fn type_params(pairs: &[KeyValuePair]) -> Result<BTreeMap<String, String>> {
    let mut params = BTreeMap::new();
    for pair in pairs {
        if params.insert(pair.key.clone(), pair.value.clone()).is_some() {
            return Err(Error::invalid(format!("duplicated type param key {}", pair.key)));
        }
    }
    Ok(params)
}

fn dimension(wire: &FieldSchema, data_type: DataType, params: &BTreeMap<String, String>, limits: &Limits) -> Result<Option<u32>> {
    let (name, given) = (&wire.name, params.get("dim"));
    if !data_type.is_dense_vector() {
        return match given {
            Some(_) => Err(Error::invalid(format!("dim should not be specified for sparse vector field {name}({})", wire.field_id))),
            None => Ok(None),
        };
    }
    let Some(text) = given else {
        let hint = "check type param `dim` for vector field";
        return Err(Error::invalid(format!("dimension is not defined in field type params of field {name}, {hint}")));
    };
    let binary = data_type == DataType::BinaryVector;
    let (kind, most) = if binary { ("binary", 8 * limits.dimension) } else { ("float", limits.dimension) };
    let rule = match text.trim().parse::<i64>() {
        Ok(dimension) if (2..=most).contains(&dimension) && binary && dimension % 8 != 0 => "should be multiple of 8.".to_owned(),
        Ok(dimension) if (2..=most).contains(&dimension) => return Ok(Some(dimension as u32)),
        _ => format!("should be in range 2 ~ {most}"),
    };
    Err(Error::invalid(format!("invalid dimension: {text} of field {name}. {kind} vector dimension {rule}")))
}

fn element_type(wire: &FieldSchema) -> Result<DataType> {
    match WireType::try_from(wire.element_type) {
        Ok(WireType::String) => Err(Error::invalid("string data type not supported yet, please use VarChar type instead")),
        given => DataType::from_number(wire.element_type).filter(|element| element.is_element()).ok_or_else(|| {
            let name = given.map_or_else(|_| wire.element_type.to_string(), |given| given.as_str_name().to_owned());
            Error::invalid(format!("element type {name} is not supported"))
        }),
    }
}

fn max_capacity(name: &str, params: &BTreeMap<String, String>, rules: &Rules<'_>) -> Result<u32> {
    let Some(text) = params.get("max_capacity") else {
        let reason = format!("type param(max_capacity) should be specified for array field {name} of collection {}", rules.collection);
        return Err(Error::new(Code::MISSING_PARAMETER, format!("{reason}: missing parameter")));
    };
    let most = rules.limits.array_capacity;
    match text.trim().parse::<i64>() {
        Ok(capacity) if (1..=most).contains(&capacity) => Ok(capacity as u32),
        Ok(_) => Err(Error::invalid(format!("the maximum capacity specified for a Array should be in (0, {most}]"))),
        Err(_) => Err(Error::invalid(format!("the value for max_capacity of field {name} must be an integer"))),
    }
}

fn max_length(name: &str, params: &BTreeMap<String, String>, rules: &Rules<'_>) -> Result<u32> {
    let Some(text) = params.get("max_length") else {
        let reason = format!("type param(max_length) should be specified for the field({name}) of collection {}", rules.collection);
        return Err(Error::new(Code::MISSING_PARAMETER, format!("{reason}: missing parameter")));
    };
    let most = rules.limits.varchar_bytes;
    match text.trim().parse::<i64>() {
        Ok(length) if (1..=most).contains(&length) => Ok(length as u32),
        _ => Err(Error::invalid(format!(
            "the maximum length specified for the field({name}) should be in (0, {most}], but got {text} instead"
        ))),
    }
}

fn parse_default(wire: &FieldSchema, data_type: DataType, value: &Data, max_length: Option<u32>) -> Result<Value> {
    let name = &wire.name;
    if matches!(data_type, DataType::Json | DataType::Array) || data_type.is_vector() {
        return Err(Error::invalid(format!("type not support default_value, type:{data_type}, name:{name}")));
    }
    let mismatch = |given: &str| {
        Error::invalid(format!("type ({data_type}) of field ({name}) is not equal to the type(DataType_{given}) of default_value"))
    };
    let in_range = |value: i32, low: i32, high: i32| match (low..=high).contains(&value) {
        true => Ok(Value::Int(value.into())),
        false => Err(Error::invalid(format!("[{value}] is out of range for type: {data_type} of field: {name}"))),
    };
    match (data_type, value) {
        (DataType::Bool, Data::BoolData(value)) => Ok(Value::Bool(*value)),
        (DataType::Int8, Data::IntData(value)) => in_range(*value, i8::MIN.into(), i8::MAX.into()),
        (DataType::Int16, Data::IntData(value)) => in_range(*value, i16::MIN.into(), i16::MAX.into()),
        (DataType::Int32, Data::IntData(value)) => Ok(Value::Int((*value).into())),
        (DataType::Int64, Data::LongData(value)) => Ok(Value::Int(*value)),
        (DataType::Float, Data::FloatData(value)) if value.is_finite() => Ok(Value::Float((*value).into())),
        (DataType::Double, Data::DoubleData(value)) if value.is_finite() => Ok(Value::Float(*value)),
        (DataType::Float | DataType::Double, Data::FloatData(_) | Data::DoubleData(_)) if !is_finite(value) => {
            Err(Error::invalid(format!("the default value of field {name} is not a number or infinity")))
        }
        (DataType::VarChar, Data::StringData(text)) => {
            let longest = max_length.unwrap_or(u32::MAX);
            if text.len() > longest as usize {
                let reason = format!("the length ({}) of string exceeds max length ({longest})", text.len());
                return Err(Error::expected(reason, "valid length string", "string length exceeds max length"));
            }
            Ok(Value::String(text.as_str().into()))
        }
        (_, Data::BoolData(_)) => Err(mismatch("Bool")),
        (_, Data::IntData(_)) => Err(mismatch("Int")),
        (_, Data::LongData(_)) => Err(mismatch("Int64")),
        (_, Data::FloatData(_)) => Err(mismatch("Float")),
        (_, Data::DoubleData(_)) => Err(mismatch("Double")),
        (_, Data::StringData(_)) => Err(mismatch("VarChar")),
        (_, _) => Err(mismatch("Unknown")),
    }
}

fn is_finite(value: &Data) -> bool {
    match value {
        Data::FloatData(value) => value.is_finite(),
        Data::DoubleData(value) => value.is_finite(),
        _ => true,
    }
}

/// The wire form of a default value.
pub fn render_default(data_type: DataType, value: &Value) -> ValueField {
    let data = match (data_type, value) {
        (_, Value::Bool(value)) => Data::BoolData(*value),
        (DataType::Int64, Value::Int(value)) => Data::LongData(*value),
        // The schema's check saw that it fits.
        (_, Value::Int(value)) => Data::IntData(*value as i32),
        (DataType::Float, Value::Float(value)) => Data::FloatData(*value as f32),
        (_, Value::Float(value)) => Data::DoubleData(*value),
        (_, Value::String(text)) => Data::StringData(text.to_string()),
    };
    ValueField { data: Some(data) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> KeyValuePair {
        KeyValuePair { key: key.to_owned(), value: value.to_owned() }
    }

    fn field(name: &str, data_type: WireType) -> FieldSchema {
        let type_params = match data_type {
            WireType::FloatVector => vec![pair("dim", "8")],
            WireType::VarChar => vec![pair("max_length", "16")],
            _ => Vec::new(),
        };
        FieldSchema { name: name.to_owned(), data_type: data_type as i32, type_params, ..FieldSchema::default() }
    }

    fn key() -> FieldSchema {
        FieldSchema { is_primary_key: true, ..field("id", WireType::Int64) }
    }

    fn vector() -> FieldSchema {
        field("v", WireType::FloatVector)
    }

    fn parsed(fields: Vec<FieldSchema>) -> Result<Schema> {
        let wire = CollectionSchema { fields, ..CollectionSchema::default() };
        parse(&wire, &Rules { collection: "c", limits: &Limits::default() })
    }

    #[test]
    fn fields_get_ids_and_roles() {
        let wire = CollectionSchema {
            fields: vec![
                FieldSchema { auto_id: true, ..key() },
                vector(),
                FieldSchema { is_partition_key: true, ..field("p", WireType::VarChar) },
                FieldSchema { nullable: true, ..field("j", WireType::Json) },
            ],
            enable_dynamic_field: true,
            ..CollectionSchema::default()
        };
        let schema = parse(&wire, &Rules { collection: "c", limits: &Limits::default() }).expect("a good schema");
        let ids: Vec<(i64, &str)> = schema.fields.iter().map(|field| (field.id.0, field.name.as_str())).collect();
        assert_eq!(ids, [(100, "id"), (101, "v"), (102, "p"), (103, "j"), (104, "$meta")]);
        assert!(schema.primary().auto_id && schema.fields[3].nullable);
        assert_eq!((schema.fields[1].dimension, schema.fields[2].max_length), (Some(8), Some(16)));
        assert_eq!(schema.partition_key().map(|field| field.id.0), Some(102));
        assert_eq!(schema.dynamic().and_then(|field| field.default.clone()), Some(Value::String("{}".into())));
    }

    #[test]
    fn arrays_and_vectors_of_every_type() {
        let dense = |name: &str, data_type| FieldSchema { type_params: vec![pair("dim", "16")], ..field(name, data_type) };
        let params = vec![pair("max_capacity", "4"), pair("max_length", "9")];
        let fields = vec![
            key(),
            FieldSchema {
                element_type: WireType::VarChar as i32,
                type_params: params.clone(),
                nullable: true,
                ..field("a", WireType::Array)
            },
            FieldSchema { element_type: WireType::Int16 as i32, type_params: params, ..field("b", WireType::Array) },
            dense("v", WireType::BinaryVector),
            dense("w", WireType::Float16Vector),
            FieldSchema { nullable: true, ..field("x", WireType::SparseFloatVector) },
        ];
        let schema = parsed(fields).expect("a good schema");
        let parts = |i: usize| {
            let field = &schema.fields[i];
            (field.element_type, field.max_capacity, field.max_length, field.dimension)
        };
        assert_eq!(parts(1), (Some(DataType::VarChar), Some(4), Some(9), None));
        assert_eq!(parts(2), (Some(DataType::Int16), Some(4), None, None));
        assert_eq!([parts(3).3, parts(4).3, parts(5).3], [Some(16), Some(16), None]);
        assert!(schema.fields[5].nullable && schema.fields[1].nullable);
    }

    #[test]
    fn added_fields() {
        let schema =
            parsed(vec![key(), vector(), FieldSchema { is_clustering_key: true, ..field("c", WireType::Int64) }]).expect("a good schema");
        let nullable = |name: &str, data_type| FieldSchema { nullable: true, ..field(name, data_type) };
        let rules = Rules { collection: "c", limits: &Limits::default() };
        let good = parse_added(&nullable("f", WireType::VarChar), &schema, &rules).expect("a good field");
        assert_eq!((good.data_type, good.nullable, good.max_length), (DataType::VarChar, true, Some(16)));
        let wrong = [
            (field("f", WireType::Int64), "added field must be nullable, please check it, field name = f"),
            (FieldSchema { is_primary_key: true, ..nullable("f", WireType::Int64) }, "not support to add pk field, field name = f"),
            (
                FieldSchema { is_partition_key: true, ..nullable("f", WireType::Int64) },
                "not support to add partition key field, field name  = f",
            ),
            (
                FieldSchema { is_clustering_key: true, ..nullable("f", WireType::Int64) },
                "already has another clutering key field, field name: c",
            ),
            (nullable("v", WireType::Int64), "duplicated field name v"),
            (nullable("f", WireType::None), "data type None is not valid"),
        ];
        for (field, text) in wrong {
            let error = parse_added(&field, &schema, &rules).expect_err(text);
            assert!(error.reason().starts_with(text), "{error} … {text}");
        }
        let few = Limits { fields: 3, ..Limits::default() };
        let error = parse_added(&nullable("f", WireType::Bool), &schema, &Rules { collection: "c", limits: &few }).expect_err("too many");
        assert!(error.reason().starts_with("The number of fields has reached the maximum value 3"), "{error}");
    }

    #[test]
    fn defaults() {
        let value = |data| Some(ValueField { data: Some(data) });
        let with = |data_type, data| FieldSchema { default_value: value(data), ..field("f", data_type) };
        let good = [
            (WireType::Bool, Data::BoolData(true), Value::Bool(true)),
            (WireType::Int8, Data::IntData(-5), Value::Int(-5)),
            (WireType::Int64, Data::LongData(5), Value::Int(5)),
            (WireType::Float, Data::FloatData(0.5), Value::Float(0.5)),
            (WireType::Double, Data::DoubleData(0.5), Value::Float(0.5)),
            (WireType::VarChar, Data::StringData("x".into()), Value::String("x".into())),
        ];
        for (data_type, data, expected) in good {
            let schema = parsed(vec![key(), vector(), with(data_type, data.clone())]).expect("a good default");
            assert_eq!(schema.fields[2].default, Some(expected.clone()));
            assert_eq!(render_default(schema.fields[2].data_type, &expected).data, Some(data));
        }
        let wrong = [
            (WireType::Int8, Data::IntData(200), "[200] is out of range for type: Int8 of field: f"),
            (WireType::Int64, Data::IntData(1), "type (Int64) of field (f) is not equal to the type(DataType_Int) of default_value"),
            (
                WireType::Int64,
                Data::StringData("1".into()),
                "type (Int64) of field (f) is not equal to the type(DataType_VarChar) of default_value",
            ),
            (WireType::Json, Data::BytesData("{}".into()), "type not support default_value, type:JSON, name:f"),
            (WireType::VarChar, Data::StringData("x".repeat(17)), "the length (17) of string exceeds max length (16)"),
        ];
        for (data_type, data, text) in wrong {
            let error = parsed(vec![key(), vector(), with(data_type, data)]).expect_err("a wrong default");
            assert!(error.reason().starts_with(text), "{error}");
        }
    }

    #[test]
    fn milvus_texts() {
        let dim = |text: &str| FieldSchema { type_params: vec![pair("dim", text)], ..vector() };
        let length = |text: &str| FieldSchema { type_params: vec![pair("max_length", text)], ..field("s", WireType::VarChar) };
        let partition_key = |name: &str| FieldSchema { is_partition_key: true, ..field(name, WireType::Int64) };
        let clustering_key = |name: &str| FieldSchema { is_clustering_key: true, ..field(name, WireType::Int64) };
        let array = |element: WireType, params: &[(&str, &str)]| {
            let type_params = params.iter().map(|(key, value)| pair(key, value)).collect();
            FieldSchema { element_type: element as i32, type_params, ..field("a", WireType::Array) }
        };
        let range = "float vector dimension should be in range 2 ~ 32768";
        let no_value = || Some(ValueField { data: Some(Data::LongData(1)) });
        let cases: Vec<(Vec<FieldSchema>, i32, String)> = vec![
            (vec![key()], 1100, "schema does not contain vector field".into()),
            (vec![vector()], 1100, "primary key is not specified".into()),
            (
                vec![key(), FieldSchema { name: "k".into(), ..key() }, vector()],
                1100,
                "there are more than one primary key, field name = id, k".into(),
            ),
            (vec![key(), vector(), vector()], 1100, "duplicated field name v found".into()),
            (
                vec![FieldSchema { is_primary_key: true, ..field("id", WireType::Int32) }, vector()],
                1100,
                "the data type of primary key should be Int64 or VarChar".into(),
            ),
            (
                vec![key(), vector(), FieldSchema { auto_id: true, ..field("f", WireType::Int64) }],
                1100,
                "only primary field can speficy AutoID with true, field name = f".into(),
            ),
            (vec![FieldSchema { nullable: true, ..key() }, vector()], 1100, "primary field not support null".into()),
            (
                vec![FieldSchema { default_value: no_value(), ..key() }, vector()],
                1100,
                "primary field not support default_value, fieldName: id".into(),
            ),
            (vec![key(), vector(), field("f", WireType::None)], 1100, "data type None is not valid".into()),
            (
                vec![key(), vector(), field("f", WireType::String)],
                1100,
                "string data type not supported yet, please use VarChar type instead".into(),
            ),
            (vec![key(), vector(), field("f", WireType::Mol)], 1100, "data type Mol not supported, field name = f".into()),
            (vec![key(), vector(), array(WireType::Json, &[("max_capacity", "4")])], 1100, "element type JSON is not supported".into()),
            (
                vec![key(), vector(), array(WireType::Int8, &[])],
                1101,
                "type param(max_capacity) should be specified for array field a of collection c: missing parameter".into(),
            ),
            (
                vec![key(), vector(), array(WireType::Int8, &[("max_capacity", "4097")])],
                1100,
                "the maximum capacity specified for a Array should be in (0, 4096]".into(),
            ),
            (
                vec![key(), vector(), array(WireType::Int8, &[("max_capacity", "many")])],
                1100,
                "the value for max_capacity of field a must be an integer".into(),
            ),
            (
                vec![key(), vector(), array(WireType::VarChar, &[("max_capacity", "4")])],
                1101,
                "type param(max_length) should be specified for the field(a) of collection c: missing parameter".into(),
            ),
            (
                vec![key(), FieldSchema { data_type: WireType::SparseFloatVector as i32, ..dim("4") }],
                1100,
                "dim should not be specified for sparse vector field v(0)".into(),
            ),
            (
                vec![key(), FieldSchema { data_type: WireType::BinaryVector as i32, ..dim("12") }],
                1100,
                "invalid dimension: 12 of field v. binary vector dimension should be multiple of 8.".into(),
            ),
            (
                vec![key(), FieldSchema { data_type: WireType::BinaryVector as i32, ..dim("262152") }],
                1100,
                "invalid dimension: 262152 of field v. binary vector dimension should be in range 2 ~ 262144".into(),
            ),
            (vec![key(), dim("1")], 1100, format!("invalid dimension: 1 of field v. {range}")),
            (vec![key(), dim("32769")], 1100, format!("invalid dimension: 32769 of field v. {range}")),
            (
                vec![key(), FieldSchema { type_params: Vec::new(), ..vector() }],
                1100,
                "dimension is not defined in field type params of field v, check type param `dim` for vector field".into(),
            ),
            (
                vec![key(), vector(), length("65536")],
                1100,
                "the maximum length specified for the field(s) should be in (0, 65535], but got 65536 instead".into(),
            ),
            (
                vec![key(), vector(), FieldSchema { type_params: Vec::new(), ..length("1") }],
                1101,
                "type param(max_length) should be specified for the field(s) of collection c: missing parameter".into(),
            ),
            (
                vec![key(), vector(), partition_key("a"), partition_key("b")],
                1100,
                "there are more than one partition key, field name = a, b".into(),
            ),
            (
                vec![key(), vector(), FieldSchema { nullable: true, ..partition_key("a") }],
                1100,
                "partition key field not support nullable".into(),
            ),
            (
                vec![key(), vector(), clustering_key("a"), clustering_key("b")],
                1100,
                "there are more than one clustering key, field name = a, b".into(),
            ),
            (vec![key(), vector(), field("1a", WireType::Bool)], 1701, "Invalid field name: 1a. ".into()),
        ];
        for (fields, code, text) in cases {
            let error = parsed(fields).expect_err("a wrong schema");
            assert_eq!(error.code().0, code, "{error}");
            assert!(error.reason().starts_with(&text), "{error} … {text}");
        }
        let many = |count: usize, data_type| (0..count).map(move |i| field(&format!("f{i}"), data_type));
        let fields: Vec<FieldSchema> = [key(), vector()].into_iter().chain(many(255, WireType::Bool)).collect();
        assert!(parsed(fields).expect_err("too many").reason().starts_with("maximum field's number should be limited to 256"));
        let vectors: Vec<FieldSchema> = [key()].into_iter().chain(many(11, WireType::FloatVector)).collect();
        assert!(parsed(vectors).expect_err("too many").reason().starts_with("maximum vector field's number should be limited to 10"));
    }
}
