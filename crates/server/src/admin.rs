//! Port 9091: health for probes, metrics for Prometheus.
//!
//! `/livez`: the process runs. `/healthz` and `/readyz`: every role serves; else 503 and what is waited for, by name. `/elanus/status`: what the
//! process is and holds ([`crate::status`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{StatusCode, header};
use parking_lot::Mutex;

use crate::sample::Sampler;

/// What a process still waits for. Empty: it serves.
#[derive(Clone, Default)]
pub struct Health {
    waiting: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Health {
    /// Something must come before the process serves.
    pub fn wait_for(&self, what: impl Into<String>) {
        self.waiting.lock().insert(what.into(), String::new());
    }

    /// Why it hasn't come yet.
    pub fn explain(&self, what: &str, why: impl Into<String>) {
        if let Some(reason) = self.waiting.lock().get_mut(what) {
            *reason = why.into();
        }
    }

    /// It has come.
    pub fn reached(&self, what: &str) {
        self.waiting.lock().remove(what);
    }

    /// What is still waited for, with the reason where one is known.
    pub fn waiting(&self) -> Vec<String> {
        let show = |(what, why): (&String, &String)| if why.is_empty() { what.clone() } else { format!("{what} ({why})") };
        self.waiting.lock().iter().map(show).collect()
    }
}

/// The routes of the port.
pub fn router(health: Health, metrics: Arc<Sampler>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "OK" }))
        .route("/healthz", get(healthz))
        .route("/readyz", get(healthz))
        .with_state(health.clone())
        .merge(Router::new().route("/metrics", get(render)).with_state(metrics.clone()))
        .merge(Router::new().route("/elanus/status", get(status)).with_state((health, metrics)))
}

async fn healthz(State(health): State<Health>) -> impl IntoResponse {
    let waiting = health.waiting();
    if waiting.is_empty() {
        return (StatusCode::OK, "OK".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}", waiting.join(", ")))
}

async fn render(State(metrics): State<Arc<Sampler>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render().await)
}

async fn status(State((health, metrics)): State<(Health, Arc<Sampler>)>) -> impl IntoResponse {
    axum::Json(metrics.status(health.waiting()))
}
