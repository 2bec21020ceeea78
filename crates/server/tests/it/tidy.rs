//! The house rules, as tests: what STYLE.md and ARCHITECTURE.md promise and a machine can see.
//!
//! Each rule is a function from what it reads to the places that break it, with a table of what it forbids and of the
//! exceptions, each with its reason. Beside it stands a test that feeds it a bad sample: a rule that can't fail isn't one.
//! The compiler and clippy see more than this does; what they check isn't repeated here.
//!
//! Start at [`source`] for what a rule is given; [`world`] is the rule that keeps the simulation honest.

mod layers;
mod pages;
mod settings;
mod shape;
mod source;
mod supply;
mod words;
mod world;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Offence {
    place: String,
    what: String,
}

impl Offence {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }

    /// `line` counts from zero, as the tables of [`source::Source`] do; editors count from one.
    fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self::new(format!("{path}:{}", line + 1), what)
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Fails with all offences at once: one run shows everything that is to be mended.
fn assert_none(mut offences: Vec<Offence>) {
    offences.sort();
    offences.dedup();
    let lines: Vec<String> = offences.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} places break this rule:\n{}\n", lines.len(), lines.join("\n"));
}

/// What a rule found in a sample, for the tests of the rules.
fn found(offences: Vec<Offence>) -> Vec<String> {
    offences.iter().map(ToString::to_string).collect()
}

/// The repository's root.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Standard output of a command in the repository's root.
fn output(program: impl Into<PathBuf>, arguments: &[&str]) -> String {
    let program = program.into();
    let output = Command::new(&program)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
    assert!(output.status.success(), "{} {} failed: {}", program.display(), arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo and git print UTF-8")
}

/// The cargo that runs this test, so that its answers are about the same toolchain.
fn cargo(arguments: &[&str]) -> String {
    output(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments)
}
