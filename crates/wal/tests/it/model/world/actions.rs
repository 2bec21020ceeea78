//! What may happen next: one action a step, drawn by weight; a run turns some off.

use super::*;

/// Kinds of actions.
pub const ACTIONS: usize = 18;
const WEIGHTS: [usize; ACTIONS] = [3, 30, 12, 20, 1, 1, 4, 2, 6, 6, 6, 5, 5, 4, 24, 5, 4, 40];

impl Run {
    /// Does one thing.
    pub async fn step(&mut self, off: &BTreeSet<usize>) -> Result<(), String> {
        let mut at = self.below(WEIGHTS.iter().sum());
        let action = WEIGHTS.iter().position(|weight| {
            let here = at < *weight;
            at = at.wrapping_sub(*weight);
            here
        });
        let action = action.expect("a number below the sum of the weights");
        if off.contains(&action) && action != 17 {
            return Ok(());
        }
        let (a, b) = (self.below(2), self.below(64));
        match action {
            0 => self.start_sequencer(a),
            1 => self.submit(a, b).await,
            2 => self.connect(a, b % 2).await,
            3 => self.answers(a, 15).await,
            4 => self.new_id(a).await,
            5 => self.raise_schema(a),
            6 => self.send_schema(b % 2, a).await,
            7 => self.proxies[a].schemas = self.meta.lock().schemas,
            8 => self.flush(a, b % SHARDS),
            9 => self.commit(a),
            10 => self.refresh(a),
            11 => self.checkpoint(a).await,
            12 => self.truncate(b).await,
            13 => self.start_follower(a, b % 4 > 0),
            14 => self.follow(a, Duration::from_millis(b as u64 % 4)).await?,
            15 => self.ask_strong(a),
            16 => self.join(a).await?,
            _ => self.world.clock.sleep(Duration::from_millis(b as u64 % 16)).await,
        }
        self.check_strong()
    }

    async fn submit(&mut self, i: usize, b: usize) {
        let op = self.shard_of.keys().filter(|op| **op < 1_000).count() as i64 + 1;
        if op > OPS_MAX || self.proxies[i].outstanding.len() > 3 {
            return;
        }
        self.enqueue(i, op, b % SHARDS, [1, 1, 30, 70][b / 2 % 4]).await;
    }

    fn raise_schema(&mut self, i: usize) {
        let mut meta = self.meta.lock();
        if meta.schemas[i] < 3 {
            meta.schemas[i] += 1;
        }
    }

    fn flush(&mut self, i: usize, of: usize) {
        let manifest = self.nodes[i].view.0.lock().flush(shard(of));
        self.nodes[i].flushes.extend(manifest.map(|manifest| (shard(of), manifest)));
    }

    fn commit(&mut self, i: usize) {
        let mut meta = self.meta.lock();
        let node = &mut self.nodes[i];
        if node.flushes.is_empty() {
            return;
        }
        let (shard, manifest) = node.flushes.remove(0);
        if meta.manifests[&shard].version + 1 == manifest.version {
            meta.manifests.insert(shard, manifest);
        }
    }

    pub fn refresh(&mut self, i: usize) {
        let meta = self.meta.lock();
        for (shard, manifest) in &meta.manifests {
            let mut view = self.nodes[i].view.0.lock();
            if let Some(position) = view.position() {
                view.adopt(*shard, manifest, position);
            }
            let follower = &mut self.followers[i];
            if let Some(tailer) = &follower.tailer {
                follower.view.adopt(*shard, manifest, tailer.state().position);
            }
        }
    }

    pub async fn checkpoint(&mut self, i: usize) {
        let Some(sequencer) = self.nodes[i].sequencer.clone() else { return };
        let asked = self.world.within(Duration::from_millis(20), sequencer.checkpoint()).await;
        let Some(Ok(Some(state))) = asked else { return };
        // Committed or not, another node's may be there already; and now and then nobody says so.
        if state.position.to_u64() % 3 != 0 {
            self.world.within(Duration::from_millis(20), sequencer.checkpointed(state.clone())).await;
        }
        let mut meta = self.meta.lock();
        if state.position > meta.checkpoint.position {
            let bytes = wal::checkpoint::format::encode(&state);
            meta.checkpoint = wal::checkpoint::format::decode(&bytes).expect("own encoding");
        }
    }

    pub async fn truncate(&mut self, b: usize) {
        let mut position = self.meta.lock().checkpoint.position;
        if self.bugs.early_truncation {
            position = types::position::Position::from_u64(position.log, position.to_u64() + 1 + b as u64 % 3);
        }
        self.log.truncate(&self.channel, position).await.expect("the memory log truncates");
    }

    /// Lets a reader read for a while.
    pub async fn follow(&mut self, i: usize, limit: Duration) -> Result<(), String> {
        let follower = &mut self.followers[i];
        let Some(tailer) = &mut follower.tailer else { return Ok(()) };
        match self.world.within(limit, tailer.next()).await {
            None => {}
            Some(Ok(events)) => events.iter().for_each(|event| follower.view.take(event)),
            Some(Err(TailError::StartAgain(_))) => {
                let both = follower.both;
                self.start_follower(i, both);
            }
            Some(Err(TailError::Lost(error))) => return Err(format!("a reader lost records: {error}")),
        }
        Ok(())
    }

    fn ask_strong(&mut self, i: usize) {
        let Some(sequencer) = self.nodes[i].sequencer.clone() else { return };
        let acknowledged = self.acknowledged.iter().map(|op| (*op, self.shard_of[op])).collect();
        let reply = async move { sequencer.barrier().await }.boxed();
        self.strong.push(Strong { reply, acknowledged, at: None });
    }

    /// A reader that stands at an answered question's position sees what was acknowledged before it was asked.
    pub fn check_strong(&mut self) -> Result<(), String> {
        let mut open = Vec::new();
        for mut strong in std::mem::take(&mut self.strong) {
            if strong.at.is_none() {
                match (&mut strong.reply).now_or_never() {
                    Some(Ok(at)) => strong.at = Some(at),
                    Some(Err(_)) => continue,
                    None => {}
                }
            }
            if let Some(at) = &strong.at {
                for follower in &self.followers {
                    if follower.tailer.as_ref().is_some_and(|tailer| tailer.state().position >= at.position) {
                        sees(&follower.view, &strong.acknowledged)?;
                    }
                }
            }
            open.push(strong);
        }
        open.truncate(8);
        self.strong = open;
        Ok(())
    }

    /// A second shard joins a running reader, by a read of its own.
    async fn join(&mut self, i: usize) -> Result<(), String> {
        let Some(tailer) = &self.followers[i].tailer else { return Ok(()) };
        if self.followers[i].both || !tailer.state().is_between_records() {
            return Ok(());
        }
        let target = tailer.state().clone();
        let (checkpoint, manifest) = {
            let meta = self.meta.lock();
            (meta.checkpoint.clone(), meta.manifests[&shard(1)].clone())
        };
        let mut view = View::default();
        view.add(shard(1), manifest.clone());
        if manifest.flushed_to < target.position {
            let own = ReaderState::at(manifest.flushed_to, manifest.epoch, manifest.number, manifest.clock);
            let start = if checkpoint.position > manifest.flushed_to { checkpoint } else { own };
            if start.position > target.position {
                self.start_follower(i, true);
                return Ok(());
            }
            let mut catching_up = self.tailer(start);
            match catching_up.read_until(target.position).await {
                Ok(events) => events.iter().for_each(|event| view.take(event)),
                Err(TailError::StartAgain(_)) => {
                    self.start_follower(i, true);
                    return Ok(());
                }
                Err(TailError::Lost(error)) => return Err(format!("a catching up reader lost records: {error}")),
            }
            let state = catching_up.state();
            if (state.number, state.epoch) != (target.number, target.epoch) {
                return Err(format!("catching up ends at {} {}, not {} {}", state.number, state.epoch, target.number, target.epoch));
            }
        }
        let follower = &mut self.followers[i];
        follower.view.join(shard(1), &view);
        follower.both = true;
        Ok(())
    }
}

fn sees(view: &View, acknowledged: &[(Op, usize)]) -> Result<(), String> {
    for (op, of) in acknowledged {
        if let Some(shard) = view.shards.get(&shard(*of))
            && !shard.rows().iter().any(|(other, _)| other == op)
        {
            return Err(format!("a strong read misses acknowledged write {op}"));
        }
    }
    Ok(())
}
