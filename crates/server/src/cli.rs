//! The command line: our own, and Milvus's where the binary is called `milvus`. The only place that prints.
//!
//! Milvus's is ours with Go's way of writing flags: `-alias x` for `--alias x`. Not here: what a start does ([`crate::serving`]).

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

use crate::roles::{Role, RoleSet};
use crate::serving::{self, Server};

/// A vector database that speaks Milvus.
#[derive(Parser)]
#[command(name = "elanus", version, about, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts roles and serves until SIGTERM or Ctrl-C.
    Run {
        /// What to run in this process: one or more.
        #[arg(value_enum, required = true, value_name = "ROLE")]
        roles: Vec<Name>,
        /// A milvus.yaml, or a directory with milvus.yaml, default.yaml and user.yaml in it. Without it: $MILVUSCONF, then ./configs.
        #[arg(long, value_name = "PATH")]
        config: Option<PathBuf>,
        /// Everything is kept in this directory, whatever the settings say of etcd, brokers and object stores.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Taken for Milvus's sake, whose file of a process's number is called so. There is no such file here.
        #[arg(long, value_name = "NAME", hide = true)]
        alias: Option<String>,
        #[command(flatten)]
        mixture: Mixture,
    },
}

/// What `mixture` is made of, as Milvus's flags say it: `-rootcoord=true`.
#[derive(clap::Args, Default)]
struct Mixture {
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    rootcoord: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    datacoord: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    querycoord: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    indexcoord: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    proxy: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    datanode: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    querynode: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    indexnode: Option<bool>,
}

impl Mixture {
    fn roles(&self) -> impl Iterator<Item = Role> {
        let named = [
            (Role::RootCoord, self.rootcoord),
            (Role::DataCoord, self.datacoord),
            (Role::QueryCoord, self.querycoord),
            (Role::IndexCoord, self.indexcoord),
            (Role::Proxy, self.proxy),
            (Role::DataNode, self.datanode),
            (Role::QueryNode, self.querynode),
            (Role::IndexNode, self.indexnode),
        ];
        named.into_iter().filter(|(_, wanted)| *wanted == Some(true)).map(|(role, _)| role)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
enum Name {
    /// Every role, with nothing beside it.
    Standalone,
    /// The four coordinators.
    MixCoord,
    /// What clients speak to.
    Proxy,
    /// Names, schemas, ids.
    RootCoord,
    /// Shards and segments.
    DataCoord,
    /// Which query node serves what.
    QueryCoord,
    /// Which segment needs which index.
    IndexCoord,
    /// Sequences its logs and writes segments.
    DataNode,
    /// Answers searches and queries.
    QueryNode,
    /// Builds indexes.
    IndexNode,
    /// The roles that flags name (`--rootcoord`, …), as Milvus has it.
    #[value(hide = true)]
    Mixture,
    /// Milvus's role between proxy and log, whose work a data node has here.
    #[value(hide = true)]
    StreamingNode,
}

/// What the words of a command line run.
///
/// # Errors
/// They name nothing, or data of its own for a part of a cluster.
fn run_of(names: &[Name], mixture: &Mixture, data: Option<&Path>) -> Result<RoleSet, String> {
    let mut roles = Vec::new();
    for name in names {
        match name {
            Name::Standalone => roles.extend(Role::ALL),
            Name::MixCoord => roles.extend(Role::COORDINATORS),
            Name::Proxy => roles.push(Role::Proxy),
            Name::RootCoord => roles.push(Role::RootCoord),
            Name::DataCoord => roles.push(Role::DataCoord),
            Name::QueryCoord => roles.push(Role::QueryCoord),
            Name::IndexCoord => roles.push(Role::IndexCoord),
            Name::DataNode | Name::StreamingNode => roles.push(Role::DataNode),
            Name::QueryNode => roles.push(Role::QueryNode),
            Name::IndexNode => roles.push(Role::IndexNode),
            Name::Mixture => roles.extend(mixture.roles()),
        }
    }
    let run = RoleSet::of(roles);
    if run.iter().next().is_none() {
        return Err("mixture without a role: name some, as in -rootcoord=true".to_owned());
    }
    match data {
        Some(_) if !run.is_all() => {
            Err(format!("--data keeps everything in one process: {run} is a part of a cluster, whose storage settings name"))
        }
        _ => Ok(run),
    }
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
    let Command::Run { roles, config, data, alias: _, mixture } = arguments.command;
    let run = match run_of(&roles, &mixture, data.as_deref()) {
        Ok(run) => run,
        Err(reason) => return fail(&reason),
    };
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
    let log = match Log::start(&LogOptions::from_config(config, &run.to_string()), world.clock.clone()) {
        Ok(log) => log,
        Err(error) => return fail(&error.to_string()),
    };
    loaded.tell();
    let live = LiveConfig::new(sources, &loaded);
    let log = Arc::new(log);
    follow_settings(&world, &live, &log);
    let code = serve(&world, &live, &run, data.as_deref()).await;
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
async fn serve(world: &World, live: &LiveConfig, run: &RoleSet, data: Option<&Path>) -> ExitCode {
    let mut asked = std::pin::pin!(serving::until_asked_to_stop());
    let started = tokio::select! {
        biased;
        () = &mut asked => return ExitCode::SUCCESS,
        started = Server::start(world, live, run, data) => started,
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
        let cases: &[(&[&str], Option<&str>)] = &[
            (&["milvus", "run", "standalone"], Some("standalone")),
            (&["/milvus/bin/milvus", "run", "standalone", "-alias", "by-dev"], Some("standalone by-dev")),
            (&["milvus", "run", "standalone", "-alias=by-dev"], Some("standalone by-dev")),
            (&["milvus", "run", "standalone", "--alias", "by-dev"], Some("standalone by-dev")),
            (&["milvus", "run", "standalone", "-nonsense=1"], None),
            (&["elanus", "run", "standalone", "-alias", "by-dev"], None),
            (&["milvus", "run", "querynode"], Some("querynode")),
            (&["milvus", "run", "streamingnode"], Some("datanode")),
            (&["milvus", "run", "mixcoord", "-alias", "x"], Some("mixcoord x")),
            (&["milvus", "run", "mixture", "-rootcoord=true", "-querynode", "-proxy=false"], Some("rootcoord-querynode")),
            (&["milvus", "run", "mixture"], None),
            (&["elanus", "run", "rootcoord", "datacoord", "querycoord", "indexcoord"], Some("mixcoord")),
            (&["elanus", "run", "proxy", "datanode"], Some("proxy-datanode")),
            (&["elanus", "run", "mixcoord", "proxy", "datanode", "querynode", "indexnode"], Some("standalone")),
            (&["elanus", "run", "proxy", "--data", "d"], None),
            (&["elanus", "run"], None),
            (&["elanus", "run", "nonsense"], None),
        ];
        for (words, expected) in cases {
            let arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
            let arguments = if is_milvus(&arguments) { with_long_flags(arguments) } else { arguments };
            let parsed = Arguments::try_parse_from(arguments).ok().and_then(|parsed| {
                let Command::Run { roles, alias, mixture, data, .. } = parsed.command;
                let run = run_of(&roles, &mixture, data.as_deref()).ok()?.to_string();
                Some(alias.map_or(run.clone(), |alias| format!("{run} {alias}")))
            });
            assert_eq!(parsed.as_deref(), *expected, "{words:?}");
        }
    }
}
