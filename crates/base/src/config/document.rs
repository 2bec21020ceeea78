//! The table as a file: `configs/elanus.yaml`, every key with what it does, its default and what is allowed.
//!
//! Keys stand there as comments (`#port: 19530`), sections don't: taking the `#` off is all it takes to set one, and the file as it is
//! sets nothing.

use std::fmt::Write;

use super::key::{Effect, Key};
use super::section::Table;
use super::{Config, KeyEntry};

const HEAD: &str = "\
# Every setting of Elanus. Written by the program's tests from its table of keys: change the table, not this file.
#
# Names and meanings are those of milvus.yaml, which Elanus reads as it is; settings of its own are under `elanus`.
# To set one, take away the `#` right before its name. Files are read from the directory that MILVUSCONF names, else from ./configs:
# milvus.yaml, _test.yaml, default.yaml, user.yaml, elanus.yaml, each over the one before. The environment comes before all of them:
# PROXY_PORT or MILVUS_CONF_PROXY_PORT is proxy.port. Letter case, dots and underscores don't matter in names.
# What is \"not acted upon yet\" is read and checked and changes nothing; setting it to anything but its default is named at start.
";

/// A section or a key, in its place.
#[derive(Default)]
struct Node {
    name: String,
    doc: &'static [&'static str],
    key: Option<KeyEntry>,
    children: Vec<Node>,
}

impl Node {
    fn at(&mut self, path: &str) -> &mut Self {
        let mut node = self;
        for part in path.split('.') {
            let at = node.children.iter().position(|child| child.name == part).unwrap_or_else(|| {
                node.children.push(Self { name: part.to_owned(), ..Self::default() });
                node.children.len() - 1
            });
            node = &mut node.children[at];
        }
        node
    }
}

/// The text of `configs/elanus.yaml`.
pub fn document() -> String {
    let mut table = Table::default();
    Config::describe(&mut table);
    let mut root = Node::default();
    for (path, doc) in &table.sections {
        root.at(path).doc = doc;
    }
    for entry in &table.keys {
        root.at(&entry.path).key = Some(entry.clone());
    }
    let mut text = HEAD.to_owned();
    for section in &root.children {
        text.push('\n');
        write_node(&mut text, section, 0);
    }
    text
}

fn write_node(text: &mut String, node: &Node, depth: usize) {
    let indent = "  ".repeat(depth);
    for line in node.doc {
        push_line(text, &indent, &format!("# {}", line.trim()));
    }
    if let Some(entry) = &node.key {
        for line in entry.key.doc {
            push_line(text, &indent, &format!("# {}", line.trim()));
        }
        push_line(text, &indent, &format!("# {}", remarks(entry)));
        push_line(text, &indent, format!("#{}: {}", node.name, scalar(entry.key.default)).trim_end());
        return;
    }
    push_line(text, &indent, &format!("{}:", node.name));
    // A section's own keys first: who reads on is in another section.
    let (keys, sections): (Vec<_>, Vec<_>) = node.children.iter().partition(|child| child.key.is_some());
    for child in keys.into_iter().chain(sections) {
        write_node(text, child, depth + 1);
    }
}

fn push_line(text: &mut String, indent: &str, line: &str) {
    writeln!(text, "{indent}{line}").expect("writing to memory doesn't fail");
}

fn remarks(entry: &KeyEntry) -> String {
    let Key { reloads, effect, old, variable, .. } = entry.key;
    let mut allowed = entry.allowed.clone();
    if let Some(first) = allowed.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let takes_effect = match (effect, reloads) {
        (Effect::Acted, true) => "Changes at once.".to_owned(),
        (Effect::Acted, false) => "Changes at a restart.".to_owned(),
        (Effect::Ignored, _) => "Not acted upon yet.".to_owned(),
        (Effect::Refused(instead), _) => format!("Not acted upon yet, and any other value refuses the start: {instead}."),
    };
    let mut remarks = format!("{allowed}. {takes_effect}");
    if let Some(variable) = variable {
        write!(remarks, " Environment: {variable}.").expect("writing to memory doesn't fail");
    }
    if !old.is_empty() {
        write!(remarks, " Older name: {}.", old.join(", ")).expect("writing to memory doesn't fail");
    }
    remarks
}

/// A text as YAML: plain where it reads back as itself.
fn scalar(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_' | '-' | ':')) && !text.ends_with(':');
    if is_plain { text.to_owned() } else { format!("{text:?}") }
}
