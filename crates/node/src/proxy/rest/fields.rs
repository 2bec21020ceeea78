//! `/collections/fields` and functions: what changes a collection's schema.

use prost::Message;
use proto::common::Status;
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use types::Result;

use super::asked::Asked;
use super::body::{Fields, required};
use super::envelope::Reply;
use super::schema;

fn object<S: MilvusService>(asked: &Asked<S>, name: &str) -> Result<Fields> {
    asked.body.object(name)?.ok_or_else(|| required(name))
}

/// Adds a field.
pub async fn add<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let field = schema::field(&object(asked, "schema")?)?;
    let request = m::AddCollectionFieldRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        schema: field.encode_to_vec().into(),
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::add_collection_field, request).await?;
    Ok(Reply::done())
}

/// Adds a struct field.
pub async fn add_struct<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let structure = schema::structure(&object(asked, "schema")?)?;
    let request = m::AddCollectionStructFieldRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        struct_array_field_schema: Some(structure),
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::add_collection_struct_field, request).await?;
    Ok(Reply::done())
}

/// Sets a field's properties.
pub async fn alter_properties<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::AlterCollectionFieldRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        field_name: asked.body.required_text("fieldName")?,
        properties: asked.body.pairs("fieldParams")?,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::alter_collection_field, request).await?;
    Ok(Reply::done())
}

/// Adds a function.
pub async fn add_function<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::AddCollectionFunctionRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        function_schema: Some(schema::function(&object(asked, "function")?)?),
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::add_collection_function, request).await?;
    Ok(Reply::done())
}

/// Changes a function.
pub async fn alter_function<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::AlterCollectionFunctionRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        function_name: asked.body.required_text("functionName")?,
        function_schema: Some(schema::function(&object(asked, "function")?)?),
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::alter_collection_function, request).await?;
    Ok(Reply::done())
}

/// Drops a function.
pub async fn drop_function<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::DropCollectionFunctionRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        function_name: asked.body.required_text("functionName")?,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::drop_collection_function, request).await?;
    Ok(Reply::done())
}
