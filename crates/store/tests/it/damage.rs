//! Damage is named by file and offset, where it is read or at the latest by the scrub; nothing damaged is taken for whole.

use std::sync::Arc;

use base::random::Random;
use bytes::Bytes;
use store::manifest::FileKind;
use store::segment_file::{EncodedSegment, PageCache, SegmentReader};
use types::blob::{Blob, MemoryBlob};
use types::id::FieldId;
use types::schema::Schema;

use crate::sample::{self, KeyType, assert_same};

fn open_with(encoded: &EncodedSegment, schema: &Schema, kind: FileKind, content: Bytes) -> types::Result<SegmentReader> {
    let mut files = sample::blobs(&encoded.segment, &encoded.objects);
    for (other, blob) in &mut files {
        if *other == kind {
            *blob = Arc::new(MemoryBlob::new(blob.name().to_owned(), content.clone())) as Arc<dyn Blob>;
        }
    }
    SegmentReader::open(&encoded.segment, schema, files, &PageCache::new(1 << 20))
}

#[test]
fn one_flipped_bit_is_always_found() {
    let schema = sample::schema(KeyType::Text);
    let rows = sample::rows(&schema, 3_000, 4);
    let encoded = sample::encoded(&schema, &rows);
    for (file, (name, bytes)) in encoded.segment.files.iter().zip(&encoded.objects) {
        for seed in 0..40 {
            let random = Random::seeded(seed);
            let at = random.below(bytes.len() as u64) as usize;
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1 << random.below(8);
            let error = match open_with(&encoded, &schema, file.kind, damaged.into()) {
                Err(error) => error,
                Ok(reader) => {
                    // What is copied was compared: texts are right or an error.
                    if file.kind == FileKind::Variable {
                        for field in [108, 109, 208, 209] {
                            match reader.column(FieldId(field)) {
                                Ok(column) => assert_same(&column, rows.batch.column(FieldId(field)).expect("the sample has it"), name),
                                Err(error) => assert!(error.reason().starts_with(name), "{error}"),
                            }
                        }
                    }
                    reader.scrub(&mut Default::default(), u64::MAX).expect_err("the scrub finds it")
                }
            };
            assert_eq!(error.code(), types::Code::DATA_INTEGRITY, "{error}");
            assert!(error.reason().starts_with(name.as_str()), "{name}, seed {seed}: {error}");
        }
    }
}

#[test]
fn a_damaged_block_has_an_offset() {
    let schema = sample::schema(KeyType::Int);
    let encoded = sample::encoded(&schema, &sample::rows(&schema, 20_000, 4));
    let kind = FileKind::Vector(FieldId(110));
    let name = &encoded.segment.file(kind).expect("the sample has it").name;
    let mut bytes = encoded.objects.iter().find(|(other, _)| other == name).expect("every file has its object").1.to_vec();
    bytes[200_000] ^= 1;
    let reader = open_with(&encoded, &schema, kind, bytes.into()).expect("bulk isn't read at open");
    assert!(reader.vectors(FieldId(110)).is_ok());
    let (mut cursor, mut steps) = (Default::default(), 0);
    let error = loop {
        match reader.scrub(&mut cursor, 64 << 10) {
            Ok(done) => assert!(!done, "the scrub finds it"),
            Err(error) => break error,
        }
        steps += 1;
    };
    assert_eq!(error.reason(), format!("{name}: bytes 196608+65536 have another checksum: data integrity check failed"));
    assert!(steps >= 3, "the scrub goes in steps");
}

#[test]
fn files_of_another_length_or_segment_are_refused() {
    let schema = sample::schema(KeyType::Int);
    let encoded = sample::encoded(&schema, &sample::rows(&schema, 100, 4));
    let other = sample::encoded(&schema, &sample::rows(&schema, 100, 5));
    for (file, (_, bytes)) in encoded.segment.files.iter().zip(&encoded.objects) {
        assert!(open_with(&encoded, &schema, file.kind, bytes.slice(1..)).is_err(), "{} is shorter", file.kind);
    }
    for (file, (_, bytes)) in other.segment.files.iter().zip(&other.objects) {
        let found = open_with(&encoded, &schema, file.kind, bytes.clone());
        let found = found.and_then(|reader| reader.scrub(&mut Default::default(), u64::MAX));
        assert!(found.is_err(), "{} is another segment's", file.kind);
    }
}
