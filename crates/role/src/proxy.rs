//! proxy, as coordinators see it: a cache that must be told.

use async_trait::async_trait;
use types::Result;

use crate::Call;
use crate::root::Changed;

/// A proxy's side of a change of names or schemas (`docs/design.md` §6).
#[async_trait]
pub trait Proxy: Send + Sync {
    /// Drops what the proxy holds of the collection. When this returns, no request of the proxy uses the old definition for a new write.
    async fn invalidate(&self, call: &Call, changed: &Changed) -> Result<()>;
}
