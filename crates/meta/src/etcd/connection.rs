//! One connection at a time to one of several endpoints.
//!
//! Not the client's own balancing: it goes on picking members that are gone, and a request that failed there can't be told from one that
//! was lost. Here a call that fails, or that its caller gives up after [`SUSPECT_AFTER`], moves everybody on to the next endpoint.

use std::future::Future;
use std::time::Duration;

use base::clock::Clock;
use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use parking_lot::Mutex;
use tokio::time::Instant;
use types::{Code, Error};

use super::error::Failure;
use super::{EtcdOptions, EtcdTls};
use crate::store::MetaError;

/// Pings on a connection with open streams: etcd refuses more than one in 5 s.
const PING_EVERY: Duration = Duration::from_secs(10);
/// How long a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// A caller that goes away earlier says nothing about the endpoint.
const SUSPECT_AFTER: Duration = Duration::from_millis(500);
/// Between two tries of one call, doubled up to [`RETRY_WAIT_MAX`].
const RETRY_WAIT: Duration = Duration::from_millis(20);
/// See [`RETRY_WAIT`].
const RETRY_WAIT_MAX: Duration = Duration::from_secs(1);

/// The connection that all calls share.
pub(super) struct Connection {
    clock: Clock,
    endpoints: Vec<String>,
    options: ConnectOptions,
    connect_timeout: Duration,
    current: Mutex<Current>,
    /// Held while a client is made: with a user each asks for a token, which costs the server much.
    connecting: tokio::sync::Mutex<()>,
}

/// Which endpoint is used.
struct Current {
    endpoint: usize,
    client: Option<Client>,
    /// Rises with each change of client: of many calls that fail together one moves on.
    generation: u64,
}

/// A client and where it leads.
#[derive(Clone)]
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) endpoint: String,
    generation: u64,
}

impl Connection {
    pub(super) fn new(clock: Clock, options: EtcdOptions) -> Result<Self, MetaError> {
        if options.endpoints.is_empty() {
            return Err(MetaError::Damaged(Error::new(Code::INVALID_PARAMETER, "etcd.endpoints is empty")));
        }
        // Whoever comes first decides for the process; it is the same provider everywhere.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let mut connect = ConnectOptions::new()
            .with_keep_alive(PING_EVERY, PING_TIMEOUT)
            // etcd ends connections that are pinged while they have no stream.
            .with_keep_alive_while_idle(false)
            .with_connect_timeout(options.connect_timeout)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some((name, password)) = &options.user {
            connect = connect.with_user(name, password);
        }
        if let Some(tls) = &options.tls {
            connect = connect.with_tls(tls_options(tls));
        }
        Ok(Self {
            clock,
            endpoints: options.endpoints,
            options: connect,
            connect_timeout: options.connect_timeout,
            current: Mutex::new(Current { endpoint: 0, client: None, generation: 0 }),
            connecting: tokio::sync::Mutex::default(),
        })
    }

    /// The client to use now.
    pub(super) async fn client(&self) -> Result<Connected, Failure> {
        if let Ok(connected) = self.connected() {
            return Ok(connected);
        }
        let _connecting = self.connecting.lock().await;
        let (endpoint, generation) = match self.connected() {
            Ok(connected) => return Ok(connected),
            Err(missing) => missing,
        };
        // With a user this asks for a token; else it only prepares.
        let connect = Client::connect([endpoint.as_str()], Some(self.options.clone()));
        let client = match tokio::time::timeout(self.connect_timeout, connect).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => {
                self.leave(generation);
                return Err(not_sent(Failure::new(&endpoint, &error)));
            }
            Err(_) => {
                self.leave(generation);
                return Err(not_sent(Failure::timed_out(&endpoint)));
            }
        };
        let mut current = self.current.lock();
        if current.generation == generation && current.client.is_none() {
            current.client = Some(client.clone());
        }
        Ok(Connected { client, endpoint, generation })
    }

    /// The client that is there, or where one is to be made.
    fn connected(&self) -> Result<Connected, (String, u64)> {
        let current = self.current.lock();
        let (endpoint, generation) = (self.endpoints[current.endpoint].clone(), current.generation);
        match &current.client {
            Some(client) => Ok(Connected { client: client.clone(), endpoint, generation }),
            None => Err((endpoint, generation)),
        }
    }

    /// Goes on to the next endpoint, if nobody else has since.
    pub(super) fn leave(&self, generation: u64) {
        let mut current = self.current.lock();
        if current.generation == generation {
            current.endpoint = (current.endpoint + 1) % self.endpoints.len();
            current.client = None;
            current.generation += 1;
        }
    }

    /// A call that may be made twice: tried on endpoint after endpoint until `limit` has passed.
    pub(super) async fn read<T, F>(&self, limit: Duration, call: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        self.repeat(limit, call, |failure| failure.is_trouble()).await
    }

    /// A call that is tried again only where the one before was certainly not made.
    pub(super) async fn write<T, F>(&self, limit: Duration, call: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        self.repeat(limit, call, |failure| matches!(failure, Failure::NotSent(_))).await
    }

    async fn repeat<T, F>(&self, limit: Duration, call: impl Fn(Client) -> F, again: impl Fn(&Failure) -> bool) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let deadline = self.clock.now() + limit;
        // One silent endpoint must not use up the time of all.
        let share = limit / u32::try_from(self.endpoints.len()).expect("there are few endpoints").min(3);
        let mut wait = RETRY_WAIT;
        loop {
            let failure = match self.once(deadline.min(self.clock.now() + share), &call).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            if !again(&failure) || self.clock.now() + wait >= deadline {
                return Err(failure);
            }
            self.clock.sleep(wait).await;
            wait = (wait * 2).min(RETRY_WAIT_MAX);
        }
    }

    async fn once<T, F>(&self, deadline: Instant, call: &impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let connected = match tokio::time::timeout_at(deadline, self.client()).await {
            Ok(connected) => connected?,
            Err(_) => return Err(not_sent(Failure::timed_out("every endpoint"))),
        };
        let mut suspicion = Suspicion { connection: self, generation: connected.generation, since: self.clock.now(), cleared: false };
        let result = match tokio::time::timeout_at(deadline, call(connected.client)).await {
            Ok(result) => result.map_err(|error| Failure::new(&connected.endpoint, &error)),
            Err(_) => Err(Failure::timed_out(&connected.endpoint)),
        };
        suspicion.cleared = true;
        if result.as_ref().is_err_and(Failure::is_trouble) {
            self.leave(connected.generation);
        }
        result
    }
}

impl Connected {
    /// For [`Connection::leave`].
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }
}

/// Leaves the endpoint if its caller gives the call up after a while.
struct Suspicion<'a> {
    connection: &'a Connection,
    generation: u64,
    since: Instant,
    cleared: bool,
}

impl Drop for Suspicion<'_> {
    fn drop(&mut self) {
        if !self.cleared && self.connection.clock.now() > self.since + SUSPECT_AFTER {
            self.connection.leave(self.generation);
        }
    }
}

/// The call itself was never made.
fn not_sent(failure: Failure) -> Failure {
    match failure {
        Failure::Unknown(error) => Failure::NotSent(error),
        other => other,
    }
}

fn tls_options(tls: &EtcdTls) -> TlsOptions {
    let options = TlsOptions::new().ca_certificate(Certificate::from_pem(&tls.ca));
    match &tls.identity {
        Some((certificate, key)) => options.identity(Identity::from_pem(certificate, key)),
        None => options,
    }
}
