//! Roles across processes: gRPC clients that are a role, and servers in front of one. The only place here that knows protobuf.
//!
//! A call is one [`Envelope`] each way ([`wire`]); errors travel in the reply with their code and text, so that both sides see the
//! same. What fails underneath (no connection, a deadline) becomes `SERVICE_UNAVAILABLE` or `TIMEOUT`.
//!
//! A client is a [`Peer`]: a small pool of connections to one address. Nothing is retried here: whether a call may be repeated, and where, is the
//! caller's knowledge.

mod client;
mod server;
mod stream;
mod wire;

pub use client::Peer;
pub use server::{Served, routes};

/// Bytes of one message between roles: a write's parts are bounded by `types::limits::WRITE_BYTES_MAX`.
pub(crate) const MESSAGE_BYTES_MAX: usize = types::limits::WRITE_BYTES_MAX + (1 << 20);
