//! Keys in a request, as a filter over the primary key or as a list.

use std::collections::BTreeMap;

use proto::schema::{
    CollectionSchema, DataType, FieldSchema, IDs, LongArray, StringArray, TemplateArrayValue, TemplateValue, i_ds,
    template_array_value as array, template_value,
};
use types::Result;

use super::body::Json;
use super::envelope::primary_key;

/// The template of a filter over keys.
const KEYS: &str = "keys";

/// The filter for the rows of these keys, and the values of its templates: no key's text has to be quoted.
///
/// # Errors
/// 1806 for keys of another type.
pub fn filter(schema: &CollectionSchema, keys: Option<&Json>) -> Result<(String, BTreeMap<String, TemplateValue>)> {
    let field = key_field(schema)?;
    let data = match ids(field, keys.ok_or_else(|| primary_key("neither a filter nor an id is given"))?)?.id_field {
        Some(i_ds::IdField::StrId(keys)) => array::Data::StringData(keys),
        Some(i_ds::IdField::IntId(keys)) => array::Data::LongData(keys),
        None => array::Data::LongData(LongArray::default()),
    };
    let value = TemplateValue { val: Some(template_value::Val::ArrayVal(TemplateArrayValue { data: Some(data) })) };
    Ok((format!("{} in {{{KEYS}}}", field.name), BTreeMap::from([(KEYS.to_owned(), value)])))
}

/// The primary key's field.
///
/// # Errors
/// 1806 where the schema names none.
pub fn key_field(schema: &CollectionSchema) -> Result<&FieldSchema> {
    schema.fields.iter().find(|field| field.is_primary_key).ok_or_else(|| primary_key("the collection has no primary key"))
}

/// One key or a list of them.
///
/// # Errors
/// 1806 for keys of another type.
pub fn ids(field: &FieldSchema, keys: &Json) -> Result<IDs> {
    let keys = keys.elements().unwrap_or_else(|| vec![keys.clone()]);
    let wrong = |key: &Json| primary_key(format!("{} is no key of field {}", key.text(), field.name));
    let is_plain = |key: &Json| !key.text().starts_with(['{', '[', 'n', 't', 'f']);
    let id_field = match DataType::try_from(field.data_type) {
        Ok(DataType::Int64) => {
            let parse = |key: &Json| key.plain().parse().map_err(|_| wrong(key));
            i_ds::IdField::IntId(LongArray { data: keys.iter().map(parse).collect::<Result<_>>()? })
        }
        Ok(DataType::VarChar) => {
            let parse = |key: &Json| if is_plain(key) { Ok(key.plain()) } else { Err(wrong(key)) };
            i_ds::IdField::StrId(StringArray { data: keys.iter().map(parse).collect::<Result<_>>()? })
        }
        _ => return Err(primary_key(format!("field {} is neither Int64 nor VarChar", field.name))),
    };
    Ok(IDs { id_field: Some(id_field) })
}

#[cfg(test)]
mod tests {
    use super::super::body::Fields;
    use super::*;

    fn read(data_type: DataType, text: &str) -> Result<IDs> {
        let body = Fields::parse(format!("{{\"id\": {text}}}").into_bytes().into()).expect("a body");
        let field = FieldSchema { name: "k".to_owned(), data_type: data_type as i32, ..FieldSchema::default() };
        ids(&field, body.get("id").expect("a member"))
    }

    #[test]
    fn keys() {
        let longs = |data: &[i64]| Ok(IDs { id_field: Some(i_ds::IdField::IntId(LongArray { data: data.to_vec() })) });
        let texts = |data: &[&str]| {
            let data = data.iter().map(|&text| text.to_owned()).collect();
            Ok(IDs { id_field: Some(i_ds::IdField::StrId(StringArray { data })) })
        };
        assert_eq!(read(DataType::Int64, "9223372036854775807"), longs(&[i64::MAX]));
        assert_eq!(read(DataType::Int64, "[1, \"2\"]"), longs(&[1, 2]));
        assert_eq!(read(DataType::VarChar, r#""a\"b""#), texts(&["a\"b"]));
        assert_eq!(read(DataType::VarChar, "[\"a\", 7]"), texts(&["a", "7"]));
        for (data_type, text) in [
            (DataType::Int64, "1.5"),
            (DataType::Int64, "[[1]]"),
            (DataType::Int64, "9223372036854775808"),
            (DataType::VarChar, "[true]"),
            (DataType::VarChar, "{}"),
            (DataType::Float, "1"),
        ] {
            assert_eq!(read(data_type, text).expect_err("no key").code().0, 1806, "{text}");
        }
        let field = FieldSchema { name: "k".to_owned(), data_type: DataType::Int64 as i32, is_primary_key: true, ..FieldSchema::default() };
        let schema = CollectionSchema { fields: vec![field], ..CollectionSchema::default() };
        assert_eq!(filter(&schema, None).expect_err("no key").code().0, 1806);
        let body = Fields::parse("{\"id\": 7}".into()).expect("a body");
        assert_eq!(filter(&schema, body.get("id")).map(|(text, _)| text), Ok("k in {keys}".to_owned()));
    }
}
