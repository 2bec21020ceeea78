//! Reads one place of a JSON text without parsing the rest: skips to it and says what is there.
//!
//! Not here: validation. Columns hold JSON that was checked when it was written; text that isn't JSON after all reads as missing, or as
//! some value, but never panics, and nothing here recurses. Of equal keys in one object the first counts.
//!
//! Start at [`locate`], then [`read`].

use std::borrow::Cow;

use crate::path::Step;

/// What stands at a place. Ranges are bytes of the whole text, so that a value can be kept beside it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) enum Found {
    /// Nothing: a step led nowhere.
    #[default]
    Missing,
    Null,
    Bool(bool),
    Int(i64),
    /// An integer above those of `i64`.
    Large(u64),
    Float(f64),
    /// Between the quotes.
    Text {
        start: u32,
        end: u32,
        escaped: bool,
    },
    /// From its bracket on.
    Array {
        start: u32,
    },
    Object {
        empty: bool,
    },
}

/// Where the value at `steps` begins.
pub(crate) fn locate(text: &[u8], steps: &[Step]) -> Option<usize> {
    let mut at = skip_space(text, 0);
    for step in steps {
        at = match step {
            Step::Key(key) => member(text, at, key)?,
            Step::Index(index) => Elements::new(text, at)?.nth(*index as usize)?,
        };
    }
    (at < text.len()).then_some(at)
}

/// The value that begins at `at`.
pub(crate) fn read(text: &[u8], at: usize) -> Found {
    match text.get(at) {
        Some(b'"') => match skip_string(text, at) {
            Some((after, escaped)) => Found::Text { start: at as u32 + 1, end: after as u32 - 1, escaped },
            None => Found::Missing,
        },
        Some(b'[') => Found::Array { start: at as u32 },
        Some(b'{') => Found::Object { empty: text.get(skip_space(text, at + 1)) == Some(&b'}') },
        Some(b't') => Found::Bool(true),
        Some(b'f') => Found::Bool(false),
        Some(b'n') => Found::Null,
        Some(_) => number(&text[at..skip_plain(text, at)]),
        None => Found::Missing,
    }
}

/// The text between the quotes, with its escapes resolved.
pub(crate) fn text_of(text: &[u8], start: u32, end: u32, escaped: bool) -> Cow<'_, [u8]> {
    let body = &text[start as usize..end as usize];
    if escaped { Cow::Owned(unescape(body)) } else { Cow::Borrowed(body) }
}

fn number(text: &[u8]) -> Found {
    let Ok(text) = std::str::from_utf8(text) else { return Found::Missing };
    if let Ok(value) = text.parse() {
        return Found::Int(value);
    }
    if let Ok(value) = text.parse() {
        return Found::Large(value);
    }
    // What Rust reads as a float and JSON doesn't have: infinities and NaN.
    match text.parse::<f64>() {
        Ok(value) if text.ends_with(|last: char| last.is_ascii_digit()) => Found::Float(value),
        _ => Found::Missing,
    }
}

/// Where the member `key` of the object at `at` begins.
fn member(text: &[u8], at: usize, key: &str) -> Option<usize> {
    if text.get(at) != Some(&b'{') {
        return None;
    }
    let mut at = skip_space(text, at + 1);
    while text.get(at) == Some(&b'"') {
        let (after, escaped) = skip_string(text, at)?;
        let name = &text[at + 1..after - 1];
        let found = if escaped { unescape(name) == key.as_bytes() } else { name == key.as_bytes() };
        at = skip_space(text, after);
        if text.get(at) != Some(&b':') {
            return None;
        }
        at = skip_space(text, at + 1);
        if found {
            return Some(at);
        }
        at = skip_separator(text, skip_value(text, at)?)?;
    }
    None
}

/// The places where an array's elements begin.
pub(crate) struct Elements<'a> {
    text: &'a [u8],
    next: usize,
}

impl<'a> Elements<'a> {
    /// Those of the array at `at`; `None` if there is none.
    pub fn new(text: &'a [u8], at: usize) -> Option<Self> {
        (text.get(at) == Some(&b'[')).then(|| Self { text, next: skip_space(text, at + 1) })
    }
}

impl Iterator for Elements<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let here = self.next;
        if matches!(self.text.get(here), None | Some(b']')) {
            return None;
        }
        let after = skip_value(self.text, here)?;
        self.next = skip_separator(self.text, after).unwrap_or(self.text.len());
        Some(here)
    }
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// After a value: over the comma to what comes next, which may be the closing bracket.
fn skip_separator(text: &[u8], at: usize) -> Option<usize> {
    let at = skip_space(text, at);
    match text.get(at)? {
        b',' => Some(skip_space(text, at + 1)),
        b']' | b'}' => Some(at),
        _ => None,
    }
}

/// After the string at `at`, and whether it has escapes.
fn skip_string(text: &[u8], at: usize) -> Option<(usize, bool)> {
    let (mut at, mut escaped) = (at + 1, false);
    loop {
        at += text.get(at..)?.iter().position(|&byte| byte == b'"' || byte == b'\\')?;
        if text[at] == b'"' {
            return Some((at + 1, escaped));
        }
        escaped = true;
        at += 2;
    }
}

/// After a number or a word. At least one byte on.
fn skip_plain(text: &[u8], at: usize) -> usize {
    let rest = &text[at..];
    at + rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\n' | b'\r')).unwrap_or(rest.len()).max(1)
}

/// After the value at `at`.
fn skip_value(text: &[u8], mut at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => return skip_string(text, at).map(|(after, _)| after),
        b'[' | b'{' => {}
        _ => return Some(skip_plain(text, at)),
    }
    let mut depth = 0usize;
    loop {
        at += text.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'[' | b'{' | b']' | b'}'))?;
        match text[at] {
            b'"' => {
                at = skip_string(text, at)?.0;
                continue;
            }
            b'[' | b'{' => depth += 1,
            _ => depth -= 1,
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The body of a string with its escapes resolved; a half of a surrogate pair alone becomes U+FFFD.
fn unescape(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(&escape) = body.get(at) else { break };
        at += 1;
        match escape {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let (character, length) = unicode(&body[at..]);
                at += length;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
    }
    out
}

/// The character after `\u`, and the bytes that it took.
fn unicode(rest: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        rest.get(at..at + 4).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| u32::from_str_radix(digits, 16).ok())
    };
    let Some(first) = unit(0) else { return (char::REPLACEMENT_CHARACTER, rest.len().min(4)) };
    if let Some(character) = char::from_u32(first) {
        return (character, 4);
    }
    let second = if rest.get(4..6) == Some(b"\\u") { unit(6) } else { None };
    match (first, second) {
        (0xD800..=0xDBFF, Some(second @ 0xDC00..=0xDFFF)) => {
            let character = char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00));
            (character.unwrap_or(char::REPLACEMENT_CHARACTER), 10)
        }
        _ => (char::REPLACEMENT_CHARACTER, 4),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn found(text: &str, steps: &[Step]) -> Found {
        locate(text.as_bytes(), steps).map_or(Found::Missing, |at| read(text.as_bytes(), at))
    }

    fn key(key: &str) -> Step {
        Step::Key(key.into())
    }

    #[test]
    fn places() {
        let check = |text: &str, steps: &[Step], expected: Found| assert_eq!(found(text, steps), expected, "{text} {steps:?}");
        let text = r#" { "a" : 1 , "b":{"c":[10, -2.5e1, "x\"]}", [true], null]}, "a/~":false, "\u0041":{}, "a":2} "#;
        check(text, &[], Found::Object { empty: false });
        check(text, &[key("a")], Found::Int(1));
        check(text, &[key("A")], Found::Object { empty: true });
        check(text, &[key("a/~")], Found::Bool(false));
        check(text, &[key("b"), key("c"), Step::Index(1)], Found::Float(-25.0));
        check(text, &[key("b"), key("c"), Step::Index(3), Step::Index(0)], Found::Bool(true));
        check(text, &[key("b"), key("c"), Step::Index(4)], Found::Null);
        check(text, &[key("b"), key("c"), Step::Index(5)], Found::Missing);
        check(text, &[key("b"), Step::Index(0)], Found::Missing);
        check(text, &[key("a"), key("x")], Found::Missing);
        check(text, &[key("z")], Found::Missing);
        check("18446744073709551615", &[], Found::Large(u64::MAX));
        check("-9223372036854775808", &[], Found::Int(i64::MIN));
        check("18446744073709551616", &[], Found::Float(18446744073709551616.0));
        check("-0", &[], Found::Int(0));
        check("1e400", &[], Found::Float(f64::INFINITY));
        check("NaN", &[], Found::Missing);
        check("", &[], Found::Missing);
        check("{\"a\":1", &[key("b")], Found::Missing);
        check("[1,2", &[Step::Index(1)], Found::Int(2));
        check("{\"a\":", &[key("a")], Found::Missing);
        check("\"\\ud83d\\ude00\\ud800\"", &[], Found::Text { start: 1, end: 19, escaped: true });
        assert_eq!(unescape(br"\ud83d\ude00\ud800\n\/\u00e9"), "😀\u{fffd}\n/é".as_bytes());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            "[a-c\"\\\\\n\u{1}é😀\\[{,:]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let members = proptest::collection::btree_map("[ab\"\\\\é]{0,2}", inner.clone(), 0..5);
            prop_oneof![
                proptest::collection::vec(inner, 0..5).prop_map(Value::from),
                members.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// Every place of `value` reads as what is there.
    fn check_places(text: &str, steps: &mut Vec<Step>, value: &Value) {
        let here = found(text, steps);
        match (value, here) {
            (Value::Null, Found::Null) => {}
            (Value::Bool(value), Found::Bool(found)) => assert_eq!(*value, found),
            (Value::Number(number), Found::Int(found)) => assert_eq!(number.as_i64(), Some(found)),
            (Value::Number(number), Found::Large(found)) => assert_eq!(number.as_u64(), Some(found)),
            (Value::Number(number), Found::Float(found)) => assert_eq!(number.as_f64(), Some(found)),
            (Value::String(value), Found::Text { start, end, escaped }) => {
                assert_eq!(value.as_bytes(), &*text_of(text.as_bytes(), start, end, escaped));
            }
            (Value::Array(items), Found::Array { start }) => {
                let count = Elements::new(text.as_bytes(), start as usize).expect("an array").count();
                assert_eq!(count, items.len());
                for (i, item) in items.iter().enumerate() {
                    steps.push(Step::Index(i as u32));
                    check_places(text, steps, item);
                    steps.pop();
                }
            }
            (Value::Object(members), Found::Object { empty }) => {
                assert_eq!(members.is_empty(), empty);
                for (name, member) in members {
                    steps.push(key(name));
                    check_places(text, steps, member);
                    steps.pop();
                }
            }
            _ => panic!("{steps:?} of {text}: {value} reads as {here:?}"),
        }
    }

    proptest! {
        #[test]
        fn reads_what_a_parser_reads(value in values()) {
            check_places(&value.to_string(), &mut Vec::new(), &value);
            check_places(&serde_json::to_string_pretty(&value).expect("values have texts"), &mut Vec::new(), &value);
        }

        #[test]
        fn damaged_text_never_panics(value in values(), at: usize, byte: u8, cut: usize) {
            let mut text = value.to_string().into_bytes();
            let length = text.len();
            text[at % length] = byte;
            text.truncate(cut % (length + 1));
            for steps in [vec![], vec![key("a")], vec![Step::Index(0)], vec![key("a"), Step::Index(1)], vec![Step::Index(1), key("b")]] {
                let Some(start) = locate(&text, &steps) else { continue };
                if let Found::Text { start, end, escaped } = read(&text, start) {
                    text_of(&text, start, end, escaped);
                }
                if let Some(elements) = Elements::new(&text, start) {
                    elements.for_each(|at| {
                        read(&text, at);
                    });
                }
            }
        }
    }
}
