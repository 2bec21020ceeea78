//! The wire messages of Milvus as Rust types, with clients and server traits for its services.
//!
//! Everything here is generated and committed, but for [`floats`]. The sources are `proto/milvus/*.proto`, which
//! `scripts/render_protos.py` renders from the interface descriptors of a Milvus SDK, and `proto/elanus/*.proto`, the
//! messages between our own roles. `tests/it/codegen.rs` states the rules of the generation, and fails where a committed
//! file isn't what they give.
//!
//! What this is not: a place for meaning. Nothing here checks, converts or defaults a value; domain types live in
//! `types`, and only the adapters to the network translate.
//!
//! Invariants:
//! - `bytes` fields are [`bytes::Bytes`]: slices of the received message, not copies. One that is kept holds the memory
//!   of the whole message, so copy what is small and stays.
//! - Maps are `BTreeMap`s, so that equal messages have equal bytes.
//! - Methods without an implementation answer UNIMPLEMENTED.
//! - What Milvus marks as deprecated carries no attribute in Rust: clients still read those fields (`Status.error_code`
//!   above all), so a server must fill them.
//! - Limits of message size belong to the transport; a decoded message takes a small multiple of its encoded size.
//!
//! Start at [`milvus::milvus_service_server::MilvusService`].

pub mod floats;

/// What the other packages share: [`Status`](common::Status) and error codes, key-value pairs, kinds of messages.
#[allow(clippy::all, reason = "generated")]
pub mod common {
    include!("gen/milvus.proto.common.rs");
}

/// Schemas of collections, columns of every data type, primary keys, results of a search.
#[allow(clippy::all, reason = "generated")]
pub mod schema {
    pub use crate::floats::FloatArray;
    include!("gen/milvus.proto.schema.rs");
}

/// Messages on the log of a Milvus cluster: clients meet them where they replicate or dump it.
#[allow(clippy::all, reason = "generated")]
pub mod msg {
    include!("gen/milvus.proto.msg.rs");
}

/// The configuration of resource groups.
#[allow(clippy::all, reason = "generated")]
pub mod rg {
    include!("gen/milvus.proto.rg.rs");
}

/// Listing of the index files behind a segment, for the tool Feder.
#[allow(clippy::all, reason = "generated")]
pub mod feder {
    include!("gen/milvus.proto.feder.rs");
}

/// The services that clients call, `MilvusService` first, with their requests and responses.
#[allow(clippy::all, reason = "generated")]
pub mod milvus {
    include!("gen/milvus.proto.milvus.rs");
}

/// Our own messages.
pub mod elanus {
    /// Calls between roles: see the crate `role`.
    #[allow(clippy::all, reason = "generated")]
    pub mod role {
        include!("gen/elanus.role.rs");
    }
}

/// The descriptors of all Milvus packages and their imports, as an encoded `google.protobuf.FileDescriptorSet`: for
/// gRPC reflection. They keep the option `privilege_ext_obj`, which says what privilege a request needs; a reader must
/// know that extension to see it.
pub const MILVUS_DESCRIPTORS: &[u8] = include_bytes!("gen/milvus.proto.bin");
