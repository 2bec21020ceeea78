//! What a filter asks about arrays, and about how many elements something has.
//!
//! Not here: arrays within JSON values (`predicate`), the loop over rows (`eval`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::arithmetic;
use crate::number::{Integers, Number};
use crate::predicate::{ArithmeticOp, FloatValues, IntegerValues, Numbers, TextValues};
use crate::set::{FloatSet, IntegerSet, TextSet};

/// What is asked about the value of an Array field. Unknown where it is null.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ArrayCheck {
    /// The element at a place, from 0, is as wanted. Unknown where the array is shorter.
    Element {
        /// The place.
        index: u32,
        /// What is wanted.
        test: ScalarTest,
    },
    /// It has exactly the elements that these tests want, in this order.
    List(Vec<ScalarTest>),
    /// It holds at least one of these, or all of them.
    Contains {
        /// What is looked for.
        constants: Constants,
        /// All, not one.
        all: bool,
    },
    /// It has this many elements.
    Length(Count),
}

/// What is asked about one scalar value, whose type it suits.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ScalarTest {
    /// A Bool (0 or 1) or an integer lies within.
    Integer(IntegerValues),
    /// A Float or a Double lies within.
    Float(FloatValues),
    /// A text lies within.
    Text(TextValues),
    /// The result of `value op operand` lies within.
    Arithmetic {
        /// The operator.
        op: ArithmeticOp,
        /// The right side.
        operand: Number,
        /// The results.
        within: Numbers,
    },
}

/// Constants that elements of one type are looked up among.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Constants {
    /// Of a Bool (0 or 1) or an integer type.
    Integers(IntegerSet),
    /// Of Float or Double.
    Floats(FloatSet),
    /// Of VarChar.
    Texts(TextSet),
}

impl Constants {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Integers(set) => set.members().len(),
            Self::Floats(set) => set.keys().members().len(),
            Self::Texts(set) => set.members().len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Numbers of elements that are wanted.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Count {
    /// From, to.
    Within(Integers),
    /// The result of `number op operand` lies within.
    Arithmetic {
        /// The operator.
        op: ArithmeticOp,
        /// The right side.
        operand: Number,
        /// The results.
        within: Numbers,
    },
}

impl Count {
    /// None at all.
    pub(crate) const NONE: Self = Self::Within(Integers { low: 1, high: 0 });

    /// Whether so many are wanted.
    pub(crate) fn holds(self, elements: usize) -> bool {
        let elements = elements as i128;
        match self {
            Self::Within(range) => range.contains(elements),
            Self::Arithmetic { op, operand: Number::Int(operand), within } => {
                within.integers.contains(arithmetic::integers(op, elements, operand))
            }
            Self::Arithmetic { op, operand: Number::Float(operand), within } => {
                within.floats.contains(arithmetic::doubles(op, elements as f64, operand))
            }
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within(range) => range.fmt(f),
            Self::Arithmetic { op, operand, within } => write!(f, "{{n: {op:?}(n, {operand}) in {within}}}"),
        }
    }
}

impl fmt::Display for ScalarTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(within) => within.fmt(f),
            Self::Float(within) => within.fmt(f),
            Self::Text(within) => within.fmt(f),
            Self::Arithmetic { op, operand, within } => write!(f, "{{x: {op:?}(x, {operand}) in {within}}}"),
        }
    }
}

impl fmt::Display for Constants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integers(set) => write!(f, "{set:?}"),
            Self::Floats(set) => write!(f, "{set:?}"),
            Self::Texts(set) => write!(f, "{set:?}"),
        }
    }
}
