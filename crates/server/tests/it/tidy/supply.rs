//! What we take from elsewhere: no package that we don't want, none under a licence that we can't pass on.
//!
//! The list is cargo's own tree of what is built here, features resolved. It holds nothing of other platforms.

use std::collections::BTreeMap;

use super::{Offence, assert_none, found};

/// Packages that may not be built: name, why, and the packages that may need them all the same.
const FORBIDDEN: &[(&str, &str, &[&str])] = &[
    ("ring", "TLS has one provider, aws-lc-rs", &[]),
    ("native-tls", "TLS has one implementation, rustls", &[]),
    ("openssl", "TLS has one implementation, rustls", &[]),
    ("openssl-sys", "TLS has one implementation, rustls", &["rdkafka-sys"]),
    ("serde_yaml", "abandoned: yaml_serde", &[]),
    ("serde_yml", "abandoned: yaml_serde", &[]),
    ("arrow", "the facade compiles for two minutes what nobody calls: name its parts", &[]),
    ("async-std", "one runtime, tokio", &[]),
];

/// Licences that ask for no more than to be named.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// A package that is built.
#[derive(Default)]
struct Package {
    licence: String,
    /// Packages that need it.
    needed_by: Vec<String>,
}

fn tree() -> BTreeMap<String, Package> {
    parse(&super::cargo(&["tree", "--workspace", "--offline", "--edges", "normal,build,dev", "--prefix", "depth", "--format", "|{p}|{l}"]))
}

/// Lines of `DEPTH|NAME vVERSION …|LICENCE`, each package's needs below it, one level deeper.
fn parse(tree: &str) -> BTreeMap<String, Package> {
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    let mut path: Vec<String> = Vec::new();
    for line in tree.lines() {
        let mut parts = line.split('|');
        let (Some(depth), Some(package), Some(licence)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let depth: usize = depth.parse().expect("cargo was asked for the depth");
        let name = package.split(' ').next().unwrap_or(package).to_owned();
        let entry = packages.entry(name.clone()).or_default();
        licence.trim_end_matches(" (*)").trim().clone_into(&mut entry.licence);
        path.truncate(depth);
        entry.needed_by.extend(path.last().cloned());
        path.push(name);
    }
    packages
}

fn forbidden_offences(packages: &BTreeMap<String, Package>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (name, why, excepted) in FORBIDDEN {
        let Some(package) = packages.get(*name) else { continue };
        for user in package.needed_by.iter().filter(|user| !excepted.contains(&user.as_str())) {
            offences.push(Offence::new(user, format!("needs `{name}`: {why}")));
        }
    }
    offences
}

fn licence_offences(packages: &BTreeMap<String, Package>) -> Vec<Offence> {
    packages
        .iter()
        .filter(|(_, package)| !permits(&package.licence))
        .map(|(name, package)| Offence::new(name, format!("licence `{}` is not one that we know to pass on", package.licence)))
        .collect()
}

/// Does this SPDX expression leave us a choice of known licences only? `/` is an old way to write OR.
fn permits(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    !words.is_empty() && any(&words, &mut at) && at == words.len()
}

fn any(words: &[&str], at: &mut usize) -> bool {
    let mut permitted = all(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        permitted |= all(words, at);
    }
    permitted
}

fn all(words: &[&str], at: &mut usize) -> bool {
    let mut permitted = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        permitted &= one(words, at);
    }
    permitted
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(&word) = words.get(*at) else { return false };
    *at += 1;
    if word == "(" {
        let permitted = any(words, at);
        *at += 1;
        return permitted;
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        *at += 2;
        return LICENCES.contains(&format!("{word} WITH {exception}").as_str());
    }
    LICENCES.contains(&word)
}

#[test]
fn no_unwanted_package_is_built() {
    assert_none(forbidden_offences(&tree()));
}

#[test]
fn licences_can_be_passed_on() {
    assert_none(licence_offences(&tree()));
}

#[test]
fn bad_packages_are_caught() {
    let tree = "0|server v0.1.0|Apache-2.0\n1|fast v1.0.0|MIT OR GPL-3.0\n2|ring v0.17.0|ISC (*)\n1|rdkafka-sys v4.0.0|MIT\n2|openssl-sys v0.9.0|MIT\n1|copied v1.0.0|GPL-3.0\n1|silent v1.0.0|\n";
    let packages = parse(tree);
    assert_eq!(found(forbidden_offences(&packages)), ["fast: needs `ring`: TLS has one provider, aws-lc-rs"]);
    assert_eq!(
        found(licence_offences(&packages)),
        ["copied: licence `GPL-3.0` is not one that we know to pass on", "silent: licence `` is not one that we know to pass on",]
    );
}

#[test]
fn licence_expressions_are_read() {
    let check = |expression: &str, expected: bool| assert_eq!(permits(expression), expected, "{expression}");
    check("MIT/Apache-2.0", true);
    check("(MIT OR Apache-2.0) AND Unicode-3.0", true);
    check("MIT AND (GPL-2.0 OR BSD-3-Clause)", true);
    check("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true);
    check("(MIT OR Apache-2.0) AND GPL-2.0", false);
    check("GPL-2.0 WITH Classpath-exception-2.0", false);
    check("MIT OR", true);
    check("MIT MIT", false);
    check("", false);
}
