//! Random schemas, rows and expressions: the crate's answer against the reference's, and the laws of three-valued logic.

use expr::{MissingJson, Options, Plan, Scratch};
use proptest::prelude::*;
use proptest::strategy::Union;
use serde_json::{Value, json};
use types::batch::Batch;
use types::bitset::Bitset;
use types::id::FieldId;
use types::schema::{DataType, Field, FieldKind, Schema};

use crate::naive::{Expression, Operand, Row, Step, Writer};
use crate::world::{Chunked, column, field};

const COMPARISONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

/// A schema and rows of it.
#[derive(Clone, Debug)]
struct World {
    schema: Schema,
    rows: Vec<Row>,
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    let types = [
        DataType::Bool,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::Float,
        DataType::Double,
        DataType::VarChar,
        DataType::Json,
        DataType::Array,
    ];
    let elements = prop::sample::select(types[..8].to_vec());
    let some = proptest::collection::vec((prop::sample::select(types.to_vec()), elements, any::<bool>()), 1..6);
    (some, any::<bool>()).prop_map(|(some, dynamic)| {
        let named = |(i, (data_type, element, nullable)): (usize, (DataType, DataType, bool))| Field {
            nullable,
            element_type: (data_type == DataType::Array).then_some(element),
            ..field(101 + i as i64, &format!("f{i}"), data_type)
        };
        let key = Field { kind: FieldKind::Primary, ..field(100, "id", DataType::Int64) };
        let meta = Field { kind: FieldKind::Dynamic, ..field(200, "$meta", DataType::Json) };
        std::iter::once(key).chain(some.into_iter().enumerate().map(named)).chain(dynamic.then_some(meta)).collect()
    })
}

fn integers() -> impl Strategy<Value = i64> {
    let edges = [0, 1, -1, 2, 3, 127, -128, 300, 9007199254740992, 9007199254740993, i64::MAX, i64::MIN, i64::MAX - 1];
    prop_oneof![3 => -4i64..5, 1 => prop::sample::select(edges.to_vec())]
}

fn floats() -> impl Strategy<Value = f64> {
    let some = [0.0, 0.5, 1.0, -1.0, 1.5, 2.0, 0.1, -2.5, 9007199254740992.0, 1e300, -1e300, 3.0, 4.0];
    prop::sample::select(some.to_vec())
}

fn texts() -> impl Strategy<Value = String> {
    "[ab%_é\\\\'\"]{0,3}"
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        integers().prop_map(Value::from),
        floats().prop_map(Value::from),
        texts().prop_map(Value::from),
        any::<bool>().prop_map(Value::from)
    ]
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![8 => scalars(), 1 => Just(Value::Null), 1 => any::<u64>().prop_map(Value::from)];
    let inner = leaf.prop_recursive(3, 16, 4, |inner| {
        let members = proptest::collection::btree_map("[abc]", inner.clone(), 0..4);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    let object = proptest::collection::btree_map("[abc]", inner.clone(), 0..4);
    prop_oneof![1 => inner, 4 => object.prop_map(|members| Value::Object(members.into_iter().collect()))]
}

fn values_of(field: &Field) -> BoxedStrategy<Option<Value>> {
    let narrow = |least: i64, most: i64| integers().prop_map(move |value| json!(value.clamp(least, most))).boxed();
    let values = match field.data_type {
        DataType::Bool => any::<bool>().prop_map(Value::from).boxed(),
        DataType::Int8 => narrow(i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => narrow(i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => narrow(i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => narrow(i64::MIN, i64::MAX),
        DataType::Float => floats().prop_map(|value| json!(f64::from((value as f32).clamp(f32::MIN, f32::MAX)))).boxed(),
        DataType::Double => floats().prop_map(Value::from).boxed(),
        DataType::VarChar => texts().prop_map(Value::from).boxed(),
        DataType::Json if field.kind == FieldKind::Dynamic => {
            documents().prop_map(|value| if value.is_object() { value } else { json!({}) }).boxed()
        }
        DataType::Array => {
            let element = Field {
                data_type: field.element_type.expect("an array has elements"),
                element_type: None,
                nullable: false,
                ..field.clone()
            };
            let element = values_of(&element).prop_map(|value| value.expect("no element is null"));
            proptest::collection::vec(element, 0..4).prop_map(Value::from).boxed()
        }
        _ => documents().boxed(),
    };
    if field.nullable { prop::option::weighted(0.8, values).boxed() } else { values.prop_map(Some).boxed() }
}

fn worlds() -> impl Strategy<Value = World> {
    (fields(), 1usize..140).prop_flat_map(|(fields, rows)| {
        let columns: Vec<_> = fields.iter().map(|field| proptest::collection::vec(values_of(field), rows)).collect();
        (Just(fields), columns).prop_map(move |(fields, columns)| {
            let row = |i: usize| fields.iter().zip(&columns).map(|(field, column)| (field.name.clone(), column[i].clone())).collect();
            World { rows: (0..rows).map(row).collect(), schema: Schema { version: 1, fields } }
        })
    })
}

fn operands(fields: Vec<Field>) -> impl Strategy<Value = Operand> {
    let steps = prop_oneof![4 => "[abc]".prop_map(Step::Key), 1 => (0usize..3).prop_map(Step::Index)];
    (prop::sample::select(fields), proptest::collection::vec(steps, 0..3), "[abc]").prop_map(|(field, mut steps, first)| {
        match field.data_type {
            DataType::Json => {}
            DataType::Array => steps.retain(|step| matches!(step, Step::Index(_))),
            _ => steps.clear(),
        }
        if field.data_type == DataType::Array {
            steps.truncate(1);
        }
        if field.kind == FieldKind::Dynamic {
            steps.insert(0, Step::Key(first));
        }
        Operand { field, steps }
    })
}

/// Constants that may be compared with an operand.
fn constants(operand: &Operand) -> BoxedStrategy<Value> {
    match operand.field.element_type.unwrap_or(operand.field.data_type) {
        DataType::Bool => any::<bool>().prop_map(Value::from).boxed(),
        DataType::VarChar => texts().prop_map(Value::from).boxed(),
        DataType::Json => scalars().boxed(),
        _ => prop_oneof![integers().prop_map(Value::from), floats().prop_map(Value::from)].boxed(),
    }
}

fn list_items(operand: &Operand) -> BoxedStrategy<Value> {
    match operand.field.element_type.unwrap_or(operand.field.data_type) {
        data_type if data_type.is_integer() => integers().prop_map(Value::from).boxed(),
        DataType::Json => prop_oneof![5 => scalars(), 1 => proptest::collection::vec(scalars(), 0..3).prop_map(Value::from)].boxed(),
        _ => constants(operand),
    }
}

/// The conditions on a whole array.
fn array_conditions(operand: Operand) -> BoxedStrategy<Expression> {
    let lists = || proptest::collection::vec(constants(&operand), 0..4);
    let with = || Just(operand.clone());
    let comparison = prop::sample::select(&COMPARISONS[..]);
    prop_oneof![
        (with(), any::<bool>()).prop_map(|(operand, negated)| Expression::IsNull(operand, negated)),
        (with(), constants(&operand)).prop_map(|(operand, element)| Expression::Contains(operand, element)),
        (with(), lists()).prop_map(|(operand, list)| Expression::ContainsAll(operand, list)),
        (with(), lists()).prop_map(|(operand, list)| Expression::ContainsAny(operand, list)),
        (with(), comparison, 0i64..4).prop_map(|(operand, op, bound)| Expression::Length(operand, op, bound)),
        (with(), lists(), any::<bool>()).prop_map(|(operand, list, equal)| Expression::Compare(
            operand,
            if equal { "==" } else { "!=" },
            Value::from(list)
        )),
        (with(), proptest::collection::vec(lists().prop_map(Value::from), 0..3), any::<bool>())
            .prop_map(|(operand, lists, negated)| Expression::In(operand, lists, negated)),
    ]
    .boxed()
}

/// The conditions on one operand.
fn conditions(operand: Operand) -> BoxedStrategy<Expression> {
    let element = operand.field.element_type.filter(|_| !operand.steps.is_empty());
    let data_type = element.unwrap_or(operand.field.data_type);
    if data_type == DataType::Array {
        return array_conditions(operand);
    }
    let comparison = prop::sample::select(&COMPARISONS[..]);
    let with = |operand: &Operand| Just(operand.clone());
    let mut all: Vec<BoxedStrategy<Expression>> = vec![
        (with(&operand), comparison.clone(), constants(&operand))
            .prop_map(|(operand, op, constant)| Expression::Compare(operand, op, constant))
            .boxed(),
        (with(&operand), proptest::collection::vec(list_items(&operand), 0..14), any::<bool>())
            .prop_map(|(operand, list, negated)| Expression::In(operand, list, negated))
            .boxed(),
    ];
    if element.is_none() {
        all.push((with(&operand), any::<bool>()).prop_map(|(operand, negated)| Expression::IsNull(operand, negated)).boxed());
    }
    if data_type != DataType::Bool {
        let bound = if data_type == DataType::Json {
            prop_oneof![texts().prop_map(Value::from), floats().prop_map(Value::from)].boxed()
        } else {
            constants(&operand)
        };
        all.push((with(&operand), bound.clone(), bound, any::<[bool; 2]>()).prop_filter_map("bounds of one type in order", range).boxed());
    }
    if matches!(data_type, DataType::VarChar | DataType::Json) {
        all.push((with(&operand), "[ab%_é]{0,4}|(\\\\[%_a])%").prop_map(|(operand, pattern)| Expression::Like(operand, pattern)).boxed());
    }
    if data_type.is_numeric() || data_type == DataType::Json {
        all.push(arithmetic(operand.clone()));
    }
    if data_type == DataType::Json {
        let lists = || proptest::collection::vec(scalars(), 0..4);
        if !operand.steps.is_empty() {
            all.push(Just(Expression::Exists(operand.clone())).boxed());
        }
        all.push((with(&operand), list_items(&operand)).prop_map(|(operand, element)| Expression::Contains(operand, element)).boxed());
        all.push((with(&operand), lists()).prop_map(|(operand, list)| Expression::ContainsAll(operand, list)).boxed());
        all.push((with(&operand), lists()).prop_map(|(operand, list)| Expression::ContainsAny(operand, list)).boxed());
        all.push((with(&operand), comparison, 0i64..4).prop_map(|(operand, op, bound)| Expression::Length(operand, op, bound)).boxed());
        all.push(
            (with(&operand), lists(), any::<bool>())
                .prop_map(|(operand, list, equal)| Expression::Compare(operand, if equal { "==" } else { "!=" }, Value::from(list)))
                .boxed(),
        );
    }
    Union::new(all).boxed()
}

fn range((operand, a, b, inclusive): (Operand, Value, Value, [bool; 2])) -> Option<Expression> {
    let swap = match (&a, &b) {
        (Value::String(a), Value::String(b)) if a != b => a > b,
        (Value::Number(_), Value::Number(_)) if (a.as_f64()? - b.as_f64()?).abs() > 0.25 => a.as_f64() > b.as_f64(),
        _ => return None,
    };
    let (low, high) = if swap { (b, a) } else { (a, b) };
    Some(Expression::Range { operand, low: (low, inclusive[0]), high: (high, inclusive[1]) })
}

fn arithmetic(operand: Operand) -> BoxedStrategy<Expression> {
    let integral = operand.field.element_type.unwrap_or(operand.field.data_type).is_integer();
    let json = operand.field.data_type == DataType::Json;
    let ops: &[&str] = match (integral, json) {
        (true, _) => &["+", "-", "*", "/", "%", "&", "|", "^"],
        (false, true) => &["+", "-", "*", "/", "%"],
        _ => &["+", "-", "*", "/"],
    };
    // Constants of modest size: the reference calculates with floats beyond.
    let numbers = || prop_oneof![(-4i64..5).prop_map(Value::from), prop::sample::select(&[0.5, 1.5, -2.0][..]).prop_map(Value::from)];
    (Just(operand), prop::sample::select(ops), numbers(), prop::sample::select(&COMPARISONS[..]), numbers())
        .prop_filter_map("no division by zero, no bits of floats", |(operand, op, by, compare, bound)| {
            let zero = by.as_f64() == Some(0.0) && matches!(op, "/" | "%");
            let bits_of_float = by.is_f64() && matches!(op, "%" | "&" | "|" | "^");
            (!zero && !bits_of_float).then_some(Expression::Arithmetic { operand, op, by, compare, bound })
        })
        .boxed()
}

/// Conditions on two columns, if there are any that compare.
fn pairs(fields: &[Field]) -> Option<BoxedStrategy<Expression>> {
    let class = |field: &Field| match field.data_type {
        DataType::Bool => Some(0),
        DataType::VarChar => Some(1),
        data_type => data_type.is_numeric().then_some(2),
    };
    let found: Vec<(Field, Field)> = fields
        .iter()
        .flat_map(|left| fields.iter().map(move |right| (left.clone(), right.clone())))
        .filter(|(left, right)| class(left).is_some() && class(left) == class(right))
        .collect();
    if found.is_empty() {
        return None;
    }
    let comparison = prop::sample::select(&COMPARISONS[..]);
    Some((prop::sample::select(found), comparison).prop_map(|((left, right), op)| Expression::Columns(left, op, right)).boxed())
}

fn expressions(fields: Vec<Field>) -> impl Strategy<Value = Expression> {
    let pairs = pairs(&fields);
    let conditions = operands(fields).prop_flat_map(conditions).boxed();
    let leaf = match pairs {
        Some(pairs) => prop_oneof![9 => conditions, 1 => pairs, 1 => any::<bool>().prop_map(Expression::Constant)].boxed(),
        None => conditions,
    };
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..5).prop_map(Expression::And),
            proptest::collection::vec(inner.clone(), 2..5).prop_map(Expression::Or),
            inner.prop_map(|inner| Expression::Not(Box::new(inner))),
        ]
    })
}

fn cases() -> impl Strategy<Value = (World, Expression, Expression)> {
    worlds().prop_flat_map(|world| {
        let fields = world.schema.fields.clone();
        (Just(world), expressions(fields.clone()), expressions(fields))
    })
}

impl World {
    fn batch(&self) -> Batch {
        let columns = self.schema.fields.iter().map(|field| {
            let values: Vec<_> = self.rows.iter().map(|row| row[&field.name].clone()).collect();
            column(field, &values)
        });
        Batch::new(self.rows.len(), columns.collect())
    }

    fn compile(&self, text: &str, writer: &Writer, missing: MissingJson) -> Plan {
        let options = Options { templates: writer.templates.clone(), missing };
        Plan::compile(text, &self.schema, &options).unwrap_or_else(|error| panic!("{error}"))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn agrees_with_the_reference((world, expression, _) in cases(), seed: u64, chunks in proptest::collection::vec(1usize..90, 1..4)) {
        let (batch, rows) = (world.batch(), world.rows.len());
        let chunked = Chunked::new(&batch, &chunks);
        let mut scratch = Scratch::default();
        let mut writer = Writer::new(seed);
        let text = writer.expression(&expression);
        let denied_text = format!("not ({text})");
        for (missing, value) in [(MissingJson::Unknown, None), (MissingJson::False, Some(false))] {
            let expected: Vec<_> = world.rows.iter().map(|row| expression.evaluate(row, value)).collect();
            let plan = world.compile(&text, &writer, missing);
            let stored = serde_json::to_string(&plan).expect("a plan has a stored form");
            let denied = world.compile(&denied_text, &writer, missing);
            let is = |answer: bool| Bitset::from_fn(rows, |row| expected[row] == Some(answer));
            let shown = || format!("{text} {:?} as {plan}", writer.templates);
            prop_assert_eq!(plan.evaluate(&batch, rows, &mut scratch), Ok(is(true)), "{}", shown());
            prop_assert_eq!(denied.evaluate(&batch, rows, &mut scratch), Ok(is(false)), "not {}", shown());
            prop_assert_eq!(plan.negated().evaluate(&batch, rows, &mut scratch), Ok(is(false)), "negated {}", shown());
            prop_assert_eq!(plan.evaluate(&chunked, rows, &mut scratch), Ok(is(true)), "in chunks {:?}: {}", chunks, shown());
            let restored: Plan = serde_json::from_str(&stored).expect("a stored plan reads back");
            prop_assert_eq!(restored.evaluate(&batch, rows, &mut scratch), Ok(is(true)), "restored {}", shown());
            let some = Bitset::from_fn(rows, |row| (row as u64).wrapping_mul(seed | 1) >> 32 & 1 == 0);
            let mut both = is(true);
            both.and(&some);
            prop_assert_eq!(plan.evaluate_within(&batch, &some, &mut scratch), Ok(both), "candidates {}", shown());
            let picked: Vec<u32> = (0..rows as u32).rev().step_by(3).collect();
            let answers = Bitset::from_fn(picked.len(), |i| expected[picked[i] as usize] == Some(true));
            prop_assert_eq!(plan.evaluate_rows(&chunked, &picked, &mut scratch), Ok(answers), "single rows {}", shown());
            if rows > 64 {
                let tail = Bitset::from_fn(rows - 64, |row| expected[row + 64] == Some(true));
                prop_assert_eq!(plan.evaluate_range(&batch, 64..rows, None, &mut scratch), Ok(tail), "from 64: {}", shown());
            }
            for field in world.schema.fields.iter().map(|field| field.id) {
                check_values(&plan, &world, &expected, field)?;
            }
        }
    }

    #[test]
    fn laws((world, p, q) in cases(), seed: u64) {
        let (batch, rows) = (world.batch(), world.rows.len());
        let mut scratch = Scratch::default();
        let mut writer = Writer::new(seed);
        let (p, q) = (writer.expression(&p), writer.expression(&q));
        let mut kept = |text: String| {
            world.compile(&text, &writer, MissingJson::Unknown).evaluate(&batch, rows, &mut scratch).expect("columns are there")
        };
        // De Morgan.
        prop_assert_eq!(kept(format!("not (({p}) and ({q}))")), kept(format!("(not ({p})) or (not ({q}))")));
        prop_assert_eq!(kept(format!("not (({p}) or ({q}))")), kept(format!("(not ({p})) and (not ({q}))")));
        prop_assert_eq!(kept(format!("not (not ({p}))")), kept(p.clone()));
        // `and` and `or` are those of sets of rows.
        let (kept_p, kept_q) = (kept(p.clone()), kept(q.clone()));
        let (mut both, mut either) = (kept_p.clone(), kept_p.clone());
        both.and(&kept_q);
        either.or(&kept_q);
        prop_assert_eq!(kept(format!("({p}) and ({q})")), both);
        prop_assert_eq!(kept(format!("({q}) or ({p})")), either);
        // No row is kept by both sides.
        let mut common = kept(format!("not ({p})"));
        common.and(&kept_p);
        prop_assert!(!common.any());
    }
}

/// Every kept row has one of the values that the plan promises for the field.
fn check_values(plan: &Plan, world: &World, expected: &[Option<bool>], field: FieldId) -> Result<(), TestCaseError> {
    let Some(values) = plan.values_of(field) else { return Ok(()) };
    let name = &world.schema.field_by_id(field).expect("a field of the schema").name;
    for (row, _) in world.rows.iter().zip(expected).filter(|(_, expected)| **expected == Some(true)) {
        let found = match &row[name] {
            Some(Value::Bool(value)) => types::value::Value::Int((*value).into()),
            Some(Value::String(text)) => types::value::Value::String(text.as_str().into()),
            Some(value) => {
                value.as_i64().map_or_else(|| types::value::Value::Float(value.as_f64().expect("a number")), types::value::Value::Int)
            }
            None => return Err(TestCaseError::fail(format!("{name} is null in a row that {plan} keeps"))),
        };
        prop_assert!(values.contains(&found), "{} is {:?} in a row that {} keeps", name, found, plan);
    }
    Ok(())
}
