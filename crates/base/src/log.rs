//! The process's own log lines: to standard output, to files that rotate, as text or JSON, with a level that changes at run time.
//!
//! Code writes them with `tracing`'s macros, structured fields and all; this module decides what becomes of them. A thread of its own does
//! the writing, behind a bounded queue, so that a slow disk or a full pipe never holds up a request: lines that don't fit are counted and
//! the count is logged.
//!
//! Not here: the write-ahead log (crate `wal`), the proxy's access log, the audit of who did what. [`format`] is what a line looks like,
//! [`file`] where files go, [`queue`] the thread.

mod file;
mod format;
mod queue;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

pub use self::file::FileOptions;
pub use self::format::Format;
use self::format::{Fields, Line};
use self::queue::Queue;
use crate::clock::Clock;
use crate::config::Config;

/// Libraries whose debug lines would drown ours.
const QUIET: &[&str] = &["h2", "hyper", "hyper_util", "tower", "tonic", "rustls", "object_store", "librdkafka", "rdkafka", "pulsar"];

/// Where lines go, and which.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// `debug`, `info`, `warn`, `error`, `off` …, or a list of directives such as `info,wal=debug`.
    pub level: String,
    /// What a line looks like.
    pub format: Format,
    /// Whether lines go to standard output.
    pub stdout: bool,
    /// The files that lines go to, if any.
    pub file: Option<FileOptions>,
}

impl LogOptions {
    /// What `log.*` says, for a process whose files are called `name`.
    pub fn from_config(config: &Config, name: &str) -> Self {
        let log = &config.log;
        let file = log.file.root_path.as_ref().map(|directory| FileOptions {
            directory: PathBuf::from(directory),
            name: name.to_owned(),
            bytes_most: log.file.max_size.0,
            age_most: Duration::from_secs(u64::from(log.file.max_age) * 86_400),
            backups_most: log.file.max_backups as usize,
        });
        Self { level: log.level.clone(), format: log.format, stdout: log.stdout, file }
    }
}

/// What went wrong while logging was set up.
#[derive(Debug)]
pub enum LogError {
    /// The level isn't one, nor a list of directives.
    Level(String),
    /// The directory or the file can't be made.
    File(PathBuf, std::io::Error),
    /// The process has a log already.
    Twice,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(level) => {
                write!(f, "log level {level:?}: debug, info, warn, error, off, or directives such as info,wal=debug are allowed")
            }
            Self::File(path, error) => write!(f, "log file {}: {error}", path.display()),
            Self::Twice => f.write_str("the process has a log already"),
        }
    }
}

impl std::error::Error for LogError {}

/// The running log. Dropping it writes what waits.
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    queue: Queue,
}

impl Log {
    /// Starts the process's log.
    ///
    /// # Errors
    /// A level that isn't one, a file that can't be made, a second log.
    pub fn start(options: &LogOptions, clock: Clock) -> Result<Self, LogError> {
        let (log, subscriber) = Self::build(options, clock, None)?;
        tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)?;
        Ok(log)
    }

    /// A log that isn't the process's: for `tracing::subscriber::with_default`. `copy` gets every line too.
    ///
    /// # Errors
    /// A level that isn't one, a file that can't be made.
    pub fn build(
        options: &LogOptions,
        clock: Clock,
        copy: Option<Box<dyn std::io::Write + Send>>,
    ) -> Result<(Self, impl Subscriber + Send + Sync + use<>), LogError> {
        let file = match &options.file {
            Some(file) => Some(file::RotatingFile::open(file.clone(), clock.clone()).map_err(|e| LogError::File(file.path(), e))?),
            None => None,
        };
        let queue = Queue::start(queue::Sinks { format: options.format, stdout: options.stdout, file, copy });
        let (filter, handle) = reload::Layer::new(parse_level(&options.level)?);
        let lines = tracing_subscriber::fmt::layer()
            .fmt_fields(Fields(options.format))
            .event_format(Line { format: options.format, clock })
            .with_writer(queue.writer());
        let subscriber = tracing_subscriber::registry().with(filter).with(lines);
        Ok((Self { filter: handle, queue }, subscriber))
    }

    /// Changes the level from now on.
    ///
    /// # Errors
    /// A level that isn't one; the old one stays.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        let filter = parse_level(level)?;
        self.filter.reload(filter).map_err(|_| LogError::Level(level.to_owned()))
    }

    /// Waits until every line logged so far is written.
    pub fn flush(&self) {
        self.queue.flush();
    }

    /// Lines that were lost because the queue was full.
    pub fn lost(&self) -> u64 {
        self.queue.lost()
    }
}

fn parse_level(text: &str) -> Result<EnvFilter, LogError> {
    let bad = || LogError::Level(text.to_owned());
    let trimmed = text.trim();
    if trimmed.contains(['=', ',']) {
        return EnvFilter::try_new(trimmed).map_err(|_| bad());
    }
    let level = match trimmed.to_ascii_lowercase().as_str() {
        "trace" => "trace",
        "debug" => "debug",
        "info" | "" => "info",
        "warn" | "warning" => "warn",
        // Milvus has two levels above error; what would be logged there is an error here.
        "error" | "panic" | "dpanic" | "fatal" => "error",
        "off" => "off",
        _ => return Err(bad()),
    };
    let mut directives = level.to_owned();
    if matches!(level, "trace" | "debug" | "info") {
        directives.extend(QUIET.iter().map(|library| format!(",{library}=warn")));
    }
    EnvFilter::try_new(directives).map_err(|_| bad())
}
