//! REST over HTTP: reads bodies, bounds them, ends what takes too long. What a request means is [`node::proxy::rest`]'s.
//!
//! It shares the port of gRPC, or has one of its own (`proxy.http.port`).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base::World;
use base::config::Config;
use futures::FutureExt;
use http::Request;
use http_body_util::{BodyExt, Limited};
use node::proxy::Proxy;
use node::proxy::rest::{self, Rest, Settings};

use crate::port;

/// What handlers share.
#[derive(Clone)]
struct Service {
    rest: Rest<Proxy>,
    world: World,
    body_bytes_max: usize,
}

/// The routes of REST; none where it is off.
pub fn routes(world: &World, config: &Config, proxy: &Arc<Proxy>) -> Router {
    if !config.proxy.http.enabled {
        return Router::new();
    }
    let http = &config.proxy.http;
    let settings = Settings { int64_numbers: http.accept_type_allow_int64, timeout: http.request_timeout };
    let service = Service {
        rest: Rest::new(proxy.clone(), world.clone(), settings),
        world: world.clone(),
        body_bytes_max: config.proxy.grpc.server_max_recv_size.0 as usize,
    };
    let below = |prefix: &str| format!("{prefix}{{*endpoint}}");
    Router::new()
        .route(&below(rest::PREFIX), axum::routing::any(answer))
        .route(&below(rest::v1::PREFIX), axum::routing::any(answer))
        .with_state(service)
}

async fn answer(State(service): State<Service>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let expected = match service.rest.expect(&head.method, &head.uri, &head.headers) {
        None => return port::no_such_path(head.uri.path()),
        Some(Err(response)) => return response.map(Body::from),
        Some(Ok(expected)) => expected,
    };
    let limit = service.body_bytes_max;
    let timeout = expected.timeout();
    let answered = async {
        match Limited::new(body, limit).collect().await {
            Ok(body) => expected.answer(body.to_bytes()).await,
            Err(error) if error.is::<http_body_util::LengthLimitError>() => rest::too_large(limit),
            Err(error) => {
                tracing::debug!(%error, "a request's body broke off");
                rest::timed_out()
            }
        }
    };
    match service.world.within(timeout, AssertUnwindSafe(answered).catch_unwind()).await {
        Some(Ok(response)) => response.map(Body::from),
        Some(Err(_)) => {
            tracing::error!(path = head.uri.path(), "a request's handler failed");
            rest::failed().map(Body::from)
        }
        None => rest::timed_out().map(Body::from),
    }
    .into_response()
}
