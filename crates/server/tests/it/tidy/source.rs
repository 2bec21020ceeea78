//! A Rust file as the rules see it: its text, its code without comments and strings, and which lines are test code.
//!
//! This is no parser. It relies on rustfmt's layout and on the three things that a search must not trip over: comments,
//! literals, and paths that an import has shortened. What a macro hides stays hidden.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// One Rust file.
pub struct Source {
    /// Relative to the repository's root, with `/`.
    pub path: String,
    pub text: String,
    /// `text` with every comment and literal blanked: same bytes, same lines.
    pub code: String,
    /// Per line: is it compiled for tests only?
    pub test: Vec<bool>,
}

/// A path as the code writes it, with its first segment replaced by what was imported under that name.
pub struct Use {
    pub line: usize,
    pub path: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        let test = if is_test_path(path) { vec![true; text.lines().count()] } else { test_lines(&code) };
        Self { path: path.to_owned(), text: text.to_owned(), code, test }
    }

    /// Written by a generator: nobody is asked to read it.
    pub fn is_generated(&self) -> bool {
        self.path.contains("/gen/")
    }

    pub fn is_test(&self, line: usize) -> bool {
        self.test.get(line).copied().unwrap_or(false)
    }

    /// The line, from zero, of the byte at `offset`.
    pub fn line_of(&self, offset: usize) -> usize {
        self.code[..offset].bytes().filter(|&byte| byte == b'\n').count()
    }

    /// Every path in the code: those that `use` brings in, and those in the text, resolved through the imports.
    pub fn paths(&self) -> Vec<Use> {
        let mut uses = Vec::new();
        let mut imports = BTreeMap::new();
        let mut body = self.code.clone();
        for (start, _) in words(&self.code, "use") {
            let Some(length) = self.code[start..].find(';') else { continue };
            let tree = &self.code[start + "use".len()..start + length];
            for (path, name) in flatten(tree) {
                uses.push(Use { line: self.line_of(start), path: path.clone() });
                imports.insert(name, path);
            }
            // Only the text outside of imports is left for the second pass.
            let blanked: String = self.code[start..start + length].chars().map(blank_char).collect();
            body.replace_range(start..start + length, &blanked);
        }
        for (line, text) in body.lines().enumerate() {
            for path in path_expressions(text) {
                let (first, rest) = path.split_once("::").map_or((path, ""), |(first, rest)| (first, rest));
                let path = match imports.get(first) {
                    Some(full) if rest.is_empty() => full.clone(),
                    Some(full) => format!("{full}::{rest}"),
                    None => path.to_owned(),
                };
                uses.push(Use { line, path });
            }
        }
        uses
    }
}

/// All Rust files of the crates, read once.
pub fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let mut sources: Vec<Source> = files()
            .iter()
            .filter(|path| path.starts_with("crates/") && path.ends_with(".rs"))
            .filter_map(|path| Some(Source::new(path, &std::fs::read_to_string(super::root().join(path)).ok()?)))
            .collect();
        mark_test_modules(&mut sources);
        sources
    })
}

/// Files that git knows, and new ones that it doesn't ignore.
pub fn files() -> &'static [String] {
    static FILES: OnceLock<Vec<String>> = OnceLock::new();
    FILES.get_or_init(|| {
        let listed = super::output("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let names: BTreeSet<&str> = listed.split('\0').filter(|name| !name.is_empty()).collect();
        names.into_iter().map(str::to_owned).collect()
    })
}

fn is_test_path(path: &str) -> bool {
    let outside_of_src = ["/tests/", "/benches/", "/examples/"].iter().any(|folder| path.contains(folder));
    outside_of_src || path.ends_with("/tests.rs")
}

/// `#[cfg(test)] mod name;` makes a test of a file that doesn't look like one.
fn mark_test_modules(sources: &mut [Source]) {
    let mut files = BTreeSet::new();
    for source in sources.iter() {
        let folder = source.path.trim_end_matches("/lib.rs").trim_end_matches("/main.rs").trim_end_matches("/mod.rs");
        let folder = folder.trim_end_matches(".rs");
        for (start, _) in words(&source.code, "mod") {
            let declaration = source.code[start + "mod".len()..].split(['{', ';']).next().unwrap_or_default().trim();
            let line = source.line_of(start);
            if source.is_test(line) && source.code[start..].starts_with(&format!("mod {declaration};")) {
                files.insert(format!("{folder}/{declaration}.rs"));
                files.insert(format!("{folder}/{declaration}/mod.rs"));
            }
        }
    }
    for source in sources.iter_mut().filter(|source| files.contains(&source.path)) {
        source.test.fill(true);
    }
}

/// The lines of items under an attribute that asks for `test`.
fn test_lines(code: &str) -> Vec<bool> {
    let mut marked = vec![false; code.lines().count()];
    let line_of = |offset: usize| code[..offset].bytes().filter(|&byte| byte == b'\n').count();
    for (start, _) in code.match_indices("#[cfg(") {
        let end = start + code[start..].find(")]").map_or(0, |length| length + 2);
        let condition = &code[start..end];
        if words(condition, "test").is_empty() || condition.contains("not(test)") {
            continue;
        }
        let stop = item_end(code, end);
        let last = line_of(stop).min(marked.len().saturating_sub(1));
        marked[line_of(start)..=last].fill(true);
    }
    marked
}

/// The end of the item that begins after `from`: its `;`, or the brace that closes its body.
pub fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return offset;
                }
            }
            b';' if depth == 0 => return offset,
            _ => {}
        }
    }
    code.len()
}

/// Where `word` stands alone in `code`: (start, end).
pub fn words(code: &str, word: &str) -> Vec<(usize, usize)> {
    let in_a_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word)
        .map(|(start, _)| (start, start + word.len()))
        .filter(|&(start, end)| !in_a_word(code[..start].chars().next_back()) && !in_a_word(code[end..].chars().next()))
        .collect()
}

/// `std::{fs, net::TcpStream as Stream}` as (path, name it goes by) pairs.
fn flatten(tree: &str) -> Vec<(String, String)> {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let prefix = tree[..open].trim();
        let inner = tree[open + 1..].trim_end().trim_end_matches('}');
        return split_level(inner)
            .into_iter()
            .flat_map(flatten)
            .map(|(path, name)| match path.as_str() {
                "self" => (prefix.trim_end_matches("::").to_owned(), last_segment(prefix.trim_end_matches("::")).to_owned()),
                _ => (format!("{prefix}{path}"), name),
            })
            .collect();
    }
    let (path, name) = tree.split_once(" as ").unwrap_or((tree, last_segment(tree)));
    let path = path.trim().trim_start_matches("::");
    if path.is_empty() { Vec::new() } else { vec![(path.to_owned(), name.trim().to_owned())] }
}

fn last_segment(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

/// `text` cut at the commas outside of its braces.
fn split_level(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&text[start..offset]);
                start = offset + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The `a::b::c` in a line of code, single names included, fields and methods not.
fn path_expressions(line: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut paths = Vec::new();
    let mut before = ' ';
    let mut rest = line;
    while let Some(start) = rest.find(is_part) {
        before = rest[..start].chars().next_back().unwrap_or(before);
        let length = rest[start..].find(|c| !is_part(c)).unwrap_or(rest.len() - start);
        let path = rest[start..start + length].trim_matches(':');
        if before != '.' && path.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            paths.push(path);
        }
        rest = &rest[start + length..];
        before = ' ';
    }
    paths
}

fn blank_char(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

/// The text with comments and literals blanked, byte for byte.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_or_comment(bytes, at);
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut code[at..end] {
            *byte = if *byte == b'\n' { b'\n' } else { b' ' };
        }
        at = end;
    }
    String::from_utf8(code).expect("only whole characters of comments and literals were replaced, by ASCII")
}

/// The end of the comment or literal that starts at `at`; `at` itself where none does.
fn literal_or_comment(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let inside_a_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => at + block_comment(rest),
        [b'"', ..] => at + quoted(rest, b'"'),
        [b'b' | b'c', b'"', ..] if !inside_a_word => at + 1 + quoted(&rest[1..], b'"'),
        [b'b', b'\'', ..] if !inside_a_word => at + 1 + quoted(&rest[1..], b'\''),
        [b'r', b'"' | b'#', ..] if !inside_a_word => at + raw(rest, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !inside_a_word => at + raw(rest, 2),
        // A lifetime has no closing quote after its first character; 'x' and '\n' have.
        [b'\'', b'\\', ..] => at + quoted(rest, b'\''),
        [b'\'', first, ..] if *first != b'\'' => {
            let width = 1 + rest[2..].iter().take_while(|&&byte| byte & 0xC0 == 0x80).count();
            if rest.get(1 + width) == Some(&b'\'') { at + width + 2 } else { at }
        }
        _ => at,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A raw string whose `#`s begin at `hashes_at`; a raw identifier (`r#type`) is none and has no length.
fn raw(rest: &[u8], hashes_at: usize) -> usize {
    let hashes = rest[hashes_at..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(hashes_at + hashes) != Some(&b'"') {
        return 0;
    }
    let mut closing = vec![b'"'];
    closing.resize(1 + hashes, b'#');
    let body = hashes_at + hashes + 1;
    let length = rest[body..].windows(closing.len()).position(|window| window == closing);
    length.map_or(rest.len(), |length| body + length + closing.len())
}

#[test]
fn comments_and_literals_are_no_code() {
    let check = |text: &str, expected: &str| assert_eq!(blank(text).trim_end(), expected, "{text}");
    check("a // b", "a");
    check("a /* /* b */ c */ d", "a                 d");
    check(r#"f("x\"y") + 1"#, "f(      ) + 1");
    check(r##"f(r#"x"y"#) + 1"##, "f(        ) + 1");
    check("let r#type = 'x';", "let r#type =    ;");
    check(r"f::<'a>('\'', b'x')", "f::<'a>(    ,     )");
    check("'ä' + \"ä\"\nb", "     +     \nb");
}

#[test]
fn paths_are_resolved_through_imports() {
    let text = "use std::{fs::{self, File}, time::Instant as Clock};\nfn f() { Clock::now(); fs::read(x.fs); tokio::spawn(y); }\n";
    let paths: Vec<String> = Source::new("crates/a/src/b.rs", text).paths().into_iter().map(|found| found.path).collect();
    for path in ["std::fs", "std::fs::File", "std::time::Instant::now", "std::fs::read", "tokio::spawn"] {
        assert!(paths.iter().any(|found| found == path), "{path} is not among {paths:?}");
    }
    assert_eq!(paths.iter().filter(|path| *path == "std::fs").count(), 1, "a field is no path: {paths:?}");
}

#[test]
fn test_code_is_recognised() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n#[cfg(not(test))]\nfn c() {}\n";
    let source = Source::new("crates/a/src/b.rs", text);
    assert_eq!(source.test, [false, true, true, true, true, false, false]);
    assert!(Source::new("crates/a/tests/it/b.rs", "fn a() {}\n").is_test(0));

    let mut sources = [
        Source::new("crates/a/src/b.rs", "#[cfg(test)]\nmod oracle;\nmod real;\n"),
        Source::new("crates/a/src/b/oracle.rs", "fn a() {}\n"),
        Source::new("crates/a/src/b/real.rs", "fn a() {}\n"),
    ];
    mark_test_modules(&mut sources);
    assert_eq!([sources[1].is_test(0), sources[2].is_test(0)], [true, false]);
}
