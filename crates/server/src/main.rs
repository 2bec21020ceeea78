//! The binary: parse the command line, run it. Everything else is in the library ([`server`]).

use std::process::ExitCode;

use server::{cli, memory};

/// Returns memory to the system sooner than the platform's own, and is as fast with many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    memory::spare();
    // With none or two providers compiled in, rustls would fail at the first handshake.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return cli::fail("the TLS provider was installed twice");
    }
    let command = cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("elanus").build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(cli::run(command));
            // What still runs is done with its work, or was told to stop: a call into a library that waits mustn't hold up the end.
            runtime.shutdown_background();
            code
        }
        Err(error) => cli::fail(&format!("no threads: {error}")),
    }
}
