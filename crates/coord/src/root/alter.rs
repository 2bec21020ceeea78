//! Changes of a live collection's schema: meta has the next version, then each shard's log says so, then proxies drop what they hold.

use std::sync::Arc;

use futures::future::try_join_all;
use meta::catalog::document::Versioned;
use meta::catalog::model::{Collection, Operation, OperationId};
use role::Call;
use role::data::DataNode;
use role::root::Changed;
use types::id::CollectionId;
use types::record::Control;
use types::schema::{Field, Schema};
use types::{Error, Result};

use super::invalidate;
use crate::context::Context;

/// Puts the next version of the schema into meta. Where the field is there in the same words already: the operation that isn't done yet, if any.
///
/// # Errors
/// `INVALID_PARAMETER`: another field has the name.
pub async fn begin_field(context: &Context, collection: &Versioned<Collection>, field: Field) -> Result<Option<OperationId>> {
    let schema = context.view.read(|loaded| super::current_schema(loaded, &collection.value).cloned())?;
    if let Some(there) = schema.field(&field.name) {
        let same = Field { id: there.id, ..field.clone() } == *there;
        return if same {
            Ok(open(context, collection.value.id))
        } else {
            Err(Error::invalid(format!("duplicated field name {}", field.name)))
        };
    }
    let next = schema.with_field(Field { id: collection.value.next_field, ..field });
    let begin = context.begin().await?;
    context.commit(context.change().change_schema(collection, &next, begin)).await?;
    tracing::info!(collection = %collection.value.id, version = next.version, "a collection's schema changes");
    Ok(Some(begin.operation))
}

/// A change of a collection's schema that has begun and isn't done.
fn open(context: &Context, id: CollectionId) -> Option<OperationId> {
    let is_open = |operation: &Operation| matches!(operation, Operation::ChangeSchema { collection, .. } if *collection == id);
    context.view.read(|loaded| loaded.intents.values().find(|intent| is_open(&intent.value.operation)).map(|intent| intent.value.id))
}

/// Writes the newest schema to the logs, has proxies forget older ones, and ends the operation.
pub async fn finish(context: &Context, call: &Call, id: CollectionId, operation: OperationId) -> Result<()> {
    let (collection, schema) = context
        .view
        .read(|loaded| {
            let collection = loaded.collections.get(&id)?.value.clone();
            let schema = super::current_schema(loaded, &collection).cloned();
            Some(schema.map(|schema| (collection, schema)))
        })
        .ok_or_else(|| Error::internal(format!("collection {id} changes and is not in meta")))??;
    if collection.is_created() {
        log(context, call, &collection, &schema).await?;
        invalidate(context, call, &Changed { collection: id, dropped_partition: None }).await?;
    }
    match context.view.read(|loaded| loaded.intents.get(&operation).cloned()) {
        Some(intent) => context.commit(context.change().finish(&intent)).await,
        None => Ok(()),
    }
}

async fn log(context: &Context, call: &Call, collection: &Collection, schema: &Schema) -> Result<()> {
    let placed = collection.shards().map(|(shard, channel)| async move {
        let control = || Control::Schema { schema: schema.clone() };
        let ask = |node: Arc<dyn DataNode>| async move { node.control(call, channel, shard, control()).await };
        context.at_sequencer(call, channel, ask).await
    });
    try_join_all(placed).await.map(drop)
}
