//! What goes wrong in a run, drawn from the seed: kills, losses of power, pauses, partitions, slow and failing calls; and the end of all of it.

use std::time::Duration;

use base::fault::Rates;
use base::random::Random;
use wal::memory::Faults;

use super::cluster::{Cluster, Shape};
use super::coverage::Event;
use super::workload::Shared;

/// How long a session outlives its process.
const SESSION_TTL: Duration = Duration::from_secs(2);

/// The task that breaks things.
pub struct Nemesis {
    pub cluster: Cluster,
    pub random: Random,
    pub shared: Shared,
}

impl Nemesis {
    /// Breaks one thing after the other until the clients are done.
    pub async fn run(self) {
        while !self.shared.is_over() {
            self.sleep(100, 1_500).await;
            match self.cluster.shape() {
                Shape::One => self.one().await,
                Shape::Three(_) => self.three().await,
            }
        }
        self.heal().await;
    }

    async fn sleep(&self, least: u64, most: u64) {
        self.cluster.world().clock.sleep(Duration::from_millis(least + self.random.below(most - least))).await;
    }

    async fn one(&self) {
        let disk = self.cluster.disk();
        match self.random.below(10) {
            0..3 => {
                self.cluster.kill("a");
                self.restart("a").await;
            }
            3..5 => {
                self.cluster.lose_power("a");
                self.restart("a").await;
            }
            5..8 => {
                disk.power_off_after(self.random.below(40));
                self.sleep(50, 1_500).await;
                self.cluster.lose_power("a");
                self.restart("a").await;
            }
            8 => {
                let rates =
                    Rates { delay: 0.5, delay_least: Duration::from_millis(1), delay_most: Duration::from_millis(60), ..Rates::NONE };
                disk.faults().set_rates(rates);
                self.sleep(300, 1_500).await;
                disk.faults().set_rates(Rates::NONE);
            }
            _ => self.objects().await,
        }
    }

    async fn three(&self) {
        let any = self.cluster.names()[self.random.below(3) as usize];
        let data = ["d1", "d2"][self.random.below(2) as usize];
        let fault = self.random.below(13);
        tracing::info!(at = self.cluster.world().clock.wall_ms(), fault, any, data, "nemesis");
        match fault {
            0..2 => self.kill(data).await,
            2 => self.kill(any).await,
            3..5 => self.pause(data).await,
            5 => self.pause("c").await,
            6 => self.partition(data).await,
            7 => self.cut(data, any).await,
            8..10 => self.log().await,
            10 => self.network().await,
            11 => self.silence(data).await,
            _ => self.objects().await,
        }
    }

    async fn kill(&self, name: &'static str) {
        self.cluster.kill(name);
        if self.random.chance(0.7) {
            self.session_ends(name).await;
        }
        self.restart(name).await;
    }

    /// A node writes and its answers get lost, and then it dies: whoever takes over must know what was written.
    async fn silence(&self, name: &'static str) {
        self.cluster.network().mute(name, true);
        self.sleep(10, 300).await;
        self.cluster.network().mute(name, false);
        self.kill(name).await;
    }

    async fn session_ends(&self, name: &'static str) {
        self.cluster.world().clock.sleep(SESSION_TTL).await;
        self.cluster.announce(name, false);
        self.sleep(10, 3_000).await;
    }

    async fn restart(&self, name: &'static str) {
        self.sleep(20, 800).await;
        self.cluster.start(name).await;
    }

    /// Longer than its session lives, most times: it comes back as a zombie.
    async fn pause(&self, name: &'static str) {
        self.cluster.coverage().count(Event::Pause);
        self.cluster.pause(name, true);
        if self.random.chance(0.7) {
            self.session_ends(name).await;
        } else {
            self.sleep(100, 1_500).await;
        }
        self.cluster.pause(name, false);
        self.sleep(10, 1_000).await;
        self.cluster.announce(name, true);
    }

    /// A node that others reach, and that doesn't reach the log.
    async fn partition(&self, name: &'static str) {
        self.cluster.coverage().count(Event::Partition);
        let number = if name == "d1" { 1 } else { 2 };
        self.cluster.log().partition(number, true);
        if self.random.chance(0.5) {
            self.session_ends(name).await;
        } else {
            self.sleep(100, 3_000).await;
        }
        self.cluster.log().partition(number, false);
        self.cluster.announce(name, true);
    }

    async fn cut(&self, one: &'static str, other: &'static str) {
        self.cluster.coverage().count(Event::Partition);
        self.cluster.network().cut(one, other, true);
        self.cluster.reach_meta(other, false);
        if self.random.chance(0.5) {
            self.session_ends(one).await;
        } else {
            self.sleep(100, 3_000).await;
        }
        self.cluster.network().cut(one, other, false);
        self.cluster.reach_meta(other, true);
        self.cluster.announce(one, true);
    }

    /// The broker's own ways to go wrong, all of them for a while.
    async fn log(&self) {
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

    async fn network(&self) {
        self.cluster.network().faults().set_rates(Rates {
            fail_before: 0.04,
            fail_after: 0.04,
            duplicate: 0.04,
            delay: 0.3,
            delay_least: Duration::from_millis(1),
            delay_most: Duration::from_millis(300),
        });
        self.sleep(300, 3_000).await;
        self.cluster.network().faults().set_rates(Rates::NONE);
    }

    async fn objects(&self) {
        self.cluster.object_faults().set_rates(Rates {
            fail_before: 0.1,
            fail_after: 0.1,
            duplicate: 0.0,
            delay: 0.3,
            delay_least: Duration::from_millis(1),
            delay_most: Duration::from_millis(400),
        });
        self.sleep(300, 2_500).await;
        self.cluster.object_faults().set_rates(Rates::NONE);
    }

    /// Nothing is wrong any more.
    async fn heal(&self) {
        for name in self.cluster.names() {
            self.cluster.pause(name, false);
            self.cluster.start(name).await;
        }
    }
}
