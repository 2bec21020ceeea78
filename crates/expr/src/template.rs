//! Values that a request carries beside its filter, for the `{name}`s in it.
//!
//! Not here: what a value may be compared with (`check`): a template's value is a constant like any other from there on.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use crate::json::{self, Elements, Found};
use crate::literal::{LIST_DEPTH_MAX, Literal};

/// Values by name. Those that the filter doesn't name are ignored.
pub type Templates = BTreeMap<String, TemplateValue>;

/// One value, in the forms that clients send.
#[derive(Clone, PartialEq, Debug)]
pub enum TemplateValue {
    /// No value at all.
    Nil,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes: no expression takes them.
    Bytes(Vec<u8>),
    /// A list of booleans.
    Bools(Vec<bool>),
    /// A list of integers.
    Ints(Vec<i64>),
    /// A list of floats; integers among them came as floats.
    Floats(Vec<f64>),
    /// A list of texts.
    Texts(Vec<String>),
    /// A list of lists.
    Lists(Vec<TemplateValue>),
    /// A list of anything, each element as JSON text.
    Json(Vec<String>),
}

impl TemplateValue {
    /// How many constants it makes, at most.
    pub(crate) fn constants(&self) -> usize {
        match self {
            Self::Bools(values) => values.len(),
            Self::Ints(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Texts(values) => values.len(),
            Self::Lists(values) => values.iter().map(|value| 1 + value.constants()).sum(),
            // An element of a list takes two bytes at least.
            Self::Json(texts) => texts.iter().map(|text| 1 + text.len() / 2).sum(),
            _ => 1,
        }
    }
}

/// The constant that `{name}` stands for.
pub(crate) fn resolve(templates: &Templates, name: &str) -> Result<Literal, String> {
    let value = templates.get(name).ok_or_else(|| format!("the value of expression template variable name {{{name}}} is not found"))?;
    literal(value, LIST_DEPTH_MAX).map_err(|problem| format!("the value of expression template variable {{{name}}} {problem}"))
}

/// The constant that `value` is, with lists nested at most `depth` deep.
fn literal(value: &TemplateValue, depth: usize) -> Result<Literal, String> {
    let inner = || depth.checked_sub(1).ok_or_else(|| format!("is nested deeper than {LIST_DEPTH_MAX} lists"));
    let list = |items: Result<Vec<Literal>, String>| inner().and(items).map(Literal::List);
    match value {
        TemplateValue::Nil => Err("is nil".to_owned()),
        TemplateValue::Bytes(_) => Err("is bytes, which no operator takes".to_owned()),
        TemplateValue::Bool(value) => Ok(Literal::Bool(*value)),
        TemplateValue::Int(value) => Ok(Literal::Int(*value)),
        TemplateValue::Float(value) => finite(*value),
        TemplateValue::Text(value) => Ok(Literal::Text(value.as_str().into())),
        TemplateValue::Bools(values) => list(values.iter().map(|&value| Ok(Literal::Bool(value))).collect()),
        TemplateValue::Ints(values) => list(values.iter().map(|&value| Ok(Literal::Int(value))).collect()),
        TemplateValue::Floats(values) => list(values.iter().map(|&value| finite(value)).collect()),
        TemplateValue::Texts(values) => list(values.iter().map(|value| Ok(Literal::Text(value.as_str().into()))).collect()),
        TemplateValue::Lists(values) => {
            let depth = inner()?;
            list(values.iter().map(|value| literal(value, depth)).collect())
        }
        TemplateValue::Json(texts) => {
            let depth = inner()?;
            list(texts.iter().map(|text| json_text(text, depth)).collect())
        }
    }
}

fn finite(value: f64) -> Result<Literal, String> {
    if value.is_finite() { Ok(Literal::Float(value)) } else { Err(format!("is {value}, not a finite number")) }
}

/// Read by the reader that reads JSON columns, so that a number is the same number on both sides.
fn json_text(text: &str, depth: usize) -> Result<Literal, String> {
    let _: IgnoredAny = serde_json::from_str(text).map_err(|error| format!("isn't JSON: {error}"))?;
    let start = json::locate(text.as_bytes(), &[]).expect("a JSON text has a value");
    json_value(text.as_bytes(), start, depth)
}

fn json_value(text: &[u8], at: usize, depth: usize) -> Result<Literal, String> {
    match json::read(text, at) {
        Found::Missing | Found::Null => Err("is nil".to_owned()),
        Found::Object { .. } => Err("is an object, which no operator takes".to_owned()),
        Found::Bool(value) => Ok(Literal::Bool(value)),
        Found::Int(value) => Ok(Literal::Int(value)),
        Found::Large(value) => Err(format!("has {value}, which is out of the range of Int64")),
        Found::Float(value) => finite(value),
        Found::Text { start, end, escaped } => {
            let text = json::text_of(text, start, end, escaped);
            Ok(Literal::Text(String::from_utf8_lossy(&text).into()))
        }
        Found::Array { start } => {
            let depth = depth.checked_sub(1).ok_or_else(|| format!("is nested deeper than {LIST_DEPTH_MAX} lists"))?;
            let mut items = Elements::new(text, start as usize).expect("an array begins here");
            items
                .try_fold(Vec::new(), |mut list, at| {
                    list.push(json_value(text, at, depth)?);
                    Ok(list)
                })
                .map(Literal::List)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_constants() {
        let check = |value: TemplateValue, expected: Result<Literal, &str>| {
            let templates = Templates::from([("x".to_owned(), value)]);
            assert_eq!(resolve(&templates, "x"), expected.map_err(str::to_owned));
        };
        check(TemplateValue::Int(3), Ok(Literal::Int(3)));
        check(TemplateValue::Nil, Err("the value of expression template variable {x} is nil"));
        check(TemplateValue::Float(f64::NAN), Err("the value of expression template variable {x} is NaN, not a finite number"));
        check(TemplateValue::Ints(vec![1, 2]), Ok(Literal::List(vec![Literal::Int(1), Literal::Int(2)])));
        check(
            TemplateValue::Json(vec!["1".into(), "\"a\"".into(), "[true, 0.5]".into()]),
            Ok(Literal::List(vec![
                Literal::Int(1),
                Literal::Text("a".into()),
                Literal::List(vec![Literal::Bool(true), Literal::Float(0.5)]),
            ])),
        );
        check(
            TemplateValue::Json(vec!["{}".into()]),
            Err("the value of expression template variable {x} is an object, which no operator takes"),
        );
        let deep = (0..100).fold(TemplateValue::Ints(vec![1]), |inner, _| TemplateValue::Lists(vec![inner]));
        check(deep, Err("the value of expression template variable {x} is nested deeper than 32 lists"));
        assert_eq!(resolve(&Templates::new(), "y"), Err("the value of expression template variable name {y} is not found".to_owned()));
    }
}
