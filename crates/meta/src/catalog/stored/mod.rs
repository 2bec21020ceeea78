//! Stored forms of the catalog's documents: what `docs/formats/meta.md` describes and the golden files under `tests/golden` fix.
//!
//! A stored form is never changed in a way that an older value can't be read: new fields have defaults, and what a default can't
//! express is a new version beside the old one. Enums are stored as tagged objects so that variants can gain fields.
//!
//! Schemas and index definitions are stored as `types` writes them, since control records in the log hold the same text.

mod channel;
mod collection;
mod names;
mod operation;
mod shard;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::document::{Document, unknown_version};

fn encode(stored: &impl Serialize) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::value::to_raw_value(stored)
}

/// The stored form of the only version that there is so far.
fn decode_only<D: Document, S: DeserializeOwned>(version: u32, json: &str) -> Result<S, serde_json::Error> {
    if version != D::VERSION {
        return Err(unknown_version::<D>(version));
    }
    serde_json::from_str(json)
}
