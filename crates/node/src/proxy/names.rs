//! What names may look like, with Milvus's texts.
//!
//! Lengths are bytes. A name of exactly the limit is allowed, whatever the texts say.

use types::{Code, Error, Result};

/// Words of the filter language, which reads each in lower and in upper case: no field has such a name.
const KEYWORDS: [&str; 18] = [
    "like",
    "exists",
    "and",
    "or",
    "not",
    "in",
    "json_contains",
    "json_contains_all",
    "json_contains_any",
    "array_contains",
    "array_contains_all",
    "array_contains_any",
    "array_length",
    "true",
    "false",
    "text_match",
    "phrase_match",
    "random_sample",
];
/// Two more spellings of booleans.
const CAPITALISED: [&str; 2] = ["True", "False"];

/// Checks the name of a collection.
///
/// # Errors
/// 1100 with Milvus's text.
pub fn collection(name: &str, limit: usize) -> Result<()> {
    collection_or_alias(name, "collection", "name", limit)
}

fn collection_or_alias(name: &str, noun: &str, what: &str, limit: usize) -> Result<()> {
    if name.is_empty() {
        return Err(Error::invalid(format!("{noun} {what} should not be empty")));
    }
    let wrong = |text: String| Err(Error::invalid(format!("Invalid {noun} {what}: {}. {text}", name.trim_end())));
    if name.len() > limit {
        return wrong(format!("the length of a {noun} {what} must be less than {limit} characters"));
    }
    if !begins_well(name) {
        return wrong(format!("the first character of a {noun} {what} must be an underscore or letter"));
    }
    if !name.bytes().all(is_word) {
        return wrong(format!("{noun} {what} can only contain numbers, letters and underscores"));
    }
    Ok(())
}

/// Checks the name of a new partition; `strict` is off where an existing one is named.
///
/// # Errors
/// 1100 with Milvus's text.
pub fn partition(name: &str, limit: usize, strict: bool) -> Result<()> {
    let name = name.trim();
    let wrong = |text: &str| Err(Error::invalid(format!("Invalid partition name: {name}. {text}")));
    if name.is_empty() {
        return Err(Error::invalid("Invalid partition name: . Partition name should not be empty."));
    }
    if name.len() > limit {
        return wrong(&format!("The length of a partition name must be less than {limit} characters."));
    }
    if strict && !name.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric()) {
        return wrong("The first character of a partition name must be an underscore or letter.");
    }
    if strict && !name.bytes().all(|byte| is_word(byte) || byte == b'-') {
        return wrong("Partition name can only contain numbers, letters and underscores.");
    }
    Ok(())
}

/// Checks the name of a field.
///
/// # Errors
/// 1701 with Milvus's text.
pub fn field(name: &str, limit: usize) -> Result<()> {
    let invalid = |text: String| Err(Error::about(Code::FIELD_NAME, &[("field", &name)]).context(text));
    if name.is_empty() {
        return invalid("field name should not be empty".to_owned());
    }
    let wrong = |text: String| invalid(format!("Invalid field name: {}. {text}", name.trim_end()));
    if name.len() > limit {
        return wrong(format!("The length of a field name must be less than {limit} characters."));
    }
    if !begins_well(name) {
        return wrong("The first character of a field name must be an underscore or letter.".to_owned());
    }
    if !name.bytes().all(is_word) {
        return wrong("Field name can only contain numbers, letters, and underscores.".to_owned());
    }
    if is_keyword(name) {
        return wrong(format!("{name} is keyword in milvus."));
    }
    Ok(())
}

/// Checks the name of an index.
///
/// # Errors
/// 1100 with Milvus's text.
pub fn index(name: &str, limit: usize) -> Result<()> {
    let wrong = |text: String| Err(Error::invalid(format!("Invalid index name: {}. {text}", name.trim_end())));
    if name.len() > limit {
        return wrong(format!("The length of a index name must be less than {limit} characters."));
    }
    if !begins_well(name) {
        return wrong("The first character of a index name must be an underscore or letter.".to_owned());
    }
    if !name.bytes().all(|byte| is_word(byte) || byte == b'[' || byte == b']') {
        return wrong("Index name can only contain numbers, letters, and underscores.".to_owned());
    }
    Ok(())
}

fn begins_well(name: &str) -> bool {
    name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

fn is_keyword(name: &str) -> bool {
    let is_word = |word: &str| name == word || name == word.to_ascii_uppercase();
    name.eq_ignore_ascii_case("null") || CAPITALISED.contains(&name) || KEYWORDS.into_iter().any(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(result: Result<()>, code: i32, text: &str) {
        match result {
            Ok(()) => assert_eq!((0, ""), (code, text)),
            Err(error) => assert_eq!((error.code().0, error.reason()), (code, text)),
        }
    }

    #[test]
    fn collections() {
        let long = "c".repeat(256);
        check(collection("_a1", 255), 0, "");
        check(collection(&long[1..], 255), 0, "");
        check(collection("", 255), 1100, "collection name should not be empty: invalid parameter");
        let first = "the first character of a collection name must be an underscore or letter";
        check(collection("1a", 255), 1100, &format!("Invalid collection name: 1a. {first}: invalid parameter"));
        check(collection(" ", 255), 1100, &format!("Invalid collection name: . {first}: invalid parameter"));
        let only = "collection name can only contain numbers, letters and underscores";
        check(collection("a-b", 255), 1100, &format!("Invalid collection name: a-b. {only}: invalid parameter"));
        let length = "the length of a collection name must be less than 255 characters";
        check(collection(&long, 255), 1100, &format!("Invalid collection name: {long}. {length}: invalid parameter"));
    }

    #[test]
    fn partitions() {
        check(partition("1-a_b", 255, true), 0, "");
        check(partition("(wrong)", 255, false), 0, "");
        check(partition("", 255, false), 1100, "Invalid partition name: . Partition name should not be empty.: invalid parameter");
        let first = "The first character of a partition name must be an underscore or letter.";
        check(partition("(mn)", 255, true), 1100, &format!("Invalid partition name: (mn). {first}: invalid parameter"));
        let only = "Partition name can only contain numbers, letters and underscores.";
        check(partition("p$", 255, true), 1100, &format!("Invalid partition name: p$. {only}: invalid parameter"));
    }

    #[test]
    fn fields() {
        for name in ["a", "_a", "Like", "nothing", "isnull"] {
            check(field(name, 255), 0, "");
        }
        let first = "The first character of a field name must be an underscore or letter.";
        check(field("1x", 255), 1701, &format!("Invalid field name: 1x. {first}: field name invalid[field=1x]"));
        check(field("", 255), 1701, "field name should not be empty: field name invalid[field=]");
        for name in ["like", "LIKE", "nUlL", "True", "json_contains", "ARRAY_LENGTH"] {
            let text = format!("Invalid field name: {name}. {name} is keyword in milvus.: field name invalid[field={name}]");
            check(field(name, 255), 1701, &text);
        }
    }

    #[test]
    fn indexes() {
        check(index("_idx[a]", 255), 0, "");
        let first = "The first character of a index name must be an underscore or letter.";
        check(index("1", 255), 1100, &format!("Invalid index name: 1. {first}: invalid parameter"));
    }
}
