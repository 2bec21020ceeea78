//! Writes: that each is there exactly once whatever the sequencer and the stream do, and that answers say what happened.

use std::collections::BTreeMap;

use proto::schema::i_ds::IdField;
use types::Code;
use types::column::Values;
use types::id::FieldId;
use types::value::Key;

use super::client::*;
use super::fake::Fault;
use proto::milvus as m;

fn ids(result: &m::MutationResult) -> Vec<i64> {
    match result.i_ds.as_ref().and_then(|ids| ids.id_field.as_ref()) {
        Some(IdField::IntId(ids)) => ids.data.clone(),
        other => panic!("no ids: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_row_is_there_once_whatever_fails() {
    use Fault::*;
    let cases: Vec<Vec<Fault>> = vec![
        vec![],
        vec![LoseRequest],
        vec![LoseAnswer],
        vec![NotSequencer],
        vec![Busy],
        vec![Twice],
        vec![Hang],
        vec![Hang, LoseAnswer, Hang],
        vec![LoseRequest, LoseAnswer, Busy, NotSequencer],
        vec![LoseRequest, LoseRequest, LoseRequest, LoseRequest, LoseRequest, LoseRequest],
        vec![Refuse(Code::SCHEMA_MISMATCH), LoseAnswer],
        vec![Refuse(Code::PARTITION_NOT_FOUND), Refuse(Code::COLLECTION_NOT_FOUND)],
    ];
    for faults in cases {
        let client = Client::with_collection(2, false).await;
        ok(client.insert(&[100]).await.status.as_ref());
        client.fake.state.lock().faults = faults.clone().into();
        let written = client.insert(&[1, 2, 3, 4, 5, 6]).await;
        ok(written.status.as_ref());
        assert_eq!((ids(&written), written.insert_cnt), (vec![1, 2, 3, 4, 5, 6], 6), "{faults:?}");
        ok(client.insert(&[7]).await.status.as_ref());
        assert_eq!(client.keys(), ["1", "2", "3", "4", "5", "6", "7", "100"], "{faults:?}");
        let newest = client.rows().iter().map(|row| row.timestamp).max();
        assert!(newest.is_some_and(|newest| newest.0 > written.timestamp), "{faults:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_at_once_keep_their_order_under_faults() {
    let client = Client::with_collection(2, false).await;
    let faults = [Fault::LoseAnswer, Fault::Busy, Fault::LoseRequest, Fault::NotSequencer, Fault::Twice];
    client.fake.state.lock().faults = faults.into_iter().cycle().take(60).collect();
    let keys: Vec<[i64; 1]> = (0..100).map(|key| [key]).collect();
    let writes = keys.iter().map(|keys| client.insert(keys));
    for written in futures::future::join_all(writes).await {
        ok(written.status.as_ref());
    }
    assert_eq!(client.rows().len(), 100);
    for (channel, stamped) in &client.fake.state.lock().stamped {
        let sequences: Vec<u64> = stamped.iter().map(|(_, sequence)| *sequence).collect();
        assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>(), "{channel}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_is_said_to_be_unknown() {
    let client = Client::with_collection(1, false).await;
    client.fake.state.lock().faults = [Fault::Hang].into();
    let mut request = tonic::Request::new(m::InsertRequest {
        collection_name: COLLECTION.to_owned(),
        fields_data: vec![longs("id", &[1]), vectors(&[[0.0; 2]])],
        num_rows: 1,
        ..Default::default()
    });
    request.metadata_mut().insert("grpc-timeout", "2S".parse().expect("a value"));
    let service: &dyn proto::milvus::milvus_service_server::MilvusService = &*client.proxy;
    let result = service.insert(request).await.expect("ok").into_inner();
    let (code, _, reason) = outcome(result.status.as_ref());
    assert_eq!((code, reason.as_str()), (10_001, "write to t-elanus-dml_0: the outcome is unknown: timeout"));
    assert_eq!(result.err_index, [0]);
    // The next one can only be stamped after it, so it is sent again when the stream shows that it is missing.
    ok(client.insert(&[2]).await.status.as_ref());
    assert_eq!(client.keys(), ["1", "2"]);

    client.fake.state.lock().faults = [Fault::Fail].into();
    let (code, _, reason) = outcome(client.insert(&[3]).await.status.as_ref());
    assert_eq!((code, reason.as_str()), (1_009, "the outcome is unknown: the channel stopped"));
    ok(client.insert(&[4]).await.status.as_ref());
    assert_eq!(client.keys(), ["1", "2", "3", "4"]);

    // An expired id: what was sent under it is never sent under another one.
    client.fake.state.lock().faults = [Fault::Expire].into();
    let (code, _, reason) = outcome(client.insert(&[5]).await.status.as_ref());
    assert_eq!(code, Code::CHANNEL_NOT_AVAILABLE.0);
    assert!(reason.contains("the outcome is unknown"), "{reason}");
    ok(client.insert(&[6]).await.status.as_ref());
    assert_eq!(client.keys(), ["1", "2", "3", "4", "6"]);

    // A writer that was idle for long doesn't use its id again, so that this doesn't come to pass.
    let before = client.fake.state.lock().writers;
    tokio::time::advance(std::time::Duration::from_secs(31 * 60)).await;
    ok(client.insert(&[7]).await.status.as_ref());
    assert!(client.fake.state.lock().writers > before, "a new id");
    assert_eq!(client.keys(), ["1", "2", "3", "4", "6", "7"]);
}

#[tokio::test(start_paused = true)]
async fn a_newer_schema_is_read_and_the_write_made_anew() {
    let client = Client::with_collection(2, true).await;
    let rows = [[1.0; 2]; 8];
    ok(client.insert_columns(vec![vectors(&rows)], 8).await.status.as_ref());
    // Somebody adds a field with a default; this proxy isn't told before its next write is refused.
    {
        let mut state = client.fake.state.lock();
        let collection = state.collections.values_mut().next().expect("one collection");
        let mut field = collection.schema.fields[2].clone();
        (field.id, field.name) = (FieldId(110), "added".to_owned());
        (field.nullable, field.default) = (false, Some(types::value::Value::String("new".into())));
        collection.schema.fields.push(field);
        collection.schema.version = 2;
        let id = collection.id;
        state.versions.insert(id, 2);
    }
    let written = client.insert_columns(vec![vectors(&rows)], 8).await;
    ok(written.status.as_ref());
    let added = |row: &super::fake::Row| row.batch.column(FieldId(110)).map(|column| column.values.clone());
    let new: Vec<_> = client.rows().iter().filter_map(added).collect();
    assert_eq!(new, vec![Values::VarChar(["new"].into_iter().collect()); 8]);
    let keys: Vec<Key> = ids(&written).into_iter().map(Key::Int).collect();
    let there = client.rows();
    assert!(keys.iter().all(|key| there.iter().filter(|row| row.key == *key).count() == 1));
    assert_eq!(there.len(), 16);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_has_its_part_is_not_written_again() {
    let client = Client::with_collection(2, true).await;
    client.fake.state.lock().faults = [Fault::Twice, Fault::Refuse(Code::SCHEMA_MISMATCH)].into();
    let rows = [[1.0; 2]; 32];
    let written = client.insert_columns(vec![vectors(&rows)], 32).await;
    ok(written.status.as_ref());
    let mut keys = ids(&written);
    keys.sort_unstable();
    let there: Vec<String> = keys.iter().map(ToString::to_string).collect();
    assert_eq!(client.keys(), there);
}

#[tokio::test(start_paused = true)]
async fn an_upsert_with_drawn_keys_stays_in_its_shard() {
    let client = Client::with_collection(4, true).await;
    let rows = [[1.0; 2]; 20];
    let old = ids(&client.insert_columns(vec![vectors(&rows)], 20).await);
    let shard_of = |client: &Client| -> BTreeMap<String, u16> {
        let state = client.fake.state.lock();
        let shards = state.rows.iter().flat_map(|(shard, rows)| rows.iter().map(|row| (row.key.to_string(), shard.index)));
        shards.collect()
    };
    let before = shard_of(&client);
    let result = client.upsert(vec![longs("id", &old), vectors(&rows)], 20).await;
    ok(result.status.as_ref());
    let new = ids(&result);
    assert_eq!((result.upsert_cnt, client.rows().len()), (20, 20));
    let after = shard_of(&client);
    for (old, new) in old.iter().zip(&new) {
        assert_ne!(old, new);
        assert_eq!(before[&old.to_string()], after[&new.to_string()]);
    }
    let (code, _, reason) = outcome(client.upsert(vec![longs("id", &[1, 1]), vectors(&rows[..2])], 2).await.status.as_ref());
    assert_eq!((code, reason.as_str()), (1100, "duplicate primary keys are not allowed in the same batch: invalid parameter"));
    let (code, _, reason) = outcome(client.upsert(vec![vectors(&rows[..1])], 1).await.status.as_ref());
    assert_eq!((code, reason.as_str()), (1100, "must assign pk when upsert, primary field: id: invalid parameter"));
}

#[tokio::test(start_paused = true)]
async fn an_upsert_replaces_and_a_delete_removes() {
    let client = Client::with_loaded(2, false).await;
    ok(client.insert(&[1, 2, 3, 4, 5]).await.status.as_ref());
    let replaced = client.upsert(vec![longs("id", &[2, 9]), vectors(&[[7.0; 2]; 2])], 2).await;
    ok(replaced.status.as_ref());
    assert_eq!(client.keys(), ["1", "2", "3", "4", "5", "9"]);
    let by_key = client.delete("id in [1, 3, 77]").await;
    ok(by_key.status.as_ref());
    assert_eq!((by_key.delete_cnt, client.keys().join(" ")), (3, "2 4 5 9".to_owned()), "keys count as given");
    assert!(by_key.i_ds.is_none());
    let by_filter = client.delete("id > 4 and id < 100").await;
    ok(by_filter.status.as_ref());
    assert_eq!((by_filter.delete_cnt, client.keys().join(" ")), (2, "2 4".to_owned()));
    let none = client.delete("id > 1000").await;
    assert!(none.timestamp > by_filter.timestamp);
    assert_eq!(none.delete_cnt, 0);
    let text = |result: m::MutationResult| outcome(result.status.as_ref()).2;
    assert_eq!(text(client.delete("").await), "delete plan can't be empty or always true : : invalid parameter");
    let parse = text(client.delete("id in").await);
    assert!(parse.starts_with("failed to create delete plan: cannot parse expression: id in"), "{parse}");
}

#[tokio::test(start_paused = true)]
async fn a_delete_by_filter_spares_what_comes_after_its_read() {
    let client = Client::with_loaded(1, false).await;
    ok(client.insert(&[1, 2]).await.status.as_ref());
    // The first attempt is refused after the read; a row with a key that it found is written before the second.
    client.fake.state.lock().faults = [Fault::LoseRequest].into();
    let (deleted, written) = tokio::join!(client.delete("id >= 1"), client.upsert(vec![longs("id", &[2]), vectors(&[[5.0; 2]])], 1));
    ok(deleted.status.as_ref());
    ok(written.status.as_ref());
    let rows = client.rows();
    let later = written.timestamp > deleted.timestamp || rows.iter().any(|row| row.timestamp.0 == written.timestamp);
    assert!(later, "the new row is there: {rows:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_rows_is_said_before_anything_is_written() {
    let client = Client::with_collection(1, false).await;
    let row = || vec![longs("id", &[1]), vectors(&[[0.0; 2]])];
    let cases: Vec<(m::InsertRequest, i32, &str)> = vec![
        (m::InsertRequest::default(), 1100, "num_rows should be greater than 0: invalid parameter[expected=invalid num_rows][actual=0]"),
        (
            m::InsertRequest { num_rows: 1, fields_data: row(), partition_name: "p".into(), ..Default::default() },
            200,
            "partition not found[partition=p]",
        ),
        (
            m::InsertRequest { num_rows: 1, fields_data: row(), schema_timestamp: 7, ..Default::default() },
            109,
            "collection schema mismatch[collection=c]",
        ),
        (
            m::InsertRequest { num_rows: 2, fields_data: row(), ..Default::default() },
            1100,
            "the num_rows (1) of field (id) is not equal to passed num_rows (2): invalid parameter",
        ),
        (
            m::InsertRequest { num_rows: 1, fields_data: vec![longs("id", &[1])], ..Default::default() },
            1100,
            "fieldSchema(v) has no corresponding fieldData pass in: invalid parameter",
        ),
    ];
    for (request, code, text) in cases {
        let rows = request.num_rows;
        let result = client.insert_with(request).await;
        let (actual, _, reason) = outcome(result.status.as_ref());
        assert_eq!((actual, reason.as_str()), (code, text));
        assert_eq!(result.err_index.len(), rows as usize);
    }
    let updated = client.describe(COLLECTION).await.update_timestamp;
    ok(client
        .insert_with(m::InsertRequest { num_rows: 1, fields_data: row(), schema_timestamp: updated, ..Default::default() })
        .await
        .status
        .as_ref());
    let auto = Client::with_collection(1, true).await;
    let (code, _, reason) = outcome(auto.insert(&[1]).await.status.as_ref());
    assert_eq!(code, 1100);
    assert!(reason.starts_with("can not assign primary field data when auto id enabled"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_partition_made_elsewhere_is_found() {
    let client = Client::with_collection(1, false).await;
    ok(client.insert(&[1]).await.status.as_ref());
    let call = role::Call { deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(5), request: "".into() };
    let root: &dyn role::root::RootCoord = &*client.fake;
    root.create_partition(&call, client.id(), "p").await.expect("the fake makes it");
    let fields_data = vec![longs("id", &[2]), vectors(&[[0.0; 2]])];
    let result = client.insert_with(m::InsertRequest { num_rows: 1, fields_data, partition_name: "p".into(), ..Default::default() }).await;
    ok(result.status.as_ref());
    assert_eq!(client.keys(), ["1", "2"]);
}
