//! Settings say what they do: a key that is declared as acted upon has a reader, and one that isn't has none.
//!
//! A reader is code outside of tests that spells the key's field after a `config`: `config.proxy.http.enabled`, also by way of
//! `let http = &config.proxy.http`.
//! So a key can't be parsed, documented and forgotten, and who builds what a key asks for has to take its mark away.

use std::collections::{BTreeMap, BTreeSet};

use base::config::{Config, Effect, KeyEntry};

use super::source::{Source, sources};
use super::{Offence, assert_none, found};

/// Keys that are read through a method of their section: key, the method as its callers spell it.
const THROUGH: &[(&str, &str)] = &[
    ("minio.address", "minio.endpoint"),
    ("minio.port", "minio.endpoint"),
    ("minio.useSSL", "minio.endpoint"),
    ("rootCoord.address", "root_coord.advertised"),
    ("dataCoord.address", "data_coord.advertised"),
    ("queryCoord.address", "query_coord.advertised"),
    ("indexCoord.address", "index_coord.advertised"),
    ("dataNode.address", "data_node.advertised"),
    ("queryNode.address", "query_node.advertised"),
    ("indexNode.address", "index_node.advertised"),
];

/// Where sections are declared: their own fields aren't readers, but what uses them beside that is.
const DECLARATIONS: &str = "crates/base/src/config/";
const USERS: [&str; 2] = ["crates/base/src/config/backends.rs", "crates/base/src/config/live.rs"];

/// How often a name may stand for another.
const ALIASES_DEEP: usize = 4;

/// Every `a.b.c` of the code outside of tests, with what `let x = &a.b;` made shorter put back.
fn chains(source: &Source) -> BTreeSet<String> {
    let kept = source.code.lines().enumerate().map(|(line, text)| if source.is_test(line) { "" } else { text });
    let code = kept.collect::<Vec<_>>().join(" ");
    let aliases = aliases(&code);
    dotted(&code).into_iter().map(|chain| expand(chain, &aliases)).collect()
}

fn expand(chain: String, aliases: &BTreeMap<String, String>) -> String {
    let mut chain = chain;
    for _ in 0..ALIASES_DEEP {
        let (first, rest) = chain.split_once('.').map_or((chain.as_str(), ""), |(first, rest)| (first, rest));
        match aliases.get(first) {
            Some(meant) if !rest.is_empty() && !meant.starts_with(&format!("{first}.")) => chain = format!("{meant}.{rest}"),
            _ => break,
        }
    }
    chain
}

/// `let a = &b.c;` and `let (a, d) = (&b.c, &e.f);`.
fn aliases(code: &str) -> BTreeMap<String, String> {
    let mut aliases = BTreeMap::new();
    for (at, _) in code.match_indices("let ") {
        let Some((names, values)) = code[at + "let ".len()..].split_once(';').and_then(|(whole, _)| whole.split_once(" = ")) else {
            continue;
        };
        let list = |text: &str| -> Vec<String> {
            let inner = text.trim().trim_start_matches('(').trim_end_matches(')');
            inner.split(',').map(|part| part.trim().trim_start_matches(['&', '*']).trim().to_owned()).collect()
        };
        let is_path = |text: &String| text.contains('.') && text.chars().all(|c| c.is_alphanumeric() || "._".contains(c));
        let is_name = |text: &String| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
        let pairs = list(names).into_iter().zip(list(values));
        aliases.extend(pairs.filter(|(name, value)| is_name(name) && is_path(value)));
    }
    aliases
}

/// Names with dots between them, across lines.
fn dotted(code: &str) -> Vec<String> {
    let of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut chains = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find(of_a_name) {
        rest = &rest[start..];
        let mut chain = String::new();
        loop {
            let end = rest.find(|c| !of_a_name(c)).unwrap_or(rest.len());
            chain.push_str(&rest[..end]);
            rest = &rest[end..];
            match rest.trim_start().strip_prefix('.') {
                Some(next) if next.starts_with(of_a_name) => {
                    chain.push('.');
                    rest = next;
                }
                _ => break,
            }
        }
        chains.push(chain);
    }
    chains
}

/// Whether a chain goes through the field of a `config`, whole names compared.
fn reads(chain: &str, field: &str) -> bool {
    format!(".{chain}.").contains(&format!(".config.{field}."))
}

fn setting_offences(keys: &[KeyEntry], sources: &[Source]) -> Vec<Offence> {
    let readers = sources.iter().filter(|source| !source.path.starts_with(DECLARATIONS) || USERS.contains(&source.path.as_str()));
    let chains: BTreeSet<String> = readers.flat_map(chains).filter(|chain| chain.contains('.')).collect();
    let mut offences = Vec::new();
    for entry in keys {
        let through = THROUGH.iter().find(|(key, _)| *key == entry.path);
        let field = through.map_or(entry.field.as_str(), |(_, method)| method);
        let is_read = chains.iter().any(|chain| reads(chain, field));
        match (is_read, entry.key.effect) {
            (true, Effect::Ignored | Effect::Refused(_)) => {
                offences.push(Offence::new(&entry.path, "is declared as not acted upon, and is read"));
            }
            (false, Effect::Acted) => {
                offences.push(Offence::new(&entry.path, "has no reader: `.ignored()` or `.refused(…)` belongs on it"))
            }
            _ => {}
        }
    }
    offences
}

#[test]
fn settings_say_what_they_do() {
    assert_none(setting_offences(&Config::keys(), sources()));
}

#[test]
fn settings_that_say_otherwise_are_caught() {
    let keys = Config::keys();
    let named = |path: &str| keys.iter().find(|entry| entry.path == path).unwrap_or_else(|| panic!("{path} isn't a key")).clone();
    let check = |key: &str, text: &str, expected: &[&str]| {
        let source = Source::new("crates/a/src/b.rs", text);
        assert_eq!(found(setting_offences(&[named(key)], &[source])), expected, "{key} {text}");
    };
    let (unread, read) =
        ("proxy.port: has no reader: `.ignored()` or `.refused(…)` belongs on it", "is declared as not acted upon, and is read");
    check("proxy.port", "fn f() { g(config.proxy.port); }", &[]);
    check("proxy.port", "fn f() { let (p, q) = (&config.proxy, 1); g(p\n    .port); }", &[]);
    check("proxy.port", "fn f() { let proxy = &config.proxy; g(proxy.port.to_string()); }", &[]);
    check("proxy.port", "fn f() { g(other.port, proxy.port_of); }", &[unread]);
    check("proxy.port", "#[cfg(test)]\nmod tests {\n    fn f() { g(config.proxy.port); }\n}\n", &[unread]);
    check("minio.port", "fn f() { config.minio.endpoint(); }", &[]);
    let tls = format!("common.security.tlsMode: {read}");
    check("common.security.tlsMode", "fn f() { g(config.common.security.tls_mode); }", &[&tls]);
}
