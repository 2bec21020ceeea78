//! The reference: what an expression means for one row, written down as directly as possible, and its text in one of many spellings.
//!
//! It shares no code with the crate. A row is plain JSON values, three-valued logic is `Option<bool>`, numbers compare through `i128`, and
//! the text is written from the tree, so that lexer, parser, checker, planner and evaluation all stand between the two answers.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use expr::{TemplateValue, Templates};
use serde_json::Value;
use types::schema::{DataType, Field};

/// A row by field name; `None` is null.
pub type Row = BTreeMap<String, Option<Value>>;

/// A field, or a place in a JSON field.
#[derive(Clone, Debug)]
pub struct Operand {
    pub field: Field,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// An expression that is true, false or unknown.
#[derive(Clone, Debug)]
pub enum Expression {
    Constant(bool),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    Compare(Operand, &'static str, Value),
    Columns(Field, &'static str, Field),
    Range { operand: Operand, low: (Value, bool), high: (Value, bool) },
    In(Operand, Vec<Value>, bool),
    Like(Operand, String),
    Arithmetic { operand: Operand, op: &'static str, by: Value, compare: &'static str, bound: Value },
    IsNull(Operand, bool),
    Exists(Operand),
    Contains(Operand, Value),
    ContainsAll(Operand, Vec<Value>),
    ContainsAny(Operand, Vec<Value>),
    Length(Operand, &'static str, i64),
}

fn integer(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or(value.as_u64().map(i128::from))
}

/// Exact order of a float, which may be infinite, and a number.
fn order_float(float: f64, number: &Value) -> Option<Ordering> {
    let Some(integer) = integer(number) else { return float.partial_cmp(&number.as_f64()?) };
    if float.abs() > 1e25 {
        return Some(if float > 0.0 { Ordering::Greater } else { Ordering::Less });
    }
    let below = float.floor();
    Some((below as i128).cmp(&integer).then(if float > below { Ordering::Greater } else { Ordering::Equal }))
}

/// Exact order of two numbers.
fn order_numbers(a: &Value, b: &Value) -> Option<Ordering> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (Some(_), None) => order_float(b.as_f64()?, a).map(Ordering::reverse),
        (None, _) => order_float(a.as_f64()?, b),
    }
}

fn holds(op: &str, order: Ordering) -> bool {
    match op {
        "==" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        _ => panic!("{op} compares"),
    }
}

/// Order of two values of one type; `None` across types.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => order_numbers(a, b),
        (Value::String(a), Value::String(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Array(a), Value::Array(b)) => {
            let same = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| order(a, b) == Some(Ordering::Equal));
            Some(if same { Ordering::Equal } else { Ordering::Less })
        }
        _ => None,
    }
}

impl Operand {
    fn is_json(&self) -> bool {
        self.field.data_type == DataType::Json
    }

    /// The value, `None` where there is none or it is null. JSON null counts as none.
    fn value<'r>(&self, row: &'r Row) -> Option<&'r Value> {
        let mut value = row[&self.field.name].as_ref()?;
        for step in &self.steps {
            value = match step {
                Step::Key(key) => value.as_object()?.get(key)?,
                Step::Index(index) => value.as_array()?.get(*index)?,
            };
        }
        Some(value).filter(|value| !value.is_null())
    }

    fn is_null_row(&self, row: &Row) -> bool {
        row[&self.field.name].is_none()
    }

    /// The type of its values, of an array that of the elements.
    fn scalar_type(&self) -> DataType {
        self.field.element_type.unwrap_or(self.field.data_type)
    }

    /// A constant as a Float column sees it.
    fn constant(&self, value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(|item| self.constant(item)).collect(),
            Value::Number(number) if self.scalar_type() == DataType::Float && number.is_f64() => {
                let rounded = value.as_f64().expect("a float") as f32;
                if rounded.is_finite() { Value::from(f64::from(rounded)) } else { value.clone() }
            }
            _ => value.clone(),
        }
    }
}

fn like(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|at| like(rest, &text[at..])),
        ['_', rest @ ..] => !text.is_empty() && like(rest, &text[1..]),
        ['\\', literal, rest @ ..] | [literal, rest @ ..] => text.first() == Some(literal) && like(rest, &text[1..]),
    }
}

/// `value op by` compared with `bound`.
fn calculate(data_type: DataType, value: &Value, op: &str, by: &Value, (compare, bound): (&str, &Value)) -> Option<bool> {
    if let (Some(a), Some(b)) = (integer(value), integer(by))
        && !matches!(data_type, DataType::Float | DataType::Double)
    {
        let result = match op {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            "%" => a % b,
            "&" => a & b,
            "|" => a | b,
            "^" => a ^ b,
            _ => panic!("{op} is arithmetic"),
        };
        let order = match integer(bound) {
            Some(bound) => result.cmp(&bound),
            // The bounds of these tests are small: a large result may be rounded.
            None => order_float(bound.as_f64()?, &Value::from(result.clamp(i64::MIN.into(), i64::MAX.into()) as i64))?.reverse(),
        };
        return Some(holds(compare, order));
    }
    if op == "%" {
        return None;
    }
    if data_type == DataType::Float {
        let (a, b) = (value.as_f64()? as f32, by.as_f64()? as f32);
        let result = match op {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            _ => a / b,
        };
        let bound = if bound.is_f64() { Value::from(f64::from(bound.as_f64()? as f32)) } else { bound.clone() };
        return Some(holds(compare, order_float(result.into(), &bound)?));
    }
    let (a, b) = (value.as_f64()?, by.as_f64()?);
    let result = match op {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        _ => a / b,
    };
    Some(holds(compare, order_float(result, bound)?))
}

impl Expression {
    /// What it is for a row; `missing` is what a JSON test that has nothing of its type to look at gives.
    pub fn evaluate(&self, row: &Row, missing: Option<bool>) -> Option<bool> {
        let negate = |value: Option<bool>, negated: bool| value.map(|value| value != negated);
        // Unknown, but for a JSON test that has a row.
        let json = |operand: &Operand, found: Option<bool>| {
            if operand.is_json() && !operand.is_null_row(row) { found.or(missing) } else { found }
        };
        match self {
            Self::Constant(value) => Some(*value),
            Self::And(members) => {
                let values: Vec<_> = members.iter().map(|member| member.evaluate(row, missing)).collect();
                if values.contains(&Some(false)) {
                    Some(false)
                } else if values.contains(&None) {
                    None
                } else {
                    Some(true)
                }
            }
            Self::Or(members) => {
                let values: Vec<_> = members.iter().map(|member| member.evaluate(row, missing)).collect();
                if values.contains(&Some(true)) {
                    Some(true)
                } else if values.contains(&None) {
                    None
                } else {
                    Some(false)
                }
            }
            Self::Not(inner) => negate(inner.evaluate(row, missing), true),
            Self::Compare(operand, op, constant) => {
                let positive = if *op == "!=" { "==" } else { op };
                let found = operand.value(row).and_then(|value| order(value, &operand.constant(constant)));
                negate(json(operand, found.map(|found| holds(positive, found))), *op == "!=")
            }
            Self::Columns(left, op, right) => {
                let (a, b) = (row[&left.name].as_ref()?, row[&right.name].as_ref()?);
                Some(holds(op, order(a, b)?))
            }
            Self::Range { operand, low, high } => {
                let found = operand.value(row).and_then(|value| {
                    let (low_order, high_order) = (order(value, &operand.constant(&low.0))?, order(value, &operand.constant(&high.0))?);
                    Some(holds(if low.1 { ">=" } else { ">" }, low_order) && holds(if high.1 { "<=" } else { "<" }, high_order))
                });
                json(operand, found)
            }
            Self::In(operand, list, negated) => {
                let found = operand.value(row).and_then(|value| {
                    let orders: Vec<_> = list.iter().filter_map(|item| order(value, &operand.constant(item))).collect();
                    // An `or` of equalities, some of which may be unknown.
                    let found = orders.contains(&Ordering::Equal);
                    (found || orders.len() == list.len()).then_some(found)
                });
                negate(json(operand, found), *negated)
            }
            Self::Like(operand, pattern) => {
                let (pattern, text): (Vec<char>, _) = (pattern.chars().collect(), operand.value(row).and_then(Value::as_str));
                json(operand, text.map(|text| like(&pattern, &text.chars().collect::<Vec<_>>())))
            }
            Self::Arithmetic { operand, op, by, compare, bound } => {
                let positive = if *compare == "!=" { "==" } else { compare };
                let found = operand.value(row).filter(|value| value.is_number());
                let found = found.and_then(|value| calculate(operand.scalar_type(), value, op, by, (positive, bound)));
                negate(json(operand, found), *compare == "!=")
            }
            Self::IsNull(operand, negated) => {
                let null = if operand.steps.is_empty() { operand.is_null_row(row) } else { !exists(operand, row) };
                Some(null != *negated)
            }
            Self::Exists(operand) => Some(exists(operand, row)),
            Self::Contains(operand, element) => json(operand, array(operand, row).map(|items| has(items, &operand.constant(element)))),
            Self::ContainsAll(operand, list) => {
                json(operand, array(operand, row).map(|items| list.iter().all(|item| has(items, &operand.constant(item)))))
            }
            Self::ContainsAny(operand, list) => {
                json(operand, array(operand, row).map(|items| list.iter().any(|item| has(items, &operand.constant(item)))))
            }
            Self::Length(operand, op, bound) => {
                let positive = if *op == "!=" { "==" } else { op };
                let found = array(operand, row).map(|items| holds(positive, (items.len() as i64).cmp(bound)));
                negate(json(operand, found), *op == "!=")
            }
        }
    }
}

fn exists(operand: &Operand, row: &Row) -> bool {
    operand.value(row).is_some_and(|value| value.as_object().is_none_or(|members| !members.is_empty()))
}

fn array<'r>(operand: &Operand, row: &'r Row) -> Option<&'r Vec<Value>> {
    operand.value(row).and_then(Value::as_array)
}

fn has(items: &[Value], wanted: &Value) -> bool {
    items.iter().any(|item| order(item, wanted) == Some(Ordering::Equal))
}

/// Writes expressions as text. Its bits decide, one after the other, between spellings that mean the same.
pub struct Writer {
    pub bits: u64,
    pub templates: Templates,
}

impl Writer {
    pub fn new(seed: u64) -> Self {
        Self { bits: seed | 1, templates: Templates::new() }
    }

    /// One of `count` ways.
    fn way(&mut self, count: u64) -> u64 {
        // The well-known xorshift; any source that a seed fixes would do.
        self.bits ^= self.bits << 13;
        self.bits ^= self.bits >> 7;
        self.bits ^= self.bits << 17;
        (self.bits >> 11) % count
    }

    fn pick(&mut self, ways: &[&'static str]) -> &'static str {
        ways[self.way(ways.len() as u64) as usize]
    }

    /// The text of a condition.
    pub fn expression(&mut self, expression: &Expression) -> String {
        match expression {
            Expression::Constant(true) => self.pick(&["true", "TRUE", "1 < 2", "'a' != 'b'", "(2 ** 2 == 4)"]).to_owned(),
            Expression::Constant(false) => self.pick(&["false", "False", "1 > 2", "not true"]).to_owned(),
            Expression::And(members) => {
                let operator = self.pick(&[" and ", " AND ", " && ", "\nand\t"]);
                members.iter().map(|member| self.enclosed(member)).collect::<Vec<_>>().join(operator)
            }
            Expression::Or(members) => {
                let operator = self.pick(&[" or ", " OR ", " || "]);
                members.iter().map(|member| self.enclosed(member)).collect::<Vec<_>>().join(operator)
            }
            Expression::Not(inner) => format!("{}({})", self.pick(&["not ", "NOT ", "!", "! "]), self.expression(inner)),
            Expression::Compare(operand, op, constant) => {
                let (operand, constant) = (self.operand(operand), self.constant(constant));
                self.either_way(&operand, op, &constant)
            }
            Expression::Columns(left, op, right) => self.either_way(&left.name, op, &right.name),
            Expression::Range { operand, low, high } => {
                let (name, from, to) = (self.operand(operand), self.constant(&low.0), self.constant(&high.0));
                let sign = |inclusive: bool, sign: &'static str| if inclusive { format!("{sign}=") } else { sign.to_owned() };
                if self.way(2) == 0 {
                    format!("{from} {} {name} {} {to}", sign(low.1, "<"), sign(high.1, "<"))
                } else {
                    format!("{to} {} {name} {} {from}", sign(high.1, ">"), sign(low.1, ">"))
                }
            }
            Expression::In(operand, list, negated) => {
                let operator = if *negated { self.pick(&["not in", "NOT IN", "not  in"]) } else { self.pick(&["in", "IN"]) };
                format!("{} {operator} {}", self.operand(operand), self.list(list))
            }
            Expression::Like(operand, pattern) => {
                let pattern = self.constant(&Value::from(pattern.as_str()));
                format!("{} {} {pattern}", self.operand(operand), self.pick(&["like", "LIKE"]))
            }
            Expression::Arithmetic { operand, op, by, compare, bound } => {
                let (name, by, bound) = (self.operand(operand), self.constant(by), self.constant(bound));
                let sum = if matches!(*op, "+" | "*" | "&" | "|" | "^") && self.way(2) == 0 {
                    format!("{by} {op} {name}")
                } else {
                    format!("{name} {op} {by}")
                };
                let sum = if matches!(*op, "&" | "|" | "^") || self.way(2) == 0 { format!("({sum})") } else { sum };
                self.either_way(&sum, compare, &bound)
            }
            Expression::IsNull(operand, negated) => {
                let operator = if *negated { self.pick(&["is not null", "IS NOT NULL"]) } else { self.pick(&["is null", "IS NULL"]) };
                format!("{} {operator}", self.operand(operand))
            }
            Expression::Exists(operand) => format!("{} {}", self.pick(&["exists", "EXISTS"]), self.operand(operand)),
            Expression::Contains(operand, element) => {
                let name = self.pick(&["json_contains", "JSON_CONTAINS", "array_contains", "ARRAY_CONTAINS"]);
                format!("{name}({}, {})", self.operand(operand), self.constant(element))
            }
            Expression::ContainsAll(operand, list) => {
                format!("{}({}, {})", self.pick(&["json_contains_all", "ARRAY_CONTAINS_ALL"]), self.operand(operand), self.list(list))
            }
            Expression::ContainsAny(operand, list) => {
                format!("{}({},{})", self.pick(&["JSON_CONTAINS_ANY", "array_contains_any"]), self.operand(operand), self.list(list))
            }
            Expression::Length(operand, op, bound) => {
                let length = format!("{}({})", self.pick(&["array_length", "ARRAY_LENGTH"]), self.operand(operand));
                self.either_way(&length, op, &bound.to_string())
            }
        }
    }

    fn enclosed(&mut self, expression: &Expression) -> String {
        let text = self.expression(expression);
        let loose = matches!(expression, Expression::And(_) | Expression::Or(_) | Expression::Constant(_) | Expression::Not(_));
        if loose || self.way(3) == 0 { format!("({text})") } else { text }
    }

    fn either_way(&mut self, left: &str, op: &str, right: &str) -> String {
        let swapped = match op {
            "<" => ">",
            "<=" => ">=",
            ">" => "<",
            ">=" => "<=",
            same => same,
        };
        match self.way(3) {
            0 => format!("{right} {swapped} {left}"),
            1 => format!("{left}{op}{right}"),
            _ => format!("{left} {op} {right}"),
        }
    }

    fn operand(&mut self, operand: &Operand) -> String {
        let mut steps = &operand.steps[..];
        let mut text = operand.field.name.clone();
        if let ("$meta", [Step::Key(first), rest @ ..]) = (text.as_str(), steps)
            && self.way(2) == 0
        {
            text = first.clone();
            steps = rest;
        }
        for step in steps {
            match step {
                Step::Key(key) => {
                    let quote = self.pick(&["\"", "'"]);
                    text.push_str(&format!("[{quote}{key}{quote}]"));
                }
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    fn template(&mut self, value: TemplateValue) -> String {
        let name = format!("t{}", self.templates.len());
        self.templates.insert(name.clone(), value);
        format!("{{{name}}}")
    }

    fn constant(&mut self, value: &Value) -> String {
        if self.way(4) == 0 {
            return match value {
                Value::Array(items) => self.list(items),
                _ => {
                    let value = template(value);
                    self.template(value)
                }
            };
        }
        match value {
            Value::Bool(value) => if *value { self.pick(&["true", "True"]) } else { self.pick(&["false", "FALSE"]) }.to_owned(),
            Value::Number(number) if number.is_f64() => format!("{:?}", number.as_f64().expect("a float")),
            Value::Number(number) if number.as_u64().is_some() => match self.way(3) {
                0 => format!("{:#x}", number.as_u64().expect("not negative")),
                1 if number.as_u64() > Some(0) => format!("0{:o}", number.as_u64().expect("not negative")),
                _ => number.to_string(),
            },
            Value::Number(number) => number.to_string(),
            Value::String(text) => self.text(text),
            Value::Array(items) => self.list(items),
            _ => panic!("{value} is no constant"),
        }
    }

    fn text(&mut self, text: &str) -> String {
        let quote = if self.way(2) == 0 { '"' } else { '\'' };
        let escaped: String = text
            .chars()
            .map(|character| match character {
                '\\' => "\\\\".to_owned(),
                '\n' => "\\n".to_owned(),
                _ if character == quote => format!("\\{quote}"),
                _ if !character.is_ascii() && self.way(2) == 0 => format!("\\U{:08x}", u32::from(character)),
                _ => character.to_string(),
            })
            .collect();
        format!("{quote}{escaped}{quote}")
    }

    fn list(&mut self, items: &[Value]) -> String {
        if self.way(4) == 0
            && let Some(values) = template_list(items)
        {
            return self.template(values);
        }
        let texts: Vec<_> = items.iter().map(|item| self.constant(item)).collect();
        let comma = if !texts.is_empty() && self.way(3) == 0 { "," } else { "" };
        format!("[{}{comma}]", texts.join(if self.way(2) == 0 { "," } else { ", " }))
    }
}

fn template(value: &Value) -> TemplateValue {
    match value {
        Value::Bool(value) => TemplateValue::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(value) => TemplateValue::Int(value),
            None => TemplateValue::Float(number.as_f64().expect("a number")),
        },
        Value::String(text) => TemplateValue::Text(text.clone()),
        _ => panic!("{value} is no scalar"),
    }
}

/// As pymilvus sends a list; `None` for one that it would change.
fn template_list(items: &[Value]) -> Option<TemplateValue> {
    let integers: Option<Vec<_>> = items.iter().map(Value::as_i64).collect();
    let bools: Option<Vec<_>> = items.iter().map(Value::as_bool).collect();
    let texts: Option<Vec<_>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
    let floats: Option<Vec<_>> = items.iter().map(|item| item.as_f64().filter(|_| item.is_f64())).collect();
    if items.is_empty() {
        return None;
    }
    bools
        .map(TemplateValue::Bools)
        .or(integers.map(TemplateValue::Ints))
        .or(texts.map(TemplateValue::Texts))
        .or(floats.map(TemplateValue::Floats))
        .or_else(|| Some(TemplateValue::Json(items.iter().map(Value::to_string).collect())))
}
