//! One scalar: a default value, a literal of a filter, a primary key.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A scalar value as schemas and filters know it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// Every integer type.
    Int(i64),
    /// Float and double.
    Float(f64),
    /// VarChar, and text of JSON values.
    String(Arc<str>),
}

/// A primary key: the two types that may be one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Key {
    /// An Int64 key.
    Int(i64),
    /// A VarChar key: ordered bytewise.
    String(Arc<str>),
}

impl Key {
    /// The key as it is borrowed from a column.
    pub fn as_ref(&self) -> KeyRef<'_> {
        match self {
            Self::Int(key) => KeyRef::Int(*key),
            Self::String(key) => KeyRef::String(key),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// A primary key inside a column.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyRef<'a> {
    /// An Int64 key.
    Int(i64),
    /// A VarChar key.
    String(&'a str),
}

impl KeyRef<'_> {
    /// An owned copy.
    pub fn to_key(self) -> Key {
        match self {
            Self::Int(key) => Key::Int(key),
            Self::String(key) => Key::String(key.into()),
        }
    }
}

impl PartialOrd for KeyRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyRef<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Int(_), Self::String(_)) => Ordering::Less,
            (Self::String(_), Self::Int(_)) => Ordering::Greater,
        }
    }
}

impl fmt::Display for KeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(key) => key.fmt(f),
            Self::String(key) => key.fmt(f),
        }
    }
}
