//! The end of a run: faults stop, everything that waits is answered, and all views of the log are compared.

use super::*;

/// Rounds until everything must be answered.
const ROUNDS_MAX: usize = 200;

impl Run {
    /// Heals everything, then checks.
    pub async fn settle(&mut self) -> Result<(), String> {
        self.log.set_faults(Faults::default());
        self.nodes[1].world.tasks.kill();
        self.nodes[1].sequencer = None;
        self.start_sequencer(0);
        self.wait_serving().await?;
        let mut done = false;
        for round in 0..ROUNDS_MAX {
            for i in 0..SHARDS {
                self.send_schema(0, i).await;
            }
            for i in 0..self.proxies.len() {
                if round % 8 == 0 && !self.proxies[i].outstanding.is_empty() {
                    self.connect(i, 0).await;
                }
                self.answers(i, 0).await;
            }
            self.world.clock.sleep(Duration::from_millis(5)).await;
            done = self.proxies.iter().all(|proxy| proxy.outstanding.is_empty());
            if done && round > 2 {
                break;
            }
        }
        if !done {
            let left: Vec<_> = self.proxies.iter().map(|proxy| (proxy.writer, proxy.outstanding.keys().collect::<Vec<_>>())).collect();
            return Err(format!("requests are never answered: {left:?}, last told {:?}", self.last_error));
        }
        self.compare().await?;
        for of in 0..SHARDS {
            let manifest = self.nodes[0].view.0.lock().flush(shard(of));
            if let Some(manifest) = manifest {
                let mut meta = self.meta.lock();
                if meta.manifests[&shard(of)].version + 1 == manifest.version {
                    meta.manifests.insert(shard(of), manifest);
                }
            }
        }
        self.refresh(0);
        self.checkpoint(0).await;
        self.truncate(0).await;
        self.compare().await
    }

    async fn wait_serving(&mut self) -> Result<(), String> {
        let sequencer = self.nodes[0].sequencer.clone().expect("just started");
        match self.world.within(Duration::from_secs(600), sequencer.serving()).await {
            Some(Ok(_)) => Ok(()),
            Some(Err(why)) => Err(format!("the last sequencer stops: {why:?}")),
            None => Err("the last sequencer never serves".into()),
        }
    }

    /// All views, read to the end.
    async fn compare(&mut self) -> Result<(), String> {
        let sequencer = self.nodes[0].sequencer.clone().expect("it runs");
        let end = sequencer.barrier().await.map_err(|error| format!("no barrier at the end: {error:?}"))?;
        self.followers.push(Follower { tailer: None, view: View::default(), both: true });
        let fresh = self.followers.len() - 1;
        self.start_follower(fresh, true);
        for i in 0..self.followers.len() {
            let mut tries = 0;
            while self.followers[i].tailer.as_ref().is_some_and(|tailer| tailer.state().position < end.position) {
                self.follow(i, Duration::from_secs(5)).await?;
                tries += 1;
                if tries > 10_000 {
                    return Err("a reader never reaches the end".into());
                }
            }
        }
        let fresh = self.followers.pop().expect("pushed above").view;
        self.check_strong()?;
        self.check_rows(&fresh)?;
        let views = self.followers.iter().filter(|follower| follower.tailer.is_some()).map(|follower| ("a reader", follower.view.clone()));
        let own = [("the sequencer", self.nodes[0].view.0.lock().clone())];
        for (name, view) in views.chain(own) {
            for (shard, state) in &view.shards {
                let (mut rows, mut expected) = (state.rows(), fresh.shards[shard].rows());
                rows.sort();
                expected.sort();
                if rows != expected {
                    return Err(format!("{name} sees {rows:?} of {shard}, a fresh reader {expected:?}"));
                }
            }
        }
        Ok(())
    }

    fn check_rows(&self, view: &View) -> Result<(), String> {
        let mut seen = BTreeMap::new();
        let mut timestamps = BTreeSet::new();
        let schemas = self.meta.lock().schemas;
        for (i, schema) in schemas.iter().enumerate() {
            let state = &view.shards[&shard(i)];
            if state.schema() != *schema {
                return Err(format!("shard {i} has schema {}, meta {schema}", state.schema()));
            }
            for (op, timestamp) in state.rows() {
                if seen.insert(op, timestamp).is_some() {
                    return Err(format!("write {op} is there twice"));
                }
                if !timestamps.insert(timestamp) {
                    return Err(format!("timestamp {timestamp} is given twice"));
                }
            }
        }
        if let Some(op) = self.acknowledged.iter().find(|op| !seen.contains_key(*op)) {
            return Err(format!("acknowledged write {op} is nowhere"));
        }
        match self.refused.iter().find(|op| seen.contains_key(*op)) {
            Some(op) => Err(format!("refused write {op} is there")),
            None => Ok(()),
        }
    }
}
