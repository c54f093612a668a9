//! What a script needs of the place it runs in: connections to a broker, and time.

use crate::spec::wire::Version;
use std::time::Duration;

/// What came from the broker on one connection.
#[derive(Debug)]
pub(crate) enum Event {
    /// One whole packet.
    Packet(Vec<u8>),
    /// The broker ended the connection.
    End,
    /// Nothing, for as long as was asked.
    Quiet,
}

/// One case's own broker, or its own corner of a broker all cases share. Connections are numbered as opened.
pub(crate) trait World {
    fn open(&mut self, version: Version) -> Result<usize, String>;
    fn send(&mut self, connection: usize, bytes: &[u8]) -> Result<(), String>;
    /// Waits up to `patience` for the next packet or the end.
    fn next(&mut self, connection: usize, patience: Duration) -> Result<Event, String>;
    /// The client's network goes away without a word.
    fn cut(&mut self, connection: usize) -> Result<(), String>;
    /// The client's end is torn down, unread bytes and all.
    fn reset(&mut self, connection: usize) -> Result<(), String>;
    /// Lets time pass; `Err` says why this world cannot.
    fn pass(&mut self, time: Duration) -> Result<(), String>;
    /// How long to wait for what must come, and for what must not.
    fn patience(&self) -> Duration;
    fn quiet(&self) -> Duration;
    /// Must a v5 connection end with the Reason Code of the script? The standard says MAY and SHOULD.
    fn gives_reasons(&self) -> bool;
}
