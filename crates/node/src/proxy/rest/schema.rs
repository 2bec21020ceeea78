//! Schemas: from the JSON of a request, and as a description shows them.
//!
//! Not here: what a schema may be; the proxy judges that for every client alike.

use proto::common::KeyValuePair;
use proto::schema::value_field::Data;
use proto::schema::{
    CollectionSchema, DataType, FieldSchema, FunctionSchema, FunctionScore, FunctionType, StructArrayFieldSchema, ValueField,
};
use serde_json::{Value, json};
use types::{Error, Result};

use super::body::{Fields, Json};
use super::collections::properties;
use super::envelope::not_json;
use super::vectors::Shape;

/// The schema of a body that names its fields.
///
/// # Errors
/// 1100 for types that there aren't, 1801 and 1802 for members of another form.
pub fn collection(name: &str, schema: &Fields) -> Result<CollectionSchema> {
    let auto_id = schema.flag("autoID")?.unwrap_or(false);
    let mut fields = schema.objects("fields")?.iter().map(field).collect::<Result<Vec<_>>>()?;
    for field in fields.iter_mut().filter(|field| field.is_primary_key) {
        field.auto_id = auto_id;
    }
    Ok(CollectionSchema {
        name: name.to_owned(),
        auto_id,
        fields,
        enable_dynamic_field: schema.flag("enableDynamicField")?.unwrap_or(false),
        functions: schema.objects("functions")?.iter().map(function).collect::<Result<_>>()?,
        struct_array_fields: schema.objects("structFields")?.iter().map(structure).collect::<Result<_>>()?,
        ..CollectionSchema::default()
    })
}

/// A field.
///
/// # Errors
/// As [`collection`].
pub fn field(given: &Fields) -> Result<FieldSchema> {
    let name = given.required_text("fieldName")?;
    let data_type = data_type("data type", &given.required_text("dataType")?)?;
    let element_type = match given.text("elementDataType")?.as_str() {
        "" => DataType::None,
        name => self::data_type("element data type", name)?,
    };
    let default_value = given.get("defaultValue").map(|value| default_value(&name, data_type, value)).transpose()?;
    Ok(FieldSchema {
        name,
        description: given.text("description")?,
        is_primary_key: given.flag("isPrimary")?.unwrap_or(false),
        is_partition_key: given.flag("isPartitionKey")?.unwrap_or(false),
        is_clustering_key: given.flag("isClusteringKey")?.unwrap_or(false),
        nullable: given.flag("nullable")?.unwrap_or(false),
        data_type: data_type as i32,
        element_type: element_type as i32,
        type_params: given.pairs("elementTypeParams")?,
        default_value: default_value.map(|data| ValueField { data: Some(data) }),
        external_field: given.text("externalField")?,
        ..FieldSchema::default()
    })
}

/// A struct field.
///
/// # Errors
/// As [`collection`].
pub fn structure(given: &Fields) -> Result<StructArrayFieldSchema> {
    Ok(StructArrayFieldSchema {
        name: given.required_text("fieldName").or_else(|_| given.required_text("name"))?,
        description: given.text("description")?,
        fields: given.objects("fields")?.iter().map(field).collect::<Result<_>>()?,
        type_params: given.pairs("typeParams")?,
        nullable: given.flag("nullable")?.unwrap_or(false),
        ..StructArrayFieldSchema::default()
    })
}

/// A function.
///
/// # Errors
/// As [`collection`].
pub fn function(given: &Fields) -> Result<FunctionSchema> {
    let name = given.required_text("type")?;
    let function_type = FunctionType::from_str_name(&name);
    let function_type = function_type.ok_or_else(|| Error::invalid(format!("function type {name} is invalid(case sensitive).")))?;
    Ok(FunctionSchema {
        name: given.required_text("name")?,
        description: given.text("description")?,
        r#type: function_type as i32,
        input_field_names: given.texts("inputFieldNames")?,
        output_field_names: given.texts("outputFieldNames")?,
        params: given.pairs("params")?,
        ..FunctionSchema::default()
    })
}

/// Functions that score.
///
/// # Errors
/// As [`collection`].
pub fn function_score(given: &Fields) -> Result<FunctionScore> {
    let functions = given.objects("functions")?.iter().map(function).collect::<Result<_>>()?;
    Ok(FunctionScore { functions, params: given.pairs("params")? })
}

fn data_type(what: &str, name: &str) -> Result<DataType> {
    DataType::from_str_name(name).ok_or_else(|| Error::invalid(format!("{what} {name} is invalid(case sensitive).")))
}

fn default_value(field: &str, data_type: DataType, value: &Json) -> Result<Data> {
    let text = value.text();
    let given = match data_type {
        DataType::Bool => serde_json::from_str(text).map(Data::BoolData),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => serde_json::from_str(text).map(Data::IntData),
        DataType::Int64 => serde_json::from_str(text).map(Data::LongData),
        DataType::Float => serde_json::from_str(text).map(Data::FloatData),
        DataType::Double => serde_json::from_str(text).map(Data::DoubleData),
        DataType::VarChar | DataType::String | DataType::Text | DataType::Geometry | DataType::Timestamptz => {
            serde_json::from_str(text).map(Data::StringData)
        }
        DataType::Json => Ok(Data::BytesData(bytes::Bytes::copy_from_slice(text.as_bytes()))),
        other => return Err(Error::invalid(format!("type not support default_value, type:{}, name:{field}", other.as_str_name()))),
    };
    given.map_err(|error| Error::invalid(format!("convert defaultValue fail, err: {field}: {error}")))
}

/// A field as a description shows it.
pub fn describe_field(field: &FieldSchema) -> Value {
    let data_type = DataType::try_from(field.data_type).unwrap_or(DataType::None);
    let mut shown = json!({
        "name": field.name,
        "id": field.field_id,
        "type": data_type.as_str_name(),
        "primaryKey": field.is_primary_key,
        "partitionKey": field.is_partition_key,
        "clusteringKey": field.is_clustering_key,
        "autoId": field.auto_id,
        "description": field.description,
        "nullable": field.nullable,
    });
    if let Some(data) = field.default_value.as_ref().and_then(|value| value.data.as_ref()) {
        shown["defaultValue"] = tagged(data);
    }
    if field.is_function_output {
        shown["isFunctionOutput"] = true.into();
    }
    let sized = matches!(data_type, DataType::VarChar | DataType::Array | DataType::ArrayOfVector) || Shape::of(field).is_some();
    if sized || !field.type_params.is_empty() {
        shown["params"] = properties(&field.type_params);
    }
    if let (Ok(element), DataType::Array | DataType::ArrayOfVector) = (DataType::try_from(field.element_type), data_type) {
        shown["elementType"] = element.as_str_name().into();
    }
    shown
}

/// A value in the message's own form: `{"Data":{"LongData":5}}`.
fn tagged(data: &Data) -> Value {
    let (name, value) = match data {
        Data::BoolData(value) => ("BoolData", json!(value)),
        Data::IntData(value) => ("IntData", json!(value)),
        Data::LongData(value) => ("LongData", json!(value)),
        Data::FloatData(value) => ("FloatData", json!(value)),
        Data::DoubleData(value) => ("DoubleData", json!(value)),
        Data::StringData(value) => ("StringData", json!(value)),
        Data::BytesData(value) => ("BytesData", json!(String::from_utf8_lossy(value))),
        Data::TimestamptzData(value) => ("TimestamptzData", json!(value)),
        Data::DateData(value) => ("DateData", json!(value)),
        Data::TimeData(value) => ("TimeData", json!(value)),
    };
    json!({ "Data": { name: value } })
}

/// A struct field as a description shows it.
pub fn describe_struct(structure: &StructArrayFieldSchema) -> Value {
    json!({
        "name": structure.name,
        "id": structure.field_id,
        "description": structure.description,
        "nullable": structure.nullable,
        "fields": structure.fields.iter().map(describe_field).collect::<Vec<_>>(),
    })
}

/// A function as a description shows it.
pub fn describe_function(function: &FunctionSchema) -> Value {
    json!({
        "name": function.name,
        "id": function.id,
        "description": function.description,
        "type": FunctionType::try_from(function.r#type).unwrap_or(FunctionType::Unknown).as_str_name(),
        "inputFieldNames": function.input_field_names,
        "outputFieldNames": function.output_field_names,
        "params": properties(&function.params),
    })
}

/// The flag that a parameter holds, as JSON or as text.
///
/// # Errors
/// 1100 for anything else.
pub fn flag(params: &[KeyValuePair], key: &str) -> Result<Option<bool>> {
    let Some(pair) = params.iter().find(|pair| pair.key == key) else { return Ok(None) };
    let wrong = || Error::invalid(format!("parse {key} fail, err: {} is neither true nor false", pair.value));
    pair.value.to_ascii_lowercase().parse().map(Some).map_err(|_| wrong())
}

/// The whole number that a parameter holds, as JSON or as text.
///
/// # Errors
/// 1801 for anything else.
pub fn number<T: std::str::FromStr>(params: &[KeyValuePair], key: &str) -> Result<Option<T>> {
    let Some(pair) = params.iter().find(|pair| pair.key == key) else { return Ok(None) };
    pair.value.parse().map(Some).map_err(|_| not_json(format!("{key} must be a whole number")))
}
