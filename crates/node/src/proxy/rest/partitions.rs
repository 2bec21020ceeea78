//! `/partitions`: list, has, count, make, drop, load, release.

use proto::common::Status;
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use serde_json::json;
use types::Result;

use super::asked::Asked;
use super::collections::row_count;
use super::envelope::Reply;

/// The collection's partitions by name.
pub async fn list<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::ShowPartitionsRequest { db_name: asked.database.clone(), collection_name: asked.collection()?, ..Default::default() };
    let shown: m::ShowPartitionsResponse = asked.call(S::show_partitions, request).await?;
    Ok(Reply::names(shown.partition_names))
}

/// Whether a partition is there.
pub async fn has<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::HasPartitionRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        partition_name: asked.body.required_text("partitionName")?,
        ..Default::default()
    };
    let answer: m::BoolResponse = asked.call(S::has_partition, request).await?;
    Ok(Reply::of(&json!({ "has": answer.value })))
}

/// Rows of a partition.
pub async fn stats<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::GetPartitionStatisticsRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        partition_name: asked.body.required_text("partitionName")?,
        ..Default::default()
    };
    let answer: m::GetPartitionStatisticsResponse = asked.call(S::get_partition_statistics, request).await?;
    Ok(Reply::of(&json!({ "rowCount": row_count(&answer.stats)? })))
}

/// Makes one.
pub async fn create<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::CreatePartitionRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        partition_name: asked.body.required_text("partitionName")?,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::create_partition, request).await?;
    Ok(Reply::done())
}

/// Drops one.
pub async fn drop<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::DropPartitionRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        partition_name: asked.body.required_text("partitionName")?,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::drop_partition, request).await?;
    Ok(Reply::done())
}

/// Asks for some to be served.
pub async fn load<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::LoadPartitionsRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        partition_names: asked.body.required_texts("partitionNames")?,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::load_partitions, request).await?;
    Ok(Reply::done())
}

/// Asks for some not to be served any more.
pub async fn release<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::ReleasePartitionsRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        partition_names: asked.body.required_texts("partitionNames")?,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::release_partitions, request).await?;
    Ok(Reply::done())
}
