//! Tests of the whole: the house rules, simulation, and the server as a user meets it.

mod binary;
mod client;
mod cluster;
mod metrics;
mod milvus;
mod quarantine;
mod rest;
mod settings;
mod sim;
mod storage;
mod tidy;
