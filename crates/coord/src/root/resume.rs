//! Going on with operations that meta says have begun. Every step may be repeated, so nothing tells how far the last leader came.

use meta::catalog::model::{Collection, Intent, Operation};
use role::Call;
use types::{Error, Result};

use super::{create, drop};
use crate::context::Context;

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
    let known = context.view.read(|loaded| loaded.collections.get(&intent.operation.collection()).map(|found| found.value.clone()));
    let Some(collection) = known else { return Err(Error::internal("an operation's collection isn't in meta")) };
    match intent.operation {
        Operation::CreateCollection(id) => create::finish(context, call, id).await,
        Operation::DropCollection(id) => {
            drop::log(context, call, id).await?;
            drop::sweep(context, call, id).await
        }
        Operation::DropPartition { collection, partition } => drop::finish_partition(context, call, collection, partition).await,
        Operation::Truncate { .. } | Operation::ChangeSchema { .. } | Operation::ImportCommit { .. } => Err(newer(&collection, intent)),
    }
}

fn newer(collection: &Collection, intent: &Intent) -> Error {
    Error::internal(format!("collection {} waits for an operation that a newer version began: {:?}", collection.name, intent.operation))
}
