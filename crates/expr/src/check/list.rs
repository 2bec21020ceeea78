//! `in` and the lists of constants after it.

use std::sync::Arc;

use types::schema::DataType;

use crate::array::{ArrayCheck, Constants, Count, ScalarTest};
use crate::literal::Literal;
use crate::normal;
use crate::number::{CompareOp, Floats, Integers, Number};
use crate::predicate::{FloatValues, IntegerValues, JsonCheck, Members, Predicate, TextValues};
use crate::set::{FloatSet, IntegerSet, TextSet, filed};
use crate::syntax::{Kind, Node};

use super::{Checker, Column, Result, Value};

/// Different lists among the elements of a list, at most: a value is compared with each of them.
const LISTS_MAX: usize = 1_024;

impl<'a> Checker<'a> {
    /// `operand in list`
    pub(super) fn membership(&mut self, operand: &Node, list: &Node, negated: bool) -> Result<Predicate> {
        let column = match self.value(operand)? {
            Value::Column(column) => column,
            Value::Constant(_) => {
                return Err(format!("'term' can only be used on non-const expression, but got: {}", operand.span.of(self.text)));
            }
            _ => return Err("'term' can only be used on single field".to_owned()),
        };
        // Nothing is in an empty list, and nothing isn't unknown where the field can't be null: such a filter says nothing about rows.
        let always_there = !column.field.nullable && column.field.data_type != DataType::Json && column.steps.is_empty();
        let nothing = |empty: bool| (empty && always_there).then_some(negated);
        let values = match &list.kind {
            // Straight to the set: a delete may name millions of keys.
            Kind::Integers(values) if column.data_type().is_integer() => {
                self.given = values.len() as u64;
                if let Some(constant) = nothing(values.is_empty()) {
                    return Ok(Predicate::Constant(constant));
                }
                return Ok(column.test(ScalarTest::Integer(IntegerValues::In(IntegerSet::new(values.clone()))), negated));
            }
            Kind::Integers(values) => values.iter().map(|&value| Literal::Int(value)).collect(),
            Kind::List(items) => self.constants(items)?,
            Kind::Template(name) => match self.template(name)? {
                Literal::List(values) => values,
                _ => return Err(format!("the value of term expression template variable {{{name}}} is not array")),
            },
            _ => return Err(format!("the right-hand side of 'in' must be a list, but got: {}", list.span.of(self.text))),
        };
        self.given = values.len() as u64;
        if column.field.data_type == DataType::Json {
            return Ok(self.json(&column, JsonCheck::Member(members(values)?), negated));
        }
        let constant = nothing(values.is_empty());
        let test = match column.data_type() {
            DataType::Array => array_members(&column, &values, negated)?,
            _ => column.test(field_members(&column, values)?, negated),
        };
        Ok(constant.map_or(test, Predicate::Constant))
    }

    /// The constants that the elements of a list are.
    pub(super) fn constants(&mut self, items: &[Node]) -> Result<Vec<Literal>> {
        let not_constant = |item: &Node| format!("value '{}' in list cannot be a non-const expression", item.span.of(self.text));
        let mut constants = Vec::with_capacity(items.len());
        for item in items {
            if matches!(item.kind, Kind::Name(_) | Kind::Path(..)) {
                return Err(not_constant(item));
            }
            match self.value(item)? {
                Value::Constant(constant) => constants.push(constant.literal),
                _ => return Err(not_constant(item)),
            }
        }
        Ok(constants)
    }
}

/// The test that a scalar, or an array's element, is one of `values`.
fn field_members(column: &Column<'_>, values: Vec<Literal>) -> Result<ScalarTest> {
    let data_type = column.data_type();
    let wrong = |value: &Literal| format!("value '{value}' in list cannot be casted to {data_type}");
    Ok(match data_type {
        DataType::Bool => {
            let integer = |value| if let Literal::Bool(value) = value { Ok(i64::from(value)) } else { Err(wrong(&value)) };
            ScalarTest::Integer(IntegerValues::In(IntegerSet::new(values.into_iter().map(integer).collect::<Result<_>>()?)))
        }
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let integer = |value| if let Literal::Int(value) = value { Ok(value) } else { Err(wrong(&value)) };
            ScalarTest::Integer(IntegerValues::In(IntegerSet::new(values.into_iter().map(integer).collect::<Result<_>>()?)))
        }
        DataType::Float | DataType::Double => {
            let mut floats = Vec::with_capacity(values.len());
            for value in &values {
                let number = value.number().ok_or_else(|| wrong(value))?;
                floats.extend(equal_float(number, data_type));
            }
            ScalarTest::Float(FloatValues::In(FloatSet::new(floats)))
        }
        DataType::VarChar => {
            let text = |value| if let Literal::Text(text) = value { Ok(text) } else { Err(wrong(&value)) };
            let texts = values.into_iter().map(text).collect::<Result<Vec<Arc<str>>>>()?;
            ScalarTest::Text(TextValues::In(TextSet::new(texts)))
        }
        _ => match values.first() {
            Some(value) => return Err(wrong(value)),
            None => return Err(format!("'in' is not supported on {data_type}")),
        },
    })
}

/// The condition that a whole array is one of some lists.
fn array_members(column: &Column<'_>, values: &[Literal], negated: bool) -> Result<Predicate> {
    let wrong = |value: &Literal| format!("value '{value}' in list cannot be casted to Array");
    if values.len() > LISTS_MAX {
        return Err(format!("a list has more than {LISTS_MAX} lists as elements"));
    }
    let mut equalities = Vec::with_capacity(values.len());
    for value in values {
        let (Literal::List(items), Some(element)) = (value, column.field.element_type) else { return Err(wrong(value)) };
        if !items.iter().all(|item| is_comparable(element, item)) {
            return Err(wrong(value));
        }
        equalities.push(column.array_test(equal_list(element, items), false));
    }
    if equalities.is_empty() {
        equalities.push(column.array_test(ArrayCheck::Length(Count::NONE), false));
    }
    let any = normal::any(equalities);
    Ok(if negated { any.negated() } else { any })
}

/// Whether a constant may be compared with an array's element of a type.
pub(super) fn is_comparable(element: DataType, literal: &Literal) -> bool {
    match literal {
        Literal::Bool(_) => element == DataType::Bool,
        Literal::Int(_) | Literal::Float(_) => element.is_numeric(),
        Literal::Text(_) => element == DataType::VarChar,
        Literal::List(_) => false,
    }
}

/// The check that an array equals a list of constants that are comparable with its elements.
pub(super) fn equal_list(element: DataType, items: &[Literal]) -> ArrayCheck {
    let equal = |item: &Literal| {
        Some(match item {
            Literal::Text(text) => ScalarTest::Text(TextValues::In(TextSet::new(vec![text.clone()]))),
            Literal::Bool(value) => {
                ScalarTest::Integer(IntegerValues::Range(Integers::that(CompareOp::Equal, Number::Int((*value).into()))))
            }
            _ if element.is_integer() => ScalarTest::Integer(IntegerValues::Range(Integers::that(CompareOp::Equal, item.number()?))),
            _ => ScalarTest::Float(FloatValues::In(FloatSet::new([equal_float(item.number()?, element)?]))),
        })
    };
    // A constant that no element equals makes equality false for every array.
    items.iter().map(equal).collect::<Option<Vec<_>>>().map_or(ArrayCheck::Length(Count::NONE), ArrayCheck::List)
}

/// The check that an array contains one of the constants, or all; each is comparable with its elements.
pub(super) fn contains(element: DataType, items: &[Literal], all: bool) -> ArrayCheck {
    let integers = items.iter().filter_map(|item| match item {
        Literal::Bool(value) => Some(i64::from(*value)),
        item => item.number()?.to_integer(),
    });
    let constants = match element {
        DataType::VarChar => {
            let texts = items.iter().filter_map(|item| if let Literal::Text(text) = item { Some(text.clone()) } else { None });
            Constants::Texts(TextSet::new(texts.collect()))
        }
        DataType::Float | DataType::Double => {
            let floats: Vec<f64> = items.iter().filter_map(|item| equal_float(item.number()?, element)).collect();
            if all && floats.len() < items.len() {
                return ArrayCheck::Length(Count::NONE);
            }
            Constants::Floats(FloatSet::new(floats))
        }
        _ => {
            let integers: Vec<i64> = integers.collect();
            if all && integers.len() < items.len() {
                return ArrayCheck::Length(Count::NONE);
            }
            Constants::Integers(IntegerSet::new(integers))
        }
    };
    ArrayCheck::Contains { constants, all }
}

/// The float that a column of `data_type` must hold to equal `number`, if there is one.
fn equal_float(number: Number, data_type: DataType) -> Option<f64> {
    if data_type == DataType::Float {
        return Floats::that_single(CompareOp::Equal, number).single();
    }
    number.to_exact_f64()
}

/// Constants of any type as a JSON value is looked up among them.
pub(super) fn members(values: Vec<Literal>) -> Result<Box<Members>> {
    let (mut integers, mut floats, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bools, mut lists) = ([false; 2], Vec::new());
    for value in values {
        match value {
            Literal::Int(value) => integers.push(value),
            Literal::Float(value) => match filed(value) {
                Ok(value) => integers.push(value),
                Err(value) => floats.push(value),
            },
            Literal::Text(text) => texts.push(text),
            Literal::Bool(value) => bools[usize::from(value)] = true,
            Literal::List(list) if lists.contains(&list) => {}
            Literal::List(_) if lists.len() == LISTS_MAX => {
                return Err(format!("a list has more than {LISTS_MAX} different lists as elements"));
            }
            Literal::List(list) => lists.push(list),
        }
    }
    Ok(Box::new(Members { integers: IntegerSet::new(integers), floats: FloatSet::new(floats), texts: TextSet::new(texts), bools, lists }))
}
