//! Words that must not be there: unfinished work, silenced lints, stray output, unsafe code out of its rooms, and paths of
//! the machine that a line was written on.

use super::source::{Source, files, sources, words};
use super::{Offence, assert_none, found};

/// In code outside of tests: what, why not, and the places where it may stand.
const CODE: &[(&str, &str, &[&str])] = &[
    ("todo!", "unfinished", &[]),
    ("unimplemented!", "unfinished", &[]),
    ("dbg!", "left from debugging", &[]),
    ("println!", "output is for the command line alone: use tracing", &["crates/server/src/cli"]),
    ("print!", "output is for the command line alone: use tracing", &["crates/server/src/cli"]),
    ("eprintln!", "output is for the command line alone: use tracing", &["crates/server/src/cli", "crates/server/src/main.rs"]),
    ("eprint!", "output is for the command line alone: use tracing", &["crates/server/src/cli"]),
    ("unwrap()", "say with `expect` why it can't fail, or return an error", &[]),
];

/// Marks of unfinished work, in any text file. Written in two halves, so that this file passes.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

/// Beginnings of paths that exist on one machine only.
const MACHINE: &[&str] =
    &[concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("C:", "\\")];

/// Files that may hold such marks or paths: path or its beginning, reason.
const TEXT_EXCEPTIONS: &[(&str, &str)] =
    &[("Cargo.lock", "written by cargo"), ("crates/proto/proto/", "Milvus's own words"), ("crates/proto/src/gen/", "Milvus's own words")];

/// Where `unsafe` may stand.
const UNSAFE: &[&str] =
    &["crates/kernel/src/", "crates/store/src/mmap", "crates/store/src/uring", "crates/proto/src/floats", "crates/server/src/memory"];

/// How far above an `unsafe` its reason may stand: a comment of a few lines.
const SAFETY_LINES: usize = 8;

fn code_offences(sources: &[Source]) -> Vec<Offence> {
    let mut offences = Vec::new();
    for source in sources.iter().filter(|source| !source.is_generated()) {
        let forbidden = CODE.iter().filter(|(_, _, places)| !places.iter().any(|place| source.path.starts_with(place)));
        for (word, why, _) in forbidden {
            // `word` ends in a sign, so only what stands before it can make it part of another name.
            for (start, _) in source.code.match_indices(word) {
                let before = source.code[..start].chars().next_back().unwrap_or(' ');
                let line = source.line_of(start);
                if !before.is_alphanumeric() && before != '_' && !source.is_test(line) {
                    offences.push(Offence::at(&source.path, line, format!("`{word}`: {why}")));
                }
            }
        }
    }
    offences
}

/// `#[allow(…)]`, `#[expect(…)]` and `#[ignore]` say why.
fn silence_offences(sources: &[Source]) -> Vec<Offence> {
    let mut offences = Vec::new();
    for source in sources.iter().filter(|source| !source.is_generated()) {
        for attribute in ["[allow(", "[expect("] {
            for (start, _) in source.code.match_indices(attribute) {
                let end = start + source.code[start..].find(")]").unwrap_or(0);
                if !source.code[start..end].contains("reason =") {
                    let line = source.line_of(start);
                    offences.push(Offence::at(&source.path, line, format!("`#{attribute}…)]` without a reason")));
                }
            }
        }
        for (start, _) in source.code.match_indices("#[ignore]") {
            offences.push(Offence::at(&source.path, source.line_of(start), "`#[ignore]` without a reason"));
        }
    }
    offences
}

fn unsafe_offences(sources: &[Source]) -> Vec<Offence> {
    let mut offences = Vec::new();
    for source in sources.iter().filter(|source| !source.is_generated()) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (start, end) in words(&source.code, "unsafe") {
            let line = source.line_of(start);
            let follows = source.code[end..].trim_start();
            if !source.is_test(line) && !UNSAFE.iter().any(|place| source.path.starts_with(place)) {
                offences.push(Offence::at(&source.path, line, "`unsafe` outside of the rooms for it"));
            }
            // A function states its conditions under `# Safety`, which clippy asks for where it is public.
            let argued = lines[line.saturating_sub(SAFETY_LINES)..=line].iter().any(|text| text.contains("SAFETY:"));
            if (follows.starts_with('{') || follows.starts_with("impl")) && !argued {
                offences.push(Offence::at(&source.path, line, "`unsafe` without a `SAFETY:` above it"));
            }
        }
    }
    offences
}

/// Marks of unfinished work and paths of a machine in one text.
fn text_offences(path: &str, text: &str) -> Vec<Offence> {
    let mut offences = Vec::new();
    if TEXT_EXCEPTIONS.iter().any(|(place, _)| path.starts_with(place)) {
        return offences;
    }
    for (number, line) in text.lines().enumerate() {
        for mark in MARKS.iter().filter(|mark| !words(line, mark).is_empty()) {
            offences.push(Offence::at(path, number, format!("`{mark}` marks unfinished work")));
        }
        for start in MACHINE.iter().filter(|start| names_a_path(line, start)) {
            offences.push(Offence::at(path, number, format!("a path below `{start}` exists on one machine only")));
        }
    }
    offences
}

/// A path starts at `start`, as opposed to one that merely contains it (`crates/work/src`, `http://host/root/`).
fn names_a_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back().unwrap_or(' ');
        !before.is_alphanumeric() && !"./_-}$".contains(before)
    })
}

#[test]
fn nothing_is_left_unfinished() {
    assert_none(code_offences(sources()));
}

#[test]
fn silenced_lints_have_reasons() {
    assert_none(silence_offences(sources()));
}

#[test]
fn unsafe_code_keeps_to_its_rooms() {
    assert_none(unsafe_offences(sources()));
}

#[test]
fn texts_are_finished_and_at_home_anywhere() {
    // What isn't text has no lines to look at.
    let texts = files().iter().filter_map(|path| Some((path, std::fs::read_to_string(super::root().join(path)).ok()?)));
    assert_none(texts.flat_map(|(path, text)| text_offences(path, &text)).collect());
}

#[test]
fn bad_words_are_caught() {
    let source = |text: &str| [Source::new("crates/node/src/a.rs", text)];
    assert_eq!(
        found(code_offences(&source("fn f() {\n    todo!()\n}\nfn g() { a.unwrap(); b.unwrap_or(1); my_todo!(); }\n// todo!\n"))),
        [
            "crates/node/src/a.rs:2: `todo!`: unfinished",
            "crates/node/src/a.rs:4: `unwrap()`: say with `expect` why it can't fail, or return an error",
        ]
    );
    assert_eq!(
        found(silence_offences(&source(
            "#[allow(dead_code)]\nfn f() {}\n#[allow(dead_code, reason = \"why\")]\nfn g() {}\n#[ignore]\nfn h() {}\n"
        ))),
        ["crates/node/src/a.rs:1: `#[allow(…)]` without a reason", "crates/node/src/a.rs:5: `#[ignore]` without a reason"]
    );
    assert_eq!(
        found(unsafe_offences(&source("fn f() {\n    unsafe { g() }\n}\n"))),
        ["crates/node/src/a.rs:2: `unsafe` outside of the rooms for it", "crates/node/src/a.rs:2: `unsafe` without a `SAFETY:` above it"]
    );
    let room = Source::new("crates/kernel/src/a.rs", "fn f() {\n    // SAFETY: g asks for nothing.\n    unsafe { g() }\n}\n");
    assert!(unsafe_offences(&[room]).is_empty());
    let text = format!("see {}me/a\n// {}: soon\nhttp://host{}x and crates{}y\n", "/ho", MARKS[0], MACHINE[2], MACHINE[3]);
    assert_eq!(
        found(text_offences("README.md", &text)),
        [
            format!("README.md:1: a path below `{}` exists on one machine only", MACHINE[0]),
            format!("README.md:2: `{}` marks unfinished work", MARKS[0]),
        ]
    );
}
