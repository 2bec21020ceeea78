//! Who sequences a channel, as datacoord last said: kept until whoever was named doesn't answer as a sequencer does.
//!
//! A stale route costs a question more and nothing else: only the channel's sequencer can answer (`docs/protocol.md` §5).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use parking_lot::Mutex;
use role::Call;
use role::data::{DataCoord, DataNode, Route};
use role::peers::Peers;
use types::id::ChannelName;
use types::{Code, Error, Result};

/// How long a channel that moves is asked after.
const SEQUENCER_MAX: Duration = Duration::from_secs(10);
/// How long one node may take to answer before another one is looked for: far above an append.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Before routes are asked for again.
const RETRY: Duration = Duration::from_millis(50);

/// Known routes.
pub struct Routes {
    world: World,
    coordinator: Arc<dyn DataCoord>,
    peers: Arc<Peers>,
    known: Mutex<BTreeMap<ChannelName, Route>>,
}

impl Routes {
    /// None yet.
    pub fn new(world: &World, coordinator: Arc<dyn DataCoord>, peers: Arc<Peers>) -> Self {
        Self { world: world.clone(), coordinator, peers, known: Mutex::default() }
    }

    /// Asks a channel's sequencer for what may be asked twice; looks for another one where it isn't one, or says nothing.
    ///
    /// # Errors
    /// The last answer, or that there is none, when the time is over.
    pub async fn ask<T, F>(&self, call: &Call, channel: &ChannelName, ask: impl Fn(Arc<dyn DataNode>, Call) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let clock = &self.world.clock;
        let until = call.deadline.min(clock.now() + SEQUENCER_MAX);
        loop {
            let attempt = Call { deadline: until.min(clock.now() + ANSWER_MAX), ..call.clone() };
            let asked = match self.of(call, channel).await {
                Ok(route) => {
                    let asked = async { ask(self.peers.data_node(&route.address)?, attempt.clone()).await };
                    attempt.bound("the sequencer", asked).await.inspect_err(|error| {
                        if moves(error) {
                            self.forget(&route);
                        }
                    })
                }
                // Between two sequencers a channel has no route.
                Err(error) => Err(error),
            };
            match asked {
                Err(error) if moves(&error) && clock.now() < until => {
                    tracing::debug!(%channel, %error, "another sequencer is looked for");
                }
                result => return result,
            }
            clock.sleep_until((clock.now() + RETRY).min(until)).await;
        }
    }

    async fn of(&self, call: &Call, channel: &ChannelName) -> Result<Route> {
        if let Some(route) = self.known.lock().get(channel) {
            return Ok(route.clone());
        }
        let routes = self.coordinator.routes(call).await?;
        let mut known = self.known.lock();
        *known = routes.into_iter().map(|route| (route.channel.clone(), route)).collect();
        known.get(channel).cloned().ok_or_else(|| Error::about(Code::CHANNEL_NOT_AVAILABLE, &[("channel", channel)]))
    }

    fn forget(&self, route: &Route) {
        let mut known = self.known.lock();
        if known.get(&route.channel) == Some(route) {
            known.remove(&route.channel);
        }
    }
}

/// Whether the channel may be sequenced elsewhere by now.
fn moves(error: &Error) -> bool {
    let codes = [Code::CHANNEL_MISROUTED, Code::CHANNEL_NOT_AVAILABLE, Code::SERVICE_UNAVAILABLE, Code::SERVICE_NOT_READY, Code::TIMEOUT];
    codes.contains(&error.code())
}
