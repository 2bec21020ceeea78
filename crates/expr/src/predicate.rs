//! What a filter means: a tree of `and` and `or` over tests of single columns, typed and free of names.
//!
//! There is no `not`: it is pushed down to the tests when the plan is made (De Morgan's laws hold in three-valued logic), so that a row is
//! kept exactly if the tree is true with every test either true or not, and nobody has to carry "unknown" upwards. A test that can't be
//! decided for a row, because a value is null or missing, is not true, negated or not.
//!
//! Not here: how it is made (`check`, `normal`), how rows are tested (`eval`).

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::id::FieldId;

use crate::array::{ArrayCheck, Count};
use crate::like::Like;
use crate::literal::Literal;
use crate::number::{CompareOp, Floats, Integers, Number};
use crate::regex::Regex;
use crate::set::{FloatSet, IntegerSet, TextSet};

/// A condition on a row.
#[derive(Clone, PartialEq, Debug)]
pub enum Predicate {
    /// The same for every row.
    Constant(bool),
    /// Each of at least two, cheap ones first.
    All(Vec<Predicate>),
    /// One of at least two, cheap ones first.
    Any(Vec<Predicate>),
    /// A test of one value, or of two.
    Test(Test),
}

/// A condition on a row's values.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Test {
    /// What is asked.
    pub condition: Condition,
    /// The rows for which it is false are wanted. Those for which it is unknown aren't, either way.
    pub negated: bool,
}

/// What a test asks. Unknown where a value is null, but for [`Condition::Null`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Condition {
    /// The value of a Bool (0 or 1) or an integer field lies within.
    Integer {
        /// The field.
        field: FieldId,
        /// The values.
        within: IntegerValues,
    },
    /// The value of a Float or Double field lies within.
    Float {
        /// The field.
        field: FieldId,
        /// The values.
        within: FloatValues,
    },
    /// The value of a VarChar field lies within.
    Text {
        /// The field.
        field: FieldId,
        /// The values.
        within: TextValues,
    },
    /// The result of `field op operand` lies within.
    Arithmetic {
        /// A numeric field.
        field: FieldId,
        /// The operator.
        op: ArithmeticOp,
        /// The right side.
        operand: Number,
        /// The results.
        within: Numbers,
    },
    /// `left op right`, both numeric, both VarChar or both Bool; never [`CompareOp::NotEqual`].
    Pair {
        /// A field.
        left: FieldId,
        /// The operator.
        op: CompareOp,
        /// Another field.
        right: FieldId,
    },
    /// The field is null.
    Null {
        /// A nullable field.
        field: FieldId,
    },
    /// A condition on an array.
    Array {
        /// An Array field.
        field: FieldId,
        /// What is asked.
        check: ArrayCheck,
    },
    /// Chance keeps the row: a hash of the row's key with the seed lies below. Never unknown.
    Sample {
        /// The primary key.
        field: FieldId,
        /// What makes it another sample.
        seed: u64,
        /// The part of all rows that is kept, of 2^64.
        below: u64,
    },
    /// A condition on what is at a place of a JSON field.
    Json {
        /// Which of the plan's paths.
        path: u32,
        /// What is asked there.
        check: JsonCheck,
    },
}

/// Integers that are wanted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum IntegerValues {
    /// From, to.
    Range(Integers),
    /// These.
    In(IntegerSet),
}

/// Floats that are wanted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum FloatValues {
    /// From, to.
    Range(Floats),
    /// These.
    In(FloatSet),
}

/// Texts that are wanted. Order is that of the bytes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum TextValues {
    /// From, to.
    Range(Bound<Arc<str>>, Bound<Arc<str>>),
    /// These.
    In(TextSet),
    /// What matches a pattern.
    Like(Like),
    /// In what a regular expression is found.
    Regex(Regex),
}

/// Numbers that are wanted: one range, for integers and for floats.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Numbers {
    /// Where the number is an integer.
    pub integers: Integers,
    /// Where it isn't.
    pub floats: Floats,
}

impl Numbers {
    /// The numbers `x` with `x op bound`; `NotEqual` gives those of `Equal`.
    pub fn that(op: CompareOp, bound: Number) -> Self {
        Self { integers: Integers::that(op, bound), floats: Floats::that(op, bound) }
    }

    /// Those in both.
    pub fn and(self, other: Self) -> Self {
        Self { integers: self.integers.and(other.integers), floats: self.floats.and(other.floats) }
    }
}

/// Arithmetic between a column and a constant. Between integers it is exact, division cuts towards zero, and shifts lose bits; else it is
/// that of floats, single precision for a Float field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ArithmeticOp {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`; the operand isn't 0.
    Divide,
    /// `%`; of integers, and the operand isn't 0. The result has the sign of the left side.
    Modulo,
    /// `&`
    BitAnd,
    /// `|`
    BitOr,
    /// `^`
    BitXor,
    /// `<<` by 0 to 63.
    ShiftLeft,
    /// `>>` by 0 to 63.
    ShiftRight,
}

/// What is asked about a JSON value. Unknown where there is nothing or null, or where the value's type isn't one that is asked for (under
/// [`crate::MissingJson::Unknown`]); `Exists` is never unknown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum JsonCheck {
    /// It is a number within.
    Number(Numbers),
    /// It is a number, and the result of `it op operand` lies within.
    Arithmetic {
        /// The operator; never a bit operator.
        op: ArithmeticOp,
        /// The right side.
        operand: Number,
        /// The results.
        within: Numbers,
    },
    /// It is one of the booleans wanted: false, true.
    Bool([bool; 2]),
    /// It is a text within.
    Text(TextValues),
    /// It is an array equal to this.
    List(Vec<Literal>),
    /// It is one of these.
    Member(Box<Members>),
    /// It is an array that holds at least one of these, or all of them.
    Contains {
        /// What is looked for.
        members: Box<Members>,
        /// All, not one.
        all: bool,
    },
    /// It is an array with this many elements.
    Length(Count),
    /// There is something that is neither null nor an empty object.
    Exists,
}

/// Constants of any type, as JSON compares them: numbers by value, types apart.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Members {
    /// Integers, and floats that equal one.
    pub integers: IntegerSet,
    /// Other floats.
    pub floats: FloatSet,
    /// Texts.
    pub texts: TextSet,
    /// Whether false, and whether true is one.
    pub bools: [bool; 2],
    /// Lists, distinct as written.
    pub lists: Vec<Vec<Literal>>,
}

impl Predicate {
    /// True exactly where `self` is false.
    pub fn negated(self) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(!value),
            Self::All(members) => Self::Any(members.into_iter().map(Self::negated).collect()),
            Self::Any(members) => Self::All(members.into_iter().map(Self::negated).collect()),
            Self::Test(test) => Self::Test(Test { negated: !test.negated, ..test }),
        }
    }

    /// The same with another seed for each sample.
    pub(crate) fn seeded(self, seed: u64) -> Self {
        let each = |members: Vec<Self>| members.into_iter().map(|member| member.seeded(seed)).collect();
        match self {
            Self::All(members) => Self::All(each(members)),
            Self::Any(members) => Self::Any(each(members)),
            Self::Test(Test { condition: Condition::Sample { field, below, .. }, negated }) => {
                Self::Test(Test { condition: Condition::Sample { field, seed, below }, negated })
            }
            other => other,
        }
    }

    /// Calls `visit` with every test.
    pub fn for_each_test<'a>(&'a self, visit: &mut impl FnMut(&'a Test)) {
        match self {
            Self::Constant(_) => {}
            Self::All(members) | Self::Any(members) => members.iter().for_each(|member| member.for_each_test(visit)),
            Self::Test(test) => visit(test),
        }
    }
}

impl From<Condition> for Predicate {
    fn from(condition: Condition) -> Self {
        Self::Test(Test { condition, negated: false })
    }
}

/// Members shown of a set, at most.
const SHOWN_MAX: usize = 16;

fn show_set<T: fmt::Debug>(f: &mut fmt::Formatter<'_>, members: &[T]) -> fmt::Result {
    f.write_str("{")?;
    for (i, member) in members.iter().take(SHOWN_MAX).enumerate() {
        write!(f, "{}{member:?}", if i == 0 { "" } else { ", " })?;
    }
    match members.len().saturating_sub(SHOWN_MAX) {
        0 => f.write_str("}"),
        more => write!(f, ", {more} more}}"),
    }
}

/// For people and tests: `(#100 in 5..9 and not #101 in {"a"})`.
impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (members, operator) = match self {
            Self::Constant(value) => return write!(f, "{value}"),
            Self::Test(test) => return test.fmt(f),
            Self::All(members) => (members, " and "),
            Self::Any(members) => (members, " or "),
        };
        for (i, member) in members.iter().enumerate() {
            write!(f, "{}{member}", if i == 0 { "(" } else { operator })?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.negated { "not " } else { "" })?;
        match &self.condition {
            Condition::Integer { field, within } => write!(f, "#{field} in {within}"),
            Condition::Float { field, within } => write!(f, "#{field} in {within}"),
            Condition::Text { field, within } => write!(f, "#{field} in {within}"),
            Condition::Arithmetic { field, op, operand, within } => write!(f, "{op:?}(#{field}, {operand}) in {within}"),
            Condition::Pair { left, op, right } => write!(f, "#{left} {} #{right}", op.symbol()),
            Condition::Null { field } => write!(f, "#{field} is null"),
            Condition::Array { field, check } => match check {
                ArrayCheck::Element { index, test } => write!(f, "#{field}[{index}] in {test}"),
                ArrayCheck::List(tests) => {
                    write!(f, "#{field} == [{}]", tests.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
                }
                ArrayCheck::Contains { constants, all } => {
                    write!(f, "#{field} holds {}{constants}", if *all { "all of " } else { "one of " })
                }
                ArrayCheck::Length(count) => write!(f, "length(#{field}) in {count}"),
            },
            Condition::Sample { seed, below, .. } => write!(f, "sample({:.4}, {seed})", *below as f64 / 2f64.powi(64)),
            Condition::Json { path, check } => match check {
                JsonCheck::Number(within) => write!(f, "json {path} in {within}"),
                JsonCheck::Arithmetic { op, operand, within } => write!(f, "{op:?}(json {path}, {operand}) in {within}"),
                JsonCheck::Bool(wanted) => write!(f, "json {path} in {wanted:?}"),
                JsonCheck::Text(within) => write!(f, "json {path} in {within}"),
                JsonCheck::List(items) => write!(f, "json {path} == {items:?}"),
                JsonCheck::Member(members) => write!(f, "json {path} in {members}"),
                JsonCheck::Contains { members, all } => {
                    write!(f, "json {path} holds {}{members}", if *all { "all of " } else { "one of " })
                }
                JsonCheck::Length(range) => write!(f, "length(json {path}) in {range}"),
                JsonCheck::Exists => write!(f, "exists json {path}"),
            },
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
        }
    }
}

impl fmt::Display for Integers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end: i128, open: i128| if end == open { String::new() } else { end.to_string() };
        write!(f, "{}..{}", end(self.low, i128::MIN), end(self.high, i128::MAX))
    }
}

impl fmt::Display for Floats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end: f64, open: f64| if end == open { String::new() } else { format!("{end:?}") };
        write!(f, "{}..{}", end(self.low, f64::NEG_INFINITY), end(self.high, f64::INFINITY))
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.integers, self.floats)
    }
}

impl fmt::Display for IntegerValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => range.fmt(f),
            Self::In(set) => show_set(f, set.members()),
        }
    }
}

impl fmt::Display for FloatValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => range.fmt(f),
            Self::In(set) => show_set(f, &set.members()),
        }
    }
}

impl fmt::Display for TextValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(low, high) => {
                match low {
                    Bound::Included(low) => write!(f, "[{low:?}")?,
                    Bound::Excluded(low) => write!(f, "({low:?}")?,
                    Bound::Unbounded => f.write_str("(")?,
                }
                match high {
                    Bound::Included(high) => write!(f, ", {high:?}]"),
                    Bound::Excluded(high) => write!(f, ", {high:?})"),
                    Bound::Unbounded => f.write_str(", )"),
                }
            }
            Self::In(set) => show_set(f, set.members()),
            Self::Like(like) => write!(f, "like {like}"),
            Self::Regex(regex) => write!(f, "=~ {regex}"),
        }
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self
            .integers
            .members()
            .iter()
            .map(ToString::to_string)
            .chain(self.floats.members().into_iter().map(|value| format!("{value:?}")));
        let texts = self.texts.members().iter().map(|text| format!("{text:?}"));
        let bools = [false, true].into_iter().filter(|&value| self.bools[usize::from(value)]).map(|value| value.to_string());
        let lists = self.lists.iter().map(|list| format!("{list:?}"));
        write!(f, "{{{}}}", numbers.chain(texts).chain(bools).chain(lists).collect::<Vec<_>>().join(", "))
    }
}
