//! What a process is and holds, as JSON on the port of health and metrics: for `./dev cluster status`, and for people who ask one process.
//!
//! Numbers that one watches over time are metrics ([`crate::sample`]); this page names things: channels, shards, offices. Invariant: it is read
//! from the roles when somebody asks, and it asks no other process, so it answers while everything else is away.

use node::channel::{Channel, Source};
use serde::Serialize;

use crate::roles::Role;
use crate::sample::Roles;
use crate::wiring::Seats;

/// One process.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Its id in the cluster; `0` before it has one.
    pub node: String,
    /// What it runs; empty before its storage is open.
    pub roles: Vec<String>,
    /// What it waits for before it serves, as `/healthz` says.
    pub waiting: Vec<String>,
    /// The coordinators that it leads now; those of `roles` that aren't here stand by.
    pub leads: Vec<&'static str>,
    /// The channels that it writes or reads.
    pub channels: Vec<ChannelStatus>,
    /// Channels that it should write and can't take up.
    pub failed: Vec<Failed>,
    /// Index builds under way.
    pub builds: usize,
}

/// One channel.
#[derive(Debug, Serialize)]
pub struct ChannelStatus {
    /// Which.
    pub name: String,
    /// Whether this process sequences it; else it reads what another one writes.
    pub sequenced: bool,
    /// Number of the last record that is applied here.
    pub applied: u64,
    /// Number of the last record that is acknowledged, where this process sequences and serves.
    pub acknowledged: Option<u64>,
    /// Bytes of rows and deletes in memory that no segment holds.
    pub unflushed_bytes: usize,
    /// Bytes of log above its newest checkpoint, about: what a takeover reads.
    pub log_bytes: u64,
    /// The shards that are held, as logs name them: collection, `v`, number.
    pub shards: Vec<String>,
}

/// A channel that can't be taken up.
#[derive(Debug, Serialize)]
pub struct Failed {
    /// Which.
    pub channel: String,
    /// Why, as clients are told.
    pub why: String,
}

impl Status {
    /// Of a process whose roles may not be there yet.
    pub(crate) fn of(node: &str, waiting: Vec<String>, roles: Option<&Roles>) -> Self {
        let empty = Self {
            node: node.to_owned(),
            roles: Vec::new(),
            waiting,
            leads: Vec::new(),
            channels: Vec::new(),
            failed: Vec::new(),
            builds: 0,
        };
        let Some(Roles { run, seats, workers }) = roles else { return empty };
        let acknowledged = workers.data.as_ref().map(|data| data.acknowledged()).unwrap_or_default();
        let end = |channel: &Channel| acknowledged.iter().find(|(name, _)| name == channel.name()).map(|(_, number)| *number);
        let failed = workers.channels.failed().into_iter().filter_map(|(name, _)| {
            let why = workers.channels.failure(&name)?.reason().to_owned();
            Some(Failed { channel: name.to_string(), why })
        });
        Self {
            roles: run.names(),
            leads: led(seats),
            channels: workers.channels.all().iter().map(|channel| of_channel(channel, end(channel))).collect(),
            failed: failed.collect(),
            builds: workers.index.as_ref().map_or(0, |index| index.builds()),
            ..empty
        }
    }
}

fn led(seats: &Seats) -> Vec<&'static str> {
    let Seats { root, data, query, index } = seats;
    let offices = [
        (Role::RootCoord, root.present().is_some()),
        (Role::DataCoord, data.present().is_some()),
        (Role::QueryCoord, query.present().is_some()),
        (Role::IndexCoord, index.present().is_some()),
    ];
    offices.into_iter().filter(|(_, led)| *led).map(|(role, _)| role.name()).collect()
}

fn of_channel(channel: &Channel, acknowledged: Option<u64>) -> ChannelStatus {
    ChannelStatus {
        name: channel.name().to_string(),
        sequenced: channel.source() != Source::Tailer,
        applied: channel.progress().borrow().number,
        acknowledged,
        unflushed_bytes: channel.held_bytes(),
        log_bytes: channel.log_bytes_above(channel.checkpoint()),
        shards: channel.shards().iter().map(ToString::to_string).collect(),
    }
}
