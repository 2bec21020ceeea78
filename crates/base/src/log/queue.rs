//! The thread that writes lines, and the bounded queue before it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tracing_subscriber::fmt::MakeWriter;

use super::file::RotatingFile;
use super::format::Format;

/// Lines that wait; more are lost, and counted.
const LINES_WAITING_MOST: usize = 16_384;

enum Message {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
    End,
}

/// Where lines end up.
pub(super) struct Sinks {
    pub(super) format: Format,
    pub(super) stdout: bool,
    pub(super) file: Option<RotatingFile>,
    pub(super) copy: Option<Box<dyn Write + Send>>,
}

/// The sending side and the thread.
pub(super) struct Queue {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Queue {
    pub(super) fn start(sinks: Sinks) -> Self {
        let (sender, receiver) = sync_channel(LINES_WAITING_MOST);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = lost.clone();
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(sinks, &receiver, &counter));
        let thread = thread.expect("the operating system gives a few threads at start");
        Self { sender, lost, thread: Some(thread) }
    }

    pub(super) fn writer(&self) -> LineWriter {
        LineWriter { sender: self.sender.clone(), lost: self.lost.clone() }
    }

    pub(super) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.sender.send(Message::Flush(done)).is_ok() {
            // An error says that the thread has ended: nothing waits any more.
            let _ = written.recv();
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // An error says that the thread has ended already.
        drop(self.sender.send(Message::End));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn write_lines(mut sinks: Sinks, receiver: &Receiver<Message>, lost: &AtomicU64) {
    let mut told = 0;
    while let Ok(message) = receiver.recv() {
        match message {
            Message::Line(line) => sinks.write(&line),
            Message::Flush(done) => {
                sinks.flush();
                // Who asked may have left.
                let _ = done.send(());
            }
            Message::End => break,
        }
        let count = lost.load(Ordering::Relaxed);
        if count > told {
            sinks.write(lost_line(sinks.format, count - told).as_bytes());
            told = count;
        }
    }
    sinks.flush();
}

fn lost_line(format: Format, lines: u64) -> String {
    match format {
        Format::Text => format!("level=warn target=base::log message=\"log lines lost: the queue was full\" lines={lines}\n"),
        Format::Json => {
            format!(
                "{{\"level\":\"warn\",\"target\":\"base::log\",\"message\":\"log lines lost: the queue was full\",\"lines\":{lines}}}\n"
            )
        }
    }
}

impl Sinks {
    /// Writes a line everywhere. Where the file can't take it, standard error gets it: a full disk must not silence the process.
    fn write(&mut self, line: &[u8]) {
        if self.stdout {
            // Standard output that is closed has no reader to miss the line.
            drop(io::stdout().lock().write_all(line));
        }
        if let Some(copy) = &mut self.copy {
            drop(copy.write_all(line));
        }
        if let Some(file) = &mut self.file
            && let Err(error) = file.write(line)
            && !self.stdout
        {
            let mut stderr = io::stderr().lock();
            drop(writeln!(stderr, "log file: {error}").and_then(|()| stderr.write_all(line)));
        }
    }

    fn flush(&mut self) {
        drop(io::stdout().lock().flush());
        if let Some(copy) = &mut self.copy {
            drop(copy.flush());
        }
    }
}

/// Gives each event a buffer of its own.
#[derive(Clone)]
pub(super) struct LineWriter {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

/// The buffer of one event: sent when it is dropped.
pub(super) struct LineBuffer<'a> {
    writer: &'a LineWriter,
    line: Vec<u8>,
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = LineBuffer<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LineBuffer { writer: self, line: Vec::new() }
    }
}

impl Write for LineBuffer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineBuffer<'_> {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() && self.writer.sender.try_send(Message::Line(line)).is_err() {
            self.writer.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
