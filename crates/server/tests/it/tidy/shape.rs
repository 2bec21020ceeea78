//! The shape of files and functions: short enough to hold in the head, and introduced by a doc.
//!
//! Lines of tests and generated code don't count. Arguments are clippy's business (`clippy.toml`).

use super::source::{Source, item_end, sources, words};
use super::{Offence, assert_none, found};

/// A file that passes this should be cut soon: a warning.
const FILE_LINES_WANTED: usize = 500;
/// A file that passes this fails.
const FILE_LINES_MAX: usize = 800;
/// One screen.
const FUNCTION_LINES_MAX: usize = 70;

/// Functions that may be longer: file, name, reason.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

fn file_lines(source: &Source) -> usize {
    source.test.iter().filter(|&&test| !test).count()
}

fn file_offences(sources: &[Source], max: usize) -> Vec<Offence> {
    sources
        .iter()
        .filter(|source| !source.is_generated() && file_lines(source) > max)
        .map(|source| Offence::new(&source.path, format!("{} lines; {max} are allowed", file_lines(source))))
        .collect()
}

fn function_offences(sources: &[Source]) -> Vec<Offence> {
    let mut offences = Vec::new();
    for source in sources.iter().filter(|source| !source.is_generated()) {
        for (start, end) in words(&source.code, "fn") {
            let name: String = source.code[end..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let first = source.line_of(start);
            // `fn(u8) -> u8` is a type.
            if name.is_empty() || source.is_test(first) {
                continue;
            }
            let lines = source.line_of(item_end(&source.code, end)) - first + 1;
            let excepted = LONG_FUNCTIONS.iter().any(|(path, long, _)| *path == source.path && *long == name);
            if lines > FUNCTION_LINES_MAX && !excepted {
                offences.push(Offence::at(&source.path, first, format!("`{name}` has {lines} lines; {FUNCTION_LINES_MAX} are allowed")));
            }
        }
    }
    offences
}

fn doc_offences(sources: &[Source]) -> Vec<Offence> {
    sources
        .iter()
        .filter(|source| !source.is_generated() && !source.text.starts_with("//! "))
        .map(|source| Offence::at(&source.path, 0, "does not open with a `//!` that says what it is"))
        .collect()
}

#[test]
fn files_are_short() {
    for offence in file_offences(sources(), FILE_LINES_WANTED) {
        println!("warning: {offence}");
    }
    assert_none(file_offences(sources(), FILE_LINES_MAX));
}

#[test]
fn functions_fit_a_screen() {
    assert_none(function_offences(sources()));
}

#[test]
fn files_say_what_they_are() {
    assert_none(doc_offences(sources()));
}

#[test]
fn long_and_silent_files_are_caught() {
    let body = "    a();\n".repeat(FUNCTION_LINES_MAX);
    let long =
        Source::new("crates/a/src/b.rs", &format!("fn short() {{\n}}\n\nfn long(f: fn(u8) -> [u8; 2]) -> u8\nwhere\n{{\n{body}}}\n"));
    assert_eq!(found(function_offences(&[long])), ["crates/a/src/b.rs:4: `long` has 74 lines; 70 are allowed"]);
    let test = Source::new("crates/a/src/b.rs", &format!("//! B.\n#[cfg(test)]\nmod tests {{\nfn long() {{\n{body}}}\n}}\n"));
    assert!(function_offences(&[test]).is_empty());

    let long = Source::new("crates/a/src/b.rs", &"const A: u8 = 1;\n".repeat(3));
    assert_eq!(found(file_offences(&[long], 2)), ["crates/a/src/b.rs: 3 lines; 2 are allowed"]);
    let silent = Source::new("crates/a/src/b.rs", "use x;\n");
    assert_eq!(found(doc_offences(&[silent])), ["crates/a/src/b.rs:1: does not open with a `//!` that says what it is"]);
}
