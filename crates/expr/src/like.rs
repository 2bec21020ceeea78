//! Patterns of `like`: `%` is any run of characters, `_` any one, a backslash takes the next character as it is.
//!
//! Matching never backtracks: between two `%` the leftmost match is as good as any, so a row costs at most text × pattern steps.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Bytes of a pattern, at most: bounds what one row may cost.
pub const PATTERN_BYTES_MAX: usize = 16 << 10;

/// A pattern, ready to match.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Arc<str>", into = "Arc<str>")]
pub struct Like {
    pattern: Arc<str>,
    /// What stands between the `%`: one more than there are of them.
    parts: Vec<Part>,
}

/// What has to match without a gap.
type Part = Vec<Atom>;

#[derive(Clone, Debug)]
enum Atom {
    /// Never empty.
    Literal(String),
    /// This many characters.
    Any(usize),
}

impl Like {
    /// The pattern as it was written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// What every matching text begins with: a range for an index.
    pub fn prefix(&self) -> &str {
        match self.parts[0].first() {
            Some(Atom::Literal(literal)) => literal,
            _ => "",
        }
    }

    /// Whether all of `text`, which is UTF-8, matches. Bytes that aren't match or don't, without a panic.
    pub fn matches(&self, text: &[u8]) -> bool {
        let (first, rest) = self.parts.split_first().expect("a pattern has at least one part");
        let Some(mut at) = match_at(first, text, 0) else { return false };
        let Some((last, middle)) = rest.split_last() else { return at == text.len() };
        let Some(end) = match_end(last, text, at) else { return false };
        for part in middle {
            match find(part, &text[..end], at) {
                Some(after) => at = after,
                None => return false,
            }
        }
        true
    }
}

impl From<Arc<str>> for Like {
    fn from(pattern: Arc<str>) -> Self {
        let mut parts: Vec<Part> = vec![Vec::new()];
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            let part = parts.last_mut().expect("there is always a part");
            match (character, part.last_mut()) {
                ('%', _) => parts.push(Vec::new()),
                ('_', Some(Atom::Any(count))) => *count += 1,
                ('_', _) => part.push(Atom::Any(1)),
                (_, last) => {
                    // A backslash at the end stands for itself.
                    let literal = if character == '\\' { characters.next().unwrap_or('\\') } else { character };
                    match last {
                        Some(Atom::Literal(text)) => text.push(literal),
                        _ => part.push(Atom::Literal(literal.into())),
                    }
                }
            }
        }
        Self { pattern, parts }
    }
}

impl From<Like> for Arc<str> {
    fn from(like: Like) -> Self {
        like.pattern
    }
}

impl PartialEq for Like {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl fmt::Display for Like {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.pattern)
    }
}

/// Where `part` ends if it matches from `at` on.
fn match_at(part: &[Atom], text: &[u8], mut at: usize) -> Option<usize> {
    for atom in part {
        match atom {
            Atom::Literal(literal) => at += text[at..].starts_with(literal.as_bytes()).then_some(literal.len())?,
            Atom::Any(count) => {
                for _ in 0..*count {
                    at = after_character(text, at)?;
                }
            }
        }
    }
    Some(at)
}

/// Where `part` begins if it matches at the very end and not before `from`.
fn match_end(part: &[Atom], text: &[u8], from: usize) -> Option<usize> {
    let mut end = text.len();
    for atom in part.iter().rev() {
        match atom {
            Atom::Literal(literal) => end -= text[from..end].ends_with(literal.as_bytes()).then_some(literal.len())?,
            Atom::Any(count) => {
                for _ in 0..*count {
                    end = from + text[from..end].iter().rposition(|&byte| begins_character(byte))?;
                }
            }
        }
    }
    Some(end)
}

/// Where the leftmost match of `part` at or after `from` ends.
fn find(part: &[Atom], text: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let start = match part.first() {
            None => return Some(from),
            Some(Atom::Literal(literal)) => from + find_bytes(literal.as_bytes(), &text[from..])?,
            Some(Atom::Any(_)) => from,
        };
        if let Some(end) = match_at(part, text, start) {
            return Some(end);
        }
        from = after_character(text, start)?;
    }
}

/// Where `needle`, which isn't empty, is found first.
fn find_bytes(needle: &[u8], text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(starts) = text.get(at..(text.len() + 1).checked_sub(needle.len())?) {
        at += starts.iter().position(|&byte| byte == needle[0])?;
        if text[at..].starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Where the character at `at` ends; `None` at the end of the text.
fn after_character(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at + 1..)?;
    Some(at + 1 + rest.iter().position(|&byte| begins_character(byte)).unwrap_or(rest.len()))
}

/// Whether a byte isn't the continuation of a character.
fn begins_character(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, by backtracking.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            (['%', rest @ ..], _) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            (['_', rest @ ..], [_, more @ ..]) => naive(rest, more),
            (['\\', literal, rest @ ..], [character, more @ ..]) => literal == character && naive(rest, more),
            ([literal, rest @ ..], [character, more @ ..]) => literal == character && naive(rest, more),
            _ => false,
        }
    }

    #[test]
    fn patterns() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(Like::from(Arc::from(pattern)).matches(text.as_bytes()), expected, "{text:?} like {pattern:?}");
        };
        check("abc", "abc", true);
        check("abc", "abcd", false);
        check("", "", true);
        check("", "a", false);
        check("%", "", true);
        check("a%", "abc", true);
        check("a%", "ba", false);
        check("%c", "abc", true);
        check("%b%", "abc", true);
        check("a%a", "a", false);
        check("a%a", "aa", true);
        check("_", "中", true);
        check("__", "中", false);
        check("%_中", "é中", true);
        check("100\\%", "100%", true);
        check("100\\%", "1000", false);
        check("a\\_b", "a_b", true);
        check("a\\_b", "axb", false);
        check("a\\\\b", "a\\b", true);
        check("a\\", "a\\", true);
        check("%ab%ab%", "abab", true);
        check("%ab%ab%", "aba", false);
        check("a%\n%b", "a\n\nb", true);
        check("Abc", "abc", false);
        assert_eq!(Like::from(Arc::from("ab\\%c_d%")).prefix(), "ab%c");
        assert_eq!(Like::from(Arc::from("%a")).prefix(), "");
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_text_do_not_panic(pattern in "[ab%_é]{0,8}", text: Vec<u8>) {
            Like::from(Arc::from(pattern.as_str())).matches(&text);
        }

        #[test]
        fn agrees_with_the_definition(pattern in "[ab%_é]{0,8}", text in "[abé]{0,10}") {
            let expected = naive(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(Like::from(Arc::from(pattern.as_str())).matches(text.as_bytes()), expected);
        }
    }
}
