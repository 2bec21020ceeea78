//! Clock, chance, tasks, files and sockets come through `base`: one forgotten `Instant::now` and a seed no longer repeats.
//!
//! The rule looks at paths, imports resolved. What a library does on its own is invisible here; the adapters around such
//! libraries are the exceptions below. `std::net`'s addresses are data and free for all.

use super::source::{Source, sources};
use super::{Offence, assert_none, found};

/// What only `base` names, and what to take instead.
const WORLD: &[(&str, &str)] = &[
    ("std::time::SystemTime::now", "base::clock"),
    ("std::time::Instant::now", "base::clock"),
    ("tokio::time::Instant::now", "base::clock"),
    ("std::thread::spawn", "base::cpu"),
    ("std::thread::Builder", "base::cpu"),
    ("std::thread::scope", "base::cpu"),
    ("std::thread::sleep", "base::clock"),
    ("tokio::spawn", "base::task"),
    ("tokio::task::spawn", "base::task"),
    ("tokio::task::spawn_blocking", "base::task"),
    ("tokio::task::spawn_local", "base::task"),
    ("tokio::task::JoinSet", "base::task"),
    ("tokio::runtime::Builder", "base::task"),
    ("std::fs", "base::disk"),
    ("tokio::fs", "base::disk"),
    ("std::os::unix::fs", "base::disk"),
    ("std::net::TcpListener", "the adapter of its role"),
    ("std::net::TcpStream", "the adapter of its role"),
    ("std::net::UdpSocket", "the adapter of its role"),
    ("std::os::unix::net", "the adapter of its role"),
    ("tokio::net", "the adapter of its role"),
    ("rand::rng", "base::random"),
    ("rand::random", "base::random"),
    ("rand::random_range", "base::random"),
    ("rand::make_rng", "base::random"),
    ("rand::rngs::ThreadRng", "base::random"),
    ("rand::rngs::SysRng", "base::random"),
    ("uuid::Uuid::new_v4", "base::random"),
    ("uuid::Uuid::now_v7", "base::random"),
];

/// Who may name which of them all the same: file or folder, path or its beginning, reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("crates/base/src/", "", "it is the way to the world"),
    ("crates/meta/src/redb/file.rs", "std::fs", "redb opens its file by path: it is checked and put in its place beside it"),
    ("crates/server/src/main.rs", "tokio::runtime::Builder", "makes the runtime that the real world stands on"),
    ("crates/server/src/port.rs", "tokio::net", "accepts the connections that hyper and tonic serve"),
    ("crates/store/src/cache.rs", "std::fs", "fetched objects as mapped files; simulations have no cache"),
    ("crates/store/src/mmap.rs", "std::fs::File", "a mapping is of an open file of the system"),
    ("crates/store/src/object/local.rs", "std::fs", "objects as mapped files; simulations keep theirs in memory"),
    ("crates/store/src/object/local.rs", "std::os::unix::fs", "positioned reads of those files"),
];

fn offences(sources: &[Source]) -> Vec<Offence> {
    let mut offences = Vec::new();
    for source in sources.iter().filter(|source| !source.is_generated()) {
        for used in source.paths().iter().filter(|used| !source.is_test(used.line)) {
            let Some((forbidden, instead)) = WORLD.iter().find(|(item, _)| begins(&used.path, item)) else { continue };
            let excepted = |(place, allowed, _): &(&str, &str, &str)| source.path.starts_with(place) && used.path.starts_with(allowed);
            if !EXCEPTIONS.iter().any(excepted) {
                offences.push(Offence::at(&source.path, used.line, format!("`{forbidden}` is {instead}'s alone")));
            }
        }
    }
    offences
}

/// Is `path` this very item, or something below it?
fn begins(path: &str, item: &str) -> bool {
    path.strip_prefix(item).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Exceptions that nothing needs any more.
fn unused_exceptions(sources: &[Source]) -> Vec<Offence> {
    let needed = |place: &str, allowed: &str| {
        sources.iter().filter(|source| source.path.starts_with(place)).any(|source| {
            source.paths().iter().any(|used| used.path.starts_with(allowed) && WORLD.iter().any(|(item, _)| begins(&used.path, item)))
        })
    };
    EXCEPTIONS
        .iter()
        .filter(|(place, allowed, _)| !needed(place, allowed))
        .map(|(place, allowed, _)| Offence::new(*place, format!("nothing there names `{allowed}`: take the exception away")))
        .collect()
}

#[test]
fn only_base_touches_the_world() {
    assert_none(offences(sources()));
}

#[test]
fn every_exception_is_needed() {
    assert_none(unused_exceptions(sources()));
}

#[test]
fn a_glance_at_the_clock_is_caught() {
    let text = "use std::time::Instant;\nuse tokio::task;\nuse std::net::SocketAddr;\n\nfn f() {\n    let a = Instant::now();\n    task::spawn(b);\n    std::fs::read(c);\n}\n\n#[cfg(test)]\nmod tests {\n    fn g() { std::fs::read(c); }\n}\n";
    assert_eq!(
        found(offences(&[Source::new("crates/node/src/a.rs", text)])),
        [
            "crates/node/src/a.rs:6: `std::time::Instant::now` is base::clock's alone",
            "crates/node/src/a.rs:7: `tokio::task::spawn` is base::task's alone",
            "crates/node/src/a.rs:8: `std::fs` is base::disk's alone",
        ]
    );
    assert!(offences(&[Source::new("crates/base/src/disk.rs", text)]).is_empty());
    assert_eq!(unused_exceptions(&[]).len(), EXCEPTIONS.len());
}
