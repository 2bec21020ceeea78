//! Filter text to tokens, one at a time.
//!
//! Not here: what tokens mean together (`parse`). The lexer keeps no tokens, so that a list of a million keys costs no more memory than its
//! values; it is cheap to clone, which is how the parser looks ahead.
//!
//! Invariants: it moves forward with every token; every token begins and ends at a character; hostile text gives an error, never a panic.

use std::sync::Arc;

use crate::number::CompareOp;
use crate::path::Step;
use crate::string;
use crate::syntax::{BinaryOp, Span};

/// One token.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Token {
    pub kind: Kind,
    pub span: Span,
}

/// What a token is.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Kind {
    End,
    /// Up to 2^63, which only a minus makes an `i64`.
    Integer(u64),
    Float(f64),
    Text(Arc<str>),
    Bool(bool),
    /// An identifier or `$meta`: its text is that of the span.
    Name,
    /// `name["k"][0]`: the name's length in bytes, and the steps.
    Path(u32, Vec<Step>),
    /// `struct[sub]` or `struct[3][sub]`: the name's length in bytes.
    Struct(u32),
    /// `$[sub]`
    Element,
    Compare(CompareOp),
    /// `+ - * / % ** & | ^ << >>`
    Binary(BinaryOp),
    Tilde,
    And,
    Or,
    Not,
    In,
    Like,
    RegexMatch,
    RegexNotMatch,
    Exists,
    IsNull,
    IsNotNull,
    Open,
    Close,
    OpenList,
    CloseList,
    OpenTemplate,
    CloseTemplate,
    Comma,
    Assign,
}

/// What stands between brackets after a name.
enum Bracket {
    Step(Step),
    /// The name of a struct's field.
    Name,
    Other,
}

/// A text that isn't one of the language: where, and what Milvus would say.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct SyntaxError {
    pub at: u32,
    pub message: String,
}

/// Where it stands in the text.
#[derive(Clone)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// At the beginning of `text`, whose length fits 32 bits.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token; `End` again and again at the end.
    pub fn next(&mut self) -> Result<Token, SyntaxError> {
        self.at += self.run(self.at, |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        let start = self.at;
        let kind = match self.byte(0) {
            0 if start == self.text.len() => Kind::End,
            b'0'..=b'9' => self.number()?,
            b'.' if self.byte(1).is_ascii_digit() => self.number()?,
            b'"' | b'\'' => self.string(0)?,
            b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'$' => self.word()?,
            _ => self.symbol()?,
        };
        debug_assert!(self.at > start || kind == Kind::End, "a lexer moves forward");
        Ok(Token { kind, span: Span { start: start as u32, end: self.at as u32 } })
    }

    /// The byte `ahead` of here; 0 beyond the end.
    fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    /// How many bytes from `from` on are of a class.
    fn run(&self, from: usize, class: impl Fn(u8) -> bool) -> usize {
        self.text.as_bytes()[from..].iter().take_while(|&&byte| class(byte)).count()
    }

    fn unrecognised(&self, at: usize, end: usize) -> SyntaxError {
        let end = (end..=self.text.len()).find(|&end| self.text.is_char_boundary(end)).unwrap_or(self.text.len());
        SyntaxError { at: at as u32, message: format!("token recognition error at: '{}'", &self.text[at..end]) }
    }

    fn symbol(&mut self) -> Result<Kind, SyntaxError> {
        let (length, kind) = match (self.byte(0), self.byte(1)) {
            (b'<', b'<') => (2, Kind::Binary(BinaryOp::ShiftLeft)),
            (b'>', b'>') => (2, Kind::Binary(BinaryOp::ShiftRight)),
            (b'*', b'*') => (2, Kind::Binary(BinaryOp::Power)),
            (b'<', b'=') => (2, Kind::Compare(CompareOp::LessEqual)),
            (b'>', b'=') => (2, Kind::Compare(CompareOp::GreaterEqual)),
            (b'=', b'=') => (2, Kind::Compare(CompareOp::Equal)),
            (b'!', b'=') => (2, Kind::Compare(CompareOp::NotEqual)),
            (b'=', b'~') => (2, Kind::RegexMatch),
            (b'!', b'~') => (2, Kind::RegexNotMatch),
            (b'&', b'&') => (2, Kind::And),
            (b'|', b'|') => (2, Kind::Or),
            (b'<', _) => (1, Kind::Compare(CompareOp::Less)),
            (b'>', _) => (1, Kind::Compare(CompareOp::Greater)),
            (b'+', _) => (1, Kind::Binary(BinaryOp::Add)),
            (b'-', _) => (1, Kind::Binary(BinaryOp::Subtract)),
            (b'*', _) => (1, Kind::Binary(BinaryOp::Multiply)),
            (b'/', _) => (1, Kind::Binary(BinaryOp::Divide)),
            (b'%', _) => (1, Kind::Binary(BinaryOp::Modulo)),
            (b'&', _) => (1, Kind::Binary(BinaryOp::BitAnd)),
            (b'|', _) => (1, Kind::Binary(BinaryOp::BitOr)),
            (b'^', _) => (1, Kind::Binary(BinaryOp::BitXor)),
            (b'~', _) => (1, Kind::Tilde),
            (b'!', _) => (1, Kind::Not),
            (b'=', _) => (1, Kind::Assign),
            (b'(', _) => (1, Kind::Open),
            (b')', _) => (1, Kind::Close),
            (b'[', _) => (1, Kind::OpenList),
            (b']', _) => (1, Kind::CloseList),
            (b'{', _) => (1, Kind::OpenTemplate),
            (b'}', _) => (1, Kind::CloseTemplate),
            (b',', _) => (1, Kind::Comma),
            _ => return Err(self.unrecognised(self.at, self.at + 1)),
        };
        self.at += length;
        Ok(kind)
    }

    /// A keyword, an identifier, a path, or a string with a prefix.
    fn word(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.at;
        if self.byte(0) == b'$' {
            return self.dollar();
        }
        let length = self.run(start, is_word);
        let word = &self.text[start..start + length];
        if matches!(self.byte(length), b'"' | b'\'') && matches!(word, "r" | "R" | "u8" | "u" | "U" | "L") {
            return self.string(length);
        }
        self.at += length;
        Ok(match word {
            "and" | "AND" => Kind::And,
            "or" | "OR" => Kind::Or,
            "not" | "NOT" => Kind::Not,
            "in" | "IN" => Kind::In,
            "like" | "LIKE" => Kind::Like,
            "exists" | "EXISTS" => Kind::Exists,
            "true" | "True" | "TRUE" => Kind::Bool(true),
            "false" | "False" | "FALSE" => Kind::Bool(false),
            "is" => self.null_test(" null", " not null").unwrap_or(Kind::Name),
            "IS" => self.null_test(" NULL", " NOT NULL").unwrap_or(Kind::Name),
            _ => self.steps(length)?,
        })
    }

    /// `$meta` with its steps, or `$[sub]`.
    fn dollar(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.at;
        if self.text[start + 1..].starts_with("meta") && !is_word(self.byte(5)) {
            self.at += 5;
            return self.steps(5);
        }
        if self.byte(1) == b'[' {
            let length = self.run(start + 2, is_word);
            if length > 0 && self.byte(2 + length) == b']' {
                self.at += length + 3;
                return Ok(Kind::Element);
            }
        }
        Err(self.unrecognised(start, start + 1))
    }

    /// After `is`: the rest of a null test, exactly as given.
    fn null_test(&mut self, null: &str, not_null: &str) -> Option<Kind> {
        for (rest, kind) in [(null, Kind::IsNull), (not_null, Kind::IsNotNull)] {
            if self.text[self.at..].starts_with(rest) && !is_word(self.byte(rest.len())) {
                self.at += rest.len();
                return Some(kind);
            }
        }
        None
    }

    /// After a name of `length` bytes: the steps in brackets that follow without a space.
    fn steps(&mut self, length: usize) -> Result<Kind, SyntaxError> {
        let mut steps = Vec::new();
        while self.byte(0) == b'[' {
            let opened = self.at;
            self.at += 1;
            let bracket = self.bracket()?;
            if self.byte(0) != b']' {
                self.at = opened;
                break;
            }
            self.at += 1;
            match bracket {
                Bracket::Step(step) => steps.push(step),
                Bracket::Name if steps.iter().all(|step| matches!(step, Step::Index(_))) => return Ok(Kind::Struct(length as u32)),
                Bracket::Name | Bracket::Other => {
                    self.at = opened;
                    break;
                }
            }
        }
        Ok(if steps.is_empty() { Kind::Name } else { Kind::Path(length as u32, steps) })
    }

    /// What stands in a bracket.
    fn bracket(&mut self) -> Result<Bracket, SyntaxError> {
        match self.byte(0) {
            b'"' | b'\'' => match self.string(0)? {
                Kind::Text(key) => Ok(Bracket::Step(Step::Key(key))),
                _ => Ok(Bracket::Other),
            },
            b'0'..=b'9' => {
                let length = self.run(self.at, |byte| byte.is_ascii_digit());
                let digits = &self.text[self.at..self.at + length];
                // What overflows or has a leading zero is no index; the bracket then isn't part of a path.
                let index = if length > 1 && digits.starts_with('0') { None } else { digits.parse().ok() };
                self.at += length;
                Ok(index.map_or(Bracket::Other, |index| Bracket::Step(Step::Index(index))))
            }
            _ => {
                let length = self.run(self.at, is_word);
                self.at += length;
                Ok(if length > 0 { Bracket::Name } else { Bracket::Other })
            }
        }
    }

    /// A string whose quote follows a prefix of `prefix` bytes.
    fn string(&mut self, prefix: usize) -> Result<Kind, SyntaxError> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let quote = start + prefix;
        let raw = matches!(self.byte(0), b'r' | b'R');
        let mut end = quote + 1;
        loop {
            match bytes.get(end) {
                Some(&byte) if byte == bytes[quote] => break,
                Some(b'\\') if !raw => end += 2,
                Some(b'\n' | b'\r') | None => return Err(self.unrecognised(start, end.min(bytes.len()))),
                Some(_) => end += 1,
            }
        }
        self.at = end + 1;
        let body = &self.text[quote + 1..end];
        if raw || !body.contains('\\') {
            return Ok(Kind::Text(body.into()));
        }
        let text = string::unescape(body).map_err(|message| SyntaxError { at: start as u32, message })?;
        Ok(Kind::Text(text.into()))
    }

    fn number(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.at;
        let digits = |lexer: &Self, from: usize, radix: u32| lexer.run(from, |byte| (byte as char).is_digit(radix));
        if self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'X') {
            if let Some((length, value)) = string::hex_float(&self.text[start + 2..]) {
                self.at += 2 + length;
                return self.finite(value, start);
            }
            if digits(self, start + 2, 16) > 0 {
                return self.integer(start + 2, 16);
            }
        }
        if self.byte(0) == b'0' && matches!(self.byte(1), b'b' | b'B') && digits(self, start + 2, 2) > 0 {
            return self.integer(start + 2, 2);
        }
        let mut end = start + digits(self, start, 10);
        let whole = end;
        if self.text.as_bytes().get(end) == Some(&b'.') {
            end += 1;
            end += digits(self, end, 10);
        }
        if matches!(self.text.as_bytes().get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.text.as_bytes().get(end + 1), Some(b'+' | b'-')));
            let exponent = self.text.get(end + 1 + sign..).map_or(0, |_| digits(self, end + 1 + sign, 10));
            end += if exponent > 0 { 1 + sign + exponent } else { 0 };
        }
        if end == whole {
            let octal = self.byte(0) == b'0' && self.byte(1).is_ascii_digit();
            return self.integer(start, if octal { 8 } else { 10 });
        }
        self.at = end;
        let value = self.text[start..end].parse().map_err(|_| self.unrecognised(start, end))?;
        self.finite(value, start)
    }

    fn finite(&self, value: f64, start: usize) -> Result<Kind, SyntaxError> {
        if value.is_finite() {
            return Ok(Kind::Float(value));
        }
        let message = format!("float {} is out of range", &self.text[start..self.at]);
        Err(SyntaxError { at: start as u32, message })
    }

    /// The digits of `radix` from `from` on.
    fn integer(&mut self, from: usize, radix: u32) -> Result<Kind, SyntaxError> {
        let start = self.at;
        let end = from + self.run(from, |byte| (byte as char).is_digit(radix));
        self.at = end;
        match u64::from_str_radix(&self.text[from..end], radix) {
            Ok(value) if value <= 1 << 63 => Ok(Kind::Integer(value)),
            _ => {
                let message = format!("integer {} is out of the range of Int64", &self.text[start..end]);
                Err(SyntaxError { at: start as u32, message })
            }
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Result<Vec<Kind>, String> {
        let mut lexer = Lexer::new(text);
        let mut kinds = Vec::new();
        loop {
            match lexer.next().map_err(|error| error.message)?.kind {
                Kind::End => return Ok(kinds),
                kind => kinds.push(kind),
            }
        }
    }

    #[test]
    fn tokens() {
        use Kind::*;
        let check = |text: &str, expected: &[Kind]| assert_eq!(kinds(text).as_deref(), Ok(expected), "{text}");
        let text = |text: &str| Text(text.into());
        check("and AND && or OR || not NOT !", &[And, And, And, Or, Or, Or, Not, Not, Not]);
        check("And Or Like", &[Name, Name, Name]);
        check("is null IS NULL is not null IS NOT NULL", &[IsNull, IsNull, IsNotNull, IsNotNull]);
        check("is  null", &[Name, Name]);
        check("Is Null", &[Name, Name]);
        check("is nullx", &[Name, Name]);
        check("12 0x1F 017 0b101 0 00", &[Integer(12), Integer(31), Integer(15), Integer(5), Integer(0), Integer(0)]);
        check("08", &[Integer(0), Integer(8)]);
        check("9223372036854775807 9223372036854775808", &[Integer(i64::MAX as u64), Integer(1 << 63)]);
        check("1.5 .5 2. 1e-3 2.e2 1E3 0777.5 0x1.8p3 0xAp-1", &[1.5, 0.5, 2.0, 1e-3, 200.0, 1000.0, 777.5, 12.0, 5.0].map(Float));
        check("1e", &[Integer(1), Name]);
        check(
            r#""a" 'b' "\"" '\'' "\n\t\x41\u4e2d\101\%" r"\n\" R'\\' u8"x" L'y'"#,
            &[text("a"), text("b"), text("\""), text("'"), text("\n\tA中A\\%"), text("\\n\\"), text("\\\\"), text("x"), text("y")],
        );
        let path = |length, steps: &[Step]| Path(length, steps.to_vec());
        let (a, b) = (Step::Key("a".into()), Step::Key("b/~".into()));
        check(r#"j["a"]["b/~"][0] $meta['a'] j"#, &[path(1, &[a.clone(), b, Step::Index(0)]), path(5, &[a]), Name]);
        check("s[sub] s[3][sub] $[sub]", &[Struct(1), Struct(1), Element]);
        check("in[1]", &[In, OpenList, Integer(1), CloseList]);
        check("a[1, 2]", &[Name, OpenList, Integer(1), Comma, Integer(2), CloseList]);
        check("a[01]", &[Name, OpenList, Integer(1), CloseList]);
        check("a[]", &[Name, OpenList, CloseList]);
        check(
            "{x} =~ !~ = ** << >>",
            &[
                OpenTemplate,
                Name,
                CloseTemplate,
                RegexMatch,
                RegexNotMatch,
                Assign,
                Binary(BinaryOp::Power),
                Binary(BinaryOp::ShiftLeft),
                Binary(BinaryOp::ShiftRight),
            ],
        );
    }

    #[test]
    fn what_is_no_token() {
        let check = |text: &str, message: &str| assert_eq!(kinds(text), Err(message.to_owned()));
        check("a @ b", "token recognition error at: '@'");
        check("a == 中", "token recognition error at: '中'");
        check("a == \"b", "token recognition error at: '\"b'");
        check("a == \"b\nc\"", "token recognition error at: '\"b'");
        check("a == \"b\\", "token recognition error at: '\"b\\'");
        check("$x", "token recognition error at: '$'");
        check("9223372036854775809", "integer 9223372036854775809 is out of the range of Int64");
        check("0xFFFFFFFFFFFFFFFFF", "integer 0xFFFFFFFFFFFFFFFFF is out of the range of Int64");
        check("1e309", "float 1e309 is out of range");
        check(r#""\xff""#, r"the string \xff isn't valid UTF-8");
    }
}
