//! Connection, version, health, timestamps.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::common::{ServerInfo, StateCode};
use proto::milvus as m;
use role::Call;
use types::{Code, Error, Result};

use super::context::Context;
use super::{Proxy, status};

/// How long a coordinator may take before it counts as unhealthy.
const HEALTH_LIMIT: Duration = Duration::from_secs(3);

/// Connect: the database of the metadata must be there.
pub async fn connect(proxy: &Proxy, context: Context, _: m::ConnectRequest) -> Result<m::ConnectResponse> {
    let database = context.database("");
    if !proxy.roles.root.databases(&context.call).await?.iter().any(|name| name == database) {
        return Err(Error::about(Code::DATABASE_NOT_FOUND, &[("database", &database)]));
    }
    let identifier = proxy.roles.root.allocate_timestamp(&context.call).await?;
    let server_info = ServerInfo {
        build_tags: proxy.config().version.clone(),
        build_time: proxy.config().build_time.clone(),
        git_commit: proxy.config().commit.clone(),
        go_version: String::new(),
        deploy_mode: proxy.config().deploy_mode.clone(),
        reserved: BTreeMap::new(),
    };
    // Identifiers travel back as int64 text; timestamps stay far below its greatest.
    Ok(m::ConnectResponse { status: Some(status::success()), server_info: Some(server_info), identifier: identifier.0 as i64 })
}

/// GetVersion.
pub async fn version(proxy: &Proxy, _: Context, _: m::GetVersionRequest) -> Result<m::GetVersionResponse> {
    Ok(m::GetVersionResponse { status: Some(status::success()), version: proxy.config().version.clone() })
}

/// AllocTimestamp.
pub async fn alloc_timestamp(proxy: &Proxy, context: Context, _: m::AllocTimestampRequest) -> Result<m::AllocTimestampResponse> {
    let timestamp = proxy.roles.root.allocate_timestamp(&context.call).await?.0;
    Ok(m::AllocTimestampResponse { status: Some(status::success()), timestamp })
}

/// GetComponentStates.
pub async fn component_states(proxy: &Proxy, _: Context, _: m::GetComponentStatesRequest) -> Result<m::ComponentStates> {
    let stopping = proxy.world.tasks.is_stopping();
    let state = m::ComponentInfo {
        node_id: proxy.config().node.0,
        role: "proxy".to_owned(),
        state_code: if stopping { StateCode::Stopping } else { StateCode::Healthy } as i32,
        extra_info: Vec::new(),
    };
    Ok(m::ComponentStates { state: Some(state), subcomponent_states: Vec::new(), status: Some(status::success()) })
}

/// CheckHealth: a success whose reasons say what isn't healthy.
pub async fn check_health(proxy: &Proxy, _: Context, _: m::CheckHealthRequest) -> Result<m::CheckHealthResponse> {
    let call = Call::within(&proxy.world, HEALTH_LIMIT, "health");
    let mut reasons = Vec::new();
    let mut note = |component: &str, result: Result<()>| {
        if let Err(error) = result {
            reasons.push(format!("component {component} is not healthy: {error}"));
        }
    };
    note("rootcoord", call.bound("rootcoord", proxy.roles.root.databases(&call)).await.map(drop));
    note("datacoord", call.bound("datacoord", proxy.roles.data.routes(&call)).await.map(drop));
    Ok(m::CheckHealthResponse { status: Some(status::success()), is_healthy: reasons.is_empty(), reasons, quota_states: Vec::new() })
}
