//! Tests of the whole: the house rules, and the server as a user meets it.

mod quarantine;
mod tidy;
