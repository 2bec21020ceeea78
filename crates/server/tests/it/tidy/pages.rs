//! The pages: what they point at exists, and every file format names the test that keeps it.

use super::source::files;
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
