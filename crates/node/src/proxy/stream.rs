//! The proxy's way into the log: one ordered stream per channel to whoever sequences it now, kept open, and opened anew when it is lost.
//!
//! What is under way is a [`Window`]; this file only moves it between the callers, the stream and the clock. A caller that leaves at its
//! deadline doesn't take its request along: it stays until the sequencer has decided it, because a later one can only be stamped after it.
//!
//! Invariants: one driver, and so one stream, per channel; a request leaves the queue for the window only while somebody waits for it and there is
//! room; a driver without work holds no more than an open stream.
//!
//! Start at [`Streams::write`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::task::Task;
use parking_lot::Mutex;
use role::Call;
use role::data::{DataCoord, Outcome, WriteAnswer, WriteStream};
use role::root::RootCoord;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use types::id::{ChannelName, WriterId};
use types::limits::WRITER_IN_FLIGHT_MAX;
use types::{Code, Error, Result};

use super::Peers;
use super::window::{Step, TurnedAway, Window, Write};

/// How long finding the sequencer and opening a stream may take before it is tried again.
const OPEN_LIMIT: Duration = Duration::from_secs(5);
/// A stream that says nothing for so long while it has requests is given up: its other end may have moved or hang.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// A writer that had nothing to say for so long takes a new id before it writes again: sequencers forget ids after an hour (`docs/protocol.md` §2), and
/// what was sent under a forgotten one ends as "outcome unknown".
const WRITER_IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// Waits between attempts that brought nothing: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_LAST: Duration = Duration::from_millis(500);

/// Whom a driver asks: shared by all channels.
pub struct Partners {
    /// Clock and tasks.
    pub world: World,
    /// Gives writer ids.
    pub root: Arc<dyn RootCoord>,
    /// Knows the routes.
    pub data: Arc<dyn DataCoord>,
    /// Reaches data nodes.
    pub peers: Arc<dyn Peers>,
    /// Where this proxy is registered.
    pub address: String,
}

/// The write streams of one proxy.
pub struct Streams {
    partners: Arc<Partners>,
    /// The id that every channel begins with.
    writer: WriterId,
    drivers: Mutex<BTreeMap<ChannelName, Handle>>,
}

struct Handle {
    inbox: mpsc::Sender<Submission>,
    /// Ends the driver with the proxy.
    _driver: Task<()>,
}

type Reply = oneshot::Sender<Result<Outcome>>;

struct Submission {
    write: Write,
    reply: Reply,
}

impl Streams {
    /// Streams of a proxy that is registered as `writer`.
    pub fn new(partners: Partners, writer: WriterId) -> Self {
        Self { partners: Arc::new(partners), writer, drivers: Mutex::default() }
    }

    /// Writes, and returns what the log holds durably: written or refused.
    ///
    /// # Errors
    /// `TIMEOUT` at the call's deadline: not written if it says so, else the outcome is unknown. `DATA_INTEGRITY` where the channel is out of
    /// service, which also says if it isn't written. `CHANNEL_NOT_AVAILABLE` where no sequencer
    /// can tell any more what became of the request.
    pub async fn write(&self, call: &Call, channel: &ChannelName, write: Write) -> Result<Outcome> {
        let (reply, outcome) = oneshot::channel();
        let inbox = self.inbox(channel);
        let send = async { inbox.send(Submission { write, reply }).await.map_err(|_| gone(channel)) };
        call.bound(&format!("write to {channel}: not written, too much is under way"), send).await?;
        let wait = async { outcome.await.unwrap_or_else(|_| Err(gone(channel))) };
        call.bound(&format!("write to {channel}: the outcome is unknown"), wait).await
    }

    fn inbox(&self, channel: &ChannelName) -> mpsc::Sender<Submission> {
        let mut drivers = self.drivers.lock();
        if let Some(handle) = drivers.get(channel) {
            return handle.inbox.clone();
        }
        let (inbox, submissions) = mpsc::channel(WRITER_IN_FLIGHT_MAX);
        let driver = Driver {
            partners: self.partners.clone(),
            channel: channel.clone(),
            writer: Some(self.writer),
            window: Window::default(),
            inbox: submissions,
            retry: RETRY_FIRST,
            used: self.partners.world.clock.now(),
        };
        let task = self.partners.world.tasks.spawn(driver.run());
        drivers.insert(channel.clone(), Handle { inbox: inbox.clone(), _driver: task });
        inbox
    }
}

fn gone(channel: &ChannelName) -> Error {
    Error::about(Code::CHANNEL_NOT_AVAILABLE, &[("channel", channel)]).context("the outcome is unknown: the proxy stops")
}

fn undecidable(channel: &ChannelName) -> Error {
    Error::about(Code::CHANNEL_NOT_AVAILABLE, &[("channel", channel)])
        .context("the outcome is unknown: the sequencer has forgotten this proxy")
}

/// Why a stream ended.
#[derive(PartialEq, Debug)]
enum End {
    /// It broke, or the node isn't the sequencer, or has no room, or sequences don't fit: all that is outstanding goes to the next one.
    Reopen,
    /// The writer's id has gone.
    WriterExpired,
    /// Only a new writer id helps, and nothing outstanding can be decided.
    Contradiction,
    /// The proxy is gone.
    Stopped,
}

struct Driver {
    partners: Arc<Partners>,
    channel: ChannelName,
    /// `None` after an id was given up, until there is another: the window's sequences belong to one id alone.
    writer: Option<WriterId>,
    window: Window<Reply>,
    inbox: mpsc::Receiver<Submission>,
    /// The wait after the next attempt that brings nothing.
    retry: Duration,
    /// When the writer's id was last written under, or drawn.
    used: Instant,
}

impl Driver {
    async fn run(mut self) {
        loop {
            while self.window.is_empty() {
                let Some(submission) = self.inbox.recv().await else { return };
                self.take(submission);
            }
            let end = match self.open().await {
                Ok(stream) => self.serve(stream).await,
                Err(error) => {
                    tracing::info!(channel = %self.channel, %error, "no stream to the sequencer");
                    if error.code() == Code::DATA_INTEGRITY {
                        self.turn_away(&error);
                    }
                    End::Reopen
                }
            };
            match end {
                End::Reopen => self.pause().await,
                End::WriterExpired | End::Contradiction => self.give_up_writer(end == End::Contradiction),
                End::Stopped => return,
            }
        }
    }

    /// A stream to the sequencer as datacoord knows it now.
    async fn open(&mut self) -> Result<WriteStream> {
        let call = Call::within(&self.partners.world, OPEN_LIMIT, "write stream");
        let stream = call.bound("opening a write stream", self.connect(&call)).await?;
        self.window.reopened();
        Ok(stream)
    }

    async fn connect(&mut self, call: &Call) -> Result<WriteStream> {
        let writer = match self.writer {
            Some(writer) => writer,
            None => *self.writer.insert(self.partners.root.register_proxy(call, &self.partners.address).await?),
        };
        let routes = self.partners.data.routes(call).await?;
        let route = routes.iter().find(|route| route.channel == self.channel);
        let route = route.ok_or_else(|| Error::about(Code::CHANNEL_NOT_FOUND, &[("channel", &self.channel)]))?;
        self.partners.peers.data_node(route)?.open_stream(call, &self.channel, writer).await
    }

    /// Moves requests and answers until the stream ends.
    async fn serve(&mut self, mut stream: WriteStream) -> End {
        let mut heard = self.partners.world.clock.now();
        loop {
            tokio::select! {
                biased;
                answer = stream.answers.recv() => {
                    let Some(answer) = answer else { return End::Reopen };
                    heard = self.partners.world.clock.now();
                    if let Some(end) = self.settle(answer) {
                        return end;
                    }
                }
                permit = stream.requests.reserve(), if self.window.has_unsent() => {
                    let Ok(permit) = permit else { return End::Reopen };
                    if let Some(request) = self.window.send() {
                        permit.send(request);
                    }
                }
                submission = self.inbox.recv(), if self.window.has_room() => {
                    let Some(submission) = submission else { return End::Stopped };
                    if self.window.is_empty() {
                        heard = self.partners.world.clock.now();
                    }
                    self.take(submission);
                    if self.writer.is_none() {
                        return End::Reopen;
                    }
                }
                () = self.partners.world.clock.sleep_until(heard + SILENCE_MAX), if !self.window.is_empty() => {
                    tracing::info!(channel = %self.channel, "the write stream is silent");
                    return End::Reopen;
                }
            }
        }
    }

    /// Passes an answer on; says if the stream is of no use any more.
    fn settle(&mut self, answer: WriteAnswer) -> Option<End> {
        // A caller that left at its deadline was told that the outcome is unknown.
        let tell = |reply: Option<Reply>, result| reply.map(|reply| drop(reply.send(result)));
        match self.window.answer(answer) {
            Step::Nothing => None,
            Step::Settled { reply, outcome } => {
                self.retry = RETRY_FIRST;
                tell(reply, Ok(outcome));
                None
            }
            Step::Failed { reply, refusal } => {
                tell(reply, Err(refusal.to_error().context("the outcome is unknown")));
                Some(End::Reopen)
            }
            Step::Reopen => Some(End::Reopen),
            Step::WriterExpired => Some(End::WriterExpired),
            Step::Contradiction => Some(End::Contradiction),
        }
    }

    /// Lets a request into the window if its caller still waits: from then on it may be written.
    fn take(&mut self, submission: Submission) {
        if !submission.reply.is_closed() {
            let now = self.partners.world.clock.now();
            if self.window.is_empty() && now.duration_since(self.used) > WRITER_IDLE_MAX {
                (self.writer, self.window) = (None, Window::default());
            }
            self.used = now;
            self.window.push(submission.write, submission.reply);
        }
    }

    /// The channel is out of service until somebody mends it: who waits is told so now, not at the deadline.
    fn turn_away(&mut self, error: &Error) {
        let TurnedAway { mut unwritten, unknown } = self.window.turned_away();
        while let Ok(submission) = self.inbox.try_recv() {
            unwritten.push(submission.reply);
        }
        for reply in unwritten {
            drop(reply.send(Err(error.clone().context("not written"))));
        }
        for reply in unknown {
            drop(reply.send(Err(error.clone().context("the outcome is unknown"))));
        }
    }

    /// The writer id is of no use any more: the next stream is opened under a new one.
    fn give_up_writer(&mut self, contradiction: bool) {
        let unknown = if contradiction { self.window.abandon() } else { self.window.renumber() };
        if contradiction {
            tracing::error!(channel = %self.channel, writer = ?self.writer, outstanding = unknown.len(),
                "the sequencer contradicts what it acknowledged: acknowledged writes may be lost");
        }
        self.writer = None;
        for reply in unknown {
            drop(reply.send(Err(undecidable(&self.channel))));
        }
    }

    async fn pause(&mut self) {
        self.partners.world.clock.sleep(self.retry).await;
        self.retry = (self.retry * 2).min(RETRY_LAST);
    }
}
