//! The command line: our own, and Milvus's where the binary is called `milvus`. The only place that prints.

use std::path::PathBuf;
use std::process::ExitCode;

use base::World;
use base::config::Sources;
use base::log::{Log, LogOptions};
use clap::{Parser, Subcommand, ValueEnum};

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
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Every role, with nothing beside it.
    Standalone,
}

/// Parses the process's arguments; ends the process with a message where they are wrong.
pub fn parse() -> Arguments {
    Arguments::parse()
}

/// Runs a command.
pub async fn run(arguments: Arguments) -> ExitCode {
    let Command::Run { role: Role::Standalone, config, data } = arguments.command;
    let sources = match Sources::of_process(config.as_deref()) {
        Ok(sources) => sources,
        Err(error) => return fail(&error.to_string()),
    };
    let loaded = match sources.load() {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error.to_string()),
    };
    let world = World::real();
    let log = match Log::start(&LogOptions::from_config(&loaded.config.log, "standalone"), world.clock.clone()) {
        Ok(log) => log,
        Err(error) => return fail(&error.to_string()),
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let code = match Standalone::start(&world, &loaded.config, data.as_deref()).await {
        Ok(server) => {
            standalone::until_asked_to_stop().await;
            server.stop().await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "the server can't start");
            fail(error.reason())
        }
    };
    log.flush();
    code
}

/// Says why the process ends.
#[allow(clippy::print_stderr, reason = "the command line is where people read")]
pub fn fail(reason: &str) -> ExitCode {
    eprintln!("elanus: {reason}");
    ExitCode::FAILURE
}
