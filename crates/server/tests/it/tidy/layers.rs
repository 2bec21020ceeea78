//! Who may use whom: our crates by layer, and each heavy dependency by its owner.
//!
//! It reads manifests alone. A crate can't name what its manifest doesn't, so sources needn't be searched.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Offence, assert_none, found};

/// A crate of ours.
struct Layer {
    name: &'static str,
    layer: u8,
    /// What it may use of ours.
    uses: &'static [&'static str],
}

/// The map of ARCHITECTURE.md. An arrow that isn't here is a decision to take, not a line to add.
const LAYERS: &[Layer] = &[
    Layer { name: "proto", layer: 0, uses: &[] },
    Layer { name: "kernel", layer: 0, uses: &[] },
    Layer { name: "types", layer: 1, uses: &[] },
    Layer { name: "base", layer: 1, uses: &[] },
    Layer { name: "text", layer: 2, uses: &["types"] },
    Layer { name: "expr", layer: 2, uses: &["text", "types", "base"] },
    Layer { name: "index", layer: 2, uses: &["kernel", "text", "types", "base"] },
    Layer { name: "store", layer: 2, uses: &["types", "base"] },
    Layer { name: "wal", layer: 2, uses: &["store", "types", "base"] },
    Layer { name: "meta", layer: 2, uses: &["types", "proto", "base"] },
    Layer { name: "segment", layer: 3, uses: &["kernel", "index", "expr", "store", "types", "base"] },
    Layer { name: "role", layer: 3, uses: &["expr", "store", "types", "proto", "base"] },
    Layer { name: "coord", layer: 4, uses: &["role", "meta", "wal", "store", "types", "base"] },
    Layer { name: "node", layer: 4, uses: &["segment", "role", "text", "expr", "index", "store", "wal", "meta", "types", "base", "proto"] },
    Layer {
        name: "server",
        layer: 5,
        uses: &["coord", "node", "segment", "role", "text", "expr", "index", "store", "wal", "meta", "types", "base", "proto", "kernel"],
    },
];

/// Arrows inside of a layer, each with its reason.
const SIDEWAYS: &[(&str, &str, &str)] = &[
    ("expr", "text", "TEXT_MATCH cuts its argument as the index did"),
    ("index", "text", "the inverted index cuts text into tokens"),
    ("wal", "store", "a log can be kept as objects"),
];

/// Crates that compute: no I/O, no runtime, no clock.
const PURE: &[&str] = &["kernel", "text", "expr", "index", "segment", "types"];

/// What a crate that computes doesn't name. A `*` stands for any ending.
const IMPURE: &[&str] = &["tokio*", "futures*", "async-*", "hyper*", "object_store", "reqwest", "socket2", "mio"];

/// External crates that only their owners name, so that replacing one is the change of one crate.
const OWNED: &[(&str, &[&str])] = &[
    ("arrow*", &["store"]),
    ("parquet", &["store"]),
    ("object_store", &["store"]),
    ("memmap2", &["store"]),
    ("quick_cache", &["store"]),
    ("rdkafka*", &["wal"]),
    ("pulsar", &["wal"]),
    ("etcd-client", &["meta"]),
    ("redb", &["meta"]),
    ("jieba-rs", &["text"]),
    ("geo*", &["expr", "index"]),
    ("rayon*", &["base"]),
    ("yaml_serde", &["base"]),
    // The catalog stores Milvus's messages; the rest of the list speaks to the network.
    ("prost", &["proto", "meta", "role", "node", "server"]),
    ("prost-types", &["proto"]),
    ("tonic", &["proto", "role", "node", "server"]),
    ("tonic-prost", &["proto", "role"]),
    ("tonic-prost-build", &["proto"]),
    ("protox", &["proto"]),
    ("tonic-health", &["server"]),
    ("axum*", &["node", "server"]),
    ("hyper*", &["server"]),
    ("tower-http", &["server"]),
    ("rustls*", &["base", "meta", "role", "server"]),
    ("clap", &["server"]),
    ("mimalloc", &["server"]),
];

/// What a manifest says.
struct Package {
    name: String,
    /// The folder below `crates/`.
    folder: String,
    dependencies: Vec<String>,
}

fn packages() -> Vec<Package> {
    let metadata = super::cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo prints JSON");
    let text = |value: &Value| value.as_str().expect("a name is a string").to_owned();
    let list = |value: &Value| value.as_array().expect("cargo lists packages and dependencies").clone();
    list(&metadata["packages"])
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            folder: text(&package["manifest_path"]).rsplit('/').nth(1).unwrap_or_default().to_owned(),
            dependencies: list(&package["dependencies"]).iter().map(|one| text(&one["name"])).collect(),
        })
        .collect()
}

fn layer(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.name == name)
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

fn layer_offences(packages: &[Package]) -> Vec<Offence> {
    let mut offences = Vec::new();
    for package in packages {
        let place = format!("crates/{}/Cargo.toml", package.folder);
        let Some(own) = layer(&package.name) else {
            offences.push(Offence::new(place, format!("`{}` has no layer: see LAYERS in tidy/layers.rs", package.name)));
            continue;
        };
        for used in package.dependencies.iter().filter(|used| layer(used).is_some()) {
            if !own.uses.contains(&used.as_str()) {
                offences.push(Offence::new(&place, format!("`{}` may not use `{used}`", own.name)));
            }
        }
    }
    offences
}

fn owner_offences(packages: &[Package]) -> Vec<Offence> {
    let mut offences = Vec::new();
    for package in packages {
        let place = format!("crates/{}/Cargo.toml", package.folder);
        for used in &package.dependencies {
            if PURE.contains(&package.name.as_str()) && IMPURE.iter().any(|pattern| matches(pattern, used)) {
                offences.push(Offence::new(&place, format!("`{}` computes and may not know `{used}`", package.name)));
            }
            let owners = OWNED.iter().find(|(pattern, _)| matches(pattern, used)).map(|(_, owners)| *owners);
            if owners.is_some_and(|owners| !owners.contains(&package.name.as_str())) {
                let owners = owners.unwrap_or_default().join(", ");
                offences.push(Offence::new(&place, format!("`{used}` belongs to {owners}")));
            }
        }
    }
    offences
}

/// One word, the folder's own, and of no crate that we take from elsewhere.
fn name_offences(packages: &[Package]) -> Vec<Offence> {
    let external: BTreeSet<&str> = packages
        .iter()
        .flat_map(|package| package.dependencies.iter().map(String::as_str))
        .filter(|name| packages.iter().all(|package| package.name != *name))
        .collect();
    let mut seen = BTreeSet::new();
    let mut offences = Vec::new();
    for Package { name, folder, .. } in packages {
        let place = format!("crates/{folder}/Cargo.toml");
        if !name.bytes().all(|byte| byte.is_ascii_lowercase()) {
            offences.push(Offence::new(&place, format!("`{name}` is not one plain word")));
        }
        if name != folder {
            offences.push(Offence::new(&place, format!("`{name}` lives in another folder than its own")));
        }
        if !seen.insert(name) || external.contains(name.as_str()) {
            offences.push(Offence::new(&place, format!("there is another crate `{name}`")));
        }
    }
    offences
}

#[test]
fn crates_use_only_what_lies_below() {
    assert_none(layer_offences(&packages()));
}

#[test]
fn heavy_dependencies_keep_to_their_owners() {
    assert_none(owner_offences(&packages()));
}

#[test]
fn crate_names_are_single_words() {
    assert_none(name_offences(&packages()));
}

#[test]
fn the_map_itself_points_downwards() {
    for own in LAYERS {
        for used in own.uses {
            let below = layer(used).unwrap_or_else(|| panic!("`{}` uses an unknown `{used}`", own.name));
            let sideways = SIDEWAYS.iter().any(|(from, to, _)| *from == own.name && to == used);
            assert!(below.layer < own.layer || sideways, "`{}` uses `{used}`, which isn't below it", own.name);
        }
    }
}

#[test]
fn a_bad_manifest_is_caught() {
    let package = |name: &str, folder: &str, dependencies: &[&str]| Package {
        name: name.to_owned(),
        folder: folder.to_owned(),
        dependencies: dependencies.iter().map(|&name| name.to_owned()).collect(),
    };
    let bad = [
        package("coord", "coord", &["node", "types"]),
        package("index", "index", &["tokio-util", "bytes"]),
        package("segment", "segment", &["parquet"]),
        package("bytes", "bytes", &[]),
        package("my-crate", "mine", &["serde"]),
    ];
    assert_eq!(
        found(layer_offences(&bad)),
        [
            "crates/coord/Cargo.toml: `coord` may not use `node`",
            "crates/bytes/Cargo.toml: `bytes` has no layer: see LAYERS in tidy/layers.rs",
            "crates/mine/Cargo.toml: `my-crate` has no layer: see LAYERS in tidy/layers.rs",
        ]
    );
    assert_eq!(
        found(owner_offences(&bad)),
        [
            "crates/index/Cargo.toml: `index` computes and may not know `tokio-util`",
            "crates/segment/Cargo.toml: `parquet` belongs to store",
        ]
    );
    let twins = [package("types", "types", &["serde"]), package("types", "kinds", &[]), package("my-crate", "my-crate", &[])];
    assert_eq!(
        found(name_offences(&twins)),
        [
            "crates/kinds/Cargo.toml: `types` lives in another folder than its own",
            "crates/kinds/Cargo.toml: there is another crate `types`",
            "crates/my-crate/Cargo.toml: `my-crate` is not one plain word",
        ]
    );
}
