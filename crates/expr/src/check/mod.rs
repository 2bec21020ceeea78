//! A tree as it is written to a plan: names become fields, templates become constants, types are compared, `not` goes down to the tests.
//!
//! Not here: rows. Texts of errors are Milvus's where its tests look at them; the envelope is put on once, in
//! [`compile`].
//!
//! Start at [`Checker::predicate`] (what is true or false) and [`Checker::value`] (what isn't).

mod arithmetic;
mod compare;
mod function;
mod list;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use types::Error;
use types::id::FieldId;
use types::schema::{DYNAMIC_FIELD_NAME, DataType, Field, Schema};

use crate::array::{ArrayCheck, ScalarTest};
use crate::fold;
use crate::literal::{LIST_DEPTH_MAX, Literal};
use crate::normal;
use crate::number::Number;
use crate::parse;
use crate::path::{JsonPath, Step};
use crate::plan::{Options, Plan};
use crate::predicate::{ArithmeticOp, Condition, JsonCheck, Predicate, Test};
use crate::syntax::{Kind, Node, UnaryOp};
use crate::template::{self, TemplateValue};

/// Bytes of a filter that an error repeats, at most.
const ECHO_BYTES_MAX: usize = 64 << 10;

/// Constants that templates give a filter, at most.
const TEMPLATE_CONSTANTS_MAX: usize = 8 << 20;

/// The cause of a refusal, as the envelope holds it.
type Result<T, E = String> = std::result::Result<T, E>;

/// What [`Plan::compile`] does.
pub(crate) fn compile(text: &str, schema: &Schema, options: &Options) -> types::Result<Plan> {
    if text.trim_matches([' ', '\t', '\n', '\r']).is_empty() {
        return Ok(Plan::new(Predicate::Constant(true), Vec::new(), options.missing, None));
    }
    plan(text, schema, options).map_err(|cause| {
        let end = (0..=text.len().min(ECHO_BYTES_MAX)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        let more = if end < text.len() { "…" } else { "" };
        Error::invalid(format!("cannot parse expression: {}{more}: {cause}: query plan failed", &text[..end]))
    })
}

fn plan(text: &str, schema: &Schema, options: &Options) -> Result<Plan> {
    let tree = parse::parse(text)?;
    let mut checker = Checker { text, schema, options, paths: Vec::new(), path_numbers: HashMap::default(), given: 0, constants: 0 };
    let root = checker.root(&tree)?;
    let points = matches!(tree.kind, Kind::Compare(..) | Kind::In { .. }).then_some(checker.given);
    Ok(Plan::new(root, checker.paths, options.missing, points))
}

/// Where a condition stands: what to say if it isn't one.
#[derive(Clone, Copy)]
enum Place {
    Top,
    And,
    Or,
    Not,
}

/// What an expression is, if it isn't a condition on rows.
enum Value<'s> {
    Constant(Constant),
    Column(Column<'s>),
    Arithmetic(Arithmetic<'s>),
    /// `array_length` of it.
    Length(Column<'s>),
    /// A condition after all.
    Predicate,
}

/// A constant and whether a template gave it.
struct Constant {
    literal: Literal,
    template: bool,
}

/// A field, or a place in a JSON field.
#[derive(Clone)]
struct Column<'s> {
    field: &'s Field,
    steps: Vec<Step>,
}

/// `column op operand`
struct Arithmetic<'s> {
    column: Column<'s>,
    /// Not its value but how many elements it has.
    length: bool,
    op: ArithmeticOp,
    operand: Number,
}

impl Value<'_> {
    /// Milvus's name of the type.
    fn type_name(&self) -> String {
        match self {
            Self::Constant(constant) => constant.literal.type_name(),
            Self::Column(column) => column.type_name(),
            Self::Arithmetic(arithmetic) => arithmetic.type_name().to_owned(),
            Self::Length(_) => DataType::Int64.name().to_owned(),
            Self::Predicate => DataType::Bool.name().to_owned(),
        }
    }
}

impl Column<'_> {
    /// The type of its values: that of the elements for a place in an array.
    fn data_type(&self) -> DataType {
        match (self.field.data_type, self.field.element_type) {
            (DataType::Array, Some(element)) if !self.steps.is_empty() => element,
            (data_type, _) => data_type,
        }
    }

    /// Milvus's name of the type in comparisons, where a place in an array goes by the array.
    fn type_name(&self) -> String {
        match self.field.element_type {
            Some(element) if self.field.data_type == DataType::Array => format!("Array[{element}]"),
            _ => self.field.data_type.name().to_owned(),
        }
    }

    /// The test of its values.
    fn test(&self, test: ScalarTest, negated: bool) -> Predicate {
        let field = self.field.id;
        let condition = match (test, self.steps.first()) {
            (test, Some(&Step::Index(index))) => Condition::Array { field, check: ArrayCheck::Element { index, test } },
            (ScalarTest::Integer(within), _) => Condition::Integer { field, within },
            (ScalarTest::Float(within), _) => Condition::Float { field, within },
            (ScalarTest::Text(within), _) => Condition::Text { field, within },
            (ScalarTest::Arithmetic { op, operand, within }, _) => Condition::Arithmetic { field, op, operand, within },
        };
        Predicate::Test(Test { condition, negated })
    }

    /// The test of a whole array.
    fn array_test(&self, check: ArrayCheck, negated: bool) -> Predicate {
        Predicate::Test(Test { condition: Condition::Array { field: self.field.id, check }, negated })
    }
}

impl Arithmetic<'_> {
    fn data_type(&self) -> DataType {
        if self.length { DataType::Int64 } else { self.column.data_type() }
    }

    fn type_name(&self) -> &'static str {
        match (self.data_type(), self.operand) {
            (DataType::Json, _) => DataType::Json.name(),
            (column, Number::Int(_)) if column.is_integer() => DataType::Int64.name(),
            _ => DataType::Double.name(),
        }
    }
}

/// The state of one compilation.
struct Checker<'a> {
    text: &'a str,
    schema: &'a Schema,
    options: &'a Options,
    paths: Vec<JsonPath>,
    path_numbers: HashMap<JsonPath, u32, FixedState>,
    /// Values that the last equality or list gave.
    given: u64,
    /// Constants that templates gave so far.
    constants: usize,
}

impl<'a> Checker<'a> {
    /// The condition that the whole filter is: here alone rows may be sampled, last of all.
    fn root(&mut self, tree: &Node) -> Result<Predicate> {
        match &tree.kind {
            Kind::Call(call) if function::is_sample(call) => self.random_sample(call),
            Kind::All(members) => match members.split_last() {
                Some((Node { kind: Kind::Call(call), .. }, others)) if function::is_sample(call) => {
                    let condition = self.members(others, false, Place::And)?;
                    Ok(normal::all(vec![condition, self.random_sample(call)?]))
                }
                _ => self.predicate(tree, false, Place::Top),
            },
            _ => self.predicate(tree, false, Place::Top),
        }
    }

    /// The condition that `node` is, or with `negated` the one that it denies.
    fn predicate(&mut self, node: &Node, negated: bool, place: Place) -> Result<Predicate> {
        match &node.kind {
            Kind::All(members) => self.members(members, negated, Place::And),
            Kind::Any(members) => self.members(members, negated, Place::Or),
            Kind::Unary(UnaryOp::Not, child) => self.predicate(child, !negated, Place::Not),
            _ => {
                let test = self.test(node, place)?;
                Ok(if negated { test.negated() } else { test })
            }
        }
    }

    /// The condition that `node` is, if it isn't made of others. Apart from [`Self::predicate`] to keep the recursion's frames small.
    #[inline(never)]
    fn test(&mut self, node: &Node, place: Place) -> Result<Predicate> {
        match &node.kind {
            Kind::Compare(op, sides) => self.compare(*op, sides),
            Kind::Range(range) => self.range(range),
            Kind::In { operand, list, negated } => self.membership(operand, list, *negated),
            Kind::Like(operand, pattern) => self.like(operand, pattern),
            Kind::Regex(operand, pattern) => self.regex(operand, pattern),
            Kind::Exists(operand) => self.exists(operand),
            Kind::IsNull { operand, negated } => self.null_test(operand, *negated),
            Kind::Call(call) if function::is_sample(call) => Err(misplaced_sample(place).to_owned()),
            Kind::Call(call) if !function::gives_value(&call.name) => self.call(call),
            _ => self.constant_condition(node, place),
        }
    }

    fn members(&mut self, members: &[Node], negated: bool, place: Place) -> Result<Predicate> {
        let members = members.iter().map(|member| self.predicate(member, negated, place)).collect::<Result<_>>()?;
        Ok(if matches!(place, Place::And) != negated { normal::all(members) } else { normal::any(members) })
    }

    /// A value where a condition is needed: fine if it is true or false itself.
    fn constant_condition(&mut self, node: &Node, place: Place) -> Result<Predicate> {
        let value = self.value(node)?;
        match (value, place) {
            (Value::Constant(Constant { literal: Literal::Bool(value), .. }), _) => Ok(Predicate::Constant(value)),
            (value, Place::Top) => {
                Err(format!("predicate is not a boolean expression: {}, data type: {}", node.span.of(self.text), value.type_name()))
            }
            (_, Place::And) => Err("'and' can only be used between boolean expressions".to_owned()),
            (_, Place::Or) => Err("'or' can only be used between boolean expressions".to_owned()),
            (_, Place::Not) => Err("not op can only be applied on boolean expression".to_owned()),
        }
    }

    /// What `node` is.
    fn value(&mut self, node: &Node) -> Result<Value<'a>> {
        let literal = match &node.kind {
            Kind::Integer(value) => Literal::Int(*value),
            Kind::IntegerTooLarge => return Err("integer 9223372036854775808 is out of the range of Int64".to_owned()),
            Kind::Float(value) => Literal::Float(*value),
            Kind::Bool(value) => Literal::Bool(*value),
            Kind::Text(text) => Literal::Text(text.clone()),
            Kind::Integers(values) => Literal::List(values.iter().map(|&value| Literal::Int(value)).collect()),
            Kind::List(items) => Literal::List(self.constants(items)?),
            Kind::Template(name) => {
                let literal = self.template(name)?;
                return Ok(Value::Constant(Constant { literal, template: true }));
            }
            Kind::Name(name) => return self.column(name, &[]).map(Value::Column),
            Kind::Path(name, steps) => return self.column(name, steps).map(Value::Column),
            Kind::Struct(name) => return Err(format!("struct field not found: {name}")),
            Kind::Element => return Err("$[x] syntax can only be used inside ElementFilter or MATCH_*".to_owned()),
            Kind::Moment | Kind::Interval => return Err("ISO and INTERVAL literals can only be used with Timestamptz fields".to_owned()),
            Kind::Unary(op, child) if *op != UnaryOp::Not => return self.unary(*op, child),
            Kind::Binary(op, sides) => return self.binary(*op, sides),
            Kind::Call(call) if function::gives_value(&call.name) => return self.length(call),
            _ => {
                return Ok(match self.predicate(node, false, Place::Top)? {
                    Predicate::Constant(value) => Value::Constant(Constant { literal: Literal::Bool(value), template: false }),
                    _ => Value::Predicate,
                });
            }
        };
        if literal.depth() > LIST_DEPTH_MAX {
            return Err(format!("a list is nested deeper than {LIST_DEPTH_MAX} levels"));
        }
        Ok(Value::Constant(Constant { literal, template: false }))
    }

    /// The constant that a template stands for.
    fn template(&mut self, name: &str) -> Result<Literal> {
        // A short text may name a long list again and again.
        self.constants += self.options.templates.get(name).map_or(0, TemplateValue::constants);
        if self.constants > TEMPLATE_CONSTANTS_MAX {
            return Err(format!("templates give more than {TEMPLATE_CONSTANTS_MAX} constants"));
        }
        template::resolve(&self.options.templates, name)
    }

    fn unary(&mut self, op: UnaryOp, child: &Node) -> Result<Value<'a>> {
        match (self.value(child)?, op) {
            (Value::Constant(constant), _) => {
                Ok(Value::Constant(Constant { literal: fold::unary(op, &constant.literal)?, template: constant.template }))
            }
            (Value::Column(column), _) if column.data_type() == DataType::Array => Err(WHOLE_ARRAY.to_owned()),
            (value @ Value::Column(_), UnaryOp::Plus) => Ok(value),
            (_, UnaryOp::BitNot) => Err("bitnot can only apply on integer constants".to_owned()),
            _ => Err("unary plus and minus can only apply on constants".to_owned()),
        }
    }

    /// The field `name`, or the dynamic key of that name, and what is at `steps` in it.
    fn column(&self, name: &str, steps: &[Step]) -> Result<Column<'a>> {
        if let Some(field) = self.schema.field(name) {
            match (field.data_type, steps) {
                (_, []) | (DataType::Json, _) | (DataType::Array, [Step::Index(_)]) => {}
                (DataType::Array, _) => return Err("can only access array field with integer index".to_owned()),
                (other, _) => return Err(format!("{other} data type not supported accessed with []")),
            }
            return Ok(Column { field, steps: steps.to_vec() });
        }
        if name.eq_ignore_ascii_case("null") {
            return Err("NULL literal is not supported in expressions; use '<field> is null' or '<field> is not null' instead".to_owned());
        }
        match self.schema.dynamic() {
            Some(field) if name != DYNAMIC_FIELD_NAME => {
                let first = Step::Key(Arc::from(name));
                Ok(Column { field, steps: std::iter::once(first).chain(steps.iter().cloned()).collect() })
            }
            _ => Err(format!("cannot parse identifier: {name}: field {name} not exist")),
        }
    }

    /// The condition `check` on the place that `column` is.
    fn json(&mut self, column: &Column<'_>, check: JsonCheck, negated: bool) -> Predicate {
        let path = JsonPath { field: column.field.id, steps: column.steps.clone() };
        let next = self.paths.len() as u32;
        let number = *self.path_numbers.entry(path).or_insert_with_key(|path| {
            self.paths.push(path.clone());
            next
        });
        Predicate::Test(Test { condition: Condition::Json { path: number, check }, negated })
    }
}

/// What Milvus says of a sample that isn't the end of the whole filter.
fn misplaced_sample(place: Place) -> &'static str {
    match place {
        Place::Top | Place::And => "random sample expression can only be the last expression in the logical and expression",
        Place::Or => "random sample expression cannot be used in logical and expression",
        Place::Not => "random sample expression cannot be used in unary expression",
    }
}

/// What Milvus says of an array that is compared like a scalar.
const WHOLE_ARRAY: &str = "can not comparisons array fields directly";

/// The condition of a test.
fn field_test(condition: Condition, negated: bool) -> Predicate {
    Predicate::Test(Test { condition, negated })
}

/// The text that says that two types can't be compared, or that a template's value has the wrong one.
fn incomparable(left: &str, right: &str, template: Option<(&str, &Literal)>) -> String {
    match template {
        Some((expected, value)) => format!("cannot cast value to {expected}, value: {value}"),
        None => format!("comparisons between {left} and {right} are not supported"),
    }
}

/// The id of the field that a column is.
fn id(column: &Column<'_>) -> FieldId {
    column.field.id
}
