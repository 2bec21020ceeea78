//! The proxy from outside: requests as SDKs send them, through the service, over fakes of the other roles.

mod client;
mod fake;
mod names;
mod reads;
mod rest;
mod writes;
