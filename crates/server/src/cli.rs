//! The command line: our own, and Milvus's where the binary is called `milvus`. The only place that prints.
//!
//! Milvus's is ours with Go's way of writing flags: `-alias x` for `--alias x`. Not here: what a start does ([`crate::standalone`]).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use base::World;
use base::config::{LiveConfig, Sources};
use base::log::{Log, LogOptions};
use clap::{Parser, Subcommand, ValueEnum};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::standalone::{self, Standalone};

/// A vector database that speaks Milvus.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts roles and serves until SIGTERM or Ctrl-C.
    Run {
        /// What to run in this process.
        #[arg(value_enum)]
        role: Role,
        /// A milvus.yaml, or a directory with milvus.yaml, default.yaml and user.yaml in it. Without it: $MILVUSCONF, then ./configs.
        #[arg(long, value_name = "PATH")]
        config: Option<PathBuf>,
        /// Everything is kept in this directory, whatever the settings say of etcd, brokers and object stores.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Taken for Milvus's sake, whose file of a process's number is called so. There is no such file here.
        #[arg(long, value_name = "NAME", hide = true)]
        alias: Option<String>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Every role, with nothing beside it.
    Standalone,
}

/// Parses the process's arguments; ends the process with a message where they are wrong.
pub fn parse() -> Arguments {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    Arguments::parse_from(if is_milvus(&arguments) { with_long_flags(arguments) } else { arguments })
}

/// Whether the binary was called by Milvus's name, through a link: its images and charts do.
fn is_milvus(arguments: &[OsString]) -> bool {
    arguments.first().and_then(|program| Path::new(program).file_name()).is_some_and(|name| name == "milvus")
}

/// Go takes `-flag` for `--flag`.
fn with_long_flags(arguments: Vec<OsString>) -> Vec<OsString> {
    let long = |argument: OsString| match argument.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && !text.starts_with("--") => format!("-{text}").into(),
        _ => argument,
    };
    arguments.into_iter().map(long).collect()
}

/// Runs a command.
pub async fn run(arguments: Arguments) -> ExitCode {
    let Command::Run { role: Role::Standalone, config, data, alias: _ } = arguments.command;
    let sources = match Sources::of_process(config.as_deref()) {
        Ok(sources) => sources,
        Err(error) => return fail(&error.to_string()),
    };
    let loaded = match sources.load() {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error.to_string()),
    };
    let config = &loaded.config;
    let threads = config.elanus.memory.search_threads;
    let world = threads.map_or_else(World::real, |threads| World::with_threads(threads as usize));
    let log = match Log::start(&LogOptions::from_config(config, "standalone"), world.clock.clone()) {
        Ok(log) => log,
        Err(error) => return fail(&error.to_string()),
    };
    loaded.tell();
    let live = LiveConfig::new(sources, &loaded);
    let log = Arc::new(log);
    follow_settings(&world, &live, &log);
    let code = serve(&world, &live, data.as_deref()).await;
    log.flush();
    code
}

/// Reads files of settings again now and then and at SIGHUP, for as long as the process lives; the log's level is followed here.
fn follow_settings(world: &World, live: &LiveConfig, log: &Arc<Log>) {
    let asked = Arc::new(Notify::new());
    match signal(SignalKind::hangup()) {
        Ok(mut hangups) => {
            let asked = asked.clone();
            let listen = async move {
                while hangups.recv().await.is_some() {
                    asked.notify_one();
                }
            };
            world.tasks.spawn(listen).detach();
        }
        Err(error) => tracing::warn!(%error, "SIGHUP isn't heard: files of settings are read again at their interval alone"),
    }
    let (following, clock) = (live.clone(), world.clock.clone());
    world.tasks.spawn(async move { following.follow_files(clock, &asked).await }).detach();
    let (mut changes, log) = (live.subscribe(), log.clone());
    let follow_level = async move {
        while changes.changed().await.is_ok() {
            let level = changes.borrow_and_update().log.level.clone();
            if let Err(error) = log.set_level(&level) {
                tracing::warn!(%error, "the log keeps its level");
            }
        }
    };
    world.tasks.spawn(follow_level).detach();
}

/// From start to stop. Who is asked to stop while it starts ends at once: nothing was acknowledged yet.
async fn serve(world: &World, live: &LiveConfig, data: Option<&Path>) -> ExitCode {
    let mut asked = std::pin::pin!(standalone::until_asked_to_stop());
    let started = tokio::select! {
        biased;
        () = &mut asked => return ExitCode::SUCCESS,
        started = Standalone::start(world, live, data) => started,
    };
    match started {
        Ok(server) => {
            asked.await;
            server.stop().await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "the server can't start");
            fail(error.reason())
        }
    }
}

/// Says why the process ends.
#[allow(clippy::print_stderr, reason = "the command line is where people read")]
pub fn fail(reason: &str) -> ExitCode {
    eprintln!("elanus: {reason}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milvus_command_lines() {
        let cases: &[(&[&str], Option<Option<&str>>)] = &[
            (&["milvus", "run", "standalone"], Some(None)),
            (&["/milvus/bin/milvus", "run", "standalone", "-alias", "by-dev"], Some(Some("by-dev"))),
            (&["milvus", "run", "standalone", "-alias=by-dev"], Some(Some("by-dev"))),
            (&["milvus", "run", "standalone", "--alias", "by-dev"], Some(Some("by-dev"))),
            (&["milvus", "run", "standalone", "-nonsense=1"], None),
            (&["elanus", "run", "standalone", "-alias", "by-dev"], None),
            (&["milvus", "run", "querynode"], None),
        ];
        for (words, expected) in cases {
            let arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
            let arguments = if is_milvus(&arguments) { with_long_flags(arguments) } else { arguments };
            let parsed = Arguments::try_parse_from(arguments).ok().map(|parsed| {
                let Command::Run { alias, .. } = parsed.command;
                alias
            });
            assert_eq!(parsed, expected.map(|alias| alias.map(str::to_owned)), "{words:?}");
        }
    }
}
