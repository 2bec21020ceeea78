//! One file's bytes: those that every reader sees, those that are durable, and what lies between.
//!
//! Invariant: `durable` with every change of `unsynced` applied in order is `seen`, unless a sync failed (`doubtful`).

use crate::random::Random;

/// What a device writes at once or not at all, if it behaves.
const SECTOR_BYTES: u64 = 512;

/// How often a sector that doesn't survive leaves some of its bytes all the same.
const TORN_SECTORS: f64 = 0.2;

#[derive(Default)]
pub(super) struct Image {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// A sync failed: `seen` may hold bytes that no later sync will write, because the cache believes them written.
    doubtful: bool,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes: written } => overwrite(bytes, *offset, written),
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }

    /// What may be left of the change when power goes: each sector of a write survives with probability `survival`.
    fn apply_in_part(&self, bytes: &mut Vec<u8>, survival: f64, random: &Random) {
        let Self::Write { offset, bytes: written } = self else {
            if random.chance(survival) {
                self.apply(bytes);
            }
            return;
        };
        let end = offset + written.len();
        if end > bytes.len() && random.chance(survival) {
            // The new length became durable before the bytes did.
            bytes.resize(end, 0);
        }
        let mut from = 0;
        while from < written.len() {
            let sector_left = SECTOR_BYTES - (offset + from) as u64 % SECTOR_BYTES;
            let to = written.len().min(from + usize::try_from(sector_left).unwrap_or(usize::MAX));
            if random.chance(survival) {
                overwrite(bytes, offset + from, &written[from..to]);
            } else if survival > 0.0 && random.chance(TORN_SECTORS) {
                tear(bytes, offset + from, &written[from..to], random);
            }
            from = to;
        }
    }
}

fn overwrite(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    if written.is_empty() {
        return;
    }
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

/// Any mix of the new bytes and what was there: a head, a tail, or single bytes.
fn tear(bytes: &mut Vec<u8>, offset: usize, written: &[u8], random: &Random) {
    let cut = usize::try_from(random.below(written.len() as u64 + 1)).unwrap_or(0);
    match random.below(3) {
        0 => overwrite(bytes, offset, &written[..cut]),
        1 => overwrite(bytes, offset + cut, &written[cut..]),
        _ => {
            for (i, byte) in written.iter().enumerate() {
                if random.chance(0.5) {
                    overwrite(bytes, offset + i, &[*byte]);
                }
            }
        }
    }
}

impl Image {
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
    }

    /// Up to `length` bytes from `offset`.
    pub(super) fn read(&self, offset: u64, length: usize) -> &[u8] {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.seen.len());
        &self.seen[from..from.saturating_add(length).min(self.seen.len())]
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.change(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, length: usize) {
        self.change(Change::Length(length));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            change.apply(&mut self.durable);
        }
    }

    /// Each unsynced change is durable, or is in part, or is lost though readers may see it for a while.
    pub(super) fn fail_sync(&mut self, random: &Random) {
        for change in std::mem::take(&mut self.unsynced) {
            match random.below(3) {
                0 => change.apply(&mut self.durable),
                1 => change.apply_in_part(&mut self.durable, 0.5, random),
                _ => {}
            }
        }
        self.doubtful = true;
        if random.chance(0.5) {
            self.reopen();
        }
    }

    /// Whoever opens the file after a failed sync reads what is on the disk.
    pub(super) fn reopen(&mut self) {
        if !self.doubtful {
            return;
        }
        self.seen = self.durable.clone();
        for change in &self.unsynced {
            change.apply(&mut self.seen);
        }
        self.doubtful = false;
    }

    pub(super) fn crash(&mut self, survival: f64, random: &Random) {
        for change in std::mem::take(&mut self.unsynced) {
            change.apply_in_part(&mut self.durable, survival, random);
        }
        self.seen = self.durable.clone();
        self.doubtful = false;
    }

    /// Flips a bit for good; false past the end.
    pub(super) fn corrupt(&mut self, offset: usize, bit: u32) -> bool {
        let Some(byte) = self.seen.get_mut(offset) else { return false };
        *byte ^= 1 << bit;
        if let Some(byte) = self.durable.get_mut(offset) {
            *byte ^= 1 << bit;
        }
        for change in &mut self.unsynced {
            if let Change::Write { offset: from, bytes } = change
                && let Some(byte) = offset.checked_sub(*from).and_then(|at| bytes.get_mut(at))
            {
                *byte ^= 1 << bit;
            }
        }
        true
    }
}
