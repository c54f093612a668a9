//! The broker's core in virtual time, through its public door: what a test with sockets could
//! only wait for, or never hit. One client's packets rule by rule are the conformance scripts'.

mod choices;
mod corners;
mod deadlines;
mod durable;
mod listeners;
mod permission;
mod pressure;
mod quantity;
mod random;
mod rates;
mod resuming;
mod rights_random;
mod snapshot;
mod workers;
