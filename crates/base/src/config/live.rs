//! Settings that change while the process runs: files are read again.
//!
//! Invariant: whoever reads sees whole, checked settings; a change that can't be read changes nothing; a key that doesn't reload keeps its
//! value until a restart, and the operator is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use super::key::{Effect, Key};
use super::resolve::{self, Loaded, Resolved};
use super::source::Sources;
use super::{Config, ConfigError};
use crate::clock::Clock;

/// The process's settings as they are now. Clones share them.
#[derive(Clone)]
pub struct LiveConfig {
    inner: Arc<Inner>,
}

struct Inner {
    current: watch::Sender<Arc<Config>>,
    state: Mutex<State>,
}

struct State {
    sources: Sources,
    /// What the current settings were read from.
    resolved: Resolved,
    server_labels: BTreeMap<String, String>,
}

/// A part of the settings as its users see it: whole, and replaced while they run. Clones share it.
#[derive(Clone, Debug)]
pub struct Current<T> {
    value: Arc<RwLock<Arc<T>>>,
}

impl<T> Current<T> {
    /// Begins as `value`.
    pub fn new(value: T) -> Self {
        Self { value: Arc::new(RwLock::new(Arc::new(value))) }
    }

    /// As it is now: hold it for one request, so that the request goes by one state of it.
    pub fn get(&self) -> Arc<T> {
        self.value.read().clone()
    }

    /// Replaces it.
    pub fn set(&self, value: T) {
        *self.value.write() = Arc::new(value);
    }
}

/// What a change did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Change {
    /// Keys with a new value.
    pub applied: Vec<String>,
    /// Keys whose new value waits for a restart.
    pub after_restart: Vec<String>,
    /// Changed keys that aren't acted upon yet.
    pub ignored: Vec<String>,
    /// As [`Loaded::warnings`].
    pub warnings: Vec<String>,
}

impl LiveConfig {
    /// Settings that begin as `loaded`, which came from `sources`.
    pub fn new(sources: Sources, loaded: &Loaded) -> Self {
        let state = State { sources, resolved: loaded.resolved.clone(), server_labels: loaded.server_labels.clone() };
        let current = watch::Sender::new(Arc::new(loaded.config.clone()));
        Self { inner: Arc::new(Inner { current, state: Mutex::new(state) }) }
    }

    /// Settings that never change: for tests.
    pub fn fixed(config: Config) -> Self {
        let state = State { sources: Sources::default(), resolved: config.resolved.clone(), server_labels: config.server_labels.clone() };
        Self { inner: Arc::new(Inner { current: watch::Sender::new(Arc::new(config)), state: Mutex::new(state) }) }
    }

    /// The settings now.
    pub fn current(&self) -> Arc<Config> {
        self.inner.current.borrow().clone()
    }

    /// Tells of every change.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Config>> {
        self.inner.current.subscribe()
    }

    /// Reads the files again; `None` if they are as before.
    ///
    /// # Errors
    /// A file or a value that can't be read; then nothing changes.
    pub fn reread(&self) -> Result<Option<Change>, ConfigError> {
        let before = self.inner.state.lock().sources.clone();
        // Not under the lock: files may be on a slow disk.
        let sources = before.clone().with_files_read()?;
        if sources == before {
            return Ok(None);
        }
        let mut state = self.inner.state.lock();
        self.adopt(&mut state, sources).map(Some)
    }

    fn adopt(&self, state: &mut State, sources: Sources) -> Result<Change, ConfigError> {
        let loaded = sources.load()?;
        let keys = Config::keys();
        let paths = |which: &dyn Fn(&Key) -> bool| -> BTreeSet<String> {
            keys.iter().filter(|entry| which(&entry.key)).map(|entry| entry.path.clone()).collect()
        };
        let (reloading, unheeded) = (paths(&|key| key.reloads), paths(&|key| key.effect != Effect::Acted));
        let (applied, waiting): (Vec<_>, Vec<_>) =
            state.resolved.changed(&loaded.resolved).into_iter().partition(|name| reloading.contains(name));
        let resolved = loaded.resolved.with_kept(&waiting, &state.resolved);
        let (ignored, after_restart) = waiting.into_iter().partition(|name| unheeded.contains(name));
        let read = resolve::read(&resolved, &state.server_labels);
        if !read.problems.is_empty() {
            return Err(ConfigError { problems: read.problems });
        }
        state.sources = sources;
        state.resolved = resolved;
        if !applied.is_empty() {
            self.inner.current.send_replace(Arc::new(read.config));
        }
        Ok(Change { applied, after_restart, ignored, warnings: loaded.warnings })
    }

    /// Reads the files again every `elanus.reloadInterval`, and when `asked` says so, for ever; logs what comes of it. A wrong file is told
    /// of once, until it changes.
    pub async fn follow_files(&self, clock: Clock, asked: &Notify) {
        let mut told: Option<Result<Change, ConfigError>> = None;
        loop {
            let config = self.current();
            let interval = config.elanus.reload_interval;
            tokio::select! {
                biased;
                () = asked.notified() => {}
                () = clock.sleep(interval) => {}
            }
            let live = self.clone();
            let Ok(result) = tokio::task::spawn_blocking(move || live.reread()).await else { continue };
            let Some(result) = result.transpose() else { continue };
            if told.as_ref() == Some(&result) {
                continue;
            }
            tell(&result);
            told = Some(result);
        }
    }
}

fn tell(result: &Result<Change, ConfigError>) {
    let change = match result {
        Ok(change) => change,
        Err(error) => return tracing::warn!(%error, "settings can't be read, the former ones stay"),
    };
    for warning in &change.warnings {
        tracing::warn!("{warning}");
    }
    if !change.applied.is_empty() {
        tracing::info!(keys = change.applied.join(", "), "settings have changed");
    }
    if !change.after_restart.is_empty() {
        tracing::warn!(keys = change.after_restart.join(", "), "settings in the files have changed and wait for a restart");
    }
    if !change.ignored.is_empty() {
        tracing::warn!(keys = resolve::in_a_line(&change.ignored), "settings in the files have changed that aren't acted upon yet");
    }
}
