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

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(dynamic: bool) -> Schema {
        let mut fields = vec![
            r#"{"id": 100, "name": "id", "data_type": "Int64", "kind": "Primary"}"#,
            r#"{"id": 101, "name": "v", "data_type": "FloatVector", "dimension": 2}"#,
            r#"{"id": 102, "name": "j", "data_type": "Json"}"#,
        ];
        if dynamic {
            fields.push(r#"{"id": 103, "name": "$meta", "data_type": "Json", "kind": "Dynamic"}"#);
        }
        serde_json::from_str(&format!(r#"{{"version": 1, "fields": [{}]}}"#, fields.join(","))).expect("a schema")
    }

    /// Names, fields, keys.
    type Resolved<'a> = (&'a [&'a str], &'a [i64], Option<&'a [&'a str]>);

    fn check(dynamic: bool, asked: &[&str], with_primary: bool, expected: Result<Resolved<'_>, &str>) {
        let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let expected = expected.map(|(names, fields, keys)| Output {
            names: owned(names),
            fields: fields.iter().map(|&id| FieldId(id)).collect(),
            keys: keys.map(|keys| owned(keys).into_iter().collect()),
        });
        let output = Output::resolve(&schema(dynamic), &asked, with_primary);
        assert_eq!(output.map_err(|error| error.reason().to_owned()), expected.map_err(str::to_owned), "{asked:?}");
    }

    #[test]
    fn names() {
        check(false, &[], false, Ok((&[], &[], None)));
        check(false, &[], true, Ok((&["id"], &[100], None)));
        check(false, &["j", "id", "j"], true, Ok((&["j", "id"], &[102, 100], None)));
        check(false, &["*"], false, Ok((&["id", "v", "j"], &[100, 101, 102], None)));
        check(false, &["color"], false, Err("field color not exist: invalid parameter"));
        check(false, &["$meta"], false, Err("field $meta not exist: invalid parameter"));
    }

    #[test]
    fn dynamic_keys() {
        check(true, &["color", "v"], false, Ok((&["color", "v"], &[103, 101], Some(&["color"]))));
        check(true, &[r#"$meta["a b"]"#, "size"], true, Ok((&["a b", "size", "id"], &[103, 100], Some(&["a b", "size"]))));
        check(true, &["color", "*"], false, Ok((&["color", "id", "v", "j", "$meta"], &[103, 100, 101, 102], None)));
        check(true, &["$meta", "color"], false, Ok((&["$meta", "color"], &[103], None)));
        for wrong in [r#"$meta["a"]["b"]"#, "$meta[a]", r#"j["a"]"#, "a b", "1a", "$meta[]"] {
            check(true, &[wrong], false, Err(&format!("parse output field name failed: {wrong}: invalid parameter")));
        }
    }
}
