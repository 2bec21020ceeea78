//! Puts predicates together in normal form: flat, without constants inside, cheap tests first, equalities on one column as one set.
//!
//! Every step keeps the three-valued meaning. That is why JSON tests are never merged: a text differs from 1 only in being unknown to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::id::FieldId;

use crate::array::ArrayCheck;
use crate::predicate::{Condition, FloatValues, IntegerValues, JsonCheck, Predicate, Test, TextValues};
use crate::set::{IntegerSet, TextSet};

/// True where all of `members` are.
pub(crate) fn all(members: Vec<Predicate>) -> Predicate {
    combine(members, true)
}

/// True where one of `members` is.
pub(crate) fn any(members: Vec<Predicate>) -> Predicate {
    combine(members, false)
}

/// `conjunction` is also the constant that changes nothing; the other one decides alone.
fn combine(members: Vec<Predicate>, conjunction: bool) -> Predicate {
    let mut flat = Vec::with_capacity(members.len());
    for member in members {
        match member {
            Predicate::Constant(value) if value == conjunction => {}
            Predicate::Constant(value) => return Predicate::Constant(value),
            Predicate::All(inner) if conjunction => flat.extend(inner),
            Predicate::Any(inner) if !conjunction => flat.extend(inner),
            other => flat.push(other),
        }
    }
    let mut flat = merge_equalities(flat, conjunction);
    match flat.len() {
        0 => Predicate::Constant(conjunction),
        1 => flat.swap_remove(0),
        _ => {
            // Stable: tests of one cost stay in the order of the text.
            flat.sort_by_cached_key(|member| (cost(member) * 16.0) as u64);
            if conjunction { Predicate::All(flat) } else { Predicate::Any(flat) }
        }
    }
}

/// `a == 1 or a in [2]` becomes `a in [1, 2]`; under `and`, `a != 1 and a not in [2]` becomes `a not in [1, 2]`.
fn merge_equalities(members: Vec<Predicate>, negated: bool) -> Vec<Predicate> {
    let mut counts: BTreeMap<FieldId, usize> = BTreeMap::new();
    for member in &members {
        if let Some(field) = equality_field(member, negated) {
            *counts.entry(field).or_default() += 1;
        }
    }
    if counts.values().all(|&count| count == 1) {
        return members;
    }
    let mut merged = Vec::new();
    // Where in `merged` a field's set goes, and what is in it.
    let mut gathered: BTreeMap<FieldId, (usize, Points)> = BTreeMap::new();
    for member in members {
        match equality_field(&member, negated).filter(|field| counts[field] > 1) {
            None => merged.push(member),
            Some(field) => {
                let (_, points) = gathered.entry(field).or_insert_with(|| {
                    // Holds the place until the set is whole.
                    merged.push(Predicate::Constant(negated));
                    (merged.len() - 1, Points::default())
                });
                points.add(member);
            }
        }
    }
    for (field, (position, points)) in gathered {
        merged[position] = Predicate::Test(Test { condition: points.condition(field), negated });
    }
    merged
}

/// The field if the predicate is an equality, or with `negated` an inequality, with constants.
fn equality_field(predicate: &Predicate, negated: bool) -> Option<FieldId> {
    let Predicate::Test(test) = predicate else { return None };
    if test.negated != negated {
        return None;
    }
    match &test.condition {
        Condition::Integer { field, within: IntegerValues::In(_) } | Condition::Text { field, within: TextValues::In(_) } => Some(*field),
        Condition::Integer { field, within: IntegerValues::Range(range) } => range.single().map(|_| *field),
        _ => None,
    }
}

/// The constants of equalities on one field: of one kind, as a field has one type.
#[derive(Default)]
struct Points {
    integers: Vec<i64>,
    texts: Option<Vec<Arc<str>>>,
}

impl Points {
    fn add(&mut self, equality: Predicate) {
        let Predicate::Test(Test { condition, .. }) = equality else { return };
        match condition {
            Condition::Integer { within: IntegerValues::In(set), .. } => self.integers.extend(set.members()),
            Condition::Integer { within: IntegerValues::Range(range), .. } => self.integers.extend(range.single()),
            Condition::Text { within: TextValues::In(set), .. } => self.texts.get_or_insert_default().extend_from_slice(set.members()),
            _ => {}
        }
    }

    fn condition(self, field: FieldId) -> Condition {
        match self.texts {
            None => Condition::Integer { field, within: IntegerValues::In(IntegerSet::new(self.integers)) },
            Some(texts) => Condition::Text { field, within: TextValues::In(TextSet::new(texts)) },
        }
    }
}

/// What testing one row costs, in nanoseconds, roughly: of use for comparing plans and for choosing between scanning and probing.
pub(crate) fn cost(predicate: &Predicate) -> f64 {
    match predicate {
        Predicate::Constant(_) => 0.0,
        Predicate::All(members) | Predicate::Any(members) => members.iter().map(cost).sum(),
        Predicate::Test(test) => condition_cost(&test.condition),
    }
}

fn condition_cost(condition: &Condition) -> f64 {
    match condition {
        Condition::Null { .. } => 0.1,
        Condition::Integer { within: IntegerValues::Range(_), .. } => 0.5,
        Condition::Float { within: FloatValues::Range(_), .. } => 0.5,
        Condition::Integer { within: IntegerValues::In(_), .. } => 2.0,
        Condition::Float { within: FloatValues::In(_), .. } => 3.0,
        Condition::Arithmetic { .. } => 3.0,
        Condition::Pair { .. } => 6.0,
        Condition::Sample { .. } => 5.0,
        Condition::Array { check, .. } => match check {
            ArrayCheck::Length(_) => 1.5,
            ArrayCheck::Element { .. } => 8.0,
            ArrayCheck::List(_) => 10.0,
            ArrayCheck::Contains { .. } => 30.0,
        },
        Condition::Text { within, .. } => text_cost(within),
        Condition::Json { check, .. } => {
            80.0 + match check {
                JsonCheck::Exists | JsonCheck::Bool(_) | JsonCheck::Number(_) | JsonCheck::Arithmetic { .. } => 0.0,
                JsonCheck::Text(within) => text_cost(within),
                JsonCheck::Member(_) => 15.0,
                JsonCheck::Length(_) => 50.0,
                JsonCheck::List(_) | JsonCheck::Contains { .. } => 150.0,
            }
        }
    }
}

fn text_cost(within: &TextValues) -> f64 {
    match within {
        TextValues::Range(..) => 5.0,
        TextValues::In(set) => {
            if set.members().len() == 1 {
                3.0
            } else {
                12.0
            }
        }
        TextValues::Like(_) => 25.0,
        TextValues::Regex(_) => 120.0,
    }
}
