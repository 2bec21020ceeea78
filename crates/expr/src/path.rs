//! Where in a JSON value a filter looks.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::id::FieldId;

/// One step down into a JSON value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Step {
    /// The member of an object.
    Key(Arc<str>),
    /// The element of an array, from 0.
    Index(u32),
}

/// A place in the values of a JSON field.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct JsonPath {
    /// The JSON field, which is the dynamic one for bare names that no field has.
    pub field: FieldId,
    /// From the root down; none for the whole value.
    pub steps: Vec<Step>,
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.field)?;
        for step in &self.steps {
            match step {
                Step::Key(key) => write!(f, "[{key:?}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
