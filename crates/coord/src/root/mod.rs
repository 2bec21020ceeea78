//! rootcoord: names, partitions, ids, timestamps.
//!
//! A change of a definition goes meta first, then the log, then the caches (`docs/design.md` §6). What is begun in meta is finished by
//! [`resume`], by this leader or the next.

mod channels;
mod create;
mod drop;
mod resume;

use std::ops::Range;

use async_trait::async_trait;
use futures::future::join_all;
use meta::catalog::document::Versioned;
use meta::catalog::model;
use meta::sequence::next_writer;
use role::Call;
use role::root::{Changed, CollectionRef, CreateCollection, RootCoord};
use types::collection::Collection;
use types::id::{CollectionId, WriterId};
use types::time::Timestamp;
use types::{Code, Error, Result};

use self::create::Known;
use crate::context::Context;
use crate::view::meta_error;

/// The coordinator of names.
pub struct Root {
    context: Context,
    /// One change of definitions at a time: they are rare, and each plans from what the last one left.
    turn: tokio::sync::Mutex<()>,
}

impl Root {
    /// A coordinator over `context`. Call [`Self::resume`] once nodes are there.
    pub fn new(context: Context) -> Self {
        Self { context, turn: tokio::sync::Mutex::new(()) }
    }

    /// Goes on with every operation that meta says has begun.
    ///
    /// # Errors
    /// The first that failed; others were tried. Call again.
    pub async fn resume(&self, call: &Call) -> Result<()> {
        let _turn = self.turn.lock().await;
        resume::all(&self.context, call).await
    }

    /// Tells every proxy that what it holds of a collection is stale.
    async fn invalidate(&self, call: &Call, changed: &Changed) -> Result<()> {
        let proxies = self.context.members().proxies.clone();
        let told = proxies.iter().map(|member| async {
            let proxy = self.context.peers.proxy(&member.address)?;
            proxy.invalidate(call, changed).await
        });
        join_all(told).await.into_iter().collect()
    }

    fn database(&self, name: &str) -> Result<Versioned<model::Database>> {
        let name = if name.is_empty() { model::DEFAULT_DATABASE_NAME } else { name };
        let found = self.context.view.read(|loaded| loaded.database(name).cloned());
        found.ok_or_else(|| Error::about(Code::DATABASE_NOT_FOUND, &[("database", &name)]))
    }

    fn by_id(&self, id: CollectionId) -> Result<Versioned<model::Collection>> {
        let found = self.context.view.read(|loaded| loaded.collections.get(&id).filter(|found| found.value.is_created()).cloned());
        found.ok_or_else(|| Error::about(Code::COLLECTION_NOT_FOUND, &[("collection", &id)]))
    }

    fn found(&self, which: &CollectionRef) -> Result<Versioned<model::Collection>> {
        match which {
            CollectionRef::Id(id) => self.by_id(*id),
            CollectionRef::Name { database, name } => {
                let found = self.database(database)?;
                let collection = self.context.view.read(|loaded| loaded.collection(found.value.id, name).cloned());
                let collection = collection.filter(|collection| collection.value.is_created());
                let fields: [(&str, &dyn std::fmt::Display); 2] = [("database", &found.value.name), ("collection", name)];
                collection.ok_or_else(|| Error::about(Code::COLLECTION_NOT_FOUND, &fields))
            }
        }
    }

    fn view_of(&self, collection: &model::Collection) -> Option<Collection> {
        self.context.view.read(|loaded| {
            let database = loaded.databases.get(&collection.database)?;
            let schema = loaded.schema(collection)?;
            Some(collection.view(&database.value.name, loaded.aliases(collection.id), schema.value.schema.clone()))
        })
    }
}

#[async_trait]
impl RootCoord for Root {
    async fn create_collection(&self, call: &Call, request: CreateCollection) -> Result<()> {
        let _turn = self.turn.lock().await;
        let database = self.database(&request.database)?;
        let collection = match create::check(&self.context, &database.value, &request)? {
            Known::Same => return Ok(()),
            Known::Begun(collection) => collection,
            Known::Absent => create::begin(&self.context, &database, request).await?,
        };
        create::finish(&self.context, call, collection).await
    }

    async fn drop_collection(&self, call: &Call, database: &str, name: &str) -> Result<()> {
        let _turn = self.turn.lock().await;
        let which = CollectionRef::Name { database: database.to_owned(), name: name.to_owned() };
        let collection = match self.found(&which) {
            Ok(collection) if collection.value.name == name => collection,
            Ok(_) => return Err(Error::invalid(format!("cannot drop the collection via alias = {name}"))),
            Err(error) if error.code() == Code::COLLECTION_NOT_FOUND => return Ok(()),
            Err(error) => return Err(error),
        };
        let id = collection.value.id;
        drop::begin(&self.context, &collection).await?;
        self.invalidate(call, &Changed { collection: id, dropped_partition: None }).await?;
        drop::log(&self.context, call, id).await?;
        let swept = drop::sweep(&self.context, call, id).await;
        if let Err(error) = swept {
            // The collection is gone for everybody; what it held is swept when the operation is resumed.
            tracing::warn!(%error, collection = %id, "a dropped collection isn't swept yet");
        }
        Ok(())
    }

    async fn collection(&self, _call: &Call, which: &CollectionRef) -> Result<Collection> {
        let found = self.found(which)?;
        self.view_of(&found.value).ok_or_else(|| Error::internal(format!("collection {} has no schema in meta", found.value.id)))
    }

    async fn collections(&self, _call: &Call, database: &str) -> Result<Vec<Collection>> {
        let database = self.database(database)?.value.id;
        let all = self.context.view.read(|loaded| {
            let of_database = loaded.collections.values().filter(|found| found.value.database == database && found.value.is_created());
            of_database.map(|found| found.value.clone()).collect::<Vec<_>>()
        });
        Ok(all.iter().filter_map(|collection| self.view_of(collection)).collect())
    }

    async fn create_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        let _turn = self.turn.lock().await;
        let found = self.by_id(collection)?;
        if found.value.partition(name).is_some() {
            return Ok(());
        }
        create::partition(&self.context, &found, name).await?;
        self.invalidate(call, &Changed { collection, dropped_partition: None }).await
    }

    async fn drop_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        let _turn = self.turn.lock().await;
        let found = self.by_id(collection)?;
        let Some(partition) = found.value.partition(name).map(|partition| partition.id) else { return Ok(()) };
        drop::begin_partition(&self.context, &found, partition).await?;
        self.invalidate(call, &Changed { collection, dropped_partition: Some(partition) }).await?;
        drop::finish_partition(&self.context, call, collection, partition).await
    }

    async fn databases(&self, _call: &Call) -> Result<Vec<String>> {
        let mut names = self.context.view.read(|loaded| loaded.database_names.keys().cloned().collect::<Vec<_>>());
        names.sort_by_key(|name| (name != model::DEFAULT_DATABASE_NAME, name.clone()));
        Ok(names)
    }

    async fn allocate_ids(&self, _call: &Call, count: u32) -> Result<Range<i64>> {
        self.context.ids.allocate(count).await.map_err(meta_error)
    }

    async fn allocate_timestamp(&self, _call: &Call) -> Result<Timestamp> {
        self.context.timestamps.next().await.map_err(meta_error)
    }

    async fn register_proxy(&self, _call: &Call, _address: &str) -> Result<WriterId> {
        next_writer(&**self.context.view.catalog().meta()).await.map_err(meta_error)
    }
}
