//! A filter that was checked against a schema: what proxies make, nodes evaluate, and role calls carry.
//!
//! Not here: the making (`check`), the evaluation of rows (`eval`).
//!
//! Invariants: a plan doesn't change and is cheap to clone; what was stored reads back as an equal plan; its tree is at most
//! [`DEPTH_MAX`] high. Its stored form is a flat list in which a node follows its children, so that no format's nesting limit applies.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::Result;
use types::id::FieldId;
use types::schema::Schema;
use types::value::{Key, Value};

use crate::path::JsonPath;
use crate::predicate::{Condition, FloatValues, IntegerValues, Predicate, Test, TextValues};
use crate::syntax::NESTING_MAX;
use crate::template::Templates;
use crate::{check, normal};

/// How high a plan's tree may be: a little above what text can give.
pub const DEPTH_MAX: usize = NESTING_MAX as usize + 8;

/// Paths whose values an evaluation keeps for further tests, at most: some tens of kilobytes each.
const CACHED_PATHS_MAX: u8 = 32;

/// How a filter is read, beyond its text.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Options {
    /// Values of the filter's templates.
    pub templates: Templates,
    /// What a test of a JSON value gives where there is no such value.
    pub missing: MissingJson,
}

/// What a test of a JSON value gives where its path leads nowhere, to null, or to a value of another type than is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum MissingJson {
    /// Unknown, as for null: Milvus 3. `j["a"] != 1` and `not (j["a"] == 1)` drop the row.
    #[default]
    Unknown,
    /// False, so that `!=`, `not in` and `not (…)` keep the row: Milvus 2.3 to 2.6. A row whose whole JSON field is null stays unknown.
    False,
}

/// A typed filter.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Plan {
    inner: Arc<Inner>,
}

#[derive(PartialEq)]
struct Inner {
    root: Predicate,
    paths: Vec<JsonPath>,
    missing: MissingJson,
    /// The text is nothing but an equality with constants, or `in`.
    points: Option<u64>,
    fields: Vec<FieldId>,
    /// Per path: which cache of an evaluation it has, if any.
    caches: Vec<Option<u8>>,
}

/// The keys that a filter of the form `key == v` or `key in […]` names.
#[derive(Clone, PartialEq, Debug)]
pub struct NamedKeys {
    /// Distinct, ascending.
    pub keys: Vec<Key>,
    /// How many the text gives, repeated ones included: what a delete reports.
    pub given: u64,
}

impl Plan {
    /// The plan of `text` for rows of `schema`. Blank text keeps every row.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` with Milvus's text, `cannot parse expression: <text>: <cause>: query plan failed: invalid parameter`; the caller
    /// says first what failed (`failed to create query plan`).
    pub fn compile(text: &str, schema: &Schema, options: &Options) -> Result<Self> {
        check::compile(text, schema, options)
    }

    /// A plan that keeps every row.
    pub fn always() -> Self {
        Self::new(Predicate::Constant(true), Vec::new(), MissingJson::default(), None)
    }

    /// A plan from its parts. `points` is the number of values where the filter is nothing but an equality or `in`.
    pub(crate) fn new(root: Predicate, paths: Vec<JsonPath>, missing: MissingJson, points: Option<u64>) -> Self {
        let mut fields = Vec::new();
        let mut uses = vec![0usize; paths.len()];
        root.for_each_test(&mut |test| match &test.condition {
            Condition::Integer { field, .. }
            | Condition::Float { field, .. }
            | Condition::Text { field, .. }
            | Condition::Arithmetic { field, .. }
            | Condition::Sample { field, .. }
            | Condition::Array { field, .. }
            | Condition::Null { field } => fields.push(*field),
            Condition::Pair { left, right, .. } => fields.extend([*left, *right]),
            Condition::Json { path, .. } => {
                fields.push(paths[*path as usize].field);
                uses[*path as usize] += 1;
            }
        });
        fields.sort_unstable();
        fields.dedup();
        let mut free = 0..CACHED_PATHS_MAX;
        let caches = uses.into_iter().map(|uses| if uses > 1 { free.next() } else { None }).collect();
        Self { inner: Arc::new(Inner { root, paths, missing, points, fields, caches }) }
    }

    /// How many caches of JSON values an evaluation has.
    pub(crate) fn caches(&self) -> usize {
        self.inner.caches.iter().flatten().count()
    }

    /// The cache of a path: paths that one test looks at have none.
    pub(crate) fn cache_of(&self, path: u32) -> Option<usize> {
        self.inner.caches[path as usize].map(usize::from)
    }

    /// Whether chance has a part in it: then each use wants a [`Self::seeded`] plan of its own.
    pub fn samples(&self) -> bool {
        let mut samples = false;
        self.inner.root.for_each_test(&mut |test| samples |= matches!(test.condition, Condition::Sample { .. }));
        samples
    }

    /// The plan with `seed` for its samples. Every node that has it keeps the same rows.
    pub fn seeded(&self, seed: u64) -> Self {
        let inner = &self.inner;
        Self::new(inner.root.clone().seeded(seed), inner.paths.clone(), inner.missing, inner.points)
    }

    /// The condition itself.
    pub fn predicate(&self) -> &Predicate {
        &self.inner.root
    }

    /// The places in JSON fields that tests refer to by number.
    pub fn paths(&self) -> &[JsonPath] {
        &self.inner.paths
    }

    /// What tests give for JSON values that aren't there.
    pub fn missing(&self) -> MissingJson {
        self.inner.missing
    }

    /// Whether it keeps every row, whatever is in it. A test that happens to hold for all values of its type doesn't count.
    pub fn is_always_true(&self) -> bool {
        self.inner.root == Predicate::Constant(true)
    }

    /// Whether it keeps no row, whatever is in it.
    pub fn is_never_true(&self) -> bool {
        self.inner.root == Predicate::Constant(false)
    }

    /// The fields whose columns evaluation reads, ascending.
    pub fn fields(&self) -> &[FieldId] {
        &self.inner.fields
    }

    /// What evaluating one row costs, in nanoseconds, roughly, if every test runs.
    pub fn cost(&self) -> f64 {
        normal::cost(&self.inner.root)
    }

    /// The plan that keeps exactly the rows for which this one is false (neither true nor unknown).
    pub fn negated(&self) -> Self {
        let inner = &self.inner;
        Self::new(inner.root.clone().negated(), inner.paths.clone(), inner.missing, None)
    }

    /// The keys, where the filter is nothing but `key == v` or `key in […]`: such a delete needs no read.
    pub fn named_keys(&self, primary: FieldId) -> Option<NamedKeys> {
        if self.is_never_true() {
            return Some(NamedKeys { keys: Vec::new(), given: 0 });
        }
        let given = self.inner.points?;
        let Predicate::Test(Test { condition, negated: false }) = &self.inner.root else { return None };
        let keys = match condition {
            Condition::Integer { field, within } if *field == primary => match within {
                // An equality with what no integer equals is an empty range.
                IntegerValues::Range(range) if range.low > range.high => Vec::new(),
                IntegerValues::Range(range) => vec![Key::Int(range.single()?)],
                IntegerValues::In(set) => set.members().iter().map(|&key| Key::Int(key)).collect(),
            },
            Condition::Text { field, within: TextValues::In(set) } if *field == primary => {
                set.members().iter().map(|key| Key::String(key.clone())).collect()
            }
            _ => return None,
        };
        Some(NamedKeys { keys, given })
    }

    /// Values of which `field` has one in every row that the filter keeps; `None` if the filter doesn't say. Distinct, integers and texts
    /// ascending; a Bool is the integer 0 or 1. This prunes partitions by their key and finds rows by primary key.
    pub fn values_of(&self, field: FieldId) -> Option<Vec<Value>> {
        values_of(&self.inner.root, field).map(|values| values.into_values().collect())
    }
}

/// Values by a form of them that has an order.
type Values = BTreeMap<(i64, Arc<str>), Value>;

fn values_of(predicate: &Predicate, field: FieldId) -> Option<Values> {
    match predicate {
        Predicate::Constant(true) => None,
        Predicate::Constant(false) => Some(Values::new()),
        Predicate::Test(test) if test.negated => None,
        Predicate::Test(test) => points(&test.condition, field),
        Predicate::Any(members) => {
            let mut union = Values::new();
            for member in members {
                union.extend(values_of(member, field)?);
            }
            Some(union)
        }
        Predicate::All(members) => members.iter().filter_map(|member| values_of(member, field)).reduce(|mut common, other| {
            common.retain(|key, _| other.contains_key(key));
            common
        }),
    }
}

/// The values that a test allows for `field`, where it names them.
fn points(condition: &Condition, field: FieldId) -> Option<Values> {
    let number = |key: i64, value: Value| ((key, Arc::from("")), value);
    match condition {
        Condition::Integer { field: found, within } if *found == field => match within {
            IntegerValues::In(set) => Some(set.members().iter().map(|&value| number(value, Value::Int(value))).collect()),
            IntegerValues::Range(range) => range.single().map(|value| Values::from([number(value, Value::Int(value))])),
        },
        Condition::Float { field: found, within } if *found == field => {
            let values = match within {
                FloatValues::In(set) => set.members(),
                FloatValues::Range(range) => vec![range.single()?],
            };
            Some(values.into_iter().map(|value| number(crate::set::FloatSet::key(value), Value::Float(value))).collect())
        }
        Condition::Text { field: found, within: TextValues::In(set) } if *found == field => {
            Some(set.members().iter().map(|text| ((0, text.clone()), Value::String(text.clone()))).collect())
        }
        _ => None,
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plan({self})")
    }
}

/// The condition, with fields by number; then the JSON paths it refers to.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.root.fmt(f)?;
        for (i, path) in self.inner.paths.iter().enumerate() {
            write!(f, "; json {i} = {path}")?;
        }
        Ok(())
    }
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Stored {
    nodes: Vec<StoredNode>,
    paths: Vec<JsonPath>,
    missing: MissingJson,
    points: Option<u64>,
}

#[derive(Serialize, Deserialize)]
enum StoredNode {
    Constant(bool),
    Test(Test),
    /// Of this many nodes before it, with what belongs to them.
    All(u32),
    Any(u32),
}

impl From<Plan> for Stored {
    fn from(plan: Plan) -> Self {
        let mut nodes = Vec::new();
        flatten(&plan.inner.root, &mut nodes);
        let inner = &plan.inner;
        Self { nodes, paths: inner.paths.clone(), missing: inner.missing, points: inner.points }
    }
}

fn flatten(predicate: &Predicate, nodes: &mut Vec<StoredNode>) {
    match predicate {
        Predicate::Constant(value) => nodes.push(StoredNode::Constant(*value)),
        Predicate::Test(test) => nodes.push(StoredNode::Test(test.clone())),
        Predicate::All(members) | Predicate::Any(members) => {
            members.iter().for_each(|member| flatten(member, nodes));
            let count = members.len() as u32;
            nodes.push(if matches!(predicate, Predicate::All(_)) { StoredNode::All(count) } else { StoredNode::Any(count) });
        }
    }
}

impl TryFrom<Stored> for Plan {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        let mut built: Vec<(Predicate, usize)> = Vec::new();
        for node in stored.nodes {
            let (all, count) = match node {
                StoredNode::Constant(value) => {
                    built.push((Predicate::Constant(value), 1));
                    continue;
                }
                StoredNode::Test(test) => {
                    if matches!(test.condition, Condition::Json { path, .. } if path as usize >= stored.paths.len()) {
                        return Err("a stored filter refers to a JSON path that it doesn't have".to_owned());
                    }
                    built.push((Predicate::Test(test), 1));
                    continue;
                }
                StoredNode::All(count) => (true, count),
                StoredNode::Any(count) => (false, count),
            };
            let first = built.len().checked_sub(count as usize).ok_or("a stored filter has fewer nodes than it says")?;
            let (members, depths): (Vec<_>, Vec<_>) = built.drain(first..).unzip();
            let depth = 1 + depths.into_iter().max().unwrap_or(0);
            if depth > DEPTH_MAX {
                return Err(format!("a stored filter is nested deeper than {DEPTH_MAX} levels"));
            }
            built.push((if all { Predicate::All(members) } else { Predicate::Any(members) }, depth));
        }
        match (built.pop(), built.is_empty()) {
            (Some((root, _)), true) => Ok(Self::new(root, stored.paths, stored.missing, stored.points)),
            _ => Err("a stored filter isn't one tree".to_owned()),
        }
    }
}
