//! Large messages on their way out through TLS, sealed where they were read: most have one reader, and
//! then nobody looks at that memory any more. What a record has around its data is put beside it, and
//! one call writes both.

use std::io;
use std::io::IoSlice;

use bytes::Bytes;

use crate::daemon::buffers::Buffers;
use crate::daemon::layers::{Layers, PORTION, REST_MAX, Scratch, write_once};
use crate::daemon::socket::Socket;
use crate::net::tls::session::RECORD_MAX;

/// From so many bytes on it pays: less is better gathered and copied.
const APART_FROM: usize = 32_768;

const RECORDS_MAX: usize = (PORTION + REST_MAX).div_ceil(RECORD_MAX);

impl Layers {
    /// Takes bytes from the front of what waits for a connection and writes them, as
    /// [`write`](Self::write) does: `front` is its first part, and how much of it is written. `None`:
    /// they are for `write`, since they are few, or somebody else has them, too.
    pub(crate) fn write_apart(
        &mut self,
        socket: &mut Socket,
        (front, from): (&mut Bytes, usize),
        buffers: &mut Buffers,
        scratch: &mut Scratch,
    ) -> Option<io::Result<(usize, bool)>> {
        let size = match front.len() - from {
            rest if rest <= PORTION + REST_MAX => rest,
            _ => PORTION,
        };
        let tls = self.tls.as_mut()?;
        if size < APART_FROM || self.websocket.is_some() {
            return None;
        }
        let (mut buffer, range) = buffers.recall(front)?;
        let start = range.start + from;
        let around = &mut scratch.around;
        let result = match tls.seal_apart(&mut buffer[start..], size, around) {
            None => None,
            Some(each) => {
                let mut pieces = [IoSlice::new(&[]); 2 * RECORDS_MAX + 1];
                let data = &buffer[start..start + size];
                let count = pieces_of(data, around, each, &mut pieces);
                let written = write_pieces(socket, &pieces[..count], &mut self.out);
                Some(written.map(|all| (size, all)))
            }
        };
        *front = buffers.lend(buffer).slice(range);
        result
    }
}

/// Each record's data between what belongs before and behind it; returns how many pieces that are.
fn pieces_of<'a>(
    data: &'a [u8],
    mut around: &'a [u8],
    (before, behind): (usize, usize),
    pieces: &mut [IoSlice<'a>],
) -> usize {
    let (mut count, mut size) = (0, before);
    for record in data.chunks(RECORD_MAX) {
        let (now, later) = around.split_at(size);
        pieces[count] = IoSlice::new(now);
        pieces[count + 1] = IoSlice::new(record);
        (around, count, size) = (later, count + 2, behind + before);
    }
    pieces[count] = IoSlice::new(around);
    count + 1
}

/// Whether the socket took all; the rest is appended to `out`.
fn write_pieces(
    socket: &mut Socket,
    pieces: &[IoSlice<'_>],
    out: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut written = match write_once(socket, pieces) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        result => result?,
    };
    let before = out.len();
    for piece in pieces {
        let taken = written.min(piece.len());
        written -= taken;
        out.extend_from_slice(&piece[taken..]);
    }
    Ok(out.len() == before)
}
