//! Which arrangement of keys a catalog has, so that a build never works on one that it doesn't understand.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::document::{Document, unknown_version};

/// The arrangement that this build reads and writes.
pub const LAYOUT: u32 = 1;

/// `catalog/layout/keys`: put when the catalog is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// [`LAYOUT`] of the build that made it.
    pub number: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredLayout {
    number: u32,
}

impl Document for Layout {
    type Id = ();
    const KIND: &'static str = "layout";
    const VERSION: u32 = 1;

    fn id(&self) {}

    fn path(_: &()) -> String {
        "keys".to_owned()
    }

    fn parse(path: &str) -> Option<()> {
        (path == "keys").then_some(())
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        serde_json::value::to_raw_value(&StoredLayout { number: self.number })
    }

    fn decode((): (), version: u32, json: &str) -> Result<Self, serde_json::Error> {
        if version != Self::VERSION {
            return Err(unknown_version::<Self>(version));
        }
        let StoredLayout { number } = serde_json::from_str(json)?;
        Ok(Self { number })
    }
}
