//! When what goes wrong: one misfortune after the other, drawn from the seed by the shape; and the end of all of them.
//!
//! Not here: the misfortunes themselves ([`super::misfortune`]).

use std::time::Duration;

use base::fault::Rates;
use base::random::Random;
use server::roles::Role;

use super::cluster::{Backend, Cluster};
use super::shape::Shape;

/// How long processes may take to start once nothing is wrong.
const STARTED_MAX: Duration = Duration::from_secs(60);

/// A task that breaks things.
pub struct Nemesis {
    pub cluster: Cluster,
    pub random: Random,
}

impl Nemesis {
    /// Breaks one thing after the other until the clients are done.
    pub async fn run(self) {
        while !self.cluster.verdict().is_over() {
            self.sleep(100, 1_500).await;
            match self.cluster.shape() {
                Shape::One => self.one().await,
                Shape::Three(_) => self.three().await,
                Shape::Cluster(_) => self.cluster().await,
            }
        }
    }

    pub async fn sleep(&self, least: u64, most: u64) {
        self.cluster.world().clock.sleep(Duration::from_millis(least + self.random.below(most - least))).await;
    }

    pub fn pick(&self, names: &[&'static str]) -> &'static str {
        names[self.random.below(names.len() as u64) as usize]
    }

    /// Some process that runs a role.
    fn with(&self, role: Role) -> &'static str {
        self.pick(&self.cluster.shape().with(role))
    }

    async fn one(&self) {
        match self.random.below(10) {
            0..3 => {
                self.cluster.kill("a");
                self.restart("a").await;
            }
            3..5 => {
                self.cluster.lose_power("a");
                self.restart("a").await;
            }
            5..8 => self.power("a").await,
            8 => self.slow_disk().await,
            _ => self.objects().await,
        }
    }

    async fn three(&self) {
        let any = self.pick(&self.cluster.names());
        let data = self.with(Role::DataNode);
        let fault = self.random.below(17);
        tracing::info!(at = self.cluster.world().clock.wall_ms(), fault, any, data, "nemesis");
        match fault {
            0..2 => self.kill(data).await,
            2 => self.kill(any).await,
            3..5 => self.pause(data).await,
            5 => self.pause("c").await,
            6 => self.isolate(data, &[Backend::Log], &[]).await,
            7 => self.isolate(any, &[Backend::Meta], &[data]).await,
            8..10 => self.log().await,
            10 => self.network().await,
            11 => self.silence(data).await,
            12 => self.meta_calls().await,
            13 => self.meta_away().await,
            14 => self.skew(any).await,
            15 => self.some_isolation(any).await,
            _ => self.objects().await,
        }
    }

    async fn cluster(&self) {
        let any = self.pick(&self.cluster.names());
        let coordinator = self.pick(&self.cluster.shape().coordinators());
        let (data, query) = (self.with(Role::DataNode), self.with(Role::QueryNode));
        let fault = self.random.below(24);
        tracing::info!(at = self.cluster.world().clock.wall_ms(), fault, any, coordinator, data, query, "nemesis");
        match fault {
            0 => self.kill(any).await,
            1 => self.kill(data).await,
            2 => self.kill(query).await,
            3 => self.kill(coordinator).await,
            4 => self.pause(any).await,
            5..7 => self.pause(data).await,
            7..9 => self.pause(coordinator).await,
            9 => self.isolate(data, &[Backend::Log], &[]).await,
            10 => self.isolate(any, &[], &[self.pick(&self.cluster.names())]).await,
            11 => self.isolate(coordinator, &[Backend::Meta], &[]).await,
            12..14 => self.some_isolation(any).await,
            14..16 => self.strand(data, query).await,
            16 => self.log().await,
            17 => self.network().await,
            18 => self.silence(data).await,
            19 => self.meta_calls().await,
            20 => self.meta_away().await,
            21 => self.skew(any).await,
            22 => self.stop(any).await,
            _ => self.objects().await,
        }
    }
}

/// Nothing is wrong any more, and every process starts that doesn't run.
pub async fn heal(cluster: &Cluster) {
    cluster.take_meta_away(false, false);
    for rates in [cluster.object_faults(), cluster.network().faults(), &cluster.meta_faults().calls] {
        rates.set_rates(Rates::NONE);
    }
    cluster.meta_faults().set_late(0.0);
    for name in cluster.names() {
        for backend in [Backend::Meta, Backend::Log, Backend::Objects] {
            cluster.cut(name, backend, false);
        }
        cluster.skew(name, 0);
        cluster.pause(name, false);
        cluster.start(name);
    }
    let clock = &cluster.world().clock;
    let end = clock.now() + STARTED_MAX;
    while !cluster.starting().is_empty() && cluster.verdict().violation().is_none() {
        if clock.now() > end {
            return cluster.verdict().violate(format!("{:?} can't start although nothing is wrong", cluster.starting()));
        }
        clock.sleep(Duration::from_millis(200)).await;
    }
}
