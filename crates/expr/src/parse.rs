//! Tokens to a tree, by precedence climbing: how strongly operators bind is in [`level`].
//!
//! Not here: anything that needs a schema or the templates' values (`check`).
//!
//! Invariants: recursion and the tree's height stay within [`NESTING_MAX`]; an error says line and column as ANTLR does, lines from 1 and
//! columns, in characters, from 0. Start at [`parse`], then [`Parser::expression`].

use std::sync::Arc;

use crate::lex::{Kind as TokenKind, Lexer, SyntaxError, Token};
use crate::number::CompareOp;
use crate::syntax::{BinaryOp, Call, Kind, NESTING_MAX, Node, Pattern, Range, Span, UnaryOp};

/// Bytes of a filter, at most: some million keys of a delete.
pub const TEXT_BYTES_MAX: usize = 32 << 20;

/// Nodes of a filter's tree, at most; a list of nothing but integers is one. Some hundred megabytes while it is read.
pub const NODES_MAX: u32 = 2 << 20;

/// The tree of `text`; the error is the cause that Milvus's envelope holds.
pub(crate) fn parse(text: &str) -> Result<Node, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("the expression has {} bytes, at most {TEXT_BYTES_MAX} are allowed", text.len()));
    }
    Parser::new(text).and_then(Parser::whole).map_err(|error| {
        let before = &text[..error.at as usize];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        format!("line {}:{} {}", before.matches('\n').count() + 1, before[line_start..].chars().count(), error.message)
    })
}

/// Binding strengths, weakest first. A left operand takes operators as long as they bind at least as strongly as asked for.
mod level {
    pub const OR: u8 = 1;
    pub const AND: u8 = 2;
    pub const BIT_OR: u8 = 3;
    pub const BIT_XOR: u8 = 4;
    pub const BIT_AND: u8 = 5;
    pub const EQUALITY: u8 = 6;
    pub const RELATION: u8 = 7;
    pub const RANGE: u8 = 8;
    pub const IN: u8 = 9;
    pub const SHIFT: u8 = 10;
    pub const SUM: u8 = 11;
    pub const PRODUCT: u8 = 12;
    pub const UNARY: u8 = 13;
    pub const POWER: u8 = 14;
    pub const PATTERN: u8 = 15;
    pub const EXISTS: u8 = 16;
}

type Result<T, E = SyntaxError> = std::result::Result<T, E>;

#[derive(Clone)]
struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    token: Token,
    depth: u16,
    nodes: u32,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self> {
        let mut lexer = Lexer::new(text);
        let token = lexer.next()?;
        Ok(Self { text, lexer, token, depth: 0, nodes: 0 })
    }

    fn whole(mut self) -> Result<Node> {
        let node = self.expression(level::OR)?;
        if self.token.kind == TokenKind::End { Ok(node) } else { Err(self.mismatched("<EOF>")) }
    }

    /// The token here, moving on.
    fn take(&mut self) -> Result<Token> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    /// Moves on over `kind`, or says that it is missing.
    fn expect(&mut self, kind: &TokenKind, name: &str) -> Result<Token> {
        if self.token.kind == *kind { self.take() } else { Err(self.mismatched(name)) }
    }

    /// Moves on over `kind` if it is here.
    fn accept(&mut self, kind: &TokenKind) -> Result<bool> {
        let here = self.token.kind == *kind;
        if here {
            self.take()?;
        }
        Ok(here)
    }

    fn mismatched(&self, expected: &str) -> SyntaxError {
        let found = if self.token.kind == TokenKind::End { "<EOF>" } else { self.token.span.of(self.text) };
        SyntaxError { at: self.token.span.start, message: format!("mismatched input '{found}' expecting {expected}") }
    }

    fn too_deep(&self) -> SyntaxError {
        SyntaxError { at: self.token.span.start, message: format!("the expression is nested deeper than {NESTING_MAX} levels") }
    }

    fn node(&self, kind: Kind, span: Span, height: u16) -> Result<Node> {
        if height > NESTING_MAX { Err(self.too_deep()) } else { Ok(Node { kind, span, height, enclosed: false }) }
    }

    fn leaf(&self, kind: Kind, span: Span) -> Node {
        Node { kind, span, height: 1, enclosed: false }
    }

    fn over(&self, span: Span, child: Node, kind: impl FnOnce(Box<Node>) -> Kind) -> Result<Node> {
        let height = child.height + 1;
        self.node(kind(Box::new(child)), span, height)
    }

    /// An expression of operators that bind at least as strongly as `strength`.
    fn expression(&mut self, strength: u8) -> Result<Node> {
        if self.depth == NESTING_MAX {
            return Err(self.too_deep());
        }
        self.count(1)?;
        self.depth += 1;
        let mut left = self.operand()?;
        while let Some(level) = infix_level(&self.token.kind)
            && level >= strength
        {
            left = self.infix(left, level)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// What may begin an expression.
    fn operand(&mut self) -> Result<Node> {
        match self.token.kind {
            TokenKind::Binary(BinaryOp::Add) => self.unary(UnaryOp::Plus),
            TokenKind::Binary(BinaryOp::Subtract) => self.unary(UnaryOp::Minus),
            TokenKind::Tilde => self.unary(UnaryOp::BitNot),
            TokenKind::Not => self.unary(UnaryOp::Not),
            TokenKind::Exists => {
                let start = self.take()?.span;
                let child = self.expression(level::EXISTS)?;
                self.over(start.to(child.span), child, Kind::Exists)
            }
            TokenKind::Open => {
                let start = self.take()?.span;
                let inside = self.expression(level::OR)?;
                let end = self.expect(&TokenKind::Close, "')'")?.span;
                Ok(Node { span: start.to(end), enclosed: true, ..inside })
            }
            TokenKind::OpenList => self.list(),
            TokenKind::Name => self.name(),
            TokenKind::Path(..) => self.path(),
            _ => self.constant(),
        }
    }

    fn unary(&mut self, op: UnaryOp) -> Result<Node> {
        let start = self.take()?.span;
        let child = self.expression(level::UNARY)?;
        let span = start.to(child.span);
        match child.kind {
            Kind::IntegerTooLarge if op == UnaryOp::Minus => Ok(self.leaf(Kind::Integer(i64::MIN), span)),
            _ => self.over(span, child, |child| Kind::Unary(op, child)),
        }
    }

    fn constant(&mut self) -> Result<Node> {
        if !matches!(
            self.token.kind,
            TokenKind::Integer(_)
                | TokenKind::Float(_)
                | TokenKind::Bool(_)
                | TokenKind::Text(_)
                | TokenKind::Struct(_)
                | TokenKind::Element
                | TokenKind::OpenTemplate
        ) {
            return Err(self.mismatched("an operand"));
        }
        let token = self.take()?;
        let kind = match token.kind {
            TokenKind::Integer(value) => i64::try_from(value).map_or(Kind::IntegerTooLarge, Kind::Integer),
            TokenKind::Float(value) => Kind::Float(value),
            TokenKind::Bool(value) => Kind::Bool(value),
            TokenKind::Text(text) => Kind::Text(text),
            TokenKind::Struct(length) => Kind::Struct(token.span.of(self.text)[..length as usize].into()),
            TokenKind::Element => Kind::Element,
            _ => {
                let name = self.template()?;
                return Ok(self.leaf(Kind::Template(name), token.span));
            }
        };
        Ok(self.leaf(kind, token.span))
    }

    /// After `{`: the name and `}`.
    fn template(&mut self) -> Result<Arc<str>> {
        let name = self.expect(&TokenKind::Name, "Identifier")?.span.of(self.text).into();
        self.expect(&TokenKind::CloseTemplate, "'}'")?;
        Ok(name)
    }

    /// A name with what may follow only a name: a null test, a call's arguments, a moment's text.
    fn name(&mut self) -> Result<Node> {
        let token = self.take()?;
        let name: Arc<str> = token.span.of(self.text).into();
        if matches!(self.token.kind, TokenKind::Text(_)) {
            let kind = match &*name {
                "ISO" | "iso" => Kind::Moment,
                "INTERVAL" | "interval" => Kind::Interval,
                _ => return Err(self.mismatched("<EOF>")),
            };
            let end = self.take()?.span;
            return Ok(self.leaf(kind, token.span.to(end)));
        }
        if self.token.kind == TokenKind::Open {
            return self.call(name, token.span);
        }
        let node = self.leaf(Kind::Name(name), token.span);
        self.null_test(node)
    }

    fn path(&mut self) -> Result<Node> {
        let token = self.take()?;
        let TokenKind::Path(length, steps) = token.kind else { unreachable!("the caller has seen a path") };
        let name = token.span.of(self.text)[..length as usize].into();
        let node = self.leaf(Kind::Path(name, steps), token.span);
        self.null_test(node)
    }

    fn null_test(&mut self, node: Node) -> Result<Node> {
        let negated = match self.token.kind {
            TokenKind::IsNull => false,
            TokenKind::IsNotNull => true,
            _ => return Ok(node),
        };
        let end = self.take()?.span;
        self.over(node.span.to(end), node, |operand| Kind::IsNull { operand, negated })
    }

    /// After a function's name: its arguments.
    fn call(&mut self, name: Arc<str>, start: Span) -> Result<Node> {
        self.take()?;
        let (mut arguments, mut options, mut height) = (Vec::new(), Vec::new(), 1);
        while self.token.kind != TokenKind::Close {
            let argument = self.expression(level::OR)?;
            if self.accept(&TokenKind::Assign)? {
                let Kind::Name(option) = argument.kind else { return Err(self.mismatched("')'")) };
                let value = self.expression(level::OR)?;
                height = height.max(value.height + 1);
                options.push((option, value));
            } else {
                height = height.max(argument.height + 1);
                arguments.push(argument);
            }
            if !self.accept(&TokenKind::Comma)? {
                break;
            }
        }
        let end = self.expect(&TokenKind::Close, "')'")?.span;
        self.node(Kind::Call(Box::new(Call { name, arguments, options })), start.to(end), height)
    }

    fn list(&mut self) -> Result<Node> {
        let start = self.take()?.span;
        let mut integers = Vec::new();
        while let Some(value) = self.plain_integer()? {
            integers.push(value);
            self.accept(&TokenKind::Comma)?;
        }
        if self.token.kind == TokenKind::CloseList && !integers.is_empty() {
            let end = self.take()?.span;
            return Ok(self.leaf(Kind::Integers(integers), start.to(end)));
        }
        self.count(integers.len())?;
        let mut items: Vec<Node> = integers.into_iter().map(|value| self.leaf(Kind::Integer(value), start)).collect();
        let mut height = 1;
        while self.token.kind != TokenKind::CloseList {
            let item = self.expression(level::OR)?;
            height = height.max(item.height + 1);
            items.push(item);
            if !self.accept(&TokenKind::Comma)? {
                break;
            }
        }
        let end = self.expect(&TokenKind::CloseList, "']'")?.span;
        self.node(Kind::List(items), start.to(end), height)
    }

    /// An integer that is a whole list element, moving on to the comma or bracket after it; else nothing moves.
    fn plain_integer(&mut self) -> Result<Option<i64>> {
        if !matches!(self.token.kind, TokenKind::Integer(_) | TokenKind::Binary(BinaryOp::Subtract)) {
            return Ok(None);
        }
        let (lexer, token) = (self.lexer.clone(), self.token.clone());
        let negative = self.accept(&TokenKind::Binary(BinaryOp::Subtract))?;
        if let TokenKind::Integer(magnitude) = self.token.kind {
            let value = if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
            self.take()?;
            if matches!(self.token.kind, TokenKind::Comma | TokenKind::CloseList) && value.is_some() {
                return Ok(value);
            }
        }
        (self.lexer, self.token) = (lexer, token);
        Ok(None)
    }

    /// Refuses a tree that grows too large; `more` operands are about to be part of it.
    fn count(&mut self, more: usize) -> Result<()> {
        self.nodes = u32::try_from(more).map_or(NODES_MAX, |more| self.nodes.saturating_add(more));
        if self.nodes < NODES_MAX {
            return Ok(());
        }
        Err(SyntaxError { at: self.token.span.start, message: format!("the expression has more than {NODES_MAX} operands") })
    }

    /// `left`, the operator here, and its right side.
    fn infix(&mut self, left: Node, level: u8) -> Result<Node> {
        let operator = self.take()?;
        match operator.kind {
            TokenKind::And | TokenKind::Or => self.chain(left, level),
            TokenKind::Compare(op) if level == level::RELATION => self.relation(left, op),
            TokenKind::Compare(op) => {
                let right = self.expression(level + 1)?;
                self.pair(left, right, |sides| Kind::Compare(op, sides))
            }
            TokenKind::Binary(op) => {
                let right = self.expression(level + 1)?;
                self.pair(left, right, |sides| Kind::Binary(op, sides))
            }
            TokenKind::Not => {
                self.expect(&TokenKind::In, "'in'")?;
                self.membership(left, true)
            }
            TokenKind::In => self.membership(left, false),
            TokenKind::RegexNotMatch => {
                let (pattern, end) = self.regex_pattern()?;
                let matched = self.over(left.span.to(end), left, |left| Kind::Regex(left, pattern))?;
                self.over(matched.span, matched, |matched| Kind::Unary(UnaryOp::Not, matched))
            }
            TokenKind::RegexMatch => {
                let (pattern, end) = self.regex_pattern()?;
                self.over(left.span.to(end), left, |left| Kind::Regex(left, pattern))
            }
            _ => {
                let (pattern, end) = self.pattern()?;
                self.over(left.span.to(end), left, |left| Kind::Like(left, pattern))
            }
        }
    }

    fn pair(&self, left: Node, right: Node, kind: impl FnOnce(Box<[Node; 2]>) -> Kind) -> Result<Node> {
        let (span, height) = (left.span.to(right.span), left.height.max(right.height) + 1);
        self.node(kind(Box::new([left, right])), span, height)
    }

    /// One more operand of `and` or `or`: joins a chain of the same operator on either side, whether in parentheses or not.
    fn chain(&mut self, left: Node, level: u8) -> Result<Node> {
        let right = self.expression(level + 1)?;
        let (span, conjunction) = (left.span.to(right.span), level == level::AND);
        let mut height = 1;
        let mut members = Vec::new();
        for side in [left, right] {
            match side.kind {
                Kind::All(inner) if conjunction => join(&mut members, inner),
                Kind::Any(inner) if !conjunction => join(&mut members, inner),
                _ => {
                    height = height.max(side.height + 1);
                    members.push(side);
                    continue;
                }
            }
            height = height.max(side.height);
        }
        self.node(if conjunction { Kind::All(members) } else { Kind::Any(members) }, span, height)
    }

    /// `left op right`, or a range if `right` is a bare name or path and an operator of the same direction follows.
    fn relation(&mut self, left: Node, op: CompareOp) -> Result<Node> {
        let right = self.expression(level::RANGE)?;
        let bare = !right.enclosed && matches!(right.kind, Kind::Name(_) | Kind::Path(..));
        let TokenKind::Compare(second) = self.token.kind else { return self.pair(left, right, |sides| Kind::Compare(op, sides)) };
        if !bare || direction(op) != direction(second) {
            return self.pair(left, right, |sides| Kind::Compare(op, sides));
        }
        self.take()?;
        let last = self.expression(level::RANGE + 1)?;
        let (span, height) = (left.span.to(last.span), left.height.max(last.height) + 1);
        let range = Range { bounds: [left, last], ops: [op, second], operand: right };
        self.node(Kind::Range(Box::new(range)), span, height)
    }

    fn membership(&mut self, operand: Node, negated: bool) -> Result<Node> {
        let list = self.expression(level::IN + 1)?;
        let (span, height) = (operand.span.to(list.span), operand.height.max(list.height) + 1);
        self.node(Kind::In { operand: Box::new(operand), list: Box::new(list), negated }, span, height)
    }

    fn pattern(&mut self) -> Result<(Pattern, Span)> {
        if !matches!(self.token.kind, TokenKind::Text(_) | TokenKind::OpenTemplate) {
            return Err(self.mismatched("a string literal or template variable"));
        }
        let token = self.take()?;
        if let TokenKind::Text(text) = token.kind {
            return Ok((Pattern::Text(text), token.span));
        }
        Ok((Pattern::Template(self.template()?), token.span))
    }

    /// As [`Self::pattern`], but a literal's escapes are left to the regular expression: `"\b"` is a word's edge there.
    fn regex_pattern(&mut self) -> Result<(Pattern, Span)> {
        let (pattern, span) = self.pattern()?;
        Ok(match pattern {
            Pattern::Text(_) => (Pattern::Text(verbatim(span.of(self.text)).into()), span),
            template => (template, span),
        })
    }
}

/// What stands between the quotes of a string literal, escapes kept but for those of quotes.
fn verbatim(literal: &str) -> String {
    let open = literal.find(['"', '\'']).unwrap_or(0);
    let body = literal.get(open + 1..literal.len() - 1).unwrap_or_default();
    if literal.starts_with(['r', 'R']) {
        return body.to_owned();
    }
    let mut out = String::with_capacity(body.len());
    let mut rest = body.chars();
    while let Some(character) = rest.next() {
        match (character, rest.clone().next()) {
            ('\\', Some('"' | '\'')) => {}
            ('\\', Some(escaped)) => {
                out.extend(['\\', escaped]);
                rest.next();
            }
            _ => out.push(character),
        }
    }
    out
}

/// Adds `inner` to `members` without copying the longer of a growing chain again and again.
fn join(members: &mut Vec<Node>, mut inner: Vec<Node>) {
    if members.is_empty() { *members = inner } else { members.append(&mut inner) }
}

/// Whether an order goes up (`<`) or down; `None` for equalities.
fn direction(op: CompareOp) -> Option<bool> {
    match op {
        CompareOp::Less | CompareOp::LessEqual => Some(true),
        CompareOp::Greater | CompareOp::GreaterEqual => Some(false),
        CompareOp::Equal | CompareOp::NotEqual => None,
    }
}

/// How strongly the operator binds if the token is one between operands.
fn infix_level(kind: &TokenKind) -> Option<u8> {
    Some(match kind {
        TokenKind::Or => level::OR,
        TokenKind::And => level::AND,
        TokenKind::Binary(op) => match op {
            BinaryOp::BitOr => level::BIT_OR,
            BinaryOp::BitXor => level::BIT_XOR,
            BinaryOp::BitAnd => level::BIT_AND,
            BinaryOp::ShiftLeft | BinaryOp::ShiftRight => level::SHIFT,
            BinaryOp::Add | BinaryOp::Subtract => level::SUM,
            BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => level::PRODUCT,
            BinaryOp::Power => level::POWER,
        },
        TokenKind::Compare(CompareOp::Equal | CompareOp::NotEqual) => level::EQUALITY,
        TokenKind::Compare(_) => level::RELATION,
        TokenKind::In | TokenKind::Not => level::IN,
        TokenKind::Like | TokenKind::RegexMatch | TokenKind::RegexNotMatch => level::PATTERN,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as text, every operator in parentheses.
    fn shape(node: &Node) -> String {
        let join = |nodes: &[Node], separator: &str| nodes.iter().map(shape).collect::<Vec<_>>().join(separator);
        let pattern = |pattern: &Pattern| match pattern {
            Pattern::Text(text) => format!("{text:?}"),
            Pattern::Template(name) => format!("{{{name}}}"),
        };
        match &node.kind {
            Kind::Integer(value) => value.to_string(),
            Kind::IntegerTooLarge => "2^63".into(),
            Kind::Float(value) => format!("{value:?}"),
            Kind::Bool(value) => value.to_string(),
            Kind::Text(text) => format!("{text:?}"),
            Kind::Template(name) => format!("{{{name}}}"),
            Kind::Integers(values) => format!("{values:?}"),
            Kind::List(items) => format!("[{}]", join(items, ", ")),
            Kind::Name(name) => name.to_string(),
            Kind::Path(name, steps) => format!("{name}{steps:?}"),
            Kind::Struct(name) => format!("{name}[..]"),
            Kind::Element => "$[..]".into(),
            Kind::Unary(op, child) => format!("({op:?} {})", shape(child)),
            Kind::Binary(op, sides) => format!("({})", join(&**sides, &format!(" {} ", op.symbol()))),
            Kind::All(members) => format!("({})", join(members, " and ")),
            Kind::Any(members) => format!("({})", join(members, " or ")),
            Kind::Compare(op, sides) => format!("({})", join(&**sides, &format!(" {} ", op.symbol()))),
            Kind::Range(range) => {
                let [low, high] = &range.bounds;
                let [first, second] = range.ops.map(CompareOp::symbol);
                format!("({} {first} {} {second} {})", shape(low), shape(&range.operand), shape(high))
            }
            Kind::In { operand, list, negated } => format!("({}{} in {})", shape(operand), if *negated { " not" } else { "" }, shape(list)),
            Kind::Like(child, text) => format!("({} like {})", shape(child), pattern(text)),
            Kind::Regex(child, text) => format!("({} =~ {})", shape(child), pattern(text)),
            Kind::Exists(child) => format!("(exists {})", shape(child)),
            Kind::IsNull { operand, negated } => format!("({} is{} null)", shape(operand), if *negated { " not" } else { "" }),
            Kind::Call(call) => {
                let options: String = call.options.iter().map(|(name, value)| format!("; {name}={}", shape(value))).collect();
                format!("{}({}{options})", call.name, join(&call.arguments, ", "))
            }
            Kind::Moment => "moment".into(),
            Kind::Interval => "interval".into(),
        }
    }

    #[test]
    fn precedence() {
        let check = |text: &str, expected: &str| assert_eq!(parse(text).map(|node| shape(&node)).as_deref(), Ok(expected), "{text}");
        check("a == 1 and b == 2 or c == 3 and d == 4", "(((a == 1) and (b == 2)) or ((c == 3) and (d == 4)))");
        check("a and b and (c and d) and (e or f) or g", "((a and b and c and d and (e or f)) or g)");
        check("not a == 1", "((Not a) == 1)");
        check("not a like \"x%\"", "(Not (a like \"x%\"))");
        check("not a in [1]", "((Not a) in [1])");
        check("a not in [1, 2,]", "(a not in [1, 2])");
        check("a & 1 == 1", "(a & (1 == 1))");
        check("a | b ^ c & d", "(a | (b ^ (c & d)))");
        check("a + 1 * 2 ** 3 ** 4 == 5", "((a + (1 * ((2 ** 3) ** 4))) == 5)");
        check("-a ** 2", "(Minus (a ** 2))");
        check("a - -1", "(a - (Minus 1))");
        check("a << 1 + 2 in [1]", "((a << (1 + 2)) in [1])");
        check("1 < a <= 5", "(1 < a <= 5)");
        check("5 > j[\"x\"] >= 1 and b == 2", "((5 > j[Key(\"x\")] >= 1) and (b == 2))");
        check("1 < a > 5", "((1 < a) > 5)");
        check("1 < (a) < 5", "((1 < a) < 5)");
        check("1 < a + 1 < 5", "((1 < (a + 1)) < 5)");
        check("a < 1 == b < 2", "((a < 1) == (b < 2))");
        check("exists j[\"a\"] == 1", "((exists j[Key(\"a\")]) == 1)");
        check("a is null or b is not null", "((a is null) or (b is not null))");
        check("a =~ \"x\" || a !~ {p}", "((a =~ \"x\") or (Not (a =~ {p})))");
        check(r#"a =~ "\b\\\"\d'""#, r#"(a =~ "\\b\\\\\"\\d'")"#);
        check(r#"a =~ r'\b\\' "#, r#"(a =~ "\\b\\\\")"#);
        check("-9223372036854775808 == a", "(-9223372036854775808 == a)");
        check("[1, -2, -9223372036854775808, 3]", "[1, -2, -9223372036854775808, 3]");
        check("[1, 2.0, 3]", "[1, 2.0, 3]");
        check("[1, 2 + 3]", "[1, (2 + 3)]");
        check("[-(1)]", "[(Minus 1)]");
        check("[]", "[]");
        check("[[1], [\"a\", true]]", "[[1], [\"a\", true]]");
        check("f(a, 1, n=2,)", "f(a, 1; n=2)");
        check("f()", "f()");
        check("t + INTERVAL 'P1D' > ISO '2025'", "((t + interval) > moment)");
        check("s[x] == $[y]", "(s[..] == $[..])");
    }

    #[test]
    fn syntax_errors() {
        let check = |text: &str, expected: &str| assert_eq!(parse(text), Err(expected.to_owned()), "{text}");
        check("a ==", "line 1:4 mismatched input '<EOF>' expecting an operand");
        check("a inn [1, 2]", "line 1:2 mismatched input 'inn' expecting <EOF>");
        check("a == 1 And b == 2", "line 1:7 mismatched input 'And' expecting <EOF>");
        check("(a == 1", "line 1:7 mismatched input '<EOF>' expecting ')'");
        check("a in [1, 2", "line 1:10 mismatched input '<EOF>' expecting ']'");
        check("a = 1", "line 1:2 mismatched input '=' expecting <EOF>");
        check("a like b", "line 1:7 mismatched input 'b' expecting a string literal or template variable");
        check("a == 1\nand\n\"é\" @", "line 3:4 token recognition error at: '@'");
        check("a not 1", "line 1:6 mismatched input '1' expecting 'in'");
        check("a == {}", "line 1:6 mismatched input '}' expecting Identifier");
        check("(a + 1) is null", "line 1:8 mismatched input 'is null' expecting <EOF>");
        check(", a", "line 1:0 mismatched input ',' expecting an operand");
        check("f(1=2)", "line 1:4 mismatched input '2' expecting ')'");
    }

    #[test]
    fn nesting_is_bounded_and_chains_are_not() {
        let levels = usize::from(NESTING_MAX) - 2;
        for (open, close) in [("(", ")"), ("not ", ""), ("-", ""), ("[", "]"), ("f(", ")"), ("~", "")] {
            let nested = |levels: usize| format!("{}a{}", open.repeat(levels), close.repeat(levels));
            assert!(parse(&nested(levels)).is_ok(), "{open}");
            for levels in [usize::from(NESTING_MAX) + 1, 100_000] {
                let error = parse(&nested(levels)).expect_err(open);
                assert!(error.contains("nested deeper than 256 levels"), "{error}");
            }
        }
        for operator in ["+", "*", "==", "<", "in", "&", "<<", "**"] {
            let chain = format!("a{}", format!(" {operator} a").repeat(100_000));
            assert!(parse(&chain).is_err_and(|error| error.contains("nested deeper")), "{operator}");
        }
        for operator in ["and", "or"] {
            let chain = format!("a{}", format!(" {operator} a").repeat(100_000));
            assert_eq!(parse(&chain).map(|node| node.height), Ok(2), "{operator}");
        }
        let mixed = format!("a{}", " and a or a".repeat(100_000));
        assert_eq!(parse(&mixed).map(|node| node.height), Ok(3));
    }
}
