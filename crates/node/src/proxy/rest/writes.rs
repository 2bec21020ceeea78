//! `/entities` that change rows: insert, upsert, delete.

use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use proto::schema::field_partial_update_op::OpType;
use proto::schema::{CollectionSchema, FieldPartialUpdateOp, IDs};
use serde_json::json;
use types::{Error, Result};

use super::asked::Asked;
use super::body::required;
use super::envelope::Reply;
use super::keys;
use super::params::templates;
use super::render;
use super::rows::{Columns, Writing, columns};

/// Writes rows.
pub async fn insert<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let collection_name = asked.collection()?;
    let rows = read_rows(asked, false).await?;
    let request = m::InsertRequest {
        db_name: asked.database.clone(),
        collection_name,
        partition_name: asked.body.text("partitionName")?,
        fields_data: rows.fields,
        num_rows: rows.rows,
        ..Default::default()
    };
    let written: m::MutationResult = asked.call(S::insert, request).await?;
    Ok(answer(asked, &written, ["insertCount", "insertIds"], written.insert_cnt))
}

/// Writes rows in place of those with the same keys.
pub async fn upsert<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let collection_name = asked.collection()?;
    let partial_update = asked.body.flag("partialUpdate")?.unwrap_or(false);
    let rows = read_rows(asked, partial_update).await?;
    let request = m::UpsertRequest {
        db_name: asked.database.clone(),
        collection_name,
        partition_name: asked.body.text("partitionName")?,
        fields_data: rows.fields,
        num_rows: rows.rows,
        partial_update,
        field_ops: field_ops(asked)?,
        ..Default::default()
    };
    let written: m::MutationResult = asked.call(S::upsert, request).await?;
    Ok(answer(asked, &written, ["upsertCount", "upsertIds"], written.upsert_cnt))
}

async fn read_rows<S: MilvusService>(asked: &Asked<S>, partial: bool) -> Result<Columns> {
    let data = asked.body.get("data").ok_or_else(|| required("data"))?.clone();
    let schema: CollectionSchema = asked.described().await?.schema.unwrap_or_default();
    asked.compute(data.bytes(), move || columns(&data, &Writing { schema: &schema, partial })).await
}

fn field_ops<S: MilvusService>(asked: &Asked<S>) -> Result<Vec<FieldPartialUpdateOp>> {
    let op = |given: super::body::Fields| {
        let name = given.required_text("op")?;
        let op = OpType::from_str_name(&name.to_ascii_uppercase());
        let op = op.ok_or_else(|| Error::invalid(format!("there is no operation {name} of fields")))?;
        Ok(FieldPartialUpdateOp { field_name: given.required_text("fieldName")?, op: op as i32 })
    };
    asked.body.objects("fieldOps")?.into_iter().map(op).collect()
}

fn answer<S: MilvusService>(asked: &Asked<S>, written: &m::MutationResult, names: [&str; 2], count: i64) -> Reply {
    let none = IDs::default();
    let ids = render::ids(written.i_ds.as_ref().unwrap_or(&none), asked.int64);
    let data = format!(r#"{{"{}":{count},"{}":{ids}}}"#, names[0], names[1]);
    Reply::text(data).with("cost", super::envelope::cost(written.status.as_ref()))
}

/// Removes the rows that a filter finds, or those of some keys.
pub async fn delete<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let collection_name = asked.collection()?;
    let filter = asked.body.text("filter")?;
    let (expr, expr_template_values) = match filter.is_empty() {
        false => (filter, templates(&asked.body)?),
        true => keys::filter(&asked.described().await?.schema.unwrap_or_default(), asked.body.get("id"))?,
    };
    let request = m::DeleteRequest {
        db_name: asked.database.clone(),
        collection_name,
        partition_name: asked.body.text("partitionName")?,
        expr,
        expr_template_values,
        ..Default::default()
    };
    let written: m::MutationResult = asked.call(S::delete, request).await?;
    Ok(Reply::of(&json!({ "deleteCount": written.delete_cnt })))
}
