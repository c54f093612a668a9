//! Peers that mean harm, or fail badly, against the broker as a process: each costs its own
//! connection, one line of the log and bounded memory, and nobody else anything.

mod bytes;
mod crowds;
mod greed;
mod process;
