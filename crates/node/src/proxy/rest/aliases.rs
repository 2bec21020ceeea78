//! `/aliases`: list, describe, make, move, drop.

use proto::common::Status;
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use serde_json::json;
use types::Result;

use super::asked::Asked;
use super::envelope::Reply;

/// Aliases of the database, or of one collection.
pub async fn list<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::ListAliasesRequest {
        db_name: asked.database.clone(),
        collection_name: asked.body.text("collectionName")?,
        ..Default::default()
    };
    let answer: m::ListAliasesResponse = asked.call(S::list_aliases, request).await?;
    Ok(Reply::names(answer.aliases))
}

/// What an alias stands for.
pub async fn describe<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let alias = asked.body.required_text("aliasName")?;
    let request = m::DescribeAliasRequest { db_name: asked.database.clone(), alias, ..Default::default() };
    let answer: m::DescribeAliasResponse = asked.call(S::describe_alias, request).await?;
    Ok(Reply::of(&json!({ "dbName": answer.db_name, "collectionName": answer.collection, "aliasName": answer.alias })))
}

/// Makes one.
pub async fn create<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::CreateAliasRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        alias: asked.body.required_text("aliasName")?,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::create_alias, request).await?;
    Ok(Reply::done())
}

/// Lets one stand for another collection.
pub async fn alter<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::AlterAliasRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        alias: asked.body.required_text("aliasName")?,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::alter_alias, request).await?;
    Ok(Reply::done())
}

/// Drops one.
pub async fn drop<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let alias = asked.body.required_text("aliasName")?;
    let request = m::DropAliasRequest { db_name: asked.database.clone(), alias, ..Default::default() };
    asked.call::<_, Status, _>(S::drop_alias, request).await?;
    Ok(Reply::done())
}
