//! `/collections/fields` and functions: what changes a collection's schema.

use prost::Message;
use proto::common::Status;
use proto::milvus as m;
use proto::milvus::alter_collection_schema_request as schema_request;
use proto::milvus::milvus_service_server::MilvusService;
use types::Result;

use super::asked::Asked;
use super::body::{Fields, required};
use super::envelope::Reply;
use super::indexes::index_params;
use super::schema;

use schema_request::action::Op;
use schema_request::drop_request::Identifier;

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

/// Drops a field, by name or by id.
pub async fn drop<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let identifier = match asked.body.number("fieldId")? {
        Some(id) if asked.body.text("fieldName")?.is_empty() => Identifier::FieldId(id),
        _ => Identifier::FieldName(asked.body.required_text("fieldName")?),
    };
    let drop = schema_request::DropRequest { identifier: Some(identifier), ..Default::default() };
    alter_schema(asked, Op::DropRequest(drop)).await
}

/// Adds a function with the field that it fills.
pub async fn add_function_field<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let index = asked.body.objects("indexParams")?.into_iter().next().unwrap_or_default();
    let field = schema_request::FieldInfo {
        field_schema: Some(schema::field(&object(asked, "outputField")?)?),
        index_name: index.text("indexName")?,
        extra_params: index_params(&index)?,
    };
    let add = schema_request::AddRequest {
        field_infos: vec![field],
        func_schema: vec![schema::function(&object(asked, "function")?)?],
        ..Default::default()
    };
    alter_schema(asked, Op::AddRequest(add)).await
}

/// Drops a function with the fields that it fills.
pub async fn drop_function_field<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let function = Identifier::FunctionName(asked.body.required_text("functionName")?);
    let drop = schema_request::DropRequest { identifier: Some(function), drop_function_output_fields: true };
    alter_schema(asked, Op::DropRequest(drop)).await
}

async fn alter_schema<S: MilvusService>(asked: &Asked<S>, op: Op) -> Result<Reply> {
    let request = m::AlterCollectionSchemaRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        action: Some(schema_request::Action { op: Some(op) }),
        ..Default::default()
    };
    let _: m::AlterCollectionSchemaResponse = asked.call(S::alter_collection_schema, request).await?;
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
