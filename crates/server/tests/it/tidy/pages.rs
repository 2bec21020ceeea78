//! The pages: what they point at exists, every file format names the test that keeps it, and what code says it follows (`docs/protocol.md` §3)
//! is there.

use super::source::{files, sources};
use super::{Offence, assert_none, found, root};

/// Pages about formats of files.
const FORMATS: &str = "docs/formats/";

/// Links of a page that lead nowhere. `exists` is asked about paths from the repository's root.
fn link_offences(page: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Offence> {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut offences = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', '#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") && !exists(&resolve(folder, target)) {
                offences.push(Offence::at(page, number, format!("the link to `{target}` leads nowhere")));
            }
        }
    }
    offences
}

/// `../a/b` as seen from `folder`.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A page about a format names, in backticks, at least one test or fuzz target of it, and none that isn't there.
fn format_offences(page: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Offence> {
    if !page.starts_with(FORMATS) || page.ends_with("/README.md") {
        return Vec::new();
    }
    let named = text.split('`').skip(1).step_by(2);
    let targets: Vec<&str> = named
        .filter(|name| !name.contains([' ', '<']) && name.ends_with(".rs") && name.contains('/'))
        .filter(|name| name.contains("test") || name.contains("fuzz"))
        .collect();
    if targets.is_empty() {
        return vec![Offence::new(page, "names no test or fuzz target, as in `crates/wal/tests/it/frames.rs`")];
    }
    let missing = targets.into_iter().filter(|target| !exists(target));
    missing.map(|target| Offence::new(page, format!("names `{target}`, which isn't there"))).collect()
}

/// What a line names of a page: its file, then sections and rules of it.
struct Reference<'a> {
    page: &'a str,
    sections: Vec<u32>,
    rules: Vec<u32>,
    /// Where in the line it ends.
    end: usize,
}

/// The pages that a line names by their file, with the `§3, §4` or `rule 7` that follows.
fn references(line: &str) -> Vec<Reference<'_>> {
    let of_a_path = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let mut found = Vec::new();
    for (at, suffix) in line.match_indices(".md") {
        let start = line[..at].rfind(|c| !of_a_path(c)).map_or(0, |before| before + 1);
        let mut reference =
            Reference { page: &line[start..at + suffix.len()], sections: Vec::new(), rules: Vec::new(), end: at + suffix.len() };
        loop {
            let rest = &line[reference.end..];
            let after = rest.trim_start_matches(['`', ',', ' ']);
            let (list, number) = match (after.strip_prefix('§'), after.strip_prefix("rule ")) {
                (Some(number), _) => (&mut reference.sections, number),
                (_, Some(number)) => (&mut reference.rules, number),
                _ => break,
            };
            let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
            let Ok(named) = number[..digits].parse() else { break };
            list.push(named);
            reference.end = line.len() - number.len() + digits;
        }
        found.push(reference);
    }
    found
}

/// References of code to pages, sections and rules that aren't there, or that leave open which page they mean. `read` gives a page.
fn reference_offences(path: &str, text: &str, read: &dyn Fn(&str) -> Option<String>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut offend = |what: String| offences.push(Offence::at(path, number, what));
        let (mut sections, mut rules) = (0, 0);
        for reference in references(line) {
            sections += reference.sections.len();
            rules += reference.rules.len();
            let Some(page) = read(reference.page) else {
                offend(format!("names `{}`, which isn't there", reference.page));
                continue;
            };
            let has = |start: String| page.lines().any(|line| line.starts_with(&start));
            for section in reference.sections.iter().filter(|section| !has(format!("## {section}. "))) {
                offend(format!("`{}` has no §{section}", reference.page));
            }
            for rule in reference.rules.iter().filter(|rule| !has(format!("{rule}. "))) {
                offend(format!("`{}` has no rule {rule}", reference.page));
            }
        }
        let named_rules =
            line.match_indices("rule ").filter(|(at, word)| line[at + word.len()..].starts_with(|c: char| c.is_ascii_digit()));
        if line.matches('§').count() > sections || named_rules.count() > rules {
            offend("names a section or a rule without its page, as in `docs/protocol.md` §3".to_owned());
        }
    }
    offences
}

fn pages() -> impl Iterator<Item = (&'static str, String)> {
    let names = files().iter().map(String::as_str).filter(|path| path.ends_with(".md"));
    names.filter_map(|path| Some((path, std::fs::read_to_string(root().join(path)).ok()?)))
}

fn exists(path: &str) -> bool {
    root().join(path).exists()
}

#[test]
fn links_lead_somewhere() {
    assert_none(pages().flat_map(|(page, text)| link_offences(page, &text, &exists)).collect());
}

#[test]
fn formats_name_their_tests() {
    assert_none(pages().flat_map(|(page, text)| format_offences(page, &text, &exists)).collect());
}

#[test]
fn what_code_follows_is_there() {
    // The rules' own samples are wrong on purpose.
    let code = sources().iter().filter(|source| !source.is_generated() && !source.path.starts_with("crates/server/tests/it/tidy/"));
    let read = |page: &str| std::fs::read_to_string(root().join(page)).ok();
    assert_none(code.flat_map(|source| reference_offences(&source.path, &source.text, &read)).collect());
}

#[test]
fn dead_references_are_caught() {
    let read = |page: &str| (page == "docs/a.md").then(|| "## 1. One\n\n2. **Two.**\n".to_owned());
    let check = |line: &str, expected: &[&str]| {
        assert_eq!(found(reference_offences("crates/a/src/b.rs", line, &read)), expected, "{line}");
    };
    check("// Nothing (`docs/a.md` §1), (`docs/a.md` rule 2), as `docs/a.md` says.", &[]);
    check("// `docs/a.md` §1, §3", &["crates/a/src/b.rs:1: `docs/a.md` has no §3"]);
    check("// `docs/a.md` rule 7", &["crates/a/src/b.rs:1: `docs/a.md` has no rule 7"]);
    check("// `log.md` §1", &["crates/a/src/b.rs:1: names `log.md`, which isn't there"]);
    for line in ["// loss (rule 7)", "// design §3", "// `docs/a.md` §1 and §2"] {
        check(line, &["crates/a/src/b.rs:1: names a section or a rule without its page, as in `docs/protocol.md` §3"]);
    }
}

#[test]
fn dead_links_and_unproven_formats_are_caught() {
    let known = |path: &str| ["docs/adr/0001-log.md", "crates/wal/tests/it/frames.rs"].contains(&path);
    assert_eq!(
        found(link_offences("docs/a.md", "[a](adr/0001-log.md#x) [b](b.md) [c](https://example.com) [d](#here)\n", &known)),
        ["docs/a.md:1: the link to `b.md` leads nowhere"]
    );
    assert!(link_offences("docs/formats/a.md", "[a](../adr/0001-log.md)", &known).is_empty());
    assert_eq!(
        found(format_offences("docs/formats/log.md", "Little-endian, `u32`.", &known)),
        ["docs/formats/log.md: names no test or fuzz target, as in `crates/wal/tests/it/frames.rs`"]
    );
    assert_eq!(
        found(format_offences("docs/formats/log.md", "`crates/wal/tests/it/frames.rs`, `fuzz/gone.rs`", &known)),
        ["docs/formats/log.md: names `fuzz/gone.rs`, which isn't there"]
    );
}
