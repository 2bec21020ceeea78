//! How an append goes wrong: each broker's own ways, drawn from the log's generator.

use std::ops::Range;

use super::*;

/// Which broker the memory log behaves as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Personality {
    /// Anyone may append; offsets have no gaps.
    Plain,
    /// Anyone may append. A repeat may be reported without an offset, or be written twice; offsets may be left out.
    Kafka,
    /// A process is fenced by a higher one. The client reconnects by itself, so that a frame in the middle may fail while later ones land.
    Pulsar,
}

/// Probabilities per append, 0 … 1, and times. All nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// How long an append or a read takes.
    pub latency: Range<Duration>,
    /// Nothing lands; an error.
    pub lost: f64,
    /// All lands; an error.
    pub unanswered: f64,
    /// An error now; all lands later, at most [`Self::late_by`].
    pub late: f64,
    /// See [`Self::late`].
    pub late_by: Duration,
    /// A prefix lands; an error.
    pub cut_short: f64,
    /// All lands twice. Kafka and Pulsar only.
    pub repeated: f64,
    /// Offsets are left out before the frames. Kafka only.
    pub offset_gap: f64,
    /// One frame fails, those after it land; an error. Pulsar only.
    pub middle: f64,
    /// A read gives few frames.
    pub short_reads: bool,
}

/// What becomes of one append.
enum Fate {
    Lands,
    Lost,
    Unanswered,
    Late(Duration),
    CutShort,
    Repeated,
    Middle,
}

impl Shared {
    fn draw(&self, span: &Range<Duration>) -> Duration {
        let width = span.end.saturating_sub(span.start).as_micros() as u64;
        span.start + Duration::from_micros(if width == 0 { 0 } else { self.random.below(width) })
    }

    pub(super) fn read_limit(&self) -> usize {
        if self.state.lock().faults.short_reads { 1 + self.random.below(3) as usize } else { READ_FRAMES_MAX }
    }

    fn fate(&self, faults: &Faults) -> Fate {
        let kafka = self.personality == Personality::Kafka;
        let pulsar = self.personality == Personality::Pulsar;
        let happens = |probability: f64| probability > 0.0 && self.random.chance(probability);
        if happens(faults.lost) {
            return Fate::Lost;
        }
        if happens(faults.unanswered) {
            return Fate::Unanswered;
        }
        if happens(faults.late) {
            return Fate::Late(self.draw(&(Duration::ZERO..faults.late_by)));
        }
        if happens(faults.cut_short) {
            return Fate::CutShort;
        }
        if (kafka || pulsar) && happens(faults.repeated) {
            return Fate::Repeated;
        }
        if pulsar && happens(faults.middle) {
            return Fate::Middle;
        }
        Fate::Lands
    }
}

pub(super) struct MemoryAppender {
    log: MemoryLog,
    channel: ChannelName,
    process: u64,
}

impl MemoryAppender {
    pub(super) fn new(log: MemoryLog, channel: ChannelName, process: u64) -> Self {
        Self { log, channel, process }
    }

    /// Writes frames unless the process is fenced.
    fn land(&self, frames: &[Bytes], gap: u64) -> Result<Vec<Position>, LogError> {
        land(&self.log, &self.channel, self.process, frames, gap)
    }

    fn suffer(&self, fate: Fate, frames: Vec<Bytes>, gap: u64) -> Result<Vec<Position>, LogError> {
        let random = &self.log.shared.random;
        let failed = || unavailable("the append failed");
        match fate {
            Fate::Lands => self.land(&frames, gap),
            Fate::Lost => Err(failed()),
            Fate::Unanswered => self.land(&frames, gap).and(Err(failed())),
            Fate::Late(delay) => {
                let (log, channel, process) = (self.log.clone(), self.channel.clone(), self.process);
                let broker = self.log.shared.world.clone();
                let arrival = async move {
                    broker.clock.sleep(delay).await;
                    // Nobody waits for it any more.
                    let _ = land(&log, &channel, process, &frames, gap);
                };
                self.log.shared.world.tasks.spawn(arrival).detach();
                Err(failed())
            }
            Fate::CutShort => {
                let there = random.below(frames.len() as u64) as usize;
                self.land(&frames[..there], gap).and(Err(failed()))
            }
            Fate::Repeated => {
                let first = self.land(&frames, gap)?;
                let second = self.land(&frames, 0)?;
                match random.below(3) {
                    0 => Ok(first),
                    1 => Ok(second),
                    // Kafka's "success without an offset".
                    _ => Err(failed()),
                }
            }
            Fate::Middle => {
                let missing = random.below(frames.len() as u64) as usize;
                self.land(&frames[..missing], gap)?;
                self.land(&frames[missing + 1..], 0)?;
                Err(failed())
            }
        }
    }
}

fn land(log: &MemoryLog, channel: &ChannelName, process: u64, frames: &[Bytes], gap: u64) -> Result<Vec<Position>, LogError> {
    let fences = log.shared.personality == Personality::Pulsar;
    log.with(channel, |channel| {
        if fences && process < channel.fence {
            return Err(unavailable("the producer was fenced"));
        }
        Ok(frames.iter().enumerate().map(|(i, frame)| channel.land(frame.clone(), if i == 0 { gap } else { 0 })).collect())
    })
}

#[async_trait]
impl Appender for MemoryAppender {
    async fn append(&mut self, frames: Vec<Bytes>) -> Result<Vec<Position>, LogError> {
        let shared = &self.log.shared;
        let limit = shared.frame_bytes_max;
        if let Some(frame) = frames.iter().find(|frame| frame.len() > limit) {
            return Err(LogError::FrameTooLarge { bytes: frame.len(), limit });
        }
        self.log.reach().await?;
        let faults = shared.state.lock().faults.clone();
        let latency = shared.draw(&faults.latency);
        if !latency.is_zero() {
            shared.world.clock.sleep(latency).await;
        }
        let leaves_out = shared.personality == Personality::Kafka && faults.offset_gap > 0.0 && shared.random.chance(faults.offset_gap);
        let gap = if leaves_out { 1 + shared.random.below(3) } else { 0 };
        let fate = if frames.is_empty() { Fate::Lands } else { shared.fate(&faults) };
        self.suffer(fate, frames, gap)
    }
}
