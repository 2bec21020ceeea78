//! Going on with operations that meta says have begun. Every step may be repeated, so nothing tells how far the last leader came.

use meta::catalog::model::{Collection, Intent, Operation};
use role::Call;
use role::root::Changed;
use types::{Error, Result};

use super::{alter, create, drop, invalidate};
use crate::context::Context;
use crate::view::collection as found;

/// Every open operation once, oldest first.
pub async fn all(context: &Context, call: &Call) -> Result<()> {
    let open: Vec<Intent> = context.view.read(|loaded| loaded.intents.values().map(|intent| intent.value.clone()).collect());
    let mut failed = None;
    for intent in open {
        tracing::info!(operation = ?intent.operation, "going on with an operation");
        if let Err(error) = one(context, call, &intent).await {
            tracing::warn!(operation = ?intent.operation, %error, "an operation can't go on yet");
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn one(context: &Context, call: &Call, intent: &Intent) -> Result<()> {
    let collection = context.view.read(|loaded| found(loaded, intent.operation.collection()).cloned())?.value;
    match intent.operation {
        Operation::CreateCollection(id) => create::finish(context, call, id).await,
        Operation::DropCollection(id) => {
            invalidate(context, call, &Changed { collection: id, dropped_partition: None }).await?;
            drop::log(context, call, id).await?;
            drop::sweep(context, call, id).await
        }
        Operation::DropPartition { collection, partition } => {
            invalidate(context, call, &Changed { collection, dropped_partition: Some(partition) }).await?;
            drop::finish_partition(context, call, collection, partition).await
        }
        Operation::ChangeSchema { collection, .. } => alter::finish(context, call, collection, intent.id).await,
        Operation::Truncate { .. } | Operation::ImportCommit { .. } => Err(newer(&collection, intent)),
    }
}

fn newer(collection: &Collection, intent: &Intent) -> Error {
    Error::internal(format!("collection {} waits for an operation that a newer version began: {:?}", collection.name, intent.operation))
}
