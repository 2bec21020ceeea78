//! Serving: stamps, groups, acknowledgements, and sending again after the log was read back.

use super::*;

/// What acknowledged positions mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Landed {
    /// Every frame counts; what was complete is answered.
    Done,
    /// Frames of others lie between: read from [`ReaderState::position`] through this one, then [`SequencerState::gap_read`].
    Gap {
        /// The last frame of the group.
        through: Position,
    },
    /// They can't be true, or frames don't count: [`SequencerState::unknown`] was called.
    Unknown,
}

impl SequencerState {
    /// The next frames to append; `None` while an append is in flight or nothing waits.
    pub fn next_group(&mut self) -> Option<Vec<Bytes>> {
        if self.phase != Phase::Serving || !self.in_flight.is_empty() {
            return None;
        }
        let mut frames = Vec::new();
        let mut bytes = 0;
        while let Some(unit) = self.pending.get(self.cursor.0) {
            let part = self.cursor.1;
            let frame = unit.frame(part, self.limits.frame_bytes_max);
            if !frames.is_empty() && bytes + frame.len() > self.limits.group_bytes_max {
                break;
            }
            bytes += frame.len();
            self.in_flight.push((unit.header(part), frame.len()));
            frames.push(frame);
            self.cursor = if part < unit.parts { (self.cursor.0, part + 1) } else { (self.cursor.0 + 1, 1) };
        }
        (!frames.is_empty()).then_some(frames)
    }

    /// The group in flight is durable at `positions`. Feeds its frames, as long as nothing lies between them.
    pub fn acknowledged_at(&mut self, positions: &[Position], effects: &mut Vec<Effect>) -> Landed {
        if self.phase != Phase::Serving || positions.len() != self.in_flight.len() {
            self.unknown();
            return Landed::Unknown;
        }
        let last = *positions.last().expect("a group that is in flight has frames");
        let mut expected = self.state.position;
        let dense = positions.iter().all(|position| {
            let follows = *position == expected;
            expected = position.next();
            follows
        });
        let rising = positions.windows(2).all(|pair| pair[0] < pair[1]) && positions[0] >= self.state.position;
        if !rising || last.log != self.state.position.log {
            self.unknown();
            return Landed::Unknown;
        }
        if !dense && !self.planted.gap_unread {
            return Landed::Gap { through: last };
        }
        let group = std::mem::take(&mut self.in_flight);
        let number = group.last().map_or(0, |(header, _)| header.number);
        for ((header, bytes), at) in group.into_iter().zip(positions) {
            self.take(&header, 0, *at, None, effects);
            self.ring.passed(&self.state, bytes);
        }
        self.settle(number)
    }

    /// The gap below the acknowledged frames, and they themselves, were read.
    pub fn gap_read(&mut self) -> Landed {
        if let Phase::Stopped(_) = self.phase {
            return Landed::Unknown;
        }
        let group = std::mem::take(&mut self.in_flight);
        self.settle(group.last().map_or(0, |(header, _)| header.number))
    }

    /// Whether the group's last frame was taken: numbers are dense, so all before it were.
    fn settle(&mut self, number: u64) -> Landed {
        if let Phase::Stopped(_) = self.phase {
            return Landed::Unknown;
        }
        if self.state.number < number || self.state.epoch != self.own {
            self.unknown();
            return Landed::Unknown;
        }
        Landed::Done
    }

    /// Its Epoch was read back: goes on from the number and the clock then read, and sends again what doesn't count by now.
    pub(super) fn begin_serving(&mut self) {
        self.phase = Phase::Serving;
        if self.planted.writers_lost_at_takeover && self.own.attempt == 0 {
            self.state.writers = Default::default();
        }
        self.next_number = self.state.number + 1;
        self.last_timestamp = if self.planted.clock_of_epoch_only { Timestamp::ZERO } else { self.state.clock };
        self.admission.restart(&self.state.shards, self.state.clock);
        self.stamped.clear();
        self.cursor = (0, 1);
        self.in_flight.clear();
        let mut pending = std::mem::take(&mut self.pending);
        for unit in &mut pending {
            let kept = unit.stamp.timestamp;
            // The wall clock was looked at when it was first stamped; here order alone matters.
            self.restamp(unit, kept);
            if self.planted.keeps_timestamps {
                unit.stamp.timestamp = kept;
            }
        }
        self.pending = pending;
    }

    pub(super) fn restamp(&mut self, unit: &mut Unit, wall: Timestamp) {
        self.last_timestamp = wall.max(self.last_timestamp.next());
        unit.stamp = super::super::unit::Stamp { first_number: self.next_number, epoch: self.own, timestamp: self.last_timestamp };
        self.next_number += u64::from(unit.parts);
        self.admission.stamped(&unit.last_header(), unit.payload.body());
        if let Origin::Writer { writer, sequence, .. } = unit.origin {
            self.stamped.insert(writer, sequence);
        }
    }
}
