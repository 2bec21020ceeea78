//! `/databases`: list, make, drop, describe, alter.
//!
//! These name their database in the body alone: the header's is where other requests look for names.

use proto::common::{KeyValuePair, Status};
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use serde_json::json;
use types::Result;

use super::asked::Asked;
use super::collections::properties;
use super::envelope::Reply;

/// All databases.
pub async fn list<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let answer: m::ListDatabasesResponse = asked.call(S::list_databases, m::ListDatabasesRequest::default()).await?;
    Ok(Reply::names(answer.db_names))
}

/// Makes one.
pub async fn create<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::CreateDatabaseRequest {
        db_name: asked.body.required_text("dbName")?,
        properties: asked.body.pairs("properties")?,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::create_database, request).await?;
    Ok(Reply::done())
}

/// Drops one.
pub async fn drop<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::DropDatabaseRequest { db_name: asked.body.required_text("dbName")?, ..Default::default() };
    asked.call::<_, Status, _>(S::drop_database, request).await?;
    Ok(Reply::done())
}

/// A database's id and properties.
pub async fn describe<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::DescribeDatabaseRequest { db_name: asked.body.required_text("dbName")?, ..Default::default() };
    let answer: m::DescribeDatabaseResponse = asked.call(S::describe_database, request).await?;
    Ok(Reply::of(&json!({ "dbName": answer.db_name, "dbID": answer.db_id, "properties": properties(&answer.properties) })))
}

/// Sets properties.
pub async fn alter_properties<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    alter(asked, asked.body.pairs("properties")?, Vec::new()).await
}

/// Removes properties.
pub async fn drop_properties<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    alter(asked, Vec::new(), asked.body.texts("propertyKeys")?).await
}

async fn alter<S: MilvusService>(asked: &Asked<S>, properties: Vec<KeyValuePair>, delete_keys: Vec<String>) -> Result<Reply> {
    let db_name = asked.body.required_text("dbName")?;
    let request = m::AlterDatabaseRequest { db_name, properties, delete_keys, ..Default::default() };
    asked.call::<_, Status, _>(S::alter_database, request).await?;
    Ok(Reply::done())
}
