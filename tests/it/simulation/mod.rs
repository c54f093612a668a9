//! A seeded simulation of the broker: many clients of all versions, links that delay, stall and
//! are cut, several workers, a clock that jumps; and a model that says what each client must get.
//!
//! ```text
//!   world   chance decides what happens next            device   a client, written anew here
//!   model   what the broker owes, from what it took in  check    the promises, at the end
//! ```
//!
//! `engines` is a world of its own, in which the clients are the client engine itself.
//!
//! The model sees each packet in the very order in which the broker took it, so it knows exactly
//! which Session owes which message, and nothing is guessed from what came out. A seed gives the
//! same run on every machine; `examples/simulate.rs` runs as many as wanted, the tests a few.

mod check;
mod device;
pub(crate) mod engines;
mod model;
mod world;

pub(crate) use crate::simulation::world::run;
