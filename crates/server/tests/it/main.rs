//! Tests of the whole: the house rules, simulation, and the server as a user meets it.

mod sim;
mod tidy;
