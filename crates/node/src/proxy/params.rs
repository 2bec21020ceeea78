//! Parameters of searches and queries: lists of texts on the wire, checked values here.

use proto::common::KeyValuePair;
use serde_json::{Map, Value};
use types::{Code, Error, Result};

use super::limits::Limits;

/// Parameters that ask for what isn't there: refused, so that nobody takes an answer for what it isn't.
const UNSUPPORTED: [&str; 3] = ["group_by_field", "group_by_fields", "order_by_fields"];

/// The parameters of a search.
#[derive(Clone, PartialEq, Debug)]
pub struct SearchParams {
    /// Hits of each query, at most.
    pub limit: usize,
    /// Hits of each query that are left out before them.
    pub offset: usize,
    /// What the client believes the metric to be.
    pub metric: Option<String>,
    /// The vector field.
    pub field: Option<String>,
    /// Digits of scores; `None`: as they are.
    pub round_decimal: Option<i32>,
    /// What searches and queries have in common.
    pub common: Common,
    /// Parameters of the index as the client's JSON has them.
    pub index: Map<String, Value>,
}

/// The parameters of a query.
#[derive(Clone, PartialEq, Debug)]
pub struct QueryParams {
    /// Rows, at most.
    pub limit: Option<usize>,
    /// Rows that are left out before them.
    pub offset: usize,
    /// What searches and queries have in common.
    pub common: Common,
}

/// What searches and queries have in common.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Common {
    /// Only rows that are in segments.
    pub ignore_growing: bool,
    /// The request is part of an iteration: its guarantee timestamp is a snapshot.
    pub iterator: bool,
    /// The collection that the iteration began on.
    pub collection_id: Option<String>,
}

/// The first pair of a key counts.
struct Pairs<'a>(&'a [KeyValuePair]);

impl<'a> Pairs<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str())
    }

    fn refuse_unsupported(&self) -> Result<()> {
        match UNSUPPORTED.into_iter().find(|key| self.get(key).is_some_and(|value| !value.is_empty())) {
            Some(key) => Err(Error::new(Code::UNSUPPORTED, format!("{key} is not supported: unsupported operation"))),
            None => Ok(()),
        }
    }

    fn common(&self, inner: Option<&str>) -> Result<Common> {
        let ignore_growing = self.get("ignore_growing").or(inner);
        Ok(Common {
            ignore_growing: match ignore_growing {
                None => false,
                Some(text) => parse_bool(text).ok_or_else(|| Error::invalid("parse ignore growing field failed"))?,
            },
            iterator: self.get("iterator").and_then(parse_bool).unwrap_or(false),
            collection_id: self.get("collection_id").map(str::to_owned),
        })
    }
}

/// A boolean in the spellings that Milvus's parser takes.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The parameters of a search.
///
/// # Errors
/// Milvus's text for the first one that is wrong.
pub fn of_search(pairs: &[KeyValuePair], limits: &Limits) -> Result<SearchParams> {
    let pairs = Pairs(pairs);
    pairs.refuse_unsupported()?;
    let index = index_params(pairs.get("params").unwrap_or_default())?;
    let inner = index.get("ignore_growing").map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let common = pairs.common(inner.as_deref())?;
    let text = pairs.get("topk").ok_or_else(|| Error::invalid("topk not found in search_params"))?;
    let mut limit: i64 = text.parse().map_err(|_| Error::invalid(format!("topk [{text}] is invalid")))?;
    if common.iterator {
        limit = limit.min(limits.top_k);
    }
    check_window("topk", limit, limits.top_k)?;
    let offset = match pairs.get("offset") {
        None | Some("" | "0") => 0,
        Some(text) => {
            let offset = text.parse().map_err(|_| Error::invalid(format!("offset [{text}] is invalid")))?;
            check_window("offset", offset, limits.top_k)?;
            offset
        }
    };
    check_window("offset+topk", limit + offset, limits.top_k)?;
    check_range(&index)?;
    Ok(SearchParams {
        limit: limit as usize,
        offset: offset as usize,
        metric: pairs.get("metric_type").filter(|name| !name.is_empty()).map(str::to_owned),
        field: pairs.get("anns_field").filter(|name| !name.is_empty()).map(str::to_owned),
        round_decimal: round_decimal(pairs.get("round_decimal"))?,
        common,
        index,
    })
}

fn check_window(what: &str, value: i64, most: i64) -> Result<()> {
    match (1..=most).contains(&value) {
        true => Ok(()),
        false => Err(Error::invalid(format!("{what} [{value}] is invalid, it should be in range [1, {most}], but got {value}"))),
    }
}

fn round_decimal(text: Option<&str>) -> Result<Option<i32>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.parse() {
        Ok(-1) => Ok(None),
        Ok(digits @ 0..=6) => Ok(Some(digits)),
        _ => Err(Error::invalid(format!("round_decimal [{text}] is invalid, should be -1 or an integer in range [0, 6]"))),
    }
}

/// The members of the JSON object under `params`, and of another one under `params` in it.
fn index_params(text: &str) -> Result<Map<String, Value>> {
    let text = text.trim();
    if matches!(text, "" | "null") {
        return Ok(Map::new());
    }
    let wrong = |what: &dyn std::fmt::Display| Error::invalid(format!("search params in wrong format: {what}"));
    let mut members: Map<String, Value> = serde_json::from_str(text).map_err(|error| wrong(&error))?;
    match members.remove("params") {
        None | Some(Value::Null) => {}
        Some(Value::Object(nested)) => {
            for (key, value) in nested {
                members.entry(key).or_insert(value);
            }
        }
        Some(other) => return Err(wrong(&other)),
    }
    Ok(members)
}

fn check_range(index: &Map<String, Value>) -> Result<()> {
    match (index.contains_key("range_filter"), index.contains_key("radius")) {
        (true, false) => Err(Error::invalid("range_filter requires radius to be set")),
        // A search that ignored it would answer with rows that are too far.
        (_, true) => Err(Error::new(Code::UNSUPPORTED, "radius is not supported: unsupported operation")),
        (false, false) => Ok(()),
    }
}

/// The parameters of a query.
///
/// # Errors
/// Milvus's text for the first one that is wrong.
pub fn of_query(pairs: &[KeyValuePair], limits: &Limits) -> Result<QueryParams> {
    const WINDOW: &str = "invalid max query result window";
    let pairs = Pairs(pairs);
    pairs.refuse_unsupported()?;
    if pairs.get("reduce_stop_for_best").is_some_and(|text| parse_bool(text).is_none()) {
        return Err(Error::invalid("value for reduce_stop_for_best is invalid"));
    }
    let common = pairs.common(None)?;
    let number = |key: &str, text: &str| text.parse::<i64>().map_err(|_| Error::invalid(format!("{key} [{text}] is invalid")));
    let Some(text) = pairs.get("limit") else {
        return Ok(QueryParams { limit: None, offset: 0, common });
    };
    let limit = match number("limit", text)? {
        limit @ ..=0 => return Err(Error::invalid(format!("{WINDOW}, limit [{limit}] is invalid, should be greater than 0"))),
        limit => limit,
    };
    let offset = match pairs.get("offset") {
        None => 0,
        Some(text) => number("offset", text)?,
    };
    if offset < 0 {
        return Err(Error::invalid(format!("{WINDOW}, offset [{offset}] is invalid, should be gte than 0")));
    }
    let (sum, most) = (limit.saturating_add(offset), limits.query_window);
    if sum > most {
        return Err(Error::invalid(format!("{WINDOW}, (offset+limit) should be in range [1, {most}], but got {sum}")));
    }
    Ok(QueryParams { limit: Some(limit as usize), offset: offset as usize, common })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValuePair> {
        pairs.iter().map(|(key, value)| KeyValuePair { key: (*key).to_owned(), value: (*value).to_owned() }).collect()
    }

    #[test]
    fn searches() {
        let limits = Limits::default();
        let given = pairs(&[
            ("topk", "10"),
            ("offset", "5"),
            ("params", r#"{"ef": 64, "params": {"nprobe": "8"}, "ignore_growing": true}"#),
            ("metric_type", "L2"),
            ("anns_field", "v"),
            ("round_decimal", "3"),
            ("iterator", "True"),
            ("nprobe", "1"),
        ]);
        let index = serde_json::json!({"ef": 64, "nprobe": "8", "ignore_growing": true});
        let expected = SearchParams {
            limit: 10,
            offset: 5,
            metric: Some("L2".to_owned()),
            field: Some("v".to_owned()),
            round_decimal: Some(3),
            common: Common { ignore_growing: true, iterator: true, collection_id: None },
            index: index.as_object().expect("an object").clone(),
        };
        assert_eq!(of_search(&given, &limits), Ok(expected));
    }

    #[test]
    fn wrong_searches() {
        let window = |what: &str, n: i64| format!("{what} [{n}] is invalid, it should be in range [1, 16384], but got {n}");
        let round = |text: &str| format!("round_decimal [{text}] is invalid, should be -1 or an integer in range [0, 6]");
        let cases: Vec<(&[(&str, &str)], String)> = vec![
            (&[], "topk not found in search_params".to_owned()),
            (&[("topk", "ten")], "topk [ten] is invalid".to_owned()),
            (&[("topk", "0")], window("topk", 0)),
            (&[("topk", "16385")], window("topk", 16_385)),
            (&[("topk", "1"), ("offset", "-1")], window("offset", -1)),
            (&[("topk", "16384"), ("offset", "1")], window("offset+topk", 16_385)),
            (&[("topk", "1"), ("round_decimal", "7")], round("7")),
            (&[("topk", "1"), ("ignore_growing", "maybe")], "parse ignore growing field failed".to_owned()),
            (&[("topk", "1"), ("params", r#"{"range_filter": 1}"#)], "range_filter requires radius to be set".to_owned()),
        ];
        for (given, text) in cases {
            let error = of_search(&pairs(given), &Limits::default()).expect_err("a wrong parameter");
            assert_eq!((error.code().0, error.reason()), (1100, &*format!("{text}: invalid parameter")), "{given:?}");
        }
        let grouped = of_search(&pairs(&[("topk", "1"), ("group_by_field", "x")]), &Limits::default());
        assert_eq!(grouped.expect_err("not supported").code(), Code::UNSUPPORTED);
        let range = of_search(&pairs(&[("topk", "1"), ("params", r#"{"radius": 1}"#)]), &Limits::default());
        assert_eq!(range.expect_err("not supported").code(), Code::UNSUPPORTED);
        assert_eq!(of_search(&pairs(&[("topk", "99999"), ("iterator", "True")]), &Limits::default()).map(|p| p.limit), Ok(16_384));
    }

    #[test]
    fn queries() {
        let limits = Limits::default();
        let params = |limit, offset| Ok(QueryParams { limit, offset, common: Common::default() });
        assert_eq!(of_query(&[], &limits), params(None, 0));
        assert_eq!(of_query(&pairs(&[("offset", "5")]), &limits), params(None, 0));
        assert_eq!(of_query(&pairs(&[("limit", "7"), ("offset", "5"), ("ignore_growing", "False")]), &limits), params(Some(7), 5));
        let window = "invalid max query result window";
        for (limit, offset, text) in [
            ("0", "0", format!("{window}, limit [0] is invalid, should be greater than 0")),
            ("1", "-1", format!("{window}, offset [-1] is invalid, should be gte than 0")),
            ("16000", "1000", format!("{window}, (offset+limit) should be in range [1, 16384], but got 17000")),
        ] {
            let error = of_query(&pairs(&[("limit", limit), ("offset", offset)]), &limits).expect_err("a wrong parameter");
            assert_eq!(error.reason(), format!("{text}: invalid parameter"));
        }
    }
}
