//! The `section!` declaration, from which one part of the table and of the typed tree come.
//!
//! A macro, because a key's name, type, default, bounds and documentation must stand in one place and reach four: the struct, the
//! reader, the errors and `configs/elanus.yaml`.

use std::collections::BTreeMap;

use super::key::{Effect, Key, KeyEntry};
use super::resolve::Resolved;
use super::value::Value;

/// Every key and section, in order.
#[derive(Default)]
pub(super) struct Table {
    pub(super) keys: Vec<KeyEntry>,
    /// Path and documentation.
    pub(super) sections: Vec<(String, &'static [&'static str])>,
    /// Fields that lead to what is being described.
    fields: Vec<&'static str>,
}

impl Table {
    pub(super) fn section(&mut self, path: &str, doc: &'static [&'static str]) {
        self.sections.push((path.to_owned(), doc));
    }

    /// Describes what lies in `field`.
    pub(super) fn within(&mut self, field: &'static str, describe: impl FnOnce(&mut Self)) {
        self.fields.push(field);
        describe(self);
        self.fields.pop();
    }

    fn key(&mut self, section: &str, key: Key, allowed: String) {
        self.keys.push(KeyEntry { path: join(section, key.name), field: self.fields.join("."), key, allowed });
    }
}

/// What is allowed, in words, range and all.
fn allowed<T: Value>(key: &Key) -> String {
    let allowed = T::allowed(key.unit);
    let Some((least, most)) = key.range else { return allowed };
    format!("{allowed}; from {least} to {most} {}", key.unit.name()).trim_end().to_owned()
}

/// A struct of settings.
pub(super) trait Section: Sized {
    /// Adds the section's keys at `path`.
    fn describe(path: &str, table: &mut Table);

    /// Reads the section at `path`.
    fn read(path: &str, reader: &mut Reader<'_>) -> Self;
}

pub(super) fn join(section: &str, name: &str) -> String {
    format!("{section}.{name}")
}

/// Reads values out of what the sources say, and gathers what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) resolved: &'a Resolved,
    pub(super) problems: Vec<String>,
    /// Keys that are set to other than their default and aren't acted upon.
    pub(super) ignored: Vec<String>,
}

impl Reader<'_> {
    /// The key's value; its default where it isn't set, and where what is set can't be read (then with a problem).
    pub(super) fn value<T: Value>(&mut self, section: &str, key: &Key) -> T {
        let default = || T::parse(key.default, key.unit).unwrap_or_else(|| panic!("the default of {section}.{} can't be read", key.name));
        let path = join(section, key.name);
        let (Some(text), Some(origin)) = (self.resolved.text(&path), self.resolved.origin(&path)) else { return default() };
        let in_range = |value: &T| match (key.range, value.magnitude(key.unit)) {
            (Some((least, most)), Some(number)) => (least..=most).contains(&number),
            _ => true,
        };
        let shown = if key.secret { "***" } else { text };
        let Some(value) = T::parse(text, key.unit).filter(in_range) else {
            self.problems.push(format!("{path} is {shown:?} in {origin}: allowed is {}", allowed::<T>(key)));
            return default();
        };
        match key.effect {
            Effect::Acted => {}
            Effect::Refused(_) | Effect::Ignored if value == default() => {}
            Effect::Refused(instead) => self.problems.push(format!("{path} is {shown:?} in {origin}: {instead}")),
            Effect::Ignored => self.ignored.push(path),
        }
        value
    }

    /// Everything below an open key, names as the source spells them.
    pub(super) fn open(&mut self, section: &str, key: &Key) -> BTreeMap<String, String> {
        let path = join(section, key.name);
        let below = self.resolved.below(&path);
        if key.effect == Effect::Ignored {
            self.ignored.extend(below.keys().map(|name| join(&path, name)));
        }
        below
    }
}

/// How a field's type is read: [`Value`]s from their text, maps from everything below the key.
pub(super) trait Field: Sized {
    fn describe(section: &str, key: Key, table: &mut Table);
    fn read(section: &str, key: &Key, reader: &mut Reader<'_>) -> Self;
}

impl<T: Value> Field for T {
    fn describe(section: &str, key: Key, table: &mut Table) {
        table.key(section, key, allowed::<T>(&key));
    }

    fn read(section: &str, key: &Key, reader: &mut Reader<'_>) -> Self {
        reader.value(section, key)
    }
}

impl Field for BTreeMap<String, String> {
    fn describe(section: &str, key: Key, table: &mut Table) {
        table.key(section, key.open(), "any names below it, with texts".to_owned());
    }

    fn read(section: &str, key: &Key, reader: &mut Reader<'_>) -> Self {
        reader.open(section, key)
    }
}

/// Declares a struct of settings:
/// `"name" => field: Type = "default" .option(…);` for each key, then `"name" => field: Section;` for each section in it.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        pub struct $struct:ident {
            $(
                $(#[doc = $key_doc:literal])*
                $name:literal => $field:ident: $type:ty = $default:literal $(.$option:ident($($value:expr),*))*;
            )*
        }
        $(sections { $($sub_name:literal => $sub_field:ident: $sub_type:ty;)* })?
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Debug)]
        pub struct $struct {
            $($(#[doc = $key_doc])* pub $field: $type,)*
            $($(#[doc = concat!("`", $sub_name, "`.")] pub $sub_field: $sub_type,)*)?
        }

        impl $crate::config::section::Section for $struct {
            fn describe(path: &str, table: &mut $crate::config::section::Table) {
                table.section(path, &[$($doc),*]);
                $(
                    let key = $crate::config::key::Key::new($name, $default, &[$($key_doc),*])$(.$option($($value),*))*;
                    table.within(stringify!($field), |table| <$type as $crate::config::section::Field>::describe(path, key, table));
                )*
                $($(
                    let below = $crate::config::section::join(path, $sub_name);
                    table.within(stringify!($sub_field), |table| <$sub_type>::describe(&below, table));
                )*)?
            }

            fn read(path: &str, reader: &mut $crate::config::section::Reader<'_>) -> Self {
                Self {
                    $(
                        $field: {
                            const KEY: &$crate::config::key::Key =
                                &$crate::config::key::Key::new($name, $default, &[$($key_doc),*])$(.$option($($value),*))*;
                            <$type as $crate::config::section::Field>::read(path, KEY, reader)
                        },
                    )*
                    $($($sub_field: <$sub_type>::read(&$crate::config::section::join(path, $sub_name), reader),)*)?
                }
            }
        }
    };
}

pub(super) use section;
