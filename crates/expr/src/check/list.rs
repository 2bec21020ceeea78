//! `in` and the lists of constants after it.

use std::sync::Arc;

use types::schema::DataType;

use crate::literal::Literal;
use crate::number::{CompareOp, Floats, Number};
use crate::predicate::{Condition, FloatValues, IntegerValues, JsonCheck, Members, Predicate, TextValues};
use crate::set::{FloatSet, IntegerSet, TextSet, filed};
use crate::syntax::{Kind, Node};

use super::{Checker, Column, Result, Value, field_test, id};

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
        let nothing = |empty: bool| (empty && !column.field.nullable && column.field.data_type != DataType::Json).then_some(negated);
        let values = match &list.kind {
            // Straight to the set: a delete may name millions of keys.
            Kind::Integers(values) if column.field.data_type.is_integer() => {
                self.given = values.len() as u64;
                if let Some(constant) = nothing(values.is_empty()) {
                    return Ok(Predicate::Constant(constant));
                }
                let within = IntegerValues::In(IntegerSet::new(values.clone()));
                return Ok(field_test(Condition::Integer { field: id(&column), within }, negated));
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
        let test = field_test(field_members(&column, values)?, negated);
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

/// The condition that a field which isn't JSON has one of `values`.
fn field_members(column: &Column<'_>, values: Vec<Literal>) -> Result<Condition> {
    let (field, data_type) = (id(column), column.field.data_type);
    let wrong = |value: &Literal| format!("value '{value}' in list cannot be casted to {data_type}");
    Ok(match data_type {
        DataType::Bool => {
            let integer = |value| if let Literal::Bool(value) = value { Ok(i64::from(value)) } else { Err(wrong(&value)) };
            Condition::Integer {
                field,
                within: IntegerValues::In(IntegerSet::new(values.into_iter().map(integer).collect::<Result<_>>()?)),
            }
        }
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let integer = |value| if let Literal::Int(value) = value { Ok(value) } else { Err(wrong(&value)) };
            Condition::Integer {
                field,
                within: IntegerValues::In(IntegerSet::new(values.into_iter().map(integer).collect::<Result<_>>()?)),
            }
        }
        DataType::Float | DataType::Double => {
            let mut floats = Vec::with_capacity(values.len());
            for value in &values {
                let number = value.number().ok_or_else(|| wrong(value))?;
                floats.extend(equal_float(number, data_type));
            }
            Condition::Float { field, within: FloatValues::In(FloatSet::new(floats)) }
        }
        DataType::VarChar => {
            let text = |value| if let Literal::Text(text) = value { Ok(text) } else { Err(wrong(&value)) };
            let texts = values.into_iter().map(text).collect::<Result<Vec<Arc<str>>>>()?;
            Condition::Text { field, within: TextValues::In(TextSet::new(texts)) }
        }
        _ => match values.first() {
            Some(value) => return Err(wrong(value)),
            None => return Err(format!("'in' is not supported on {data_type}")),
        },
    })
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
