//! Faults of the machine and of the network around the real broker: nothing that was acknowledged
//! is lost, and the broker goes on. Kills and disks have their tests with the store; docs/faults.md
//! lists them all.

mod clock;
mod network;
mod stopped;
