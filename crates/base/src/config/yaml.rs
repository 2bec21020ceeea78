//! A file's text to dotted names and texts, in the file's order.
//!
//! Lists of plain values become one text with commas, as Milvus does; `null` becomes the empty text. A name that stands twice is no
//! error: the later one counts, and the caller is told. Merge keys (`<<`) are merged.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// A file's content.
#[derive(Default, PartialEq, Debug)]
pub(super) struct Flat {
    /// Name and text; empty where the file says `null` or nothing.
    pub(super) values: Vec<(String, String)>,
    /// Names that stand more than once.
    pub(super) repeated: Vec<String>,
}

enum Node {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Reads a file.
///
/// # Errors
/// What is wrong with it, with line and column.
pub(super) fn flatten(text: &str) -> Result<Flat, String> {
    let is_blank = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#') || line.trim() == "---");
    if is_blank {
        return Ok(Flat::default());
    }
    let node: Node = yaml_serde::from_str(text).map_err(|error| error.to_string())?;
    let mut flat = Flat::default();
    match node {
        Node::Map(entries) => walk("", Node::Map(entries), &mut flat),
        Node::Text(text) if text.is_empty() => {}
        _ => return Err("names with values are expected, not a text or a list".to_owned()),
    }
    let mut last = BTreeMap::new();
    for (i, (name, _)) in flat.values.iter().enumerate() {
        if last.insert(name.clone(), i).is_some() {
            flat.repeated.push(name.clone());
        }
    }
    let mut i = 0;
    flat.values.retain(|(name, _)| {
        i += 1;
        last.get(name) == Some(&(i - 1))
    });
    Ok(flat)
}

fn walk(path: &str, node: Node, flat: &mut Flat) {
    match node {
        Node::Text(text) => flat.values.push((path.to_owned(), text)),
        Node::List(nodes) => {
            let texts: Option<Vec<String>> =
                nodes.iter().map(|node| if let Node::Text(text) = node { Some(text.clone()) } else { None }).collect();
            match texts {
                Some(texts) => flat.values.push((path.to_owned(), texts.join(","))),
                None => {
                    for (i, node) in nodes.into_iter().enumerate() {
                        walk(&under(path, &i.to_string()), node, flat);
                    }
                }
            }
        }
        Node::Map(entries) if entries.is_empty() => flat.values.push((path.to_owned(), String::new())),
        Node::Map(entries) => {
            let (merged, own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(name, _)| name == "<<");
            let has = |name: &String| own.iter().any(|(other, _)| other == name);
            for (name, node) in merged.into_iter().flat_map(|(_, node)| merged_entries(node)).filter(|(name, _)| !has(name)) {
                walk(&under(path, &name), node, flat);
            }
            for (name, node) in own {
                walk(&under(path, &name), node, flat);
            }
        }
    }
}

/// The entries of a merged map, or of several: the first counts.
fn merged_entries(node: Node) -> Vec<(String, Node)> {
    match node {
        Node::Map(entries) => entries,
        Node::List(nodes) => {
            let mut all: Vec<(String, Node)> = Vec::new();
            for (name, node) in nodes.into_iter().flat_map(merged_entries) {
                if all.iter().all(|(other, _)| *other != name) {
                    all.push((name, node));
                }
            }
            all
        }
        Node::Text(_) => Vec::new(),
    }
}

fn under(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or names with values")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Text(String::new()))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Text(String::new()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = access.next_element()? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some((name, node)) = access.next_entry::<Node, Node>()? {
            // Numbers and truth values are names, too; a list or a map isn't.
            if let Node::Text(name) = name {
                entries.push((name, node));
            }
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let flat = flatten(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let values: Vec<_> = flat.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(values, expected, "{text:?}");
    }

    #[test]
    fn names_and_texts() {
        check("", &[]);
        check("# nothing\n---\n", &[]);
        check("~", &[]);
        check("a: 1", &[("a", "1")]);
        check("a:\n  b: true\n  c: 0.10\n  d: 010\n  e: '007'\n", &[("a.b", "true"), ("a.c", "0.1"), ("a.d", "010"), ("a.e", "007")]);
        check("a:\n    b: x # why\nc: null\nd:\ne: ''\nf: {}\n", &[("a.b", "x"), ("c", ""), ("d", ""), ("e", ""), ("f", "")]);
        check("a: [x, 1, null]\nb:\n- h:1\n- h:2\n", &[("a", "x,1,"), ("b", "h:1,h:2")]);
        check("a: [{b: 1}, {b: 2}]", &[("a.0.b", "1"), ("a.1.b", "2")]);
        check("a.b: 1\n1: 2\n", &[("a.b", "1"), ("1", "2")]);
        check("x: &x {p: 1, q: 2}\ny: {<<: *x, q: 3}", &[("x.p", "1"), ("x.q", "2"), ("y.p", "1"), ("y.q", "3")]);
        check("a: -1\nb: 18446744073709551615\nc: 1e3\nd: 1.0", &[("a", "-1"), ("b", "18446744073709551615"), ("c", "1000"), ("d", "1")]);
    }

    #[test]
    fn the_last_of_two_counts() {
        let flat = flatten("a: {b: 1}\nc: 1\na: {b: 2}\n").unwrap();
        assert_eq!(flat.values, [("c".to_owned(), "1".to_owned()), ("a.b".to_owned(), "2".to_owned())]);
        assert_eq!(flat.repeated, ["a.b"]);
    }

    #[test]
    fn what_is_no_file_of_settings() {
        for text in ["a: [", "\ta: 1", "- a\n- b\n", "text", "a: 1\n b: 2\n", "a: *x"] {
            assert!(flatten(text).is_err(), "{text:?}");
        }
        assert!(flatten("a: 1\n b: 2\n").unwrap_err().contains("line 2"), "errors name the line");
    }
}
