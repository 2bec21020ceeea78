//! Vector indexes against brute force, their files against damage, their parameters against Milvus's texts.

mod container;
mod cursor;
mod data;
mod edges;
#[path = "../../../../tests/fuzzing.rs"]
mod fuzzing;
mod growing;
mod kinds;
mod params;
mod range;
mod recall;
mod scalar;
