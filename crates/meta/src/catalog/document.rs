//! One typed value under one key: how catalog entries are named, framed and checked. `docs/formats/meta.md` has the bytes.
//!
//! A value is `{"v":<version>,"crc":<crc32c of d's bytes>,"d":<document>}`. The id is in the key and nowhere else. Readers know
//! the versions that a [`Document`] decodes; any other is an error that names the key (`docs/design.md` rule 7), never a guess.
//!
//! Not here: what the documents are ([`super::model`]), and other crates' documents, which implement [`Document`] themselves.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::{Error, Result};

use crate::store::{Condition, Entry, Revision};

/// Every key of the catalog begins with it.
pub const PREFIX: &str = "catalog/";

/// A type with a place in the catalog, or beside it.
pub trait Document: Clone {
    /// What tells one from another.
    type Id: Clone + Ord;

    /// What keys begin with: the catalog's, unless the document is kept beside it.
    const ROOT: &'static str = PREFIX;

    /// Keys are `<ROOT><KIND>/<path of the id>`. Never changes.
    const KIND: &'static str;

    /// The version that [`Self::encode`] writes.
    const VERSION: u32;

    /// Its id.
    fn id(&self) -> Self::Id;

    /// The end of the key. Numbers are written with [`number`], so that keys sort as ids do.
    fn path(id: &Self::Id) -> String;

    /// The reverse of [`Self::path`].
    fn parse(path: &str) -> Option<Self::Id>;

    /// The stored form, of version [`Self::VERSION`].
    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error>;

    /// Reads a stored form of `version`.
    ///
    /// # Errors
    /// Unknown versions ([`unknown_version`]), and what serde says.
    fn decode(id: Self::Id, version: u32, json: &str) -> Result<Self, serde_json::Error>;
}

/// A document as it was read: with what a transaction needs to say "if it is still so".
#[derive(Clone, PartialEq, Debug)]
pub struct Versioned<T> {
    /// The document.
    pub value: T,
    /// When its key was made.
    pub created: Revision,
    /// When it was last put.
    pub modified: Revision,
}

impl<T> Versioned<T> {
    /// What was just created by a commit that gave `revision`.
    pub fn created(value: T, revision: Revision) -> Self {
        Self { value, created: revision, modified: revision }
    }

    /// What was just put in its place by a commit that gave `revision`.
    pub fn replaced(&self, value: T, revision: Revision) -> Self {
        Self { value, created: self.created, modified: revision }
    }
}

impl<D: Document> Versioned<D> {
    /// It is there as it was read.
    pub fn unchanged(&self) -> Condition {
        Condition::Modified(key::<D>(&self.value.id()), self.modified)
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    v: u32,
    crc: u32,
    d: &'a RawValue,
}

#[derive(Deserialize)]
struct StoredEnvelope<'a> {
    v: u32,
    crc: u32,
    #[serde(borrow)]
    d: &'a RawValue,
}

/// An id's number in a key: 19 digits, so that keys sort as numbers do.
///
/// # Panics
/// If the number is negative: ids aren't.
pub fn number(id: i64) -> String {
    assert!(id >= 0, "id {id} is negative");
    format!("{id:019}")
}

/// The reverse of [`number`].
pub fn parse_number(text: &str) -> Option<i64> {
    if text.len() != 19 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The prefix of every key of a kind.
pub fn prefix<D: Document>() -> String {
    format!("{}{}/", D::ROOT, D::KIND)
}

/// The key of a document.
pub fn key<D: Document>(id: &D::Id) -> Bytes {
    format!("{}{}/{}", D::ROOT, D::KIND, D::path(id)).into()
}

/// The value of a document.
///
/// # Panics
/// If a stored form can't be JSON: they hold no maps with other keys than text.
pub fn value<D: Document>(document: &D) -> Bytes {
    let d = document.encode().expect("stored forms are structs of text, numbers and lists");
    let envelope = Envelope { v: D::VERSION, crc: crc32c::crc32c(d.get().as_bytes()), d: &d };
    serde_json::to_vec(&envelope).expect("a number, a number and JSON are JSON").into()
}

/// Reads a document from its key and value.
///
/// # Errors
/// `DATA_INTEGRITY`, naming the key: not a key of this kind, not an envelope, another checksum, a version or content that this build can't read.
pub fn read<D: Document>(entry: &Entry) -> Result<Versioned<D>> {
    let damaged = |why: &dyn std::fmt::Display| Error::corrupt(format!("meta key {}: {why}", entry.key.escape_ascii()));
    let path = std::str::from_utf8(&entry.key).ok().and_then(|key| key.strip_prefix(&prefix::<D>()));
    let id = path.and_then(D::parse).ok_or_else(|| damaged(&format_args!("not the key of a {}", D::KIND)))?;
    let envelope: StoredEnvelope = serde_json::from_slice(&entry.value).map_err(|error| damaged(&error))?;
    if crc32c::crc32c(envelope.d.get().as_bytes()) != envelope.crc {
        return Err(damaged(&"the value has another checksum"));
    }
    let value = D::decode(id, envelope.v, envelope.d.get()).map_err(|error| damaged(&error))?;
    Ok(Versioned { value, created: entry.created, modified: entry.modified })
}

/// What [`Document::decode`] says of a version that it doesn't know.
pub fn unknown_version<D: Document>(version: u32) -> serde_json::Error {
    serde::de::Error::custom(format_args!("version {version} of a {} can't be read by this build, which knows {}", D::KIND, D::VERSION))
}
