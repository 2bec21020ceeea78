//! A relay on loopback before a server, to cut: connections can be broken, or kept and given nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use base::task::{Task, Tasks};
use base::watch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct State {
    /// They wait: a network that drops packets.
    silent: bool,
    /// New connections end at once.
    closed: bool,
    /// Connections of another number are broken.
    breaks: u64,
}

pub(crate) struct Relay {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    _task: Task<()>,
}

impl Relay {
    /// A relay to `server` on a port of its own.
    pub(crate) async fn start(tasks: &Tasks, server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback works");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(watch::Sender::new(State::default()));
        let task = tasks.spawn(accept(tasks.clone(), listener, server.trim_start_matches("http://").to_owned(), state.clone()));
        Self { address, state, _task: task }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Breaks what is open; new connections work.
    pub(crate) fn break_connections(&self) {
        self.state.send_modify(|state| state.breaks += 1);
    }

    /// Breaks what is open and what comes.
    pub(crate) fn close(&self) {
        self.state.send_modify(|state| (state.closed, state.breaks) = (true, state.breaks + 1));
    }

    /// Keeps connections, old and new, and lets nothing through.
    pub(crate) fn silence(&self) {
        self.state.send_modify(|state| state.silent = true);
    }

    /// Everything works again; what was kept back goes on.
    pub(crate) fn open(&self) {
        self.state.send_modify(|state| (state.closed, state.silent) = (false, false));
    }
}

async fn accept(tasks: Tasks, listener: TcpListener, server: String, state: Arc<watch::Sender<State>>) {
    while let Ok((client, _)) = listener.accept().await {
        if !state.borrow().closed {
            tasks.spawn(relay(client, server.clone(), state.subscribe())).detach();
        }
    }
}

async fn relay(client: TcpStream, server: String, state: watch::Receiver<State>) {
    let breaks = state.borrow().breaks;
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut broken = state.clone();
    tokio::select! {
        () = pump(&mut from_client, &mut to_server, state.clone()) => {}
        () = pump(&mut from_server, &mut to_client, state) => {}
        _ = broken.wait_for(|state| state.breaks != breaks) => {}
    }
}

async fn pump(from: &mut (impl AsyncReadExt + Unpin), to: &mut (impl AsyncWriteExt + Unpin), mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if state.wait_for(|state| !state.silent).await.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
