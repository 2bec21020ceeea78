//! What one client knows of its own keys: the oracle that every answer is checked against.
//!
//! A client writes one thing at a time and nobody else writes its keys. An operation that was acknowledged has happened, once. One that got no
//! answer has happened once or not at all, and may yet happen: its keys are *murky*, they aren't written again, and are checked to be as
//! before or as after, for good once they were seen as after.

use std::collections::BTreeMap;

use super::client::{Row, text_of};

/// The value of a key; `None`: no row.
pub type State = Option<i64>;

/// The keys of one client.
#[derive(Default)]
pub struct Model {
    keys: BTreeMap<i64, Known>,
}

/// What a key may be.
#[derive(Clone, Debug)]
struct Known {
    /// As before, and as after what got no answer.
    possible: Vec<State>,
    /// Its last write was acknowledged.
    acknowledged: bool,
}

/// A read at a timestamp, to be repeated.
#[derive(Clone)]
pub struct Snapshot {
    pub at: u64,
    pub rows: Vec<(i64, i64)>,
}

impl Model {
    /// An operation was acknowledged.
    pub fn is(&mut self, key: i64, state: State) {
        self.keys.insert(key, Known { possible: vec![state], acknowledged: true });
    }

    /// An operation got no answer.
    pub fn may_be(&mut self, key: i64, state: State) {
        let known = self.keys.entry(key).or_insert_with(|| Known { possible: vec![None], acknowledged: false });
        known.acknowledged = false;
        if !known.possible.contains(&state) {
            known.possible.push(state);
        }
    }

    /// Keys whose state is known, of those with a row or of those without.
    pub fn certain(&self, live: bool) -> Vec<i64> {
        let certain = self.keys.iter().filter(|(_, known)| known.possible.len() == 1 && known.possible[0].is_some() == live);
        certain.map(|(key, _)| *key).collect()
    }

    /// Keys whose last write was acknowledged.
    pub fn acknowledged(&self) -> Vec<i64> {
        self.keys.iter().filter(|(_, known)| known.acknowledged).map(|(key, _)| *key).collect()
    }

    /// Whether a key was never written.
    pub fn is_new(&self, key: i64) -> bool {
        !self.keys.contains_key(&key)
    }

    /// The only state that a key can have; `None` if there are several.
    pub fn certain_state(&self, key: i64) -> Option<State> {
        match self.keys.get(&key)?.possible.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// All keys with what they may be.
    pub fn possibilities(&self) -> Vec<(i64, Vec<State>)> {
        self.keys.iter().map(|(key, known)| (*key, known.possible.clone())).collect()
    }

    /// The least and the greatest number of rows.
    pub fn counts(&self) -> (i64, i64) {
        let of = |test: fn(&Known) -> bool| self.keys.values().filter(|known| test(known)).count() as i64;
        (of(|known| known.possible.iter().all(Option::is_some)), of(|known| known.possible.iter().any(Option::is_some)))
    }

    /// Checks a strong read of `keys` (all that this client has, if `None`), and learns from it.
    ///
    /// # Errors
    /// What is missing, doubled, resurrected or wrong.
    pub fn check(&mut self, keys: Option<&[i64]>, rows: &[Row]) -> Result<(), String> {
        let mut seen: BTreeMap<i64, i64> = BTreeMap::new();
        for row in rows {
            if row.text != text_of(row.value) {
                return Err(format!("key {}: the text isn't that of value {}", row.key, row.value));
            }
            if let Some(other) = seen.insert(row.key, row.value) {
                return Err(format!("key {} is there twice, with values {other} and {}", row.key, row.value));
            }
        }
        if let Some(key) = seen.keys().find(|key| !self.keys.contains_key(key)) {
            return Err(format!("key {key} is there and was never written"));
        }
        for (key, known) in &mut self.keys {
            if keys.is_some_and(|keys| !keys.contains(key)) {
                continue;
            }
            let state = seen.get(key).copied();
            let Some(place) = known.possible.iter().position(|possible| *possible == state) else {
                return Err(format!("key {key} is {state:?}, and must be one of {:?}", known.possible));
            };
            // What may yet happen stays possible; what has happened isn't undone.
            known.possible.drain(..place);
        }
        Ok(())
    }
}

/// Checks that a read at the same timestamp gave the same.
pub fn check_snapshot(snapshot: &Snapshot, rows: &[Row]) -> Result<(), String> {
    let now: Vec<(i64, i64)> = rows.iter().map(|row| (row.key, row.value)).collect();
    if now == snapshot.rows {
        return Ok(());
    }
    let differs = now.iter().filter(|row| !snapshot.rows.contains(row)).chain(snapshot.rows.iter().filter(|row| !now.contains(row)));
    Err(format!("the snapshot at {} moved: {:?}", snapshot.at, differs.take(5).collect::<Vec<_>>()))
}
