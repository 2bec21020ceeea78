//! The index container: one file of a header, a table and sections that are mapped and used where they lie.
//!
//! The bytes are described in `docs/formats/index.md`. This module knows no index type: a type names its sections and gives
//! them meaning. Every byte that is read is taken for hostile: a container that opens may still hold nonsense inside its
//! sections (bulk is checked by [`scrub`] alone), so readers of sections check what they follow.
//!
//! Start at [`Draft`] for writing and [`Container`] for reading.

mod layout;
mod read;
mod write;

pub(crate) use layout::VECTORS_MAX;
pub use layout::{Header, SECTION_ALIGNMENT};
pub use read::{Container, Scrub, scrub};
pub use write::{Draft, SectionData};
