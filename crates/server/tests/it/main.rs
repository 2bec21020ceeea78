//! Tests of the whole: the house rules, and the server as a user meets it.

mod binary;
mod milvus;
mod storage;
mod tidy;
