//! A request's JSON body: one object, whose members are read by name and type.
//!
//! A member keeps its text, and shares the body's memory: an integer keeps its digits, a document its spelling. Names are found as Milvus finds
//! them: as spelled, else in any case. A `null` counts as absent.
//!
//! Not here: rows ([`super::rows`]) and vectors ([`super::vectors`]), which are read from a member's text.

use std::collections::BTreeMap;

use bytes::Bytes;
use proto::common::KeyValuePair;
use serde_json::value::RawValue;
use types::Result;

use super::envelope::{missing, not_json};

/// The text of one JSON value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Json(Bytes);

impl Json {
    /// The text.
    pub fn text(&self) -> &str {
        // It was cut from a text at the ends of a value.
        std::str::from_utf8(&self.0).unwrap_or("null")
    }

    /// Bytes of the text.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// What a parameter's text is: a string without its quotes, anything else as it stands.
    pub fn plain(&self) -> String {
        plain(self.text())
    }

    /// Its elements; `None` if it isn't an array.
    pub fn elements(&self) -> Option<Vec<Json>> {
        let elements = serde_json::from_str::<Vec<&RawValue>>(self.text()).ok()?;
        Some(elements.into_iter().map(|element| self.part(element)).collect())
    }

    /// Its members; `None` if it isn't an object.
    pub fn fields(&self) -> Option<Fields> {
        let members = serde_json::from_str::<BTreeMap<String, &RawValue>>(self.text()).ok()?;
        Some(Fields { members: members.into_iter().map(|(name, value)| (name, self.part(value))).collect() })
    }

    fn part(&self, value: &RawValue) -> Json {
        Json(self.0.slice_ref(value.get().as_bytes()))
    }
}

/// A JSON text as a parameter: a string without its quotes, anything else as it stands.
pub fn plain(text: &str) -> String {
    serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned())
}

/// The members of an object.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fields {
    members: BTreeMap<String, Json>,
}

impl Fields {
    /// Reads a body.
    ///
    /// # Errors
    /// 1801 where it is empty or isn't an object.
    pub fn parse(body: Bytes) -> Result<Self> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(super::envelope::empty_body());
        }
        if let Err(error) = std::str::from_utf8(&body) {
            return Err(not_json(error));
        }
        let whole = Json(body);
        if let Err(error) = serde_json::from_str::<BTreeMap<String, &RawValue>>(whole.text()) {
            return Err(not_json(error));
        }
        Ok(whole.fields().unwrap_or_default())
    }

    /// A member that is there and isn't `null`.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let found = self.members.get(name).or_else(|| {
            let mut alike = self.members.iter().filter(|(member, _)| member.eq_ignore_ascii_case(name));
            alike.next().map(|(_, value)| value)
        });
        found.filter(|value| value.text() != "null")
    }

    /// With this JSON text, which must be valid, as a further member.
    pub fn with(mut self, name: &str, text: String) -> Self {
        self.members.insert(name.to_owned(), Json(text.into()));
        self
    }

    /// Names and values, `null`s too, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.members.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A text; empty where it is absent.
    pub fn text(&self, name: &str) -> Result<String> {
        self.read(name, "a string", |text| serde_json::from_str(text).ok()).map(Option::unwrap_or_default)
    }

    /// A text that must be there, and not be empty.
    pub fn required_text(&self, name: &str) -> Result<String> {
        let text = self.text(name)?;
        if text.is_empty() { Err(required(name)) } else { Ok(text) }
    }

    /// Texts; none where they are absent.
    pub fn texts(&self, name: &str) -> Result<Vec<String>> {
        self.read(name, "a list of strings", |text| serde_json::from_str(text).ok()).map(Option::unwrap_or_default)
    }

    /// Texts of which one must be there.
    pub fn required_texts(&self, name: &str) -> Result<Vec<String>> {
        let texts = self.texts(name)?;
        if texts.is_empty() { Err(required(name)) } else { Ok(texts) }
    }

    /// A whole number.
    pub fn number(&self, name: &str) -> Result<Option<i64>> {
        self.read(name, "a whole number", |text| serde_json::from_str(text).ok())
    }

    /// A whole number of 32 bits.
    pub fn small_number(&self, name: &str) -> Result<Option<i32>> {
        self.read(name, "a whole number of 32 bits", |text| serde_json::from_str(text).ok())
    }

    /// True or false.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        self.read(name, "true or false", |text| serde_json::from_str(text).ok())
    }

    /// An object.
    pub fn object(&self, name: &str) -> Result<Option<Fields>> {
        self.inner(name, "an object", Json::fields)
    }

    /// A list of objects; empty where it is absent.
    pub fn objects(&self, name: &str) -> Result<Vec<Fields>> {
        let objects = |value: &Json| value.elements()?.iter().map(Json::fields).collect();
        self.inner(name, "a list of objects", objects).map(Option::unwrap_or_default)
    }

    /// A list.
    pub fn list(&self, name: &str) -> Result<Option<Vec<Json>>> {
        self.inner(name, "a list", Json::elements)
    }

    /// The members of an object as parameters.
    pub fn pairs(&self, name: &str) -> Result<Vec<KeyValuePair>> {
        let object = self.object(name)?.unwrap_or_default();
        Ok(object.iter().map(|(key, value)| pair(key, value.plain())).collect())
    }

    fn read<T>(&self, name: &str, what: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
        self.inner(name, what, |value| read(value.text()))
    }

    fn inner<T>(&self, name: &str, what: &str, read: impl FnOnce(&Json) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| not_json(format!("{name} must be {what}")))
    }
}

/// A parameter as messages carry it.
pub fn pair(key: &str, value: impl Into<String>) -> KeyValuePair {
    KeyValuePair { key: key.to_owned(), value: value.into() }
}

/// The error for a member that must be there.
pub fn required(name: &str) -> types::Error {
    missing(format!("{name} is required"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &'static str) -> Fields {
        Fields::parse(Bytes::from_static(text.as_bytes())).expect("an object")
    }

    #[test]
    fn members_are_read_by_type() {
        let body = fields(
            r#"{"collectionName": "c", "AutoId": true, "limit": 7, "names": ["a", "b"], "none": null,
                "params": {"a": 1.50, "b": "x", "c": {"d": [1]}}, "list": [{"x": 9223372036854775807}]}"#,
        );
        assert_eq!(body.text("collectionName"), Ok("c".to_owned()));
        assert_eq!(body.flag("autoID"), Ok(Some(true)));
        assert_eq!((body.number("limit"), body.number("none"), body.number("absent")), (Ok(Some(7)), Ok(None), Ok(None)));
        assert_eq!(body.texts("names"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(body.pairs("params"), Ok(vec![pair("a", "1.50"), pair("b", "x"), pair("c", r#"{"d": [1]}"#)]));
        assert_eq!(body.objects("list").expect("objects")[0].number("x"), Ok(Some(i64::MAX)));
        let wrong = [
            body.text("limit").map(drop),
            body.number("collectionName").map(drop),
            body.small_number("names").map(drop),
            body.object("names").map(drop),
            body.objects("names").map(drop),
            body.list("params").map(drop),
        ];
        for error in wrong {
            let error = error.expect_err("another type");
            assert!(error.code().0 == 1801 && error.reason().contains(" must be "), "{error}");
        }
        assert_eq!(body.required_text("none").expect_err("absent").code().0, 1802);
    }

    #[test]
    fn bodies_that_are_no_objects() {
        for text in ["", " \n", "[]", "1", "{", "{\"a\": }", "null", "{\"a\":1}{"] {
            assert_eq!(Fields::parse(Bytes::from_static(text.as_bytes())).expect_err("no object").code().0, 1801, "{text:?}");
        }
        assert_eq!(Fields::parse(Bytes::from_static(b"{\"a\": \"\xff\"}")).expect_err("no text").code().0, 1801);
        assert!(fields("{}").is_empty());
    }
}
