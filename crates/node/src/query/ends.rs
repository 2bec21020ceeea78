//! The ends of channels' logs, for strong reads: one question in flight for each channel serves all reads that wait (`docs/protocol.md` §5).
//!
//! An answer is good for a read only if the question was sent after the read came. So a read that finds a question under way waits for the next one,
//! and shares that with all that came meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use role::Call;
use role::data::LogEnd;
use types::Result;
use types::id::ChannelName;

/// Questions about channels.
#[derive(Default)]
pub struct Ends {
    channels: Mutex<BTreeMap<ChannelName, Arc<Asking>>>,
}

#[derive(Default)]
struct Asking {
    /// Questions that were begun.
    begun: Mutex<u64>,
    /// The last answer, and the number of its question. Who holds it asks.
    answer: tokio::sync::Mutex<Option<(u64, LogEnd)>>,
}

impl Ends {
    /// The end of a channel's log: by `ask`, or by another read's question that begins after this call.
    ///
    /// # Errors
    /// `ask`'s; the call's deadline. An answer that isn't one is nobody else's.
    pub async fn of<F>(&self, call: &Call, channel: &ChannelName, ask: impl FnOnce() -> F) -> Result<LogEnd>
    where
        F: Future<Output = Result<LogEnd>>,
    {
        let asking = self.channels.lock().entry(channel.clone()).or_default().clone();
        let before = *asking.begun.lock();
        let shared = async {
            let mut answer = asking.answer.lock().await;
            if let Some((question, end)) = *answer
                && question > before
            {
                return Ok(end);
            }
            let question = {
                let mut begun = asking.begun.lock();
                *begun += 1;
                *begun
            };
            let end = ask().await?;
            *answer = Some((question, end));
            Ok(end)
        };
        call.bound("the end of the log", shared).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use base::World;
    use base::disk::simulated::SimulatedDisk;
    use types::position::Position;
    use types::record::Epoch;
    use types::time::Timestamp;
    use types::{Code, Error};

    use super::*;

    /// Reads that come at these milliseconds, while a question takes ten: which question answers each, and how many there are.
    async fn answered(arrivals: &[u64], fails: u64) -> (Vec<Option<u64>>, u64) {
        let world = World::simulated(1, SimulatedDisk::new(1).process());
        let (ends, asked) = (Ends::default(), AtomicU64::new(0));
        let channel = ChannelName::numbered("t", 0);
        let reads = arrivals.iter().map(|at| {
            let (world, ends, asked, channel) = (&world, &ends, &asked, &channel);
            async move {
                world.clock.sleep(Duration::from_millis(*at)).await;
                let call = Call::within(world, Duration::from_secs(1), "read");
                let ask = || async move {
                    let number = asked.fetch_add(1, Ordering::Relaxed) + 1;
                    world.clock.sleep(Duration::from_millis(10)).await;
                    match number == fails {
                        true => Err(Error::new(Code::SERVICE_UNAVAILABLE, "no answer")),
                        false => {
                            let (position, epoch) = (Position::default(), Epoch { process: 1, attempt: 1 });
                            Ok(LogEnd { position, epoch, number, clock: Timestamp::ZERO })
                        }
                    }
                };
                ends.of(&call, channel, ask).await.ok().map(|end| end.number)
            }
        });
        let answers = futures::future::join_all(reads).await;
        (answers, asked.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn reads_share_questions_that_begin_after_they_came() {
        let one = Some(1);
        assert_eq!(answered(&[0, 20, 40], 0).await, (vec![one, Some(2), Some(3)], 3), "an old answer is nobody's");
        assert_eq!(answered(&[0, 1, 5, 9], 0).await, (vec![one, Some(2), Some(2), Some(2)], 2), "who waits shares the next one");
        assert_eq!(answered(&[0, 1, 5, 12], 0).await, (vec![one, Some(2), Some(2), Some(3)], 3));
        assert_eq!(answered(&[0, 1, 5], 2).await, (vec![one, None, Some(3)], 3), "a failure is the asker's own");
    }
}
