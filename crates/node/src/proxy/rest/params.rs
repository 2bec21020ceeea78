//! Parameters of reads: JSON here, texts and template values in messages.
//!
//! What a search's parameters may be is judged by the proxy; here they are flattened, as Milvus's REST does, so that a parameter may stand beside
//! `params` or in it.

use std::collections::BTreeMap;

use proto::common::{ConsistencyLevel, KeyValuePair};
use proto::schema::{
    BoolArray, DoubleArray, JsonArray, LongArray, StringArray, TemplateArrayValue, TemplateArrayValueArray, TemplateValue,
    template_array_value as array, template_value,
};
use types::{Error, Result};

use super::body::{Fields, Json, pair};

/// Rows of a read that doesn't say how many it wants.
const LIMIT: i32 = 100;
/// Arrays of template values may lie in arrays, so deep.
const DEPTH_MAX: u32 = 8;

/// A level of consistency by name; none for no name.
///
/// # Errors
/// 1100 for any other name.
pub fn consistency(name: &str) -> Result<Option<ConsistencyLevel>> {
    if name.is_empty() {
        return Ok(None);
    }
    ConsistencyLevel::from_str_name(name).map(Some).ok_or_else(|| {
        let levels = "[Strong, Session, Bounded, Eventually, Customized]";
        let text = format!("consistencyLevel can only be {levels}, default: Bounded, err:there is no level {name}");
        Error::expected(text, levels, name)
    })
}

/// The level of a read: its number, and whether it is the collection's that counts.
///
/// # Errors
/// As [`consistency`].
pub fn read_level(body: &Fields) -> Result<(i32, bool)> {
    let level = consistency(&body.text("consistencyLevel")?)?;
    Ok((level.unwrap_or(ConsistencyLevel::Bounded) as i32, level.is_none()))
}

/// Values of a filter's templates.
///
/// # Errors
/// 1801 where they aren't an object, 1100 for a value of a type that templates don't have.
pub fn templates(body: &Fields) -> Result<BTreeMap<String, TemplateValue>> {
    let given = body.object("exprParams")?.unwrap_or_default();
    given.iter().map(|(name, value)| Ok((name.to_owned(), template(name, value)?))).collect()
}

fn template(name: &str, value: &Json) -> Result<TemplateValue> {
    let text = value.text();
    let wrong = || Error::invalid(format!("the value of exprParams.{name} has no type that a filter can use"));
    let val = match text.as_bytes().first() {
        Some(b't' | b'f') => template_value::Val::BoolVal(text == "true"),
        Some(b'"') => template_value::Val::StringVal(value.plain()),
        Some(b'[') => template_value::Val::ArrayVal(TemplateArrayValue { data: Some(elements(value, DEPTH_MAX).ok_or_else(wrong)?) }),
        Some(b'{') | Some(b'n') | None => return Err(wrong()),
        Some(_) => match text.parse() {
            Ok(whole) => template_value::Val::Int64Val(whole),
            Err(_) => template_value::Val::FloatVal(text.parse().map_err(|_| wrong())?),
        },
    };
    Ok(TemplateValue { val: Some(val) })
}

/// A list of values of one type, or of JSON where they differ.
fn elements(value: &Json, depth: u32) -> Option<array::Data> {
    let text = value.text();
    let elements = value.elements()?;
    if !elements.is_empty() && elements.iter().all(|element| element.text().starts_with('[')) && depth > 0 {
        let inner = elements.iter().map(|element| elements_of(element, depth - 1)).collect::<Option<_>>()?;
        return Some(array::Data::ArrayData(TemplateArrayValueArray { data: inner }));
    }
    if let Ok(data) = serde_json::from_str(text) {
        return Some(array::Data::LongData(LongArray { data }));
    }
    if let Ok(data) = serde_json::from_str(text) {
        return Some(array::Data::BoolData(BoolArray { data }));
    }
    if let Ok(data) = serde_json::from_str(text) {
        return Some(array::Data::StringData(StringArray { data }));
    }
    if let Ok(data) = serde_json::from_str(text) {
        return Some(array::Data::DoubleData(DoubleArray { data }));
    }
    let data = elements.iter().map(|element| bytes::Bytes::copy_from_slice(element.text().as_bytes())).collect();
    Some(array::Data::JsonData(JsonArray { data }))
}

fn elements_of(value: &Json, depth: u32) -> Option<TemplateArrayValue> {
    Some(TemplateArrayValue { data: Some(elements(value, depth)?) })
}

/// What a search's JSON says beside its vectors.
pub struct SearchParams<'a> {
    /// The whole, with limit, offset and grouping.
    pub body: &'a Fields,
    /// Parameters of the index and the metric.
    pub params: &'a Fields,
    /// The field to search.
    pub field: &'a str,
}

impl SearchParams<'_> {
    /// Parameters as messages carry them: what has a name of its own comes first, and counts.
    ///
    /// # Errors
    /// 1100 for parameters that contradict each other.
    pub fn pairs(&self) -> Result<Vec<KeyValuePair>> {
        let mut pairs = vec![pair("anns_field", self.field)];
        pairs.extend(window(self.body, "topk")?);
        pairs.extend(grouping(self.body)?);
        let metric = self.body.text("metricType")?;
        if !metric.is_empty() {
            pairs.push(pair("metric_type", metric));
        }
        let flat = self.flat()?;
        pairs.push(pair("params", object(&flat)));
        for (key, value) in flat {
            let key = match key.as_str() {
                "metricType" => "metric_type",
                "ignoreGrowing" => "ignore_growing",
                other => other,
            };
            if !pairs.iter().any(|known| known.key == key) {
                pairs.push(pair(key, value.plain()));
            }
        }
        Ok(pairs)
    }

    /// Parameters that stand beside `params`, and those in it.
    fn flat(&self) -> Result<BTreeMap<String, Json>> {
        let nested = match self.params.get("params") {
            Some(nested) => nested.fields().ok_or_else(|| Error::invalid("searchParams.params must be a dict"))?,
            None => Fields::default(),
        };
        let outer = self.params.iter().filter(|(key, value)| *key != "params" && value.text() != "null");
        let mut flat: BTreeMap<String, Json> = outer.map(|(key, value)| (key.to_owned(), value.clone())).collect();
        for (key, value) in nested.iter() {
            let given = flat.insert(key.to_owned(), value.clone()).map(|given| given.plain());
            if let Some(given) = given.filter(|given| *given != value.plain()) {
                let inner = value.plain();
                let text = format!("ambiguous parameter: {key}, in search_param: {given}, in search_param.params: {inner}");
                return Err(Error::invalid(text));
            }
        }
        Ok(flat)
    }
}

/// The parameters of an index as the JSON object under `params`.
fn object(flat: &BTreeMap<String, Json>) -> String {
    let members = flat.iter().filter(|(key, _)| !matches!(key.as_str(), "metricType" | "metric_type" | "ignoreGrowing"));
    let members: Vec<String> = members.map(|(key, value)| format!("{}:{}", serde_json::Value::from(key.as_str()), value.text())).collect();
    format!("{{{}}}", members.join(","))
}

/// How many rows, and how many are left out before them; 0 and nothing mean the default.
///
/// # Errors
/// 1801 where they aren't numbers.
pub fn window(body: &Fields, limit_key: &str) -> Result<Vec<KeyValuePair>> {
    let number = |name: &str| body.small_number(name).map(|number| number.filter(|&number| number != 0));
    let mut pairs = vec![pair(limit_key, number("limit")?.unwrap_or(LIMIT).to_string())];
    pairs.extend(number("offset")?.map(|offset| pair("offset", offset.to_string())));
    Ok(pairs)
}

/// How rows are grouped and sorted.
///
/// # Errors
/// 1801 for members of another form.
pub fn grouping(body: &Fields) -> Result<Vec<KeyValuePair>> {
    let mut pairs = Vec::new();
    let field = body.text("groupingField")?;
    if !field.is_empty() {
        pairs.push(pair("group_by_field", field));
    }
    pairs.extend(body.number("groupSize")?.filter(|&size| size != 0).map(|size| pair("group_size", size.to_string())));
    pairs.extend(body.flag("strictGroupSize")?.map(|strict| pair("strict_group_size", strict.to_string())));
    for (name, key) in [("groupByFields", "group_by_fields"), ("orderByFields", "order_by_fields")] {
        let fields = body.texts(name)?;
        if !fields.is_empty() {
            pairs.push(pair(key, fields.join(",")));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::parse(text.to_owned().into_bytes().into()).expect("an object")
    }

    #[test]
    fn levels() {
        assert_eq!(read_level(&fields("{}")), Ok((2, true)));
        assert_eq!(read_level(&fields(r#"{"consistencyLevel": "Strong"}"#)), Ok((0, false)));
        let error = read_level(&fields(r#"{"consistencyLevel": "strong"}"#)).expect_err("no level");
        let text = "consistencyLevel can only be [Strong, Session, Bounded, Eventually, Customized], default: Bounded, err:";
        assert!(error.code().0 == 1100 && error.reason().starts_with(text), "{error}");
    }

    #[test]
    fn values_of_templates() {
        use template_value::Val;
        let array = |data| Val::ArrayVal(TemplateArrayValue { data: Some(data) });
        let longs = |data: &[i64]| array::Data::LongData(LongArray { data: data.to_vec() });
        let jsons = array::Data::JsonData(JsonArray { data: vec![bytes::Bytes::from_static(b"1"), bytes::Bytes::from_static(b"\"a\"")] });
        let nested = TemplateArrayValueArray { data: vec![TemplateArrayValue { data: Some(longs(&[1])) }] };
        let cases = [
            ("true", Val::BoolVal(true)),
            ("9223372036854775807", Val::Int64Val(i64::MAX)),
            ("1.5", Val::FloatVal(1.5)),
            ("\"a\"", Val::StringVal("a".to_owned())),
            ("[1, 2]", array(longs(&[1, 2]))),
            ("[1, 2.5]", array(array::Data::DoubleData(DoubleArray { data: vec![1.0, 2.5] }))),
            ("[\"a\"]", array(array::Data::StringData(StringArray { data: vec!["a".to_owned()] }))),
            ("[true]", array(array::Data::BoolData(BoolArray { data: vec![true] }))),
            ("[1, \"a\"]", array(jsons)),
            ("[[1]]", array(array::Data::ArrayData(nested))),
        ];
        for (text, expected) in cases {
            let body = fields(&format!("{{\"exprParams\": {{\"x\": {text}}}}}"));
            assert_eq!(templates(&body).map(|values| values["x"].val.clone()), Ok(Some(expected)), "{text}");
        }
        for text in ["null", "{}"] {
            assert!(templates(&fields(&format!("{{\"exprParams\": {{\"x\": {text}}}}}"))).is_err(), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(templates(&fields(&format!("{{\"exprParams\": {{\"x\": {deep}}}}}"))).is_ok());
    }

    #[test]
    fn parameters_are_flattened() {
        let check = |body: &str, params: &str| {
            let (body, params) = (fields(body), fields(params));
            SearchParams { body: &body, params: &params, field: "v" }.pairs()
        };
        let body = r#"{"limit": 3, "offset": 2, "groupingField": "g", "groupSize": 2, "strictGroupSize": true}"#;
        let params = r#"{"metricType": "L2", "ignoreGrowing": true, "radius": 0.5, "params": {"ef": 64, "radius": 0.5}}"#;
        let expected = [
            ("anns_field", "v"),
            ("topk", "3"),
            ("offset", "2"),
            ("group_by_field", "g"),
            ("group_size", "2"),
            ("strict_group_size", "true"),
            ("params", r#"{"ef":64,"radius":0.5}"#),
            ("ef", "64"),
            ("ignore_growing", "true"),
            ("metric_type", "L2"),
            ("radius", "0.5"),
        ];
        assert_eq!(check(body, params), Ok(expected.map(|(key, value)| pair(key, value)).to_vec()));
        let plain = [("anns_field", "v"), ("topk", "100"), ("params", "{}")];
        assert_eq!(check("{}", "{}"), Ok(plain.map(|(key, value)| pair(key, value)).to_vec()));
        let error = check("{}", r#"{"ef": 1, "params": {"ef": 2}}"#).expect_err("two values");
        assert!(error.reason().starts_with("ambiguous parameter: ef, in search_param: 1, in search_param.params: 2"), "{error}");
        assert!(check("{}", r#"{"params": [1]}"#).expect_err("a list").reason().starts_with("searchParams.params must be a dict"));
    }
}
