//! What goes wrong, one by one: each breaks something, waits, and mends it, unless it is a process that comes back by itself.

use std::time::Duration;

use base::fault::Rates;
use server::roles::Role;
use wal::memory::Faults;

use super::cluster::Backend;
use super::coverage::Event;
use super::nemesis::Nemesis;

/// How far nodes' clocks may be off: `elanus.lease.clockSkew`.
const SKEW_MS: u64 = 1_000;
/// How far they are off at worst here. Far more would have writers' entries expire, by the log's clock.
const FAR_SKEW_MS: u64 = 30_000;

/// Shorter than any lease, and long enough to lose all of them: in milliseconds.
const SHORT: (u64, u64) = (100, 1_500);
const LONG: (u64, u64) = (2_000, 5_000);

fn slow(most_ms: u64) -> Rates {
    Rates { delay: 0.3, delay_least: Duration::from_millis(1), delay_most: Duration::from_millis(most_ms), ..Rates::NONE }
}

impl Nemesis {
    async fn a_while(&self) {
        let (least, most) = if self.random.chance(0.6) { LONG } else { SHORT };
        self.sleep(least, most).await;
    }

    pub async fn kill(&self, name: &'static str) {
        self.cluster.kill(name);
        if self.random.chance(0.5) {
            self.a_while().await;
        }
        self.restart(name).await;
    }

    pub async fn stop(&self, name: &'static str) {
        self.cluster.stop(name).await;
        self.restart(name).await;
    }

    pub async fn restart(&self, name: &'static str) {
        self.sleep(20, 800).await;
        self.cluster.start(name);
        if self.cluster.names().len() == 1 {
            self.cluster.started(name).await;
        }
    }

    /// The power fails in the middle of writes.
    pub async fn power(&self, name: &'static str) {
        self.cluster.disk().power_off_after(self.random.below(40));
        self.sleep(50, 1_500).await;
        self.cluster.lose_power(name);
        self.restart(name).await;
    }

    pub async fn slow_disk(&self) {
        let disk = self.cluster.disk();
        disk.faults().set_rates(Rates { delay: 0.5, ..slow(60) });
        self.sleep(300, 1_500).await;
        disk.faults().set_rates(Rates::NONE);
    }

    /// A node writes and its answers get lost, and then it dies: whoever takes over must know what was written.
    pub async fn silence(&self, name: &'static str) {
        self.cluster.network().mute(name, true);
        self.sleep(10, 300).await;
        self.cluster.network().mute(name, false);
        self.kill(name).await;
    }

    /// It comes back as a zombie, most times.
    pub async fn pause(&self, name: &'static str) {
        self.cluster.coverage().count(Event::Pause);
        self.cluster.pause(name, true);
        self.a_while().await;
        self.cluster.pause(name, false);
    }

    /// A process that doesn't reach some of what it needs.
    pub async fn isolate(&self, name: &'static str, backends: &[Backend], others: &[&'static str]) {
        self.cluster.coverage().count(Event::Partition);
        let set = |cut| {
            backends.iter().for_each(|backend| self.cluster.cut(name, *backend, cut));
            others.iter().for_each(|other| self.cluster.network().cut(name, other, cut));
        };
        set(true);
        self.a_while().await;
        set(false);
    }

    /// Any of it.
    pub async fn some_isolation(&self, name: &'static str) {
        let backends: Vec<Backend> =
            [Backend::Meta, Backend::Log, Backend::Objects].into_iter().filter(|_| self.random.chance(0.4)).collect();
        let others: Vec<&'static str> =
            self.cluster.names().into_iter().filter(|other| *other != name && self.random.chance(0.4)).collect();
        self.isolate(name, &backends, &others).await;
    }

    /// A data node that coordinators, meta and writers lose, and a query node that goes on asking it: it doesn't hear of another one, nor, a
    /// little later, what that one writes.
    pub async fn strand(&self, data: &'static str, query: &'static str) {
        self.cluster.coverage().count(Event::Partition);
        let (shape, network) = (self.cluster.shape(), self.cluster.network());
        let set = |cut| {
            self.cluster.cut(data, Backend::Meta, cut);
            for coordinator in shape.coordinators() {
                network.cut(data, coordinator, cut);
                network.cut(query, coordinator, cut);
            }
            for proxy in shape.with(Role::Proxy) {
                network.cut(data, proxy, cut);
            }
        };
        set(true);
        self.sleep(50, 1_500).await;
        self.cluster.cut(query, Backend::Log, true);
        self.sleep(LONG.0, LONG.1).await;
        self.cluster.cut(query, Backend::Log, false);
        set(false);
    }

    /// A wall clock that jumps, and stays wrong until it jumps again.
    pub async fn skew(&self, name: &'static str) {
        let (event, most) = if self.random.chance(0.7) { (Event::Skew, SKEW_MS) } else { (Event::FarSkew, FAR_SKEW_MS) };
        self.cluster.coverage().count(event);
        let ms = self.random.below(2 * most + 1) as i64 - most as i64;
        self.cluster.skew(name, ms);
    }

    pub async fn meta_away(&self) {
        self.cluster.coverage().count(Event::MetaOutage);
        self.cluster.take_meta_away(true, false);
        self.a_while().await;
        self.cluster.take_meta_away(false, self.random.chance(0.5));
    }

    /// Calls to meta that fail, lose their answers, come late; watches that are behind.
    pub async fn meta_calls(&self) {
        let faults = self.cluster.meta_faults();
        faults.calls.set_rates(Rates { fail_before: 0.05, fail_after: 0.05, ..slow(300) });
        faults.set_late(0.1);
        self.sleep(300, 3_000).await;
        faults.calls.set_rates(Rates::NONE);
        faults.set_late(0.0);
    }

    /// The broker's own ways to go wrong, all of them for a while.
    pub async fn log(&self) {
        self.cluster.log().set_faults(Faults {
            latency: Duration::from_micros(200)..Duration::from_millis(20),
            lost: 0.05,
            unanswered: 0.05,
            late: 0.05,
            late_by: Duration::from_secs(3),
            cut_short: 0.05,
            repeated: 0.05,
            offset_gap: 0.05,
            middle: 0.05,
            short_reads: true,
        });
        self.sleep(300, 3_000).await;
        self.cluster.log().set_faults(Faults::default());
    }

    pub async fn network(&self) {
        let faults = self.cluster.network().faults();
        faults.set_rates(Rates { fail_before: 0.04, fail_after: 0.04, duplicate: 0.04, ..slow(300) });
        self.sleep(300, 3_000).await;
        faults.set_rates(Rates::NONE);
    }

    pub async fn objects(&self) {
        let faults = self.cluster.object_faults();
        faults.set_rates(Rates { fail_before: 0.1, fail_after: 0.1, ..slow(400) });
        self.sleep(300, 2_500).await;
        faults.set_rates(Rates::NONE);
    }
}
