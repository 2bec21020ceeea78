//! What the sources say, key by key: matching of names, precedence, and warnings about what isn't known.
//!
//! The source decides before the spelling: an old name in a file that overrides beats the new name in one that is overridden. Within one
//! source the new name wins.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::accepted::{is_accepted, is_relied_on};
use super::key::{Effect, KeyEntry, normalize};
use super::section::Reader;
use super::source::Sources;
use super::{Config, ConfigError, yaml};

/// The variables that set any key, with the prefix that keeps them apart from a cluster's service variables.
const PREFIX: &str = "MILVUS_CONF_";

/// Labels of this node.
const LABEL_PREFIX: &str = "MILVUS_SERVER_LABEL_";

/// Where a value stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// In this file.
    File(String),
    /// In this variable.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => f.write_str(name),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// The text of every key that is set. Clones share it.
#[derive(Clone, Default, PartialEq)]
pub struct Resolved {
    /// By the key's full name in the table; below open keys, the name as the source spells it.
    values: Arc<BTreeMap<String, (String, Origin)>>,
}

/// Names only: some of the texts are secrets.
impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Resolved {
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.values.get(path).map(|(text, _)| text.as_str())
    }

    pub(super) fn origin(&self, path: &str) -> Option<&Origin> {
        self.values.get(path).map(|(_, origin)| origin)
    }

    pub(super) fn below(&self, path: &str) -> BTreeMap<String, String> {
        let prefix = format!("{path}.");
        let named = self.values.iter().filter_map(|(name, (text, _))| Some((name.strip_prefix(&prefix)?.to_owned(), text.clone())));
        named.collect()
    }

    /// Names that differ in their text.
    pub(super) fn changed(&self, other: &Self) -> Vec<String> {
        let names = self.values.keys().chain(other.values.keys());
        let mut changed: Vec<String> = names.filter(|name| self.text(name) != other.text(name)).cloned().collect();
        changed.sort();
        changed.dedup();
        changed
    }

    /// The same with `names` as `other` has them.
    pub(super) fn with_kept(&self, names: &[String], other: &Self) -> Self {
        let mut values = (*self.values).clone();
        for name in names {
            match other.values.get(name) {
                Some(value) => values.insert(name.clone(), value.clone()),
                None => values.remove(name),
            };
        }
        Self { values: Arc::new(values) }
    }
}

/// Settings, and what an operator should hear about them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// One line each: unknown names, names that stand twice, old names that are overridden.
    pub warnings: Vec<String>,
    /// Names that Milvus knows and that have no effect here, as the files spell them.
    pub without_effect: Vec<String>,
    /// Names of keys that are set to other than their default and aren't acted upon yet, as the sources spell them.
    pub ignored: Vec<String>,
    pub(super) resolved: Resolved,
    pub(super) server_labels: BTreeMap<String, String>,
}

/// Names that one line lists.
const NAMES_MAX: usize = 40;

impl Loaded {
    /// Logs what an operator should hear: warnings, and one line each of what isn't acted upon.
    pub fn tell(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        if !self.ignored.is_empty() {
            tracing::warn!(keys = in_a_line(&self.ignored), "settings that aren't acted upon yet, see configs/elanus.yaml");
        }
        if !self.without_effect.is_empty() {
            tracing::info!(keys = in_a_line(&self.without_effect), "settings of Milvus that mean nothing here");
        }
    }
}

/// The names, up to a bound.
pub(super) fn in_a_line(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMES_MAX)].join(", ");
    if names.len() > NAMES_MAX { format!("{shown} and {} more", names.len() - NAMES_MAX) } else { shown }
}

impl Sources {
    /// Reads and checks all settings.
    ///
    /// # Errors
    /// Every file that isn't YAML, every value that can't be read.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let entries = Config::keys();
        let mut matching = Matching::new(&entries);
        matching.warnings.extend(self.notes.iter().cloned());
        for (rank, (name, text)) in self.files.iter().enumerate() {
            matching.take_file(rank, name, text);
        }
        let rank = self.files.len();
        for (name, value) in &self.environment {
            matching.take_variable(rank, name, value);
        }
        let labels =
            self.environment.iter().filter_map(|(name, value)| Some((name.strip_prefix(LABEL_PREFIX)?.to_lowercase(), value.clone())));
        matching.finish(labels.collect())
    }
}

/// A value that was found for a key.
struct Found {
    rank: (usize, bool),
    text: String,
    origin: Origin,
    /// As the source spells the name.
    name: String,
    /// Whether the name sets several keys, each of which has one of its own.
    is_general: bool,
}

impl Found {
    fn new(rank: (usize, bool), name: &str, text: &str, origin: &Origin) -> Self {
        Self { rank, text: text.to_owned(), origin: origin.clone(), name: name.to_owned(), is_general: false }
    }
}

struct Matching<'a> {
    entries: &'a [KeyEntry],
    /// Normalized name: the keys that it sets, and whether it is their proper one.
    index: BTreeMap<String, Vec<(usize, bool)>>,
    found: BTreeMap<String, Found>,
    warnings: Vec<String>,
    without_effect: Vec<String>,
    /// Likewise, and who sets them wants something.
    relied_on: Vec<String>,
    problems: Vec<String>,
}

impl<'a> Matching<'a> {
    fn new(entries: &'a [KeyEntry]) -> Self {
        let mut index: BTreeMap<String, Vec<(usize, bool)>> = BTreeMap::new();
        for (i, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.key.open) {
            index.entry(normalize(&entry.path)).or_default().push((i, true));
            for old in entry.key.old {
                index.entry(normalize(old)).or_default().push((i, false));
            }
        }
        let (warnings, without_effect, relied_on, problems) = Default::default();
        Self { entries, index, found: BTreeMap::new(), warnings, without_effect, relied_on, problems }
    }

    fn take_file(&mut self, rank: usize, file: &str, text: &str) {
        let flat = match yaml::flatten(text) {
            Ok(flat) => flat,
            Err(problem) => return self.problems.push(format!("{file}: {problem}")),
        };
        for name in &flat.repeated {
            self.warnings.push(format!("{file}: {name} stands there more than once, the last one counts"));
        }
        for (name, text) in &flat.values {
            self.take(rank, name, text, &Origin::File(file.to_owned()));
        }
    }

    fn take_variable(&mut self, rank: usize, name: &str, value: &str) {
        let origin = Origin::Environment(name.to_owned());
        let prefix = name.get(..PREFIX.len()).filter(|prefix| prefix.eq_ignore_ascii_case(PREFIX));
        if let Some(prefix) = prefix {
            return self.take(rank + 1, &name[prefix.len()..], value, &origin);
        }
        if is_service_variable(name, value) || value.is_empty() {
            return;
        }
        let special = self.entries.iter().position(|entry| entry.key.variable == Some(name));
        if let Some(i) = special {
            return self.put(i, Found::new((rank, true), name, value, &origin));
        }
        // Any other variable may mean anything: only those that name a key are ours.
        if self.index.contains_key(&normalize(name)) {
            self.take(rank, name, value, &origin);
        }
    }

    /// One name with its text.
    fn take(&mut self, rank: usize, name: &str, text: &str, origin: &Origin) {
        if text.is_empty() {
            return;
        }
        if let Some(keys) = self.index.get(&normalize(name)).cloned() {
            let is_general = keys.len() > 1;
            for (i, is_proper) in keys {
                let found = Found::new((rank, is_proper), name, text, origin);
                self.put(i, Found { is_general, ..found });
            }
            return;
        }
        if let Some((path, rest)) = self.open_key(name) {
            return self.put_at(format!("{path}.{rest}"), Found::new((rank, true), name, text, origin));
        }
        if is_accepted(name) {
            let names = if is_relied_on(name) { &mut self.relied_on } else { &mut self.without_effect };
            return names.push(name.to_owned());
        }
        self.warnings.push(format!("{origin}: unknown key {name}{}", self.hint(name)));
    }

    /// The open key that `name` lies below, and the rest of the name.
    fn open_key(&self, name: &str) -> Option<(String, String)> {
        let parts: Vec<&str> = name.split('.').collect();
        let open = self.entries.iter().filter(|entry| entry.key.open);
        let mut fits = open.filter_map(|entry| {
            let depth = entry.path.split('.').count();
            let is_below = parts.len() > depth && normalize(&parts[..depth].join(".")) == normalize(&entry.path);
            is_below.then(|| (entry.path.clone(), parts[depth..].join(".")))
        });
        fits.next()
    }

    fn put(&mut self, entry: usize, found: Found) {
        self.put_at(self.entries[entry].path.clone(), found);
    }

    fn put_at(&mut self, path: String, found: Found) {
        let Some(before) = self.found.get(&path) else {
            self.found.insert(path, found);
            return;
        };
        let (loser, winner) = if found.rank >= before.rank { (before, &found) } else { (&found, before) };
        let is_general = loser.is_general || winner.is_general;
        if loser.rank.0 == winner.rank.0 && loser.text != winner.text && !is_general {
            let (lost, won) = (&loser.name, &winner.name);
            self.warnings.push(format!("{}: {lost} and {won} are the same key, {won} counts", winner.origin));
        }
        if found.rank >= before.rank {
            self.found.insert(path, found);
        }
    }

    /// What an unknown name may have been meant to be.
    fn hint(&self, name: &str) -> String {
        let last = |path: &str| normalize(path.rsplit('.').next().unwrap_or(path));
        let first = |path: &str| normalize(path.split('.').next().unwrap_or(path));
        let paths = || self.entries.iter().map(|entry| entry.path.as_str());
        if let Some(path) = paths().find(|path| name.contains('.') && last(path) == last(name) && first(path) == first(name)) {
            return format!(" (if {path} is meant: is it indented as it should be?)");
        }
        match paths().find(|path| is_near(&normalize(path), &normalize(name))) {
            Some(path) => format!(" (is {path} meant?)"),
            None => String::new(),
        }
    }

    /// The names of `paths` as the sources spell them, but for names that also set a key that is acted upon.
    fn ignored(&self, paths: &[String]) -> Vec<String> {
        let acted = |path: &String| self.entries.iter().any(|entry| entry.path == *path && entry.key.effect == Effect::Acted);
        let heeded: BTreeSet<&str> = self.found.iter().filter(|(path, _)| acted(path)).map(|(_, found)| found.name.as_str()).collect();
        let names = paths.iter().filter_map(|path| Some(self.found.get(path)?.name.as_str()));
        let names: BTreeSet<&str> = names.filter(|name| !heeded.contains(name)).chain(self.relied_on.iter().map(String::as_str)).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    fn finish(mut self, server_labels: BTreeMap<String, String>) -> Result<Loaded, ConfigError> {
        self.without_effect.sort();
        self.without_effect.dedup();
        let values = self.found.iter().map(|(path, found)| (path.clone(), (found.text.clone(), found.origin.clone())));
        let resolved = Resolved { values: Arc::new(values.collect()) };
        let mut read = read(&resolved, &server_labels);
        let ignored = self.ignored(&read.ignored);
        self.problems.append(&mut read.problems);
        if !self.problems.is_empty() {
            return Err(ConfigError { problems: self.problems });
        }
        let (warnings, without_effect) = (self.warnings, self.without_effect);
        Ok(Loaded { config: read.config, warnings, without_effect, ignored, resolved, server_labels })
    }
}

/// The typed tree, and what is to be said about it.
pub(super) struct Read {
    pub(super) config: Config,
    /// What couldn't be read, or can't be granted.
    pub(super) problems: Vec<String>,
    /// Full names of keys that are set to other than their default and aren't acted upon.
    pub(super) ignored: Vec<String>,
}

/// Reads the tree.
pub(super) fn read(resolved: &Resolved, server_labels: &BTreeMap<String, String>) -> Read {
    let mut reader = Reader { resolved, problems: Vec::new(), ignored: Vec::new() };
    let config = Config::read(&mut reader, server_labels.clone(), resolved);
    Read { config, problems: reader.problems, ignored: reader.ignored }
}

/// Kubernetes gives each pod variables such as `MINIO_PORT=tcp://10.0.0.1:9000` for each service: they look like keys and aren't.
fn is_service_variable(name: &str, value: &str) -> bool {
    name.ends_with("_PORT") && ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
}

/// Whether one text becomes the other by one letter more, less or other, or two that are swapped.
fn is_near(left: &str, right: &str) -> bool {
    let (short, long): (Vec<char>, Vec<char>) = if left.len() <= right.len() {
        (left.chars().collect(), right.chars().collect())
    } else {
        (right.chars().collect(), left.chars().collect())
    };
    if long.len() < 4 || long.len() > short.len() + 1 {
        return false;
    }
    let same = short.iter().zip(&long).take_while(|(a, b)| a == b).count();
    let (short, long) = (&short[same..], &long[same..]);
    if short.len() < long.len() {
        return short == &long[1..];
    }
    let is_swapped = short.len() >= 2 && short[0] == long[1] && short[1] == long[0] && short[2..] == long[2..];
    short.is_empty() || short[1..] == long[1..] || is_swapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let check = |left, right, expected| assert_eq!(is_near(left, right), expected, "{left} {right}");
        check("proxyport", "proxyprot", true);
        check("proxyport", "proxypor", true);
        check("proxyport", "proxyports", true);
        check("proxyport", "proxyfort", true);
        check("proxyport", "proxyfrot", false);
        check("abc", "abd", false);
        check("proxyport", "proxyip", false);
    }
}
