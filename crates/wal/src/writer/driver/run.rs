//! The sequencer's loop: read to the end, append an Epoch, read it back; then serve until something is in doubt.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::super::held::HELD_MAX;
use super::super::state::{Effect, Landed, Token};
use super::*;
use crate::log::{Appender, LogError};

/// How long an Epoch may take from its acknowledgement to being read.
const READ_BACK_LIMIT: Duration = Duration::from_secs(10);
/// Commands taken before the next group is sent.
const COMMANDS_PER_TURN: usize = 1_024;

pub(super) struct Parts {
    pub(super) core: SequencerState,
    pub(super) apply: Box<dyn Apply>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) publish: watch::Sender<Status>,
    pub(super) surroundings: Option<Arc<dyn Surroundings>>,
}

pub(super) struct Driver {
    world: World,
    log: Arc<dyn Log>,
    channel: ChannelName,
    core: SequencerState,
    apply: Box<dyn Apply>,
    commands: mpsc::Receiver<Command>,
    stopping: watch::Receiver<bool>,
    publish: watch::Sender<Status>,
    waiters: BTreeMap<Token, Waiter>,
    next_token: u64,
    effects: Vec<Effect>,
    appender: Option<Box<dyn Appender>>,
    failures: u32,
    surroundings: Option<Arc<dyn Surroundings>>,
}

enum Waiter {
    Receipt(oneshot::Sender<Result<Receipt, WriteError>>),
    Acknowledged(oneshot::Sender<Result<Acknowledged, WriteError>>),
}

type Append = BoxFuture<'static, (Box<dyn Appender>, Result<Vec<Position>, LogError>)>;

impl Driver {
    pub(super) fn new(world: World, log: Arc<dyn Log>, channel: ChannelName, parts: Parts) -> Self {
        let Parts { core, apply, commands, stopping, publish, surroundings } = parts;
        Self {
            world,
            log,
            channel,
            core,
            apply,
            commands,
            stopping,
            publish,
            waiters: BTreeMap::new(),
            next_token: 0,
            effects: Vec::new(),
            appender: None,
            failures: 0,
            surroundings,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            match self.core.phase() {
                Phase::Reading | Phase::AwaitingEpoch => self.read_back().await,
                Phase::Serving => self.serve().await,
                Phase::Stopped(_) => break,
            }
        }
        self.commands.close();
        self.settle();
    }

    /// Reads to the end, appends an Epoch and reads it back. Requests wait meanwhile; only a stop is heard.
    async fn read_back(&mut self) {
        self.appender = None;
        let mut stopping = self.stopping.clone();
        tokio::select! {
            biased;
            () = asked(&mut stopping) => self.core.stop(Stopped::Asked, &mut self.effects),
            () = self.read_back_once() => {}
        }
        self.settle();
    }

    async fn read_back_once(&mut self) {
        match self.try_read_back().await {
            Ok(()) => self.failures = 0,
            Err(LogError::Unavailable(error)) => self.again(&error).await,
            Err(LogError::Truncated { asked, start }) => self.cut(asked, start).await,
            Err(error) => self.stop_on(error),
        }
    }

    async fn again(&mut self, error: &Error) {
        tracing::warn!(channel = %self.channel, %error, "log not available, the sequencer reads back again");
        self.core.unknown();
        self.failures += 1;
        self.world.clock.sleep(pause(self.failures)).await;
    }

    /// The log begins above what this sequencer has read. A successor's checkpoint above says that nothing was lost.
    async fn cut(&mut self, asked: Position, start: Position) {
        let checkpoint = match &self.surroundings {
            Some(surroundings) => surroundings.checkpoint().await,
            None => Ok(None),
        };
        match checkpoint {
            Ok(Some(by)) if by.position >= start && by.epoch > self.core.epoch() => {
                self.core.stop(Stopped::Superseded(by.epoch), &mut self.effects);
            }
            Ok(_) => self.stop_on(LogError::Truncated { asked, start }),
            Err(error) => self.again(&error).await,
        }
    }

    async fn try_read_back(&mut self) -> Result<(), LogError> {
        let from = self.core.reader().position;
        let mut reader = self.log.reader(&self.channel, from).await?;
        loop {
            let frames = reader.next_available().await?;
            if frames.is_empty() {
                break;
            }
            self.feed(&frames);
            if let Phase::Stopped(_) = self.core.phase() {
                return Ok(());
            }
        }
        let wall = wall(&self.world);
        let Some(epoch) = self.core.at_end(wall, &mut self.effects) else { return Ok(()) };
        let mut appender = self.log.appender(&self.channel, self.core.epoch().process).await?;
        let positions = appender.append(vec![epoch]).await?;
        let through = *positions.first().ok_or_else(|| unavailable("an append without a position"))?;
        while *self.core.phase() == Phase::AwaitingEpoch {
            if reader.position() > through {
                return Err(unavailable("the log acknowledged an Epoch and doesn't show it"));
            }
            let frames = self.world.within(READ_BACK_LIMIT, reader.next()).await;
            let frames = frames.unwrap_or_else(|| Err(unavailable("the log acknowledged an Epoch and doesn't show it in time")))?;
            self.feed(&frames);
        }
        self.appender = Some(appender);
        Ok(())
    }

    fn feed(&mut self, frames: &[(Position, Bytes)]) {
        for (at, bytes) in frames {
            self.core.read(*at, bytes, &mut self.effects);
        }
        self.settle();
    }

    /// Takes requests and appends groups until the phase changes.
    async fn serve(&mut self) {
        let mut append: Option<Append> = None;
        let mut expiry = self.world.clock.now();
        self.settle();
        while *self.core.phase() == Phase::Serving {
            if append.is_none() {
                append = self.next_append();
            }
            let holds = self.core.holds();
            tokio::select! {
                biased;
                (appender, result) = async { append.as_mut().expect("polled only if there is one").await }, if append.is_some() => {
                    append = None;
                    self.landed(appender, result).await;
                }
                () = asked(&mut self.stopping) => self.core.stop(Stopped::Asked, &mut self.effects),
                // Before the commands, of which there may always be more.
                () = self.world.clock.sleep_until(expiry), if holds => {
                    expiry = self.world.clock.now() + HELD_MAX / 4;
                    let wall = wall(&self.world);
                    self.core.expire_held(wall, &mut self.effects);
                }
                command = self.commands.recv() => self.turn(command),
            }
            self.settle();
        }
    }

    /// Takes what has come, so that it can share one append.
    fn turn(&mut self, first: Option<Command>) {
        let Some(first) = first else {
            return self.core.stop(Stopped::Asked, &mut self.effects);
        };
        self.command(first);
        for _ in 1..COMMANDS_PER_TURN {
            let Ok(next) = self.commands.try_recv() else { break };
            self.command(next);
        }
    }

    fn next_append(&mut self) -> Option<Append> {
        let appender = self.appender.take()?;
        let Some(frames) = self.core.next_group() else {
            self.appender = Some(appender);
            return None;
        };
        let mut appender = appender;
        Some(Box::pin(async move {
            let result = appender.append(frames).await;
            (appender, result)
        }))
    }

    async fn landed(&mut self, appender: Box<dyn Appender>, result: Result<Vec<Position>, LogError>) {
        let positions = match result {
            Ok(positions) => positions,
            Err(error) => {
                tracing::warn!(channel = %self.channel, ?error, "the outcome of an append is unknown, the sequencer reads back");
                return self.core.unknown();
            }
        };
        let mut landed = self.core.acknowledged_at(&positions, &mut self.effects);
        if let Landed::Gap { through } = landed {
            landed = match self.read_gap(through).await {
                Ok(()) => self.core.gap_read(),
                Err(LogError::Unavailable(_)) => {
                    self.core.unknown();
                    Landed::Unknown
                }
                // Reading back finds it again, and asks whether a successor cut.
                Err(LogError::Truncated { .. }) => {
                    self.core.unknown();
                    Landed::Unknown
                }
                Err(error) => {
                    self.stop_on(error);
                    Landed::Unknown
                }
            };
        }
        if landed == Landed::Done {
            self.appender = Some(appender);
        } else {
            tracing::warn!(channel = %self.channel, "acknowledged frames don't count, the sequencer reads back");
        }
    }

    async fn read_gap(&mut self, through: Position) -> Result<(), LogError> {
        let mut reader = self.log.reader(&self.channel, self.core.reader().position).await?;
        while reader.position() <= through && *self.core.phase() == Phase::Serving {
            let frames = self.world.within(READ_BACK_LIMIT, reader.next()).await;
            let frames = frames.unwrap_or_else(|| Err(unavailable("the log acknowledged frames and doesn't show them in time")))?;
            // Frames above are read again, acknowledged or not: only this far is known to be durable.
            let known: Vec<_> = frames.into_iter().take_while(|(at, _)| *at <= through).collect();
            if known.is_empty() {
                break;
            }
            self.feed(&known);
        }
        Ok(())
    }

    fn stop_on(&mut self, error: LogError) {
        let why = match error {
            LogError::Unavailable(error) | LogError::Damaged(error) | LogError::Misconfigured(error) => Stopped::Loss(error),
            LogError::Truncated { asked, start } => {
                loss(&self.channel, format!("begins at {start}, records from {asked} on are needed and were cut"))
            }
            LogError::Shrunk { known, end } => loss(&self.channel, format!("ends at {end}, and was read to {known}")),
            LogError::FrameTooLarge { bytes, limit } => {
                loss(&self.channel, format!("refuses a frame of {bytes} bytes, its limit is {limit}"))
            }
        };
        tracing::error!(channel = %self.channel, ?why, "the sequencer stops");
        self.core.stop(why, &mut self.effects);
    }

    fn token(&mut self, waiter: Waiter) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.waiters.insert(token, waiter);
        token
    }

    fn command(&mut self, command: Command) {
        let wall = wall(&self.world);
        match command {
            Command::Write(request, answer) => {
                let token = self.token(Waiter::Receipt(answer));
                self.core.write(*request, token, wall, &mut self.effects);
            }
            Command::Control(shard, control, answer) => {
                let token = self.token(Waiter::Receipt(answer));
                self.core.control(shard, *control, token, wall, &mut self.effects);
            }
            Command::ClockAtLeast(timestamp, answer) => {
                let token = self.token(Waiter::Acknowledged(answer));
                self.core.clock_at_least(timestamp, token, wall, &mut self.effects);
            }
            Command::Barrier(answer) => {
                let token = self.token(Waiter::Acknowledged(answer));
                self.core.barrier(token, wall, &mut self.effects);
            }
            Command::Checkpoint(answer) => {
                self.settle();
                let state = self.core.checkpoint(self.apply.first_unflushed());
                // Who asked and left doesn't need it.
                let _ = answer.send(Ok(state));
            }
            Command::Checkpointed(state) => self.core.checkpointed(*state),
        }
    }

    /// Applies and answers, in order, then shows the new status.
    fn settle(&mut self) {
        let mut answers = Vec::new();
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Apply(event) => self.apply.apply(event),
                Effect::Answer(token, answer) => answers.push((token, answer)),
            }
        }
        let status = Status { phase: self.core.phase().clone(), epoch: self.core.epoch(), acknowledged: self.core.acknowledged() };
        let acknowledged = status.acknowledged;
        self.publish.send_if_modified(|shown| {
            let changed = *shown != status;
            *shown = status;
            changed
        });
        for (token, answer) in answers {
            // A waiter that left has sent the same again, or doesn't care.
            match self.waiters.remove(&token) {
                Some(Waiter::Receipt(sender)) => drop(sender.send(answer)),
                Some(Waiter::Acknowledged(sender)) => drop(sender.send(answer.map(|_| acknowledged))),
                None => {}
            }
        }
    }
}

/// Resolves when a stop was asked for, or nobody is left to ask for one.
async fn asked(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn unavailable(what: &str) -> LogError {
    LogError::Unavailable(Error::new(types::Code::IO_FAILED, what))
}
