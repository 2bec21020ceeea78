//! rootcoord: names, partitions, ids, timestamps.
//!
//! A change of a definition goes meta first, then the log, then the caches (`docs/design.md` §6). What is begun in meta is finished by
//! [`resume`], by this leader or the next.

mod alter;
mod channels;
mod create;
mod drop;
mod resume;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use meta::catalog::Loaded;
use meta::catalog::document::Versioned;
use meta::catalog::model;
use meta::sequence::next_writer;
use role::Call;
use role::root::{Changed, CollectionRef, CreateCollection, RootCoord};
use types::collection::Collection;
use types::id::{CollectionId, DatabaseId, WriterId};
use types::schema::{Field, Schema};
use types::time::Timestamp;
use types::{Code, Error, Result};

use self::create::Known;
use crate::context::Context;
use crate::reconcile::{ROUND_MAX, rounds};
use crate::seat::{Coordinator, Office};
use crate::view::{collection as found, meta_error};

/// How long a proxy that doesn't answer holds up a change: longer than its session lives.
const INVALIDATE_MAX: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const INVALIDATE_ATTEMPT: Duration = Duration::from_secs(1);
/// Before it is asked again.
const INVALIDATE_RETRY: Duration = Duration::from_millis(100);

/// The coordinator of names.
pub struct Root {
    context: Context,
    /// One change of definitions at a time: they are rare, and each plans from what the last one left.
    turn: tokio::sync::Mutex<()>,
}

impl Coordinator for Root {
    const OFFICE: Office = Office::Root;

    fn begin(context: Context) -> Arc<Self> {
        Arc::new(Self { context, turn: tokio::sync::Mutex::new(()) })
    }

    fn run(self: &Arc<Self>) {
        rounds(self, "operations", |root| async move {
            let call = Call::within(&root.context.world, ROUND_MAX, "resume");
            root.resume(&call).await
        });
    }

    fn context(&self) -> &Context {
        &self.context
    }
}

impl Root {
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
        invalidate(&self.context, call, changed).await
    }

    fn database(&self, name: &str) -> Result<Versioned<model::Database>> {
        let name = if name.is_empty() { model::DEFAULT_DATABASE_NAME } else { name };
        self.context.view.read(|loaded| {
            if let Some(damage) = loaded.damage::<model::DatabaseName>(&name.to_owned()) {
                return Err(damage.clone());
            }
            let id = loaded.database_names.get(name).map(|found| found.value.database);
            let damage = id.and_then(|id| loaded.damage::<model::Database>(&id));
            match (loaded.database(name), damage) {
                (Some(found), _) => Ok(found.clone()),
                (None, Some(damage)) => Err(damage.clone()),
                (None, None) => Err(Error::about(Code::DATABASE_NOT_FOUND, &[("database", &name)])),
            }
        })
    }

    /// A collection that clients may use.
    fn by_id(&self, id: CollectionId) -> Result<Versioned<model::Collection>> {
        let found = self.context.view.read(|loaded| found(loaded, id).cloned())?;
        let absent = || Error::about(Code::COLLECTION_NOT_FOUND, &[("collection", &id)]);
        if found.value.is_created() { Ok(found) } else { Err(absent()) }
    }

    fn found(&self, which: &CollectionRef) -> Result<Versioned<model::Collection>> {
        match which {
            CollectionRef::Id(id) => self.by_id(*id),
            CollectionRef::Name { database, name } => {
                let database = self.database(database)?;
                let fields: [(&str, &dyn std::fmt::Display); 2] = [("database", &database.value.name), ("collection", name)];
                let absent = || Error::about(Code::COLLECTION_NOT_FOUND, &fields);
                let named = self.named(&database, name)?.ok_or_else(absent)?;
                if named.value.is_created() { Ok(named) } else { Err(absent()) }
            }
        }
    }

    /// Whatever has a name or alias, also where it is still being created.
    fn named(&self, database: &Versioned<model::Database>, name: &str) -> Result<Option<Versioned<model::Collection>>> {
        self.context.view.read(|loaded| match target(loaded, database.value.id, name)? {
            Some(target) => found(loaded, target.collection()).cloned().map(Some),
            None => Ok(None),
        })
    }

    fn view_of(&self, collection: &model::Collection) -> Result<Collection> {
        self.context.view.read(|loaded| {
            let damage = loaded.damage::<model::Database>(&collection.database).cloned();
            let gone = || Error::internal(format!("collection {} has no database in meta", collection.id));
            let database = loaded.databases.get(&collection.database).ok_or_else(|| damage.unwrap_or_else(gone))?;
            let schema = current_schema(loaded, collection)?;
            Ok(collection.view(&database.value.name, loaded.aliases(collection.id), schema.clone()))
        })
    }
}

/// Has every proxy drop what it holds of a collection. One that doesn't answer is waited for until its session has ended: from then on it
/// knows itself that it may be wrong.
async fn invalidate(context: &Context, call: &Call, changed: &Changed) -> Result<()> {
    let proxies = context.members().proxies.clone();
    let until = call.deadline.min(context.world.clock.now() + INVALIDATE_MAX);
    let told = proxies.iter().map(|member| async move {
        loop {
            let attempt = Call { deadline: until.min(context.world.clock.now() + INVALIDATE_ATTEMPT), ..call.clone() };
            let told = async { context.peers.proxy(&member.address)?.invalidate(&attempt, changed).await };
            match attempt.bound("a proxy", told).await {
                Err(error) if context.members().proxies.contains(member) && context.world.clock.now() < until => {
                    tracing::debug!(proxy = %member.node, %error, "a proxy is told again of a change");
                }
                Err(error) if context.members().proxies.contains(member) => return Err(error),
                // Told, or gone.
                _ => return Ok(()),
            }
            context.world.clock.sleep(INVALIDATE_RETRY).await;
        }
    });
    join_all(told).await.into_iter().collect()
}

/// What a name leads to.
fn target(loaded: &Loaded, database: DatabaseId, name: &str) -> Result<Option<model::NameTarget>> {
    let id = (database, name.to_owned());
    match loaded.damage::<model::Name>(&id) {
        Some(damage) => Err(damage.clone()),
        None => Ok(loaded.names.get(&id).map(|found| found.value.target)),
    }
}

fn current_schema<'a>(loaded: &'a Loaded, collection: &model::Collection) -> Result<&'a Schema> {
    let damage = loaded.damage::<model::SchemaVersion>(&(collection.id, collection.schema_version)).cloned();
    let gone = || Error::internal(format!("collection {} has no schema in meta", collection.id));
    loaded.schema(collection).map(|found| &found.value.schema).ok_or_else(|| damage.unwrap_or_else(gone))
}

#[async_trait]
impl RootCoord for Root {
    async fn create_collection(&self, call: &Call, request: CreateCollection) -> Result<()> {
        let _turn = self.turn.lock().await;
        let database = self.database(&request.database)?;
        let collection = match create::check(&self.context, &database.value, &request)? {
            Known::Same => return Ok(()),
            Known::Begun(collection) => collection,
            Known::Absent => {
                let routes = self.context.data.routes(call).await?;
                let serving = routes.into_iter().filter(|route| route.confirmed).map(|route| route.channel).collect();
                create::begin(&self.context, &serving, &database, request).await?
            }
        };
        create::finish(&self.context, call, collection).await
    }

    async fn drop_collection(&self, call: &Call, database: &str, name: &str) -> Result<()> {
        let _turn = self.turn.lock().await;
        let database = self.database(database)?;
        let collection = match self.named(&database, name)? {
            Some(collection) if collection.value.name == name => collection,
            Some(_) => return Err(Error::invalid(format!("cannot drop the collection via alias = {name}"))),
            None => return Ok(()),
        };
        let (id, was_usable) = (collection.value.id, collection.value.is_created());
        drop::begin(&self.context, &collection).await?;
        self.invalidate(call, &Changed { collection: id, dropped_partition: None }).await?;
        let swept = match drop::log(&self.context, call, id).await {
            Ok(()) => drop::sweep(&self.context, call, id).await,
            // Nobody could write to it: its channel may be why it was never created.
            Err(error) if !was_usable => Err(error),
            Err(error) => return Err(error),
        };
        if let Err(error) = swept {
            // The collection is gone for everybody; what it held is swept when the operation is resumed.
            tracing::warn!(%error, collection = %id, "a dropped collection isn't swept yet");
        }
        Ok(())
    }

    async fn collection(&self, _call: &Call, which: &CollectionRef) -> Result<Collection> {
        let found = self.found(which)?;
        self.view_of(&found.value)
    }

    async fn collections(&self, _call: &Call, database: &str) -> Result<Vec<Collection>> {
        let database = self.database(database)?.value.id;
        let all = self.context.view.read(|loaded| {
            let of_database = loaded.collections.values().filter(|found| found.value.database == database && found.value.is_created());
            of_database.map(|found| found.value.clone()).collect::<Vec<_>>()
        });
        // What can't be read is an error where it is asked for by name.
        Ok(all.iter().filter_map(|collection| self.view_of(collection).ok()).collect())
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

    async fn add_field(&self, call: &Call, collection: CollectionId, field: Field) -> Result<()> {
        let _turn = self.turn.lock().await;
        let found = self.by_id(collection)?;
        match alter::begin_field(&self.context, &found, field).await? {
            Some(operation) => alter::finish(&self.context, call, collection, operation).await,
            None => Ok(()),
        }
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
