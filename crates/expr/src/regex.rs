//! Regular expressions of `=~` and `!~`: RE2's syntax, found anywhere in a text.
//!
//! Not here: matching, which is the `regex` crate's and takes time linear in the text. Its syntax is nearly RE2's; [`translate`] writes
//! out where it isn't: `\d \w \s \b` know ASCII alone, brackets have no set operations, `\Q…\E`, octal escapes, `{` that repeats nothing.
//! As in Milvus, `.` takes a line's end too, unless `(?-s)` says otherwise.
//!
//! Invariants: pattern, program and caches are bounded; what was stored reads back as the same pattern, or not at all.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use regex::bytes::{Regex as Matcher, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::like::PATTERN_BYTES_MAX;

/// Bytes of a compiled pattern, at most, and of what one match may keep beside it.
const PROGRAM_BYTES_MAX: usize = 1 << 20;
/// Groups in each other, at most.
const GROUP_DEPTH_MAX: u32 = 100;
/// Repetitions that a pattern may ask for, as RE2 has it.
const REPEAT_MAX: u32 = 1_000;

/// A regular expression, ready to search.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct Regex {
    pattern: Arc<str>,
    matcher: Matcher,
}

impl Regex {
    /// The pattern as it was written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether it is found in `text`, which is UTF-8.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.matcher.is_match(text)
    }
}

impl TryFrom<Arc<str>> for Regex {
    type Error = String;

    fn try_from(pattern: Arc<str>) -> Result<Self, String> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(format!("a pattern has {} bytes, at most {PATTERN_BYTES_MAX} are allowed", pattern.len()));
        }
        let matcher = RegexBuilder::new(&translate(&pattern)?)
            .dot_matches_new_line(true)
            .size_limit(PROGRAM_BYTES_MAX)
            .dfa_size_limit(PROGRAM_BYTES_MAX)
            .nest_limit(GROUP_DEPTH_MAX)
            .build()
            .map_err(|error| error.to_string().replace('\n', " "))?;
        Ok(Self { pattern, matcher })
    }
}

impl From<Regex> for Arc<str> {
    fn from(regex: Regex) -> Self {
        regex.pattern
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl fmt::Display for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.pattern)
    }
}

type Rest<'a> = Peekable<Chars<'a>>;

/// What an escape, or a character of a class, stands for.
enum Atom {
    Character(char),
    /// A class, an assertion or any byte, as the `regex` crate writes it.
    Written(String),
}

/// RE2's `pattern` as the `regex` crate reads it.
fn translate(pattern: &str) -> Result<String, String> {
    let mut rest = pattern.chars().peekable();
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut open = 0u32;
    while let Some(character) = rest.next() {
        match character {
            '\\' if rest.peek() == Some(&'Q') => {
                rest.next();
                quoted(&mut rest, &mut out);
            }
            '\\' => match escape(&mut rest)? {
                Atom::Character(character) => push_literal(&mut out, character),
                Atom::Written(written) => out.push_str(&written),
            },
            '[' => class(&mut rest, &mut out)?,
            '(' => open += u32::from(group(&mut rest, &mut out)?),
            ')' => {
                open = open.checked_sub(1).ok_or("unexpected )")?;
                out.push(')');
            }
            '{' => repetition(&mut rest, &mut out)?,
            '}' | ']' => push_literal(&mut out, character),
            _ => out.push(character),
        }
    }
    if open > 0 { Err("missing closing )".to_owned()) } else { Ok(out) }
}

fn push_literal(out: &mut String, character: char) {
    if character.is_ascii() && !character.is_ascii_alphanumeric() {
        out.push_str(&format!("\\x{:02x}", u32::from(character)));
    } else {
        out.push(character);
    }
}

/// After `\Q`: everything up to `\E` stands for itself.
fn quoted(rest: &mut Rest<'_>, out: &mut String) {
    while let Some(character) = rest.next() {
        if character == '\\' && rest.peek() == Some(&'E') {
            rest.next();
            return;
        }
        push_literal(out, character);
    }
}

/// After a backslash.
fn escape(rest: &mut Rest<'_>) -> Result<Atom, String> {
    let written = |text: &str| Ok(Atom::Written(text.to_owned()));
    let Some(character) = rest.next() else { return Err("trailing \\ at the end of the pattern".to_owned()) };
    match character {
        'd' => written("[0-9]"),
        'D' => written("[^0-9]"),
        'w' => written("[0-9A-Za-z_]"),
        'W' => written("[^0-9A-Za-z_]"),
        's' => written("[\\t\\n\\x0c\\r\\x20]"),
        'S' => written("[^\\t\\n\\x0c\\r\\x20]"),
        'b' => written("(?-u:\\b)"),
        'B' => written("(?-u:\\B)"),
        'C' => written("(?s-u:.)"),
        'A' | 'z' => Ok(Atom::Written(format!("\\{character}"))),
        'p' | 'P' => property(character, rest).map(Atom::Written),
        'x' => hexadecimal(rest),
        '1'..='7' if !rest.peek().is_some_and(|next| next.is_digit(8)) => Err(format!("invalid escape sequence: \\{character}")),
        '0'..='7' => {
            let mut value = character.to_digit(8).unwrap_or(0);
            for _ in 0..2 {
                let Some(digit) = rest.peek().and_then(|next| next.to_digit(8)) else { break };
                value = value * 8 + digit;
                rest.next();
            }
            char::from_u32(value).map(Atom::Character).ok_or_else(|| format!("invalid escape sequence: \\{value:o}"))
        }
        'a' => Ok(Atom::Character('\x07')),
        'f' => Ok(Atom::Character('\x0c')),
        'n' => Ok(Atom::Character('\n')),
        'r' => Ok(Atom::Character('\r')),
        't' => Ok(Atom::Character('\t')),
        'v' => Ok(Atom::Character('\x0b')),
        _ if character.is_ascii() && !character.is_ascii_alphanumeric() => Ok(Atom::Character(character)),
        _ => Err(format!("invalid escape sequence: \\{character}")),
    }
}

/// After `\p` or `\P`: a letter or a name in braces, which `^` denies.
fn property(kind: char, rest: &mut Rest<'_>) -> Result<String, String> {
    let invalid = || format!("invalid character class: \\{kind}");
    let mut name = String::new();
    match rest.next().ok_or_else(invalid)? {
        '{' => loop {
            match rest.next().ok_or_else(invalid)? {
                '}' => break,
                character => name.push(character),
            }
        },
        letter => name.push(letter),
    }
    let (denied, name) = name.strip_prefix('^').map_or((false, &*name), |rest| (true, rest));
    if name.is_empty() || !name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_') {
        return Err(invalid());
    }
    Ok(format!("\\{}{{{name}}}", if denied == (kind == 'P') { 'p' } else { 'P' }))
}

/// After `\x`: two digits, or some in braces.
fn hexadecimal(rest: &mut Rest<'_>) -> Result<Atom, String> {
    let invalid = || "invalid escape sequence: \\x".to_owned();
    let braces = rest.peek() == Some(&'{');
    let mut value = 0u32;
    if braces {
        rest.next();
    }
    for count in 0.. {
        match rest.next() {
            Some('}') if braces && count > 0 => break,
            Some(character) => value = value.saturating_mul(16).saturating_add(character.to_digit(16).ok_or_else(invalid)?),
            None => return Err(invalid()),
        }
        if !braces && count == 1 {
            break;
        }
    }
    char::from_u32(value).map(Atom::Character).ok_or_else(invalid)
}

/// After `(`: what kind of group it is, and whether there is one to close, not flags alone.
fn group(rest: &mut Rest<'_>, out: &mut String) -> Result<bool, String> {
    out.push('(');
    if rest.peek() != Some(&'?') {
        return Ok(true);
    }
    rest.next();
    out.push('?');
    // Names and flags are the same in both, but for flags that RE2 doesn't have.
    while let Some(&character) = rest.peek() {
        match character {
            'P' | '<' | ':' => return Ok(true),
            ')' => {
                rest.next();
                out.push(')');
                return Ok(false);
            }
            'i' | 'm' | 's' | 'U' | '-' => out.push(character),
            _ => return Err(format!("invalid perl operator: (?{character}")),
        }
        rest.next();
    }
    Err("missing closing )".to_owned())
}

/// After `{`: a number of repetitions, or else a brace.
fn repetition(rest: &mut Rest<'_>, out: &mut String) -> Result<(), String> {
    let mut ahead = rest.clone();
    let mut body = String::new();
    while let Some(character) = ahead.next_if(|&character| character.is_ascii_digit() || character == ',') {
        body.push(character);
    }
    let (least, most) = body.split_once(',').unwrap_or((&body, ""));
    let counts = !least.is_empty() && !most.contains(',') && ahead.next() == Some('}');
    if !counts {
        push_literal(out, '{');
        return Ok(());
    }
    let count = |digits: &str| digits.parse::<u32>().ok().filter(|&count| count <= REPEAT_MAX);
    if count(least).is_none() || !most.is_empty() && count(most).is_none() {
        return Err(format!("bad repetition operator: {{{body}}}"));
    }
    *rest = ahead;
    out.push_str(&format!("{{{body}}}"));
    Ok(())
}

/// After `[`: a class, whose members are written so that none of them is an operator.
fn class(rest: &mut Rest<'_>, out: &mut String) -> Result<(), String> {
    let missing = || "missing closing ]".to_owned();
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        if !first && rest.next_if_eq(&']').is_some() {
            out.push(']');
            return Ok(());
        }
        first = false;
        let low = match member(rest)?.ok_or_else(missing)? {
            Atom::Written(written) => {
                out.push_str(&written);
                continue;
            }
            Atom::Character(low) => low,
        };
        push_literal(out, low);
        let mut ahead = rest.clone();
        if ahead.next() == Some('-') && ahead.peek().is_some_and(|&next| next != ']') {
            rest.next();
            let Atom::Character(high) = member(rest)?.ok_or_else(missing)? else {
                return Err("invalid character class range".to_owned());
            };
            out.push('-');
            push_literal(out, high);
        }
    }
}

/// One member of a class; `None` at the end of the pattern.
fn member(rest: &mut Rest<'_>) -> Result<Option<Atom>, String> {
    let Some(character) = rest.next() else { return Ok(None) };
    match character {
        '\\' => match rest.peek() {
            Some('b' | 'B' | 'A' | 'z' | 'C' | 'Q') => Err("invalid escape sequence in a character class".to_owned()),
            _ => escape(rest).map(Some),
        },
        '[' if rest.peek() == Some(&':') => {
            let mut ahead = rest.clone();
            ahead.next();
            let mut name = String::new();
            while let Some(character) = ahead.next_if(|&character| character.is_ascii_alphabetic() || character == '^') {
                name.push(character);
            }
            if ahead.next() != Some(':') || ahead.next() != Some(']') {
                return Ok(Some(Atom::Character('[')));
            }
            *rest = ahead;
            Ok(Some(Atom::Written(format!("[:{name}:]"))))
        }
        _ => Ok(Some(Atom::Character(character))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn regex(pattern: &str) -> Result<Regex, String> {
        Regex::try_from(Arc::from(pattern))
    }

    #[test]
    fn found_anywhere() {
        let check = |pattern: &str, text: &str, expected: bool| {
            let regex = regex(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(regex.matches(text.as_bytes()), expected, "{pattern} in {text}");
        };
        check("b", "abc", true);
        check("^b", "abc", false);
        check("^a.c$", "abc", true);
        check("^a.c$", "aéc", true);
        check("^a.c$", "a\nc", true);
        check("(?-s)^a.c$", "a\nc", false);
        check("", "", true);
        check("c$", "abc\n", false);
        check("(?m)c$", "abc\n", true);
        check("(?i)STRASSE|É", "é", true);
        check("^\\d+$", "12", true);
        check("^\\d+$", "١٢", false);
        check("^\\w$", "é", false);
        check("^\\W$", "é", true);
        check("\\bé", "é", false);
        check("[\\w-]+", "-", true);
        check("^[a&&b]$", "&", true);
        check("^[+--]$", ",", true);
        check("^[^\\D]$", "7", true);
        check("^[]a]+$", "]a", true);
        check("^[[:digit:][:^alpha:]x]$", "x", true);
        check("^[[a]$", "[", true);
        check("^[a~~b]$", "~", true);
        check("\\Q.*\\E+", "a.**", true);
        check("\\Q.*", "ab", false);
        check("\\101\\x42\\x{43}", "ABC", true);
        check("a{,2}", "a{,2}", true);
        check("^a{2,3}$", "aaa", true);
        check("^{$", "{", true);
        check("\\p{Greek}\\pL", "αb", true);
        check("^\\p{^Greek}$", "α", false);
        check("\\_\\-\\/", "_-/", true);
        check("^(a|b)*?c(?P<name>d)(?:e)$", "abacde", true);
        check("(?U)a+", "aa", true);
        check("^\\C\\C$", "é", true);
        check("^[\\x{1F600}-\\x{1F64F}]$", "😀", true);
        check("^x*$", "xxy", false);
    }

    #[test]
    fn what_is_no_pattern() {
        let check = |pattern: &str| assert!(regex(pattern).is_err(), "{pattern}");
        for pattern in [
            "(",
            ")",
            "[",
            "[a",
            "*",
            "a{1001}",
            "a{2,1}",
            "\\",
            "\\1",
            "\\8",
            "\\q",
            "\\Z",
            "(?=a)",
            "(?<!a)",
            "(?x)a",
            "\\xg",
            "[\\b]",
            "[z-a]",
            "[a-\\d]",
            "\\p{Nowhere}",
            "(a{1000}){1000}",
        ] {
            check(pattern);
        }
        check(&"(".repeat(100_000));
        check(&format!("{}{}", "(".repeat(1_000), ")".repeat(1_000)));
        check(&"a".repeat(PATTERN_BYTES_MAX + 1));
    }

    proptest! {
        #[test]
        fn any_pattern_and_text_are_harmless(pattern in "[ab\\\\dwsQEpx\\[\\](){}*+?|^$.,:\\-0-9é&~]{0,16}", text: Vec<u8>) {
            if let Ok(regex) = regex(&pattern) {
                regex.matches(&text);
            }
        }
    }
}
