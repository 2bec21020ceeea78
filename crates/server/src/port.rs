//! One port for gRPC and whatever else speaks HTTP: HTTP/1.1, and HTTP/2 by its preface, told apart by hyper, not by sniffing bytes of our own.
//!
//! gRPC services are routes by path; what no route takes is answered by [`not_found`] in the caller's own language: `grpc-status: 12`
//! for gRPC, a JSON 404 for others. Limits, windows and keep-alive are set here because tonic's own server isn't in between.
//!
//! Not here: what services do; TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use base::World;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tower::ServiceExt;
use types::{Code, Error, Result};

/// HTTP/2 flow control: defaults throttle batches of vectors to a few dozen MB/s.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Milvus pings idle clients after a minute and gives them ten seconds.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests of one connection at a time.
const CONCURRENT_STREAMS_MAX: u32 = 4_096;
/// Bytes of a request's headers: filters travel in bodies.
const HEADERS_BYTES_MAX: u32 = 64 << 10;
/// How long a failed accept (no file descriptors) waits before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An address outside of every network, to see which of its own the system would send from; nothing is sent.
const ELSEWHERE: &str = "192.0.2.1:9";

/// This machine's address as others see it, where the settings name none: that of the way out, else loopback.
pub async fn local_host() -> String {
    let address = async {
        let socket = UdpSocket::bind("0.0.0.0:0").await?;
        socket.connect(ELSEWHERE).await?;
        socket.local_addr()
    };
    match address.await {
        Ok(address) => address.ip().to_string(),
        Err(error) => {
            tracing::warn!(%error, "this machine has no address for others: roles are reached on loopback alone");
            "127.0.0.1".to_owned()
        }
    }
}

/// The machine's name, where the environment tells it; for people.
pub fn host_name() -> String {
    std::env::var("HOSTNAME").unwrap_or_default()
}

/// Where a port listens that no setting keeps to one address.
pub const EVERY_ADDRESS: &str = "0.0.0.0";

/// A listening port.
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Binds a host (an address or a name) and a port; port 0 takes a free one. `keys` are those that say so.
    ///
    /// # Errors
    /// Names the address, and who to ask.
    pub async fn bind((host, port): (&str, u16), keys: &str) -> Result<Self> {
        // As in a URL: `[::1]`.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let failed = |error: std::io::Error| {
            let why = match error.kind() {
                std::io::ErrorKind::AddrInUse => ": is another process there?",
                std::io::ErrorKind::AddrNotAvailable => ": that isn't an address of this machine",
                _ => "",
            };
            Error::io(format!("can't listen on {host}:{port} (key {keys}){why}"), error)
        };
        let listener = TcpListener::bind((host, port)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until a stop is asked for, then lets open requests end for at most `grace`.
    pub async fn serve(self, world: World, router: Router, grace: Duration) {
        let graceful = GracefulShutdown::new();
        tokio::select! {
            biased;
            () = world.tasks.stopping() => {}
            () = self.accept(&world, router.fallback(not_found), &graceful) => {}
        }
        drop(self.listener);
        if world.within(grace, graceful.shutdown()).await.is_none() {
            tracing::warn!(seconds = grace.as_secs(), "requests were still open when the grace ended");
        }
    }

    /// Serves roles, which answer what is unknown themselves, for as long as the process lives: what is written at its end goes through them.
    pub async fn serve_to_the_end(self, world: World, router: Router) {
        self.accept(&world, router, &GracefulShutdown::new()).await;
    }

    /// Takes connections, for ever.
    async fn accept(&self, world: &World, router: Router, graceful: &GracefulShutdown) {
        let builder = builder();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => serve_connection(world, &builder, graceful, router.clone(), stream),
                Err(error) => {
                    tracing::warn!(%error, "a connection couldn't be accepted");
                    world.clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(CONCURRENT_STREAMS_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    builder
}

fn serve_connection(world: &World, builder: &Builder<TokioExecutor>, graceful: &GracefulShutdown, router: Router, stream: TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delays");
    }
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move { router.oneshot(request.map(Body::new)).await }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = graceful.watch(connection);
    let served = async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended");
        }
    };
    world.tasks.spawn(served).detach();
}

/// Answers what no route takes.
async fn not_found(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from(tonic::Code::Unimplemented as i32));
        headers.insert("grpc-message", HeaderValue::from_static("unknown service or method"));
        return Ok(response);
    }
    Ok(no_such_path(request.uri().path()))
}

/// The answer to a path that isn't there, for who doesn't speak gRPC.
pub fn no_such_path(path: &str) -> Response<Body> {
    let body = serde_json::json!({ "code": Code::UNIMPLEMENTED.0, "message": format!("no such path: {path}") });
    (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
}
