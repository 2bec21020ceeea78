//! Which columns an answer has: output fields by name, `*`, and keys of the dynamic field.

use std::collections::BTreeSet;

use types::id::FieldId;
use types::schema::{DYNAMIC_FIELD_NAME, Schema};
use types::{Error, Result};

/// The columns of an answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Output {
    /// Names for the answer's `output_fields`: as asked for, `*` spelled out, keys of the dynamic field under their own names.
    pub names: Vec<String>,
    /// Columns, in order.
    pub fields: Vec<FieldId>,
    /// The keys that `$meta` is cut down to; `None` if all are wanted.
    pub keys: Option<BTreeSet<String>>,
}

impl Output {
    /// What `asked` means; `with_primary` adds the primary key where it isn't named.
    ///
    /// # Errors
    /// 1100 for a name that means nothing.
    pub fn resolve(schema: &Schema, asked: &[String], with_primary: bool) -> Result<Self> {
        let mut output = Self::default();
        let mut keys = BTreeSet::new();
        let mut whole = false;
        for name in asked.iter().map(|name| name.trim()) {
            if name == "*" {
                schema.fields.iter().for_each(|field| output.add(&field.name, field.id));
                whole = true;
                continue;
            }
            match (schema.field(name), schema.dynamic()) {
                (Some(field), _) => {
                    output.add(name, field.id);
                    whole |= name == DYNAMIC_FIELD_NAME;
                }
                (None, Some(dynamic)) => {
                    let key = dynamic_key(name).ok_or_else(|| Error::invalid(format!("parse output field name failed: {name}")))?;
                    output.add(key, dynamic.id);
                    keys.insert(key.to_owned());
                }
                (None, None) => return Err(Error::invalid(format!("field {name} not exist"))),
            }
        }
        if with_primary {
            let primary = schema.primary();
            output.add(&primary.name, primary.id);
        }
        output.keys = (!whole && !keys.is_empty()).then_some(keys);
        Ok(output)
    }

    fn add(&mut self, name: &str, field: FieldId) {
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
        if !self.fields.contains(&field) {
            self.fields.push(field);
        }
    }
}

/// The key of the dynamic field that a name means: `name` or `$meta["name"]`; one level only.
fn dynamic_key(name: &str) -> Option<&str> {
    let Some(path) = name.strip_prefix(DYNAMIC_FIELD_NAME) else {
        let begins_well = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
        return (begins_well && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())).then_some(name);
    };
    let quoted = path.strip_prefix('[')?.strip_suffix(']')?.trim();
    let quote = quoted.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let key = quoted.strip_prefix(quote)?.strip_suffix(quote)?;
    (!key.is_empty() && !key.contains([quote, '\\', '[', ']'])).then_some(key)
}
