//! Creating collections and partitions.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use meta::catalog::document::Versioned;
use meta::catalog::model::{Collection, CollectionState, Database, NameTarget, ShardStart};
use role::Call;
use role::root::CreateCollection;
use types::collection::Partition;
use types::id::{ChannelName, CollectionId, FieldId, PartitionId};
use types::record::Control;
use types::{Code, Error, Result};

use super::{channels, current_schema, target};
use crate::context::Context;
use crate::view::{collection as found, meta_error};

/// What is there of a collection that a client wants.
pub enum Known {
    /// Nothing: begin.
    Absent,
    /// The same one, begun by a leader that didn't come to its end: go on.
    Begun(CollectionId),
    /// The same one: nothing to do.
    Same,
}

/// Whether the request may go on.
pub fn check(context: &Context, database: &Database, request: &CreateCollection) -> Result<Known> {
    let known = context.view.read(|loaded| -> Result<_> {
        let Some(target) = target(loaded, database.id, &request.name)? else { return Ok(None) };
        let collection = found(loaded, target.collection())?.value.clone();
        let schema = current_schema(loaded, &collection)?.clone();
        Ok(Some((target, collection, schema)))
    })?;
    if let Some((target, collection, schema)) = known {
        if let NameTarget::Alias(_) = target {
            let fields: [(&str, &dyn std::fmt::Display); 2] = [("database", &database.name), ("alias", &request.name)];
            return Err(Error::about(Code::ALIAS_NAME_CONFLICT, &fields));
        }
        let same = schema.fields == request.schema.fields
            && collection.channels.len() == usize::from(request.shards)
            && collection.description == request.description
            && collection.consistency == request.consistency
            && collection.properties == request.properties;
        if same {
            return Ok(if collection.is_created() { Known::Same } else { Known::Begun(collection.id) });
        }
        let reason = format!("create duplicate collection with different parameters, collection: {}", request.name);
        return Err(Error::invalid(reason));
    }
    check_capacity(context, database, request)?;
    Ok(Known::Absent)
}

fn check_capacity(context: &Context, database: &Database, request: &CreateCollection) -> Result<()> {
    let settings = context.settings();
    let (all, here, capacity) = context.view.read(|loaded| {
        let live = || loaded.collections.values().map(|found| &found.value).filter(|c| !matches!(c.state, CollectionState::Dropping(_)));
        let here = live().filter(|collection| collection.database == database.id).count();
        (live().count(), here, live().map(|c| c.channels.len() * c.partitions.len()).sum::<usize>())
    });
    let text = Code::COLLECTION_LIMIT.text();
    if all >= settings.collections_max {
        let reason = format!("failed to create collection, maxCollectionNum={}, {text}[limit={0}]", settings.collections_max);
        return Err(Error::new(Code::COLLECTION_LIMIT, reason));
    }
    if here >= settings.collections_per_database_max {
        let limit = settings.collections_per_database_max;
        let reason = format!("failed to create collection, maxCollectionNumPerDB={limit}, {text}[limit={limit}]");
        return Err(Error::new(Code::COLLECTION_LIMIT, reason));
    }
    let partitions = request.partitions.len();
    if partitions > settings.partitions_max {
        let (max, name) = (settings.partitions_max, &request.name);
        return Err(Error::invalid(format!("partition number ({partitions}) exceeds max configuration ({max}), collection: {name}")));
    }
    let wanted = capacity + partitions * usize::from(request.shards);
    if wanted > settings.general_capacity {
        let fields: [(&str, &dyn std::fmt::Display); 2] = [("current", &wanted), ("capacity", &settings.general_capacity)];
        return Err(Error::about(Code::GENERAL_CAPACITY, &fields));
    }
    Ok(())
}

/// Puts the collection into meta as being created, on channels out of `serving` where there are any.
pub async fn begin(
    context: &Context,
    serving: &BTreeSet<ChannelName>,
    database: &Versioned<Database>,
    request: CreateCollection,
) -> Result<CollectionId> {
    let begin = context.begin().await?;
    let ids = context.ids.allocate(1 + request.partitions.len() as u32).await.map_err(meta_error)?;
    let partitions = request.partitions.iter().zip(ids.start + 1..);
    let partitions: Vec<Partition> =
        partitions.map(|(name, id)| Partition { id: PartitionId(id), name: name.clone(), created: begin.now }).collect();
    let next_field = request.schema.fields.iter().map(|field| field.id.0 + 1).max().unwrap_or(types::schema::FIRST_USER_FIELD.0);
    let collection = Collection {
        id: CollectionId(ids.start),
        database: database.value.id,
        name: request.name,
        description: request.description,
        state: CollectionState::Creating(begin.operation),
        schema_version: request.schema.version,
        channels: free_channels(context, serving, usize::from(request.shards)),
        consistency: request.consistency,
        properties: request.properties,
        num_partitions: partitions.len() as u32,
        partitions,
        dropping_partitions: Vec::new(),
        generation: 0,
        next_field: FieldId(next_field),
        created: begin.now,
        updated: begin.now,
    };
    let change = context.change().create_collection(database, &collection, &request.schema, begin);
    context.commit(change).await?;
    tracing::info!(collection = %collection.id, name = collection.name, "a collection is being created");
    Ok(collection.id)
}

fn free_channels(context: &Context, serving: &BTreeSet<ChannelName>, count: usize) -> Vec<ChannelName> {
    let all = context.channels();
    let (up, down): (Vec<_>, Vec<_>) = all.into_iter().partition(|channel| serving.contains(channel));
    let used = context.view.read(|loaded| {
        let mut used = BTreeMap::new();
        for channel in loaded.collections.values().flat_map(|found| &found.value.channels) {
            *used.entry(channel.clone()).or_insert(0) += 1;
        }
        used
    });
    // One that can't be taken up would keep the collection from being created.
    channels::pick(if up.is_empty() { &down } else { &up }, &used, count)
}

/// Writes the create records and makes the collection usable.
pub async fn finish(context: &Context, call: &Call, id: CollectionId) -> Result<()> {
    let (collection, schema) = context
        .view
        .read(|loaded| {
            let collection = loaded.collections.get(&id)?.clone();
            let schema = loaded.schema(&collection.value)?.value.schema.clone();
            Some((collection, schema))
        })
        .ok_or_else(|| Error::internal(format!("collection {id} is being created and not in meta")))?;
    let partitions: Vec<PartitionId> = collection.value.partitions.iter().map(|partition| partition.id).collect();
    let placed = collection.value.shards().map(|(shard, channel)| {
        let control = Control::Create { schema: schema.clone(), partitions: partitions.clone() };
        async move {
            let control = &control;
            context.at_sequencer(call, channel, |node| async move { node.control(call, channel, shard, control.clone()).await }).await
        }
    });
    let placed = try_join_all(placed).await?;
    let starts: Vec<ShardStart> = placed
        .iter()
        .map(|placed| ShardStart { position: placed.position, epoch: placed.epoch, number: placed.number, clock: placed.timestamp })
        .collect();
    context.commit(context.change().finish_creation(&collection, &starts)).await?;
    tracing::info!(collection = %id, name = collection.value.name, "a collection was created");
    Ok(())
}

/// Adds a partition: no record is needed, rows name partitions by id.
pub async fn partition(context: &Context, collection: &Versioned<Collection>, name: &str) -> Result<()> {
    let there = collection.value.partitions.len();
    if there >= context.settings().partitions_max {
        let (max, collection) = (context.settings().partitions_max, &collection.value.name);
        return Err(Error::invalid(format!("partition number ({there}) exceeds max configuration ({max}), collection: {collection}")));
    }
    let begin = context.begin().await?;
    let partition = Partition { id: PartitionId(context.id().await?), name: name.to_owned(), created: begin.now };
    context.commit(context.change().create_partitions(collection, &[partition], begin.now)).await
}
