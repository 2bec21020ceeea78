//! What is written is read back, by our readers and by Arrow's and Parquet's own.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use base::random::Random;
use proptest::prelude::*;
use store::manifest::FileKind;
use store::segment_file::{PAGE_ROWS_MAX, PageCache, SegmentReader, SegmentRows};
use types::batch::Batch;
use types::column::{Arrays, Column, Values};
use types::id::{FieldId, PartitionId};
use types::schema::{DataType, Field, Schema};
use types::time::Timestamp;
use types::value::{KeyRef, Value};

use crate::sample::{self, KeyType, assert_same};

fn check_round_trip(keys: KeyType, count: usize, seed: u64) {
    let schema = sample::schema(keys);
    let rows = sample::rows(&schema, count, seed);
    let encoded = sample::encoded(&schema, &rows);
    let reader = sample::open(&encoded, &schema).expect("own files");
    assert_eq!((reader.id(), reader.rows()), (sample::SEGMENT, count));
    let timestamps: Vec<u64> = rows.timestamps.iter().map(|timestamp| timestamp.0).collect();
    assert_eq!(reader.timestamps().as_slice(), timestamps);
    for (partition, range) in reader.partitions() {
        assert_eq!(reader.partition_rows(*partition), *range);
        assert!(rows.partitions[range.start as usize..range.end as usize].iter().all(|found| found == partition));
    }
    assert_eq!(reader.partitions().last().map(|(_, range)| range.end as usize), Some(count));
    assert_eq!(reader.partition_rows(PartitionId(1)), 0..0);

    let random = Random::seeded(seed);
    let some: Vec<u32> = (0..50).map(|_| random.below(count as u64) as u32).collect();
    for column in rows.batch.columns() {
        let what = format!("field {} of {count} rows, seed {seed}", column.field);
        assert_same(&reader.column(column.field).expect("own files"), column, &what);
        assert_same(&reader.take(column.field, &some).expect("own files"), &column.take(&some), &what);
        assert_same(&reader.take(column.field, &[]).expect("own files"), &column.take(&[]), &what);
    }
    let key_column = rows.batch.column(FieldId(100)).expect("the sample has keys");
    for row in 0..count {
        let found = reader.keys().rows_of(key_column.key(row)).expect("own files");
        assert!(found.contains(&(row as u32)) && found.iter().all(|&other| key_column.key(other as usize) == key_column.key(row)));
    }
    let mut cursor = Default::default();
    while !reader.scrub(&mut cursor, 100_000).expect("nothing is damaged") {}
}

#[test]
fn every_type_round_trips() {
    for keys in [KeyType::Int, KeyType::Text] {
        for count in [1, 2, 63, 64, 65, 1_023, 1_024, 1_025, 3_000] {
            check_round_trip(keys, count, count as u64);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_rows_round_trip(count in 1usize..2_500, seed: u64, text: bool) {
        check_round_trip(if text { KeyType::Text } else { KeyType::Int }, count, seed);
    }
}

/// Fixed-width values and vectors are the file's own bytes.
#[test]
fn mapped_columns_are_not_copied() {
    let schema = sample::schema(KeyType::Int);
    let encoded = sample::encoded(&schema, &sample::rows(&schema, 500, 1));
    let reader = sample::open(&encoded, &schema).expect("own files");
    let inside = |kind: FileKind, address: *const u8| {
        let name = &encoded.segment.file(kind).expect("every segment has it").name;
        let bytes = &encoded.objects.iter().find(|(other, _)| other == name).expect("every file has its object").1;
        let offset = (address as usize).wrapping_sub(bytes.as_ptr() as usize);
        assert!(offset < bytes.len() && offset.is_multiple_of(64), "a buffer at {offset} of {name}");
    };
    inside(FileKind::Fixed, reader.timestamps().as_bytes().as_ptr());
    let Values::Double(values) = &reader.scalars(FieldId(107)).expect("own files").values else { panic!("field 107 is a double") };
    inside(FileKind::Fixed, values.as_bytes().as_ptr());
    for field in [110, 210] {
        let vectors = reader.vectors(FieldId(field)).expect("own files");
        let Values::FloatVector { dimension, data } = vectors.values() else { panic!("field {field} is of floats") };
        inside(FileKind::Vector(FieldId(field)), data.as_bytes().as_ptr());
        assert_eq!(*dimension, sample::DIMENSION);
        for slot in 0..vectors.slots() {
            assert_eq!(vectors.slot_of(vectors.row_of(slot)), Some(slot));
        }
        assert_eq!((0..500).filter(|&row| vectors.slot_of(row).is_some()).count(), vectors.slots());
        assert_eq!(vectors.slot_of(500), None);
    }
    for field in [111, 212, 113, 215] {
        let vectors = reader.vectors(FieldId(field)).expect("own files").values();
        inside(FileKind::Vector(FieldId(field)), vectors.fixed().expect("these vectors have a width").bytes.as_ptr());
    }
    let Values::SparseFloatVector(entries) = reader.vectors(FieldId(214)).expect("own files").values() else {
        panic!("field 214 is sparse")
    };
    for part in [entries.offsets().as_bytes(), entries.indices().as_bytes(), entries.values().as_bytes()] {
        inside(FileKind::Vector(FieldId(214)), part.as_ptr());
    }
}

/// The files are what they claim to be: other programs read them.
#[test]
fn arrow_and_parquet_agree() {
    let schema = sample::schema(KeyType::Int);
    let rows = sample::rows(&schema, 2_100, 3);
    let encoded = sample::encoded(&schema, &rows);
    let bytes = |kind: FileKind| {
        let name = &encoded.segment.file(kind).expect("every segment has it").name;
        encoded.objects.iter().find(|(other, _)| other == name).expect("every file has its object").1.clone()
    };
    let read = |kind| {
        let reader = arrow_ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes(kind)), None).expect("an arrow file");
        let batches: Vec<_> = reader.collect::<Result<_, _>>().expect("an arrow file");
        assert_eq!(batches.len(), 1);
        batches[0].clone()
    };
    let fixed = read(FileKind::Fixed);
    let timestamps = fixed.column_by_name("timestamp").expect("it has timestamps").as_primitive::<UInt64Type>().clone();
    assert!(timestamps.values().iter().zip(&rows.timestamps).all(|(found, expected)| *found == expected.0));
    let partitions = fixed.column_by_name("partition").expect("it has partitions").as_run::<Int32Type>().clone();
    let ids = partitions.values().as_primitive::<Int64Type>();
    for row in [0, 700, 2_099] {
        assert_eq!(ids.value(partitions.get_physical_index(row)), rows.partitions[row].0);
    }
    let ints = fixed.column_by_name("205").expect("it has field 205").as_primitive::<Int64Type>().clone();
    let expected = rows.batch.column(FieldId(205)).expect("the sample has it");
    let Values::Int64(values) = &expected.values else { panic!("field 205 is of 64-bit integers") };
    for row in 0..2_100 {
        assert_eq!(ints.is_valid(row).then(|| ints.value(row)), expected.is_valid(row).then(|| values[row]));
    }
    let vectors = read(FileKind::Vector(FieldId(110)));
    assert_eq!(vectors.column_by_name("vector").expect("it has vectors").as_fixed_size_list().value_length(), sample::DIMENSION as i32);
    let bits = read(FileKind::Vector(FieldId(111)));
    assert_eq!(bits.column_by_name("vector").expect("it has vectors").as_fixed_size_binary().value_length(), 2);
    let sparse = read(FileKind::Vector(FieldId(214)));
    let sparse = sparse.column_by_name("vector").expect("it has vectors").as_list::<i32>().clone();
    let Values::SparseFloatVector(entries) = &rows.batch.column(FieldId(214)).expect("the sample has it").values else {
        panic!("field 214 is sparse")
    };
    for slot in 0..entries.len() {
        let found = sparse.value(slot);
        let (indices, values) =
            (found.as_struct().column(0).as_primitive::<UInt32Type>(), found.as_struct().column(1).as_primitive::<Float32Type>());
        assert_eq!((&indices.values()[..], &values.values()[..]), entries.row(slot));
    }

    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes(FileKind::Variable)).expect("a parquet file");
    let batches: Vec<_> = reader.build().expect("a parquet file").collect::<Result<_, _>>().expect("a parquet file");
    let mut row = 0;
    let expected = rows.batch.column(FieldId(208)).expect("the sample has it");
    let Values::VarChar(texts) = &expected.values else { panic!("field 208 is of texts") };
    for batch in batches {
        let column = batch.column_by_name("208").expect("it has field 208").as_string::<i32>().clone();
        for i in 0..column.len() {
            assert_eq!(column.is_valid(i).then(|| column.value(i)), expected.is_valid(row).then(|| texts.get(row)));
            row += 1;
        }
    }
    assert_eq!(row, 2_100);
}

/// A page holds at most 1,024 rows and no more than a batch of rows above 64 KiB, however its rows are written.
#[test]
fn pages_are_small() {
    let schema = Schema { version: 1, fields: sample::schema(KeyType::Text).fields.into_iter().take(1).collect() };
    for (count, value_bytes) in [(5_000, 4_usize), (600, 1_000), (40, 60_000), (3, 15 << 20)] {
        let texts = (0..count).map(|i| format!("{i:04}").repeat(value_bytes.div_ceil(4))).collect();
        let batch = Batch::new(count, vec![Column::new(FieldId(100), Values::VarChar(texts))]);
        let rows = SegmentRows { batch, timestamps: vec![Timestamp(1); count], partitions: vec![PartitionId(1); count] };
        let encoded = sample::encoded(&schema, &rows);
        let name = &encoded.segment.file(FileKind::Variable).expect("texts are there").name;
        let bytes = encoded.objects.iter().find(|(other, _)| other == name).expect("every file has its object").1.clone();
        let metadata = parquet::file::metadata::ParquetMetaDataReader::new()
            .with_page_index_policy(parquet::file::metadata::PageIndexPolicy::Required)
            .parse_and_finish(&bytes)
            .expect("a parquet file");
        let index = metadata.page_index_for_row_group(0);
        let starts: Vec<usize> =
            index.page_locations(0).expect("it has an offset index").iter().map(|page| page.first_row_index as usize).collect();
        let ends = starts.iter().skip(1).copied().chain([count]);
        let largest = starts.iter().zip(ends).map(|(start, end)| end - start).max().expect("it has pages");
        let reader = sample::open(&encoded, &schema).expect("own files");
        assert_same(&reader.column(FieldId(100)).expect("own files"), rows.batch.column(FieldId(100)).expect("it is the key"), "texts");
        assert!(largest <= PAGE_ROWS_MAX && largest * value_bytes <= 2 * (64 << 10) + value_bytes, "{largest} rows of {value_bytes} bytes");
    }
}

/// Pages that are used again come from the cache, which stays within its bound.
#[test]
fn pages_are_cached_within_a_bound() {
    let schema = sample::schema(KeyType::Int);
    let rows = sample::rows(&schema, 30_000, 5);
    let encoded = sample::encoded(&schema, &rows);
    let files = sample::blobs(&encoded.segment, &encoded.objects);
    let pages = PageCache::new(4 << 20);
    let reader = SegmentReader::open(&encoded.segment, &schema, files, &pages).expect("own files");
    assert_eq!(pages.bytes(), 0);
    reader.take(FieldId(109), &[5]).expect("own files");
    let once = pages.bytes();
    assert!(once > 0);
    reader.take(FieldId(109), &[5, 6, 5]).expect("own files");
    assert_eq!(pages.bytes(), once);
    let all: Vec<u32> = (0..30_000).collect();
    for field in [108, 109, 208, 209] {
        let taken = reader.take(FieldId(field), &all).expect("own files");
        assert_same(&taken, rows.batch.column(FieldId(field)).expect("the sample has it"), "all rows by pages");
    }
    assert!(pages.bytes() <= 4 << 20, "{} bytes are held", pages.bytes());
}

/// A field that came later reads as its default, else as null; one that went isn't there.
#[test]
fn an_older_segment_opens_under_a_newer_schema() {
    let old = sample::schema(KeyType::Int);
    let rows = sample::rows(&old, 70, 1);
    let encoded = sample::encoded(&old, &rows);
    let mut new = old.clone();
    new.version = 4;
    new.fields.retain(|field| field.id != FieldId(101) && field.id != FieldId(110));
    for (i, (data_type, element_type)) in sample::types().enumerate() {
        new.fields.push(Field { element_type, nullable: true, ..sample::field(301 + i as i64, "new", data_type) });
    }
    let default = Value::String("d".into());
    new.fields.push(Field { default: Some(default.clone()), ..sample::field(401, "text", DataType::VarChar) });
    new.fields.push(Field { default: Some(Value::Int(-3)), ..sample::field(402, "int", DataType::Int16) });
    let reader = sample::open(&encoded, &new).expect("every new field has a default or may be null");
    for field in 301..301 + sample::types().count() as i64 {
        let column = reader.column(FieldId(field)).expect("a new field is readable");
        assert_eq!((column.rows(), (0..70).any(|row| column.is_valid(row))), (70, false), "field {field} is null");
        assert_eq!(reader.take(FieldId(field), &[3, 1]).expect("a new field is readable").rows(), 2);
    }
    assert_eq!(reader.vectors(FieldId(310)).expect("a new vector field is readable").slots(), 0);
    let texts = Values::repeated(DataType::VarChar, &default, 70).expect("a text");
    assert_eq!(reader.column(FieldId(401)).expect("a new field is readable").values, texts);
    assert_eq!(reader.scalars(FieldId(402)).expect("a new field is readable").values, Values::Int16(vec![-3; 70].into()));
    assert!(reader.column(FieldId(101)).is_err() && reader.vectors(FieldId(110)).is_err());

    let check = |field: Field, expected: &str| {
        let mut schema = old.clone();
        schema.fields.retain(|other| other.id != field.id);
        schema.fields.push(field);
        let error = sample::open(&encoded, &schema).err().expect(expected);
        assert!(error.reason().contains(expected), "{error}");
    };
    check(sample::field(500, "required", DataType::Int8), "field 500 (required) of segment 9 is in no file, and may not be null");
    check(sample::field(105, "changed", DataType::Int8), "field 105 (changed) of segment 9 is stored as Int64, its schema says Int8");
    let texts = Field { element_type: Some(DataType::VarChar), ..sample::field(118, "changed", DataType::Array) };
    check(texts, "field 118 (changed) of segment 9 is stored with elements of another type");
}

/// Files that nobody reads need not be there.
#[test]
fn unwanted_files_may_be_left_out() {
    let schema = sample::schema(KeyType::Int);
    let rows = sample::rows(&schema, 10, 1);
    let encoded = sample::encoded(&schema, &rows);
    let mut files = sample::blobs(&encoded.segment, &encoded.objects);
    files.retain(|(kind, _)| !matches!(kind, FileKind::Variable | FileKind::Vector(FieldId(110))));
    let reader = SegmentReader::open(&encoded.segment, &schema, files.clone(), &PageCache::new(1 << 20)).expect("the rest is enough");
    for (field, loaded) in [(108, false), (109, false), (110, false), (210, true), (105, true)] {
        let column = reader.column(FieldId(field));
        assert_eq!(column.is_ok(), loaded, "field {field}");
        if let Err(error) = column {
            assert_eq!(error.reason(), format!("field {field} of segment 9 isn't loaded"));
        }
    }
    for kind in [FileKind::Fixed, FileKind::Keys, FileKind::Stats] {
        let rest = files.iter().filter(|(other, _)| *other != kind).map(|(kind, blob)| (*kind, Arc::clone(blob))).collect();
        assert!(SegmentReader::open(&encoded.segment, &schema, rest, &PageCache::new(1 << 20)).is_err(), "{kind} is needed");
    }
}

/// An imported segment's rows were all written when it was committed.
#[test]
fn committed_rows_have_the_commits_timestamp() {
    let schema = sample::schema(KeyType::Int);
    let mut encoded = sample::encoded(&schema, &sample::rows(&schema, 10, 1));
    encoded.segment.committed = Some(Timestamp(77));
    encoded.segment.timestamps = (Timestamp(77), Timestamp(77));
    let reader = sample::open(&encoded, &schema).expect("own files");
    assert_eq!(reader.timestamps().as_slice(), [77; 10]);
}

/// The writer refuses what readers couldn't trust.
#[test]
fn contradictory_rows_are_refused() {
    let schema = sample::schema(KeyType::Int);
    let good = sample::rows(&schema, 5, 1);
    let check = |rows: SegmentRows, expected: &str| {
        let error = store::segment_file::encode(&sample::new_segment(&schema), &rows).expect_err(expected);
        assert!(error.reason().contains(expected), "{error}");
    };
    let partitions = [1, 2, 1, 3, 3].map(PartitionId).to_vec();
    check(SegmentRows { partitions, ..good.clone() }, "partitions don't ascend");
    check(SegmentRows { timestamps: vec![Timestamp(1); 4], ..good.clone() }, "5 rows, 4 timestamps, 5 partitions");
    check(SegmentRows { batch: Batch::default(), timestamps: vec![], partitions: vec![] }, "0 rows");
    let without = |field: i64| {
        let columns = good.batch.columns().iter().filter(|column| column.field != FieldId(field)).cloned().collect();
        SegmentRows { batch: Batch::new(5, columns), ..good.clone() }
    };
    check(without(100), "field 100 is missing");
    check(without(110), "field 110 is missing");
    let with = |column: Column| {
        let columns = without(column.field.0).batch.columns().iter().cloned().chain([column]).collect();
        SegmentRows { batch: Batch::new(5, columns), ..good.clone() }
    };
    check(with(Column::new(FieldId(999), Values::Int8(vec![0; 5].into()))), "field 999 isn't in the schema");
    check(with(Column::new(FieldId(105), Values::Int8(vec![0; 5].into()))), "field 105 is Int64, its column Int8");
    check(with(Column::nulls(&sample::field(105, "nulls", DataType::Int64), 5)), "field 105 has nulls");
    let short = Values::FloatVector { dimension: 2, data: vec![0.0; 10].into() };
    check(with(Column::new(FieldId(110), short)), "field 110 has another dimension, or other elements, than its column");
    let numbers = Arrays::from_parts(vec![0; 6].into(), Values::Int8(vec![].into())).expect("five lists without elements");
    check(with(Column::new(FieldId(123), Values::Array(numbers))), "field 123 has another dimension, or other elements, than its column");
}

/// Statistics enclose what is there.
#[test]
fn statistics_are_of_the_rows() {
    let schema = sample::schema(KeyType::Int);
    let rows = sample::rows(&schema, 9_000, 2);
    let encoded = sample::encoded(&schema, &rows);
    let reader = sample::open(&encoded, &schema).expect("own files");
    let stats = reader.stats();
    assert_eq!((stats.rows, &stats.partitions), (9_000, &encoded.segment.partitions));
    assert_eq!(Some(&stats.timestamps.0), rows.timestamps.iter().min());
    for column in rows.batch.columns() {
        let found = stats.column(column.field);
        assert_eq!(found.is_some(), !column.values.data_type().is_vector());
        let Some(found) = found else { continue };
        let nulls = (0..9_000).filter(|&row| !column.is_valid(row)).count();
        assert_eq!((found.whole.nulls as usize, found.zones.iter().map(|zone| zone.nulls as usize).sum::<usize>()), {
            let zoned = if matches!(column.values.data_type(), DataType::Json | DataType::Array) { 0 } else { nulls };
            (nulls, zoned)
        });
        if let (Values::Int64(values), Some(bounds)) = (&column.values, &found.whole.bounds) {
            let present = (0..9_000).filter(|&row| column.is_valid(row)).map(|row| values[row]);
            assert_eq!(
                Some((bounds.low.clone(), bounds.high.clone())),
                present.clone().min().zip(present.max()).map(|(a, b)| (Value::Int(a), Value::Int(b)))
            );
        }
    }
    assert!(reader.keys().is_of_ints());
    assert_eq!(reader.keys().rows_of(KeyRef::String("no key")).expect("own files"), [] as [u32; 0]);
}
