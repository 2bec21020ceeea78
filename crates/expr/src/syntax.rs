//! What the parser gives: the filter as it is written, before anybody knows what its names mean.
//!
//! Not here: types and fields (`check`), the text itself (nodes refer to it by [`Span`] for error texts).
//!
//! Invariants: a tree is at most [`NESTING_MAX`] high, so that walking and dropping it by recursion is safe; chains of `and` and `or` are flat.

use std::sync::Arc;

use crate::number::CompareOp;
use crate::path::Step;

/// How deep a filter may nest, in levels of parentheses, lists, calls and operators. Chains of `and`, and of `or`, are one level.
pub const NESTING_MAX: u16 = 256;

/// A part of the text, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn to(self, end: Span) -> Self {
        Self { start: self.start, end: end.end }
    }

    pub fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

/// One node.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Node {
    pub kind: Kind,
    pub span: Span,
    /// 1 + that of the highest child.
    pub height: u16,
    /// Whether it stands in parentheses, which the span then includes.
    pub enclosed: bool,
}

/// What a node is.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Kind {
    Integer(i64),
    /// 2^63 without the minus that would make it an `i64`.
    IntegerTooLarge,
    Float(f64),
    Bool(bool),
    Text(Arc<str>),
    Template(Arc<str>),
    /// A list of nothing but plain integers.
    Integers(Vec<i64>),
    List(Vec<Node>),
    Name(Arc<str>),
    Path(Arc<str>, Vec<Step>),
    /// A sub-field of a struct: the struct's name.
    Struct(Arc<str>),
    /// `$[sub]`
    Element,
    Unary(UnaryOp, Box<Node>),
    Binary(BinaryOp, Box<[Node; 2]>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Compare(CompareOp, Box<[Node; 2]>),
    Range(Box<Range>),
    In {
        operand: Box<Node>,
        list: Box<Node>,
        negated: bool,
    },
    Like(Box<Node>, Pattern),
    Regex(Box<Node>, Pattern),
    Exists(Box<Node>),
    /// Of a [`Kind::Name`] or [`Kind::Path`].
    IsNull {
        operand: Box<Node>,
        negated: bool,
    },
    Call(Box<Call>),
    /// `ISO '…'`
    Moment,
    /// `INTERVAL '…'`
    Interval,
}

/// The right side of `like` and of a regex match.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Pattern {
    Text(Arc<str>),
    Template(Arc<str>),
}

/// `bounds[0] ops[0] operand ops[1] bounds[1]`, both operators in one direction.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Range {
    pub bounds: [Node; 2],
    pub ops: [CompareOp; 2],
    pub operand: Node,
}

/// `name(arguments…, option=value…)`
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Call {
    pub name: Arc<str>,
    pub arguments: Vec<Node>,
    pub options: Vec<(Arc<str>, Node)>,
}

/// An operator before its operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UnaryOp {
    Plus,
    Minus,
    BitNot,
    Not,
}

/// An operator between two values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BinaryOp {
    Power,
    Multiply,
    Divide,
    Modulo,
    Add,
    Subtract,
    ShiftLeft,
    ShiftRight,
    BitAnd,
    BitXor,
    BitOr,
}

impl BinaryOp {
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Power => "**",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::ShiftLeft => "<<",
            Self::ShiftRight => ">>",
            Self::BitAnd => "&",
            Self::BitXor => "^",
            Self::BitOr => "|",
        }
    }
}
