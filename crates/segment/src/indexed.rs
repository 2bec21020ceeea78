//! What scalar indexes know of a filter over a segment, so that fewer rows are tested, and often no column is read at all.
//!
//! Not here: tests of rows (`expr`). An index never changes an answer: what it gives are exactly the rows for which a condition is true, or of
//! a denied one those that have a value and for which it isn't.
//!
//! Start at [`known`].

use std::ops::Bound;
use std::sync::Arc;

use expr::predicate::{FloatValues, IntegerValues, TextValues};
use expr::{ArrayCheck, Condition, Constants, Plan, Predicate, Test};
use index::scalar::{Question, ScalarIndex};
use types::bitset::Bitset;
use types::id::FieldId;

/// The part of a segment's rows below which finding them through an index beats a scan of numbers; texts always gain, since their pages
/// needn't be decoded.
const SELECTIVE_PART: usize = 8;
/// Elements that an array must hold all of, at most, to be looked up one by one.
const LOOKUPS_MAX: usize = 64;

/// What is known of a filter without looking at rows.
pub struct Known {
    /// Rows that it may keep: no other.
    pub rows: Bitset,
    /// It keeps all of them.
    pub exact: bool,
}

/// A segment's scalar indexes.
pub trait Indexes {
    /// The index of a field, if there is one.
    fn scalar_of(&self, field: FieldId) -> Option<&Arc<dyn ScalarIndex>>;
}

/// What the indexes know of `plan`; `None` where that isn't worth asking.
pub fn known(plan: &Plan, indexes: &dyn Indexes) -> Option<Known> {
    of(plan.predicate(), indexes)
}

fn of(predicate: &Predicate, indexes: &dyn Indexes) -> Option<Known> {
    match predicate {
        Predicate::Constant(_) => None,
        Predicate::Test(test) => of_test(test, indexes),
        Predicate::All(members) => {
            let mut all: Option<Known> = None;
            let mut exact = true;
            for member in members {
                match (of(member, indexes), &mut all) {
                    (None, _) => exact = false,
                    (Some(one), Some(all)) => {
                        all.rows.and(&one.rows);
                        all.exact &= one.exact;
                    }
                    (Some(one), none) => *none = Some(one),
                }
            }
            all.map(|all| Known { exact: all.exact && exact, ..all })
        }
        Predicate::Any(members) => {
            let mut members = members.iter().map(|member| of(member, indexes));
            let first = members.next()??;
            members.try_fold(first, |mut any, one| {
                let one = one?;
                any.rows.or(&one.rows);
                Some(Known { exact: any.exact && one.exact, ..any })
            })
        }
    }
}

fn of_test(test: &Test, indexes: &dyn Indexes) -> Option<Known> {
    let index = &**indexes.scalar_of(field_of(&test.condition)?)?;
    let rows = match &test.condition {
        Condition::Null { .. } => {
            let mut rows = present(index);
            if !test.negated {
                rows.invert();
            }
            return Some(Known { rows, exact: true });
        }
        Condition::Integer { within, .. } => of_numbers(index, &integers(within), test.negated)?,
        Condition::Float { within: FloatValues::Range(range), .. } => {
            of_numbers(index, &Question::Floats(range.low, range.high), test.negated)?
        }
        Condition::Float { within: FloatValues::In(set), .. } => of_numbers(index, &Question::FloatSet(&set.members()), test.negated)?,
        Condition::Text { within, .. } => of_texts(index, within)?,
        Condition::Array { check: ArrayCheck::Contains { constants, all }, .. } => of_array(index, constants, *all)?,
        _ => return None,
    };
    Some(Known { rows: if test.negated { denied(&rows, index) } else { rows }, exact: true })
}

/// The field of a condition that an index may answer.
fn field_of(condition: &Condition) -> Option<FieldId> {
    match condition {
        Condition::Null { field }
        | Condition::Integer { field, .. }
        | Condition::Float { field, .. }
        | Condition::Text { field, .. }
        | Condition::Array { field, .. } => Some(*field),
        _ => None,
    }
}

fn present(index: &dyn ScalarIndex) -> Bitset {
    index.present().cloned().unwrap_or_else(|| Bitset::ones(index.rows()))
}

/// Rows that have a value for which the condition isn't true.
fn denied(rows: &Bitset, index: &dyn ScalarIndex) -> Bitset {
    let mut denied = present(index);
    denied.and_not(rows);
    denied
}

fn integers(within: &IntegerValues) -> Question<'_> {
    match within {
        IntegerValues::Range(range) => Question::Integers(range.low, range.high),
        IntegerValues::In(set) => Question::IntegerSet(set.members()),
    }
}

/// The rows of a question about numbers, where what is kept is so little that a scan would cost more.
fn of_numbers(index: &dyn ScalarIndex, question: &Question<'_>, negated: bool) -> Option<Bitset> {
    let found = index.estimate(question)?;
    let with_value = || index.present().map_or(index.rows(), Bitset::count_ones);
    let kept = if negated { with_value().saturating_sub(found) } else { found };
    if kept * SELECTIVE_PART > index.rows() {
        return None;
    }
    index.answer(question)
}

fn of_texts(index: &dyn ScalarIndex, within: &TextValues) -> Option<Bitset> {
    fn bytes(bound: &Bound<Arc<str>>) -> Bound<&[u8]> {
        match bound {
            Bound::Included(text) => Bound::Included(text.as_bytes()),
            Bound::Excluded(text) => Bound::Excluded(text.as_bytes()),
            Bound::Unbounded => Bound::Unbounded,
        }
    }
    match within {
        TextValues::Range(low, high) => index.answer(&Question::Texts(bytes(low), bytes(high))),
        TextValues::In(set) => index.answer(&Question::TextSet(set.members())),
        TextValues::Like(like) => index.answer(&Question::TextTest { prefix: like.prefix().as_bytes(), test: &|text| like.matches(text) }),
        TextValues::Regex(regex) => index.answer(&Question::TextTest { prefix: b"", test: &|text| regex.matches(text) }),
    }
}

/// The rows whose arrays hold one of the constants, or all of them.
fn of_array(index: &dyn ScalarIndex, constants: &Constants, all: bool) -> Option<Bitset> {
    if !all {
        return match constants {
            Constants::Integers(set) => index.answer(&Question::IntegerSet(set.members())),
            Constants::Floats(set) => index.answer(&Question::FloatSet(&set.members())),
            Constants::Texts(set) => index.answer(&Question::TextSet(set.members())),
        };
    }
    // Every array holds all of no constants.
    let mut rows = present(index);
    if constants.len() > LOOKUPS_MAX {
        return None;
    }
    let mut narrow = |question: Question<'_>| index.answer(&question).map(|found| rows.and(&found));
    match constants {
        Constants::Integers(set) => set.members().iter().try_for_each(|&value| narrow(Question::IntegerSet(&[value])))?,
        Constants::Floats(set) => set.members().iter().try_for_each(|&value| narrow(Question::FloatSet(&[value])))?,
        Constants::Texts(set) => set.members().iter().try_for_each(|text| narrow(Question::TextSet(std::slice::from_ref(text))))?,
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use expr::{Options, Scratch};
    use index::scalar::{self, ScalarKind};
    use types::batch::Batch;
    use types::blob::MemoryBlob;
    use types::column::{Arrays, Column, Values};
    use types::schema::{DataType, Field, FieldKind, Schema};

    use super::*;

    const ROWS: usize = 400;

    fn field(id: i64, name: &str, data_type: DataType) -> Field {
        Field {
            id: FieldId(id),
            name: name.to_owned(),
            description: String::new(),
            data_type,
            kind: if id == 100 { FieldKind::Primary } else { FieldKind::Plain },
            auto_id: false,
            nullable: id != 100,
            default: None,
            dimension: None,
            max_length: None,
            element_type: (data_type == DataType::Array).then_some(DataType::Int32),
            max_capacity: None,
            type_params: BTreeMap::new(),
        }
    }

    fn columns() -> Vec<Column> {
        let numbers = |step: usize| (0..ROWS).map(move |row| row * step % 37);
        let offsets: Vec<u32> = (0..=ROWS as u32).map(|row| row * 3 / 2).collect();
        let elements = Values::Int32((0..ROWS * 3 / 2).map(|at| (at * 7 % 11) as i32).collect::<Vec<_>>().into());
        let values = [
            Values::Int64((0..ROWS as i64).collect::<Vec<_>>().into()),
            Values::Int16(numbers(5).map(|number| number as i16).collect::<Vec<_>>().into()),
            Values::Float(numbers(3).map(|number| number as f32 / 2.0).collect::<Vec<_>>().into()),
            Values::VarChar(numbers(7).map(|number| format!("{}b{number}", if number % 3 == 0 { "a" } else { "é" })).collect()),
            Values::Array(Arrays::from_parts(offsets.into(), elements).expect("offsets ascend")),
        ];
        let nulls = |i: usize| (i > 0).then(|| Bitset::from_fn(ROWS, |row| row % (i + 6) != 2));
        let column = |(i, values)| Column { field: FieldId(100 + i as i64), validity: nulls(i), values };
        values.into_iter().enumerate().map(column).collect()
    }

    struct Opened(BTreeMap<FieldId, Arc<dyn ScalarIndex>>);

    impl Indexes for Opened {
        fn scalar_of(&self, field: FieldId) -> Option<&Arc<dyn ScalarIndex>> {
            self.0.get(&field)
        }
    }

    fn opened(columns: &[Column], kind: ScalarKind, without: FieldId) -> Opened {
        let open = |column: &Column| {
            let bytes = scalar::build(column, kind).expect("the column has an index").to_bytes();
            (column.field, scalar::open(&MemoryBlob::new("index", Bytes::from(bytes))).expect("what was written opens"))
        };
        Opened(columns.iter().filter(|column| column.field != without).map(open).collect())
    }

    #[test]
    fn indexes_say_what_a_scan_says() {
        let types = [DataType::Int64, DataType::Int16, DataType::Float, DataType::VarChar, DataType::Array];
        let names = ["id", "i", "f", "s", "l"];
        let fields = types.into_iter().zip(names).enumerate().map(|(i, (data_type, name))| field(100 + i as i64, name, data_type));
        let schema = Schema { version: 1, fields: fields.collect() };
        let columns = columns();
        let batch = Batch::new(ROWS, columns.clone());
        // Whether indexes of all fields know everything, and whether they know anything.
        let check = |text: &str, exact: bool, any: bool| {
            let plan = Plan::compile(text, &schema, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
            let expected = plan.evaluate(&batch, ROWS, &mut Scratch::default()).expect("columns are there");
            for kind in ScalarKind::ALL {
                for without in [0, 101, 103] {
                    let indexes = opened(&columns, kind, FieldId(without));
                    let found = known(&plan, &indexes);
                    if without == 0 {
                        assert_eq!(found.as_ref().map(|known| known.exact), any.then_some(exact), "{text}");
                    }
                    let Some(Known { rows, exact }) = found else { continue };
                    let mut outside = expected.clone();
                    outside.and_not(&rows);
                    assert!(!outside.any(), "{text} keeps rows that {kind:?} rules out");
                    assert!(!exact || rows == expected, "{text}: {kind:?}");
                }
            }
        };
        check("i == 5", true, true);
        check("i in [1, 2]", true, true);
        check("i > 1", false, false);
        check("i != 5", false, false);
        check("not (i > 2)", true, true);
        check("i is null", true, true);
        check("i is not null", true, true);
        check("id == 7", true, true);
        check("1 <= f < 2", true, true);
        check("f in [0.5, 100]", true, true);
        check("s == 'ab3'", true, true);
        check("s != 'ab3'", true, true);
        check("s > 'b'", true, true);
        check("s like 'ab%1'", true, true);
        check("s not in ['ab3', 'éb1']", true, true);
        check("s !~ '[0-5]$'", true, true);
        check("array_contains(l, 3)", true, true);
        check("not array_contains_all(l, [3, 10])", true, true);
        check("array_contains_any(l, [])", true, true);
        check("array_contains_all(l, [])", true, true);
        check("l[0] == 3", false, false);
        check("i == 5 and s like 'a%'", true, true);
        check("i == 5 and l[0] == 3", false, true);
        check("i == 5 or s == 'ab3'", true, true);
        check("i == 5 or l[0] == 3", false, false);
        check("(i == 5 or f == 1.5) and not (s == 'ab3' and array_length(l) == 1)", false, true);
        check("i == 5 and random_sample(0.5)", false, true);
        check("", false, false);
    }
}
