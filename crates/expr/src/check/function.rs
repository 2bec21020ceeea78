//! Tests that aren't comparisons: patterns, null tests, `exists`, and functions.
//!
//! Functions of types that schemas don't have say so as Milvus says it of a field of the wrong type.

use std::sync::Arc;

use types::schema::DataType;

use crate::array::ScalarTest;
use crate::like::{Like, PATTERN_BYTES_MAX};
use crate::literal::Literal;
use crate::number::Number;
use crate::predicate::{Condition, JsonCheck, Predicate, TextValues};
use crate::regex::Regex;
use crate::syntax::{Call, Kind, Node, Pattern};

use super::list::{self, members};
use super::{Checker, Column, Constant, Result, Value, WHOLE_ARRAY, field_test, id};

/// A function's name in lower case, if it is written all lower or all upper, as the language wants.
fn canonical(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    (name == lower || name == name.to_ascii_uppercase()).then_some(lower)
}

/// Whether a function gives a value to compare, not a condition.
pub(super) fn gives_value(name: &str) -> bool {
    canonical(name).is_some_and(|name| name == "array_length")
}

/// How near to 0 and 1 a sample's factor may not come.
const SAMPLE_MARGIN: f64 = 1e-10;

/// Whether it is `random_sample`.
pub(super) fn is_sample(call: &Call) -> bool {
    canonical(&call.name).is_some_and(|name| name == "random_sample")
}

impl<'a> Checker<'a> {
    /// `operand like pattern`
    pub(super) fn like(&mut self, operand: &Node, pattern: &Pattern) -> Result<Predicate> {
        let column = self.pattern_operand(operand)?.ok_or("like operation on non-string or no-json field is unsupported")?;
        let text = self.pattern(pattern, "like")?;
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("a like pattern has {} bytes, at most {PATTERN_BYTES_MAX} are allowed", text.len()));
        }
        Ok(self.text_test(&column, TextValues::Like(Like::from(text))))
    }

    /// `operand =~ pattern`
    pub(super) fn regex(&mut self, operand: &Node, pattern: &Pattern) -> Result<Predicate> {
        let column = self.pattern_operand(operand)?.ok_or("regex match on non-string or non-json field is unsupported")?;
        let text = self.pattern(pattern, "regex")?;
        let regex = Regex::try_from(text).map_err(|error| format!("invalid regex pattern: {error}"))?;
        Ok(self.text_test(&column, TextValues::Regex(regex)))
    }

    /// What a pattern is looked for in: a text, a place in JSON, or an element of an array of texts.
    fn pattern_operand(&mut self, operand: &Node) -> Result<Option<Column<'a>>> {
        let Value::Column(column) = self.value(operand)? else { return Ok(None) };
        match column.data_type() {
            DataType::VarChar | DataType::Json => Ok(Some(column)),
            DataType::Array if column.field.element_type == Some(DataType::VarChar) => Err(WHOLE_ARRAY.to_owned()),
            _ => Ok(None),
        }
    }

    fn text_test(&mut self, column: &Column<'_>, within: TextValues) -> Predicate {
        match column.data_type() {
            DataType::Json => self.json(column, JsonCheck::Text(within), false),
            _ => column.test(ScalarTest::Text(within), false),
        }
    }

    fn pattern(&mut self, pattern: &Pattern, operator: &str) -> Result<Arc<str>> {
        match pattern {
            Pattern::Text(text) => Ok(text.clone()),
            Pattern::Template(name) => match self.template(name)? {
                Literal::Text(text) => Ok(text),
                _ => Err(format!("the value of {operator} expression template variable {{{name}}} is not string")),
            },
        }
    }

    /// `exists operand`
    pub(super) fn exists(&mut self, operand: &Node) -> Result<Predicate> {
        match self.value(operand)? {
            Value::Column(column) if column.field.data_type == DataType::Json => {
                if column.steps.is_empty() {
                    return Err("exists operations are only supportted on json key".to_owned());
                }
                Ok(self.json(&column, JsonCheck::Exists, false))
            }
            other => Err(format!("exists operations are only supportted on json field, got:{}", other.type_name())),
        }
    }

    /// `operand is null`, with `negated` `is not null`.
    pub(super) fn null_test(&mut self, operand: &Node, negated: bool) -> Result<Predicate> {
        let Value::Column(column) = self.value(operand)? else {
            return Err("IsNull/IsNotNull operations are only supported on fields".to_owned());
        };
        if column.field.data_type.is_vector() {
            return Err("IsNull/IsNotNull operations are not supported on vector fields".to_owned());
        }
        if column.field.data_type == DataType::Array && !column.steps.is_empty() {
            let text = operand.span.of(self.text);
            return Err(format!("IsNull/IsNotNull operations are not supported on array element access, got: {text}"));
        }
        if !column.steps.is_empty() {
            return Ok(self.json(&column, JsonCheck::Exists, !negated));
        }
        if !column.field.nullable {
            return Ok(Predicate::Constant(negated));
        }
        Ok(field_test(Condition::Null { field: id(&column) }, negated))
    }

    /// `array_length(column)`
    pub(super) fn length(&mut self, call: &Call) -> Result<Value<'a>> {
        let [argument] = &call.arguments[..] else { return Err(wrong_count(call, 1)) };
        match self.value(argument)? {
            Value::Column(column) if matches!(column.data_type(), DataType::Json | DataType::Array) => Ok(Value::Length(column)),
            other => Err(format!("array_length operation are only supported on json or array fields now, got: {}", other.type_name())),
        }
    }

    /// A function that gives a condition.
    pub(super) fn call(&mut self, call: &Call) -> Result<Predicate> {
        let name = canonical(&call.name).unwrap_or_default();
        match name.as_str() {
            "json_contains" | "array_contains" => self.contains(call, "Contains", false),
            "json_contains_all" | "array_contains_all" => self.contains(call, "ContainsAll", true),
            "json_contains_any" | "array_contains_any" => self.contains(call, "ContainsAny", false),
            "text_match" | "phrase_match" | "text_match_fuzzy" => self.text_match(call, &name),
            "element_filter" | "match_any" | "match_all" | "match_least" | "match_most" | "match_exact" => self.struct_match(call, &name),
            _ if name.starts_with("st_") => self.geometry(call, &name),
            _ => Err(format!("unsupported function: {}", call.name)),
        }
    }

    /// `json_contains(column, element)`; `…_all` and `…_any` take a list.
    fn contains(&mut self, call: &Call, name: &str, all: bool) -> Result<Predicate> {
        let [column, element] = &call.arguments[..] else { return Err(wrong_count(call, 2)) };
        let column = match self.value(column)? {
            Value::Column(column) if matches!(column.data_type(), DataType::Json | DataType::Array) => column,
            _ => {
                let text = call.arguments[0].span.of(self.text);
                return Err(format!("contains operation are only supported on json or array fields now, got: {text}"));
            }
        };
        let literal = match self.value(element)? {
            Value::Constant(constant) => constant.literal,
            _ => {
                let text = element.span.of(self.text);
                return Err(format!("contains operation are only supported explicitly specified element, got: {text}"));
            }
        };
        let elements = match literal {
            literal if name == "Contains" => vec![literal],
            Literal::List(elements) => elements,
            _ => return Err(format!("{name} operation element must be an array")),
        };
        let Some(element) = column.field.element_type.filter(|_| column.field.data_type == DataType::Array) else {
            return Ok(self.json(&column, JsonCheck::Contains { members: members(elements)?, all }, false));
        };
        if let Some(wrong) = elements.iter().find(|item| !list::is_comparable(element, item)) {
            let found = if matches!(wrong, Literal::List(_)) { "Array".to_owned() } else { wrong.type_name() };
            return Err(format!("{name} operation can't compare between array element type: {element} and {found}"));
        }
        Ok(column.array_test(list::contains(element, &elements, all), false))
    }

    fn text_match(&mut self, call: &Call, name: &str) -> Result<Predicate> {
        let (field, text) = match &call.arguments[..] {
            [field, text, ..] => (self.value(field)?, text),
            _ => return Err(wrong_count(call, 2)),
        };
        let column = match field {
            Value::Column(column) if column.data_type() == DataType::VarChar => column,
            _ => return Err(format!("{name} operation on non-string is unsupported")),
        };
        if !matches!(text.kind, Kind::Text(_) | Kind::Template(_)) {
            return Err(format!("{name} needs a string literal or template variable, but got: {}", text.span.of(self.text)));
        }
        if !enables_match(&column) {
            return Err(format!("field \"{}\" does not enable match", column.field.name));
        }
        Err(format!("{name} is not supported"))
    }

    /// `random_sample(factor)`
    pub(super) fn random_sample(&mut self, call: &Call) -> Result<Predicate> {
        let [argument] = &call.arguments[..] else { return Err(wrong_count(call, 1)) };
        let text = argument.span.of(self.text);
        let Value::Constant(Constant { literal, .. }) = self.value(argument)? else {
            return Err(format!("\"float factor\" should be a const float expression: \"float factor\" passed: {text}"));
        };
        let factor = literal.number().map_or(0.0, Number::to_f64);
        if factor <= SAMPLE_MARGIN || factor >= 1.0 - SAMPLE_MARGIN {
            return Err(format!(
                "the sample factor should be between 0 and 1 and not too close to 0 or 1(the difference should be larger than 1e-10), \
                 but got {text}"
            ));
        }
        // 2^64 times the factor, which is below 1, fits.
        let below = (factor * 2f64.powi(64)) as u64;
        Ok(Condition::Sample { field: self.schema.primary().id, seed: 0, below }.into())
    }

    fn struct_match(&mut self, call: &Call, name: &str) -> Result<Predicate> {
        match call.arguments.first().map(|argument| &argument.kind) {
            Some(Kind::Name(field)) => Err(format!("struct field not found: {field}")),
            _ => Err(format!("{name} needs a struct field as its first argument")),
        }
    }

    fn geometry(&mut self, call: &Call, name: &str) -> Result<Predicate> {
        let Some(argument) = call.arguments.first() else { return Err(wrong_count(call, 2)) };
        let found = self.value(argument)?.type_name();
        Err(format!("{name} operation are only supported on geometry fields, got: {found}"))
    }
}

/// Whether the field was declared for text matching.
fn enables_match(column: &Column<'_>) -> bool {
    column.field.type_params.get("enable_match").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn wrong_count(call: &Call, expected: usize) -> String {
    format!("function {} takes {expected} arguments, but got: {}", call.name, call.arguments.len())
}
