//! Constants of a filter, and how Milvus's error texts print them.
//!
//! Not here: constants between other constants (`fold`), values of templates (`template`).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::number::{Number, bits};

/// Lists in lists, at most: bounds recursion over a constant.
pub const LIST_DEPTH_MAX: usize = 32;

/// A constant.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Literal {
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// Finite.
    Float(#[serde(with = "bits")] f64),
    /// A text.
    Text(Arc<str>),
    /// A list; nested to at most [`LIST_DEPTH_MAX`].
    List(Vec<Literal>),
}

impl Literal {
    /// The number that it is, if it is one.
    pub fn number(&self) -> Option<Number> {
        match self {
            Self::Int(value) => Some(Number::Int(*value)),
            Self::Float(value) => Some(Number::Float(*value)),
            _ => None,
        }
    }

    /// Milvus's name of its type.
    pub fn type_name(&self) -> String {
        match self {
            Self::Bool(_) => "Bool".to_owned(),
            Self::Int(_) => "Int64".to_owned(),
            Self::Float(_) => "Double".to_owned(),
            Self::Text(_) => "VarChar".to_owned(),
            Self::List(items) => format!("Array[{}]", element_type_name(items)),
        }
    }

    /// How many lists lie in each other; 0 for a scalar.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            _ => 0,
        }
    }
}

impl From<Number> for Literal {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(value) => Self::Int(value),
            Number::Float(value) => Self::Float(value),
        }
    }
}

/// As protobuf's text form prints Milvus's `GenericValue`: `int64_val:0`.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "bool_val:{value}"),
            Self::Int(value) => write!(f, "int64_val:{value}"),
            Self::Float(value) => write!(f, "float_val:{}", Shortest(*value)),
            Self::Text(value) => write!(f, "string_val:{value:?}"),
            Self::List(items) => {
                f.write_str("array_val:{")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}array:{{{item}}}", if i == 0 { "" } else { " " })?;
                }
                f.write_str("}")
            }
        }
    }
}

/// The common type of a list's elements; a mixed or empty one counts as JSON.
fn element_type_name(items: &[Literal]) -> String {
    let Some(first) = items.first() else { return "None".to_owned() };
    let name = first.type_name();
    if items.iter().all(|item| std::mem::discriminant(item) == std::mem::discriminant(first)) { name } else { "JSON".to_owned() }
}

/// The shortest decimal that reads back as the same float, with an exponent where it is far from 1.
struct Shortest(f64);

impl fmt::Display for Shortest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.abs();
        if magnitude == 0.0 || (1e-4..1e21).contains(&magnitude) {
            return write!(f, "{}", self.0);
        }
        let text = format!("{:e}", self.0);
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        write!(f, "{digits}e{sign}{exponent:0>2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_protobuf_does() {
        let check = |literal: Literal, text: &str, name: &str| {
            assert_eq!((literal.to_string(), literal.type_name()), (text.to_owned(), name.to_owned()));
        };
        check(Literal::Int(-1), "int64_val:-1", "Int64");
        check(Literal::Float(1.0), "float_val:1", "Double");
        check(Literal::Float(1.5e300), "float_val:1.5e+300", "Double");
        check(Literal::Float(1e-7), "float_val:1e-07", "Double");
        check(Literal::Bool(true), "bool_val:true", "Bool");
        check(Literal::Text("a\"b".into()), "string_val:\"a\\\"b\"", "VarChar");
        check(Literal::List(vec![Literal::Int(1), Literal::Int(2)]), "array_val:{array:{int64_val:1} array:{int64_val:2}}", "Array[Int64]");
        check(
            Literal::List(vec![Literal::Int(1), Literal::Bool(true)]),
            "array_val:{array:{int64_val:1} array:{bool_val:true}}",
            "Array[JSON]",
        );
    }
}
