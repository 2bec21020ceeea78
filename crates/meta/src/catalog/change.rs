//! A change of the catalog: documents created, replaced and removed in one transaction, under a leader's fence.
//!
//! Every change is at most once: each [`Change::create`], [`Change::replace`] and [`Change::remove`] brings a condition that the change itself
//! ends. So [`super::Catalog::commit`] may send it again when an answer was lost; and what was long on its way can't undo what came later, because it is
//! revoked first (`super::attempt`).
//!
//! Start here for single documents, at [`super::definition`] for what is done to collections.

use crate::catalog::document::{Document, Versioned, key, value};
use crate::store::{Condition, Transaction, Write};

/// Builds one transaction.
#[derive(Clone, PartialEq, Debug, Default)]
#[must_use = "a change does nothing until it is committed"]
pub struct Change {
    transaction: Transaction,
    settles: bool,
}

impl Change {
    /// A change that needs no leader: of documents that one process owns.
    pub fn new() -> Self {
        Self::default()
    }

    /// A change that is made only while the leader that gave `fence` leads ([`crate::election::Leadership::fence`]).
    pub fn fenced(fence: Condition) -> Self {
        Self::new().when(fence)
    }

    /// Adds a condition of the caller's.
    pub fn when(mut self, condition: Condition) -> Self {
        if !self.transaction.conditions.contains(&condition) {
            self.transaction.conditions.push(condition);
        }
        self
    }

    /// Only if the document is still as it was read.
    pub fn unchanged<D: Document>(self, seen: &Versioned<D>) -> Self {
        self.when(seen.unchanged())
    }

    /// Only if there is no document with this id.
    pub fn absent<D: Document>(self, id: &D::Id) -> Self {
        self.when(Condition::Absent(key::<D>(id)))
    }

    /// Makes a document that isn't there yet.
    pub fn create<D: Document>(self, document: &D) -> Self {
        let key = key::<D>(&document.id());
        let mut change = self.when(Condition::Absent(key.clone()));
        change.settles = true;
        change.transaction = change.transaction.put(key, value(document));
        change
    }

    /// Puts a document in the place of the one that was read.
    ///
    /// # Panics
    /// If the two have different ids.
    pub fn replace<D: Document>(self, old: &Versioned<D>, new: &D) -> Self {
        assert!(old.value.id() == new.id(), "a {} is replaced by another", D::KIND);
        let mut change = self.when(old.unchanged());
        change.settles = true;
        change.transaction = change.transaction.put(key::<D>(&new.id()), value(new));
        change
    }

    /// Creates or replaces, as `old` says.
    pub fn put<D: Document>(self, old: Option<&Versioned<D>>, new: &D) -> Self {
        match old {
            Some(old) => self.replace(old, new),
            None => self.create(new),
        }
    }

    /// Removes the document that was read.
    pub fn remove<D: Document>(self, old: &Versioned<D>) -> Self {
        let mut change = self.when(old.unchanged());
        change.settles = true;
        change.transaction = change.transaction.delete(key::<D>(&old.value.id()));
        change
    }

    /// Removes a document, whatever it is, if it is there. Needs another part of the change that settles it.
    pub fn forget<D: Document>(mut self, id: &D::Id) -> Self {
        self.transaction = self.transaction.delete(key::<D>(id));
        self
    }

    /// Both in one transaction.
    pub fn and(mut self, other: Self) -> Self {
        self.settles |= other.settles;
        for condition in other.transaction.conditions {
            self = self.when(condition);
        }
        self.transaction.changes.extend(other.transaction.changes);
        self
    }

    /// The transaction as it stands.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Whether the change ends one of its own conditions.
    pub fn settles(&self) -> bool {
        self.settles
    }

    /// Writes that another part of the change settles.
    pub(super) fn of_writes(transaction: Transaction) -> Self {
        Self { transaction, settles: false }
    }

    pub(super) fn into_parts(self) -> (Vec<Condition>, Vec<Write>) {
        (self.transaction.conditions, self.transaction.changes)
    }
}
