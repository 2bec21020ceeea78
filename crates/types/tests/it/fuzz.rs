//! Records and batches from bytes that nobody wrote: an error or a value, never a panic.

use bytes::Bytes;
use types::batch::Batch;
use types::record::{Body, Frame, HEADER_BYTES};

use crate::formats::{batch, frames};
use crate::fuzzing::fuzz;

/// A frame: its header, then the body under the header's kind.
fn record(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(frame) = Frame::decode(&bytes) else { return };
    let kind = frame.header.kind;
    if let Ok(Ok(body)) = frame.body.map(|body| Body::decode(kind, &body)) {
        assert!(Body::decode(kind, &body.encode()).is_ok(), "what was decoded is encoded so that it can be read");
    }
}

#[test]
fn records() {
    fuzz("records", 3_000, &frames(), record);
}

/// Bodies alone: a frame's checksum would stop nearly every change at the door.
#[test]
fn bodies() {
    let kinds: Vec<_> =
        frames().iter().map(|frame| Frame::decode(&Bytes::copy_from_slice(frame)).expect("a valid frame").header.kind).collect();
    let valid: Vec<Vec<u8>> = frames().iter().enumerate().map(|(i, frame)| [&[i as u8], &frame[HEADER_BYTES..]].concat()).collect();
    fuzz("bodies", 3_000, &valid, |bytes| {
        let Some((which, body)) = bytes.split_first() else { return };
        let kind = kinds[usize::from(*which) % kinds.len()];
        if let Ok(body) = Body::decode(kind, &Bytes::copy_from_slice(body)) {
            assert!(Body::decode(kind, &body.encode()).is_ok(), "what was decoded is encoded so that it can be read");
        }
    });
}

#[test]
fn batches() {
    fuzz("batches", 3_000, &[batch().encode().to_vec()], |bytes| {
        let Ok(batch) = Batch::decode(&Bytes::copy_from_slice(bytes)) else { return };
        // Every row can be looked at.
        let all: Vec<u32> = (0..batch.rows().min(1_000) as u32).collect();
        assert_eq!(batch.take(&all).rows(), all.len());
    });
}
