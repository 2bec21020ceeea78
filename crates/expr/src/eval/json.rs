//! Tests of what is at a place of a JSON column's values.
//!
//! Where several tests look at one path, a row's text is read once: the first test that wants the row leaves what it found for the others.

use types::Result;
use types::column::Values;

use crate::arithmetic;
use crate::columns::ColumnView;
use crate::json::{Elements, Found, locate, read, text_of};
use crate::literal::Literal;
use crate::number::Number;
use crate::path::JsonPath;
use crate::plan::MissingJson;
use crate::predicate::{JsonCheck, Members, Numbers};

use super::scan::{EMPTY, Mask, Piece, Sieve};
use super::text::{self, Texts};
use super::{BLOCK_ROWS, wrong_type};

/// What rows of a block hold at one path.
pub(super) struct PathCache {
    read: Mask,
    /// Of rows that were read.
    found: Vec<Found>,
}

impl Default for PathCache {
    fn default() -> Self {
        Self { read: EMPTY, found: vec![Found::Missing; BLOCK_ROWS] }
    }
}

impl PathCache {
    /// Another block begins.
    pub fn forget(&mut self) {
        self.read = EMPTY;
    }

    fn get(&mut self, bit: usize, look: impl FnOnce() -> Found) -> Found {
        let (word, mask) = (bit / 64, 1u64 << (bit % 64));
        if self.read[word] & mask == 0 {
            self.read[word] |= mask;
            self.found[bit] = look();
        }
        self.found[bit]
    }
}

/// What is asked, and where.
pub(super) struct Place<'a> {
    pub path: &'a JsonPath,
    pub check: &'a JsonCheck,
    pub missing: MissingJson,
}

/// A JSON column. Without a cache every test reads for itself.
pub(super) fn values(
    sieve: &mut Sieve<'_>,
    view: &ColumnView<'_>,
    piece: Piece,
    (place, cache): (&Place<'_>, Option<&mut PathCache>),
) -> Result<()> {
    let column = view.column();
    let Values::Json(strings) = &column.values else { return Err(wrong_type(view, "JSON")) };
    let texts = Texts::of(strings);
    let exists = matches!(place.check, JsonCheck::Exists);
    let mut cache = cache;
    sieve.outcomes(piece, |slot, bit| {
        if !column.is_valid(slot) {
            return exists.then_some(false);
        }
        let text = texts.get(slot);
        let look = || locate(text, &place.path.steps).map_or(Found::Missing, |at| read(text, at));
        let found = match &mut cache {
            Some(cache) => cache.get(bit, look),
            None => look(),
        };
        outcome(place.check, found, text).or((place.missing == MissingJson::False).then_some(false))
    });
    Ok(())
}

/// Whether `found` in `text` is as asked; `None` where it isn't of a type that is asked for.
fn outcome(check: &JsonCheck, found: Found, text: &[u8]) -> Option<bool> {
    let missing = matches!(found, Found::Missing | Found::Null);
    match check {
        JsonCheck::Exists => Some(!missing && found != Found::Object { empty: true }),
        _ if missing => None,
        JsonCheck::Number(within) => in_numbers(found, within),
        JsonCheck::Arithmetic { op, operand, within } => {
            let value = match (integer(found), found, *operand) {
                (Some(value), _, Number::Int(operand)) => return Some(within.integers.contains(arithmetic::integers(*op, value, operand))),
                (Some(value), _, Number::Float(_)) => value as f64,
                (None, Found::Float(value), _) => value,
                _ => return None,
            };
            let result = arithmetic::doubles(*op, value, operand.to_f64());
            // An operator that only integers have is unknown to a float.
            (!result.is_nan()).then(|| within.floats.contains(result))
        }
        JsonCheck::Bool(wanted) => match found {
            Found::Bool(value) => Some(wanted[usize::from(value)]),
            _ => None,
        },
        JsonCheck::Text(within) => match found {
            Found::Text { start, end, escaped } => Some(text::is_within(&text_of(text, start, end, escaped), within)),
            _ => None,
        },
        JsonCheck::List(items) => match found {
            Found::Array { start } => Some(is_list(text, start as usize, items)),
            _ => None,
        },
        JsonCheck::Member(members) => is_member(members, found, text),
        JsonCheck::Contains { members, all } => match found {
            Found::Array { start } => Some(contains(text, start as usize, members, *all)),
            _ => None,
        },
        JsonCheck::Length(count) => match found {
            Found::Array { start } => Some(count.holds(elements(text, start as usize).count())),
            _ => None,
        },
    }
}

/// The integer that was found.
fn integer(found: Found) -> Option<i128> {
    match found {
        Found::Int(value) => Some(value.into()),
        Found::Large(value) => Some(value.into()),
        _ => None,
    }
}

fn in_numbers(found: Found, within: &Numbers) -> Option<bool> {
    match (integer(found), found) {
        (Some(value), _) => Some(within.integers.contains(value)),
        (None, Found::Float(value)) => Some(within.floats.contains(value)),
        _ => None,
    }
}

fn elements(text: &[u8], start: usize) -> impl Iterator<Item = usize> {
    Elements::new(text, start).into_iter().flatten()
}

/// Whether the array at `start` has exactly these elements.
fn is_list(text: &[u8], start: usize, items: &[Literal]) -> bool {
    let mut found = elements(text, start);
    items.iter().all(|item| found.next().is_some_and(|at| equals(text, at, item))) && found.next().is_none()
}

/// Whether the value at `at` equals a constant.
fn equals(text: &[u8], at: usize, literal: &Literal) -> bool {
    let found = read(text, at);
    match (literal, found) {
        (Literal::Bool(value), Found::Bool(found)) => *value == found,
        (Literal::Text(value), Found::Text { start, end, escaped }) => *text_of(text, start, end, escaped) == *value.as_bytes(),
        (Literal::List(items), Found::Array { start }) => is_list(text, start as usize, items),
        (Literal::Int(value), _) if integer(found).is_some() => integer(found) == Some((*value).into()),
        (Literal::Int(_) | Literal::Float(_), _) => match (literal.number(), as_number(found)) {
            (Some(literal), Some(found)) => literal.compare(found).is_some_and(std::cmp::Ordering::is_eq),
            _ => false,
        },
        _ => false,
    }
}

/// The number that was found; an integer above those of `i64` as the float that equals it, if there is one.
fn as_number(found: Found) -> Option<Number> {
    match found {
        Found::Int(value) => Some(Number::Int(value)),
        Found::Float(value) => Some(Number::Float(value)),
        Found::Large(value) => (value as f64 as u128 == u128::from(value)).then_some(Number::Float(value as f64)),
        _ => None,
    }
}

/// Whether the value is among the members. That is an `or` of equalities, so a value that isn't is unknown unless all members are of its type.
fn is_member(members: &Members, found: Found, text: &[u8]) -> Option<bool> {
    if position(members, found, text).is_some() {
        return Some(true);
    }
    let numbers = !members.integers.members().is_empty() || !members.floats.members().is_empty();
    let (texts, bools, lists) = (!members.texts.members().is_empty(), members.bools != [false; 2], !members.lists.is_empty());
    let others = match found {
        Found::Int(_) | Found::Large(_) | Found::Float(_) => texts || bools || lists,
        Found::Text { .. } => numbers || bools || lists,
        Found::Bool(_) => numbers || texts || lists,
        Found::Array { .. } => numbers || texts || bools,
        Found::Object { .. } | Found::Missing | Found::Null => numbers || texts || bools || lists,
    };
    (!others).then_some(false)
}

/// Which member the value is, in an order of their own: integers, floats, texts, booleans, lists.
fn position(members: &Members, found: Found, text: &[u8]) -> Option<usize> {
    let (integers, floats) = (members.integers.members().len(), members.floats.keys().members().len());
    let texts = members.texts.members().len();
    match found {
        Found::Bool(value) => members.bools[usize::from(value)].then_some(integers + floats + texts + usize::from(value)),
        Found::Text { start, end, escaped } => members.texts.position(&text_of(text, start, end, escaped)).map(|at| integers + floats + at),
        Found::Array { start } => {
            let list = members.lists.iter().position(|list| is_list(text, start as usize, list));
            list.map(|at| integers + floats + texts + 2 + at)
        }
        _ => {
            let number = as_number(found)?;
            match number.to_integer() {
                Some(value) => members.integers.contains(value).then(|| members.integers.position(value)).flatten(),
                None => members.floats.keys().position(crate::set::FloatSet::key(number.to_f64())).map(|at| integers + at),
            }
        }
    }
}

/// Whether the array at `start` holds one of the members, or all of them.
fn contains(text: &[u8], start: usize, members: &Members, all: bool) -> bool {
    let mut found = elements(text, start).filter_map(|at| position(members, read(text, at), text));
    if !all {
        return found.next().is_some();
    }
    let scalars = members.integers.members().len() + members.floats.keys().members().len() + members.texts.members().len();
    let wanted = scalars + members.bools.iter().filter(|&&wanted| wanted).count() + members.lists.len();
    if wanted <= 1 {
        return wanted == 0 || found.next().is_some();
    }
    // An element takes two bytes at least: no more members can be there, however many are wanted.
    if wanted > (text.len() - start) / 2 {
        return false;
    }
    let mut seen = vec![false; scalars + 2 + members.lists.len()];
    let mut count = 0;
    for position in found {
        count += usize::from(!std::mem::replace(&mut seen[position], true));
        if count == wanted {
            return true;
        }
    }
    false
}
