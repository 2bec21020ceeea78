//! Integration tests of the wire messages: that generated files are fresh, that bulk decoding equals the generated one,
//! that bytes of a real client mean what they should, that the services work.

mod codegen;
mod floats;
mod golden;
mod service;
