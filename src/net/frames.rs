//! WebSocket frames as a server reads and writes them (RFC 6455, §5), without I/O.
//!
//! MQTT does not care where frames begin (MQTT §6): what comes out is one stream of bytes, unmasked
//! and put together where they lie, so that a hundred small packets in a hundred frames are one run
//! for the broker.
//! What goes out is one frame a write, however many packets are in it.

/// A control frame carries no more (§5.5).
const CONTROL_MAX: usize = 125;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// The longest head of a frame that a server writes.
pub const HEAD_MAX: usize = 10;

/// Where the reader is in the stream of frames.
#[derive(Debug, Default)]
pub struct Frames {
    /// Bytes of a head, or of a control frame, that is not whole yet.
    pending: Vec<u8>,
    /// Bytes of the data frame that are still to come, and their mask.
    left: u64,
    mask: [u8; 4],
    turn: usize,
    /// A message that began without its end: only continuations may follow.
    open: bool,
}

/// What came besides data.
#[derive(Debug, PartialEq, Eq)]
pub enum Control {
    /// Answer with a pong of this body.
    Ping(Vec<u8>),
    /// The other side closes.
    Close,
}

impl Frames {
    /// Takes `bytes` and leaves the data in them in front, without its frames: so many bytes.
    /// Appends to `controls` what else came. A fault ends the connection; data before it counts.
    pub fn read(
        &mut self,
        bytes: &mut [u8],
        controls: &mut Vec<Control>,
    ) -> (usize, Result<(), &'static str>) {
        let mut to = 0;
        let result = self.read_all(bytes, &mut to, controls);
        (to, result)
    }

    fn read_all(
        &mut self,
        bytes: &mut [u8],
        filled: &mut usize,
        controls: &mut Vec<Control>,
    ) -> Result<(), &'static str> {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() {
            *filled = to;
            if self.left > 0 {
                let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                let count = left.min(bytes.len() - from);
                self.unmask(&mut bytes[to..from + count], count);
                (from, to) = (from + count, to + count);
                continue;
            }
            if self.pending.is_empty() && !self.open {
                (from, to) = take_off_short(bytes, from, to);
                *filled = to;
                if from == bytes.len() {
                    break;
                }
            }
            let rest = &bytes[from..];
            // A head is rarely cut, so it is mostly read where it lies.
            if self.pending.is_empty() {
                match self.head(rest, controls)? {
                    Some(used) => from += used,
                    None => {
                        self.pending.extend_from_slice(rest);
                        return Ok(());
                    }
                }
            } else {
                let mut joined = std::mem::take(&mut self.pending);
                let before = joined.len();
                // Enough for any head and any control frame.
                joined.extend_from_slice(&rest[..rest.len().min(14 + CONTROL_MAX)]);
                match self.head(&joined, controls)? {
                    Some(used) => from += used - before,
                    None => {
                        self.pending = joined;
                        return Ok(());
                    }
                }
            }
        }
        *filled = to;
        Ok(())
    }

    /// Reads a head, and with a control frame all of it. `None`: not all is here.
    fn head(
        &mut self,
        bytes: &[u8],
        controls: &mut Vec<Control>,
    ) -> Result<Option<usize>, &'static str> {
        let [first, second, ..] = *bytes else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err("a WebSocket frame with reserved bits");
        }
        if second & MASKED == 0 {
            // A server closes the connection on a frame that is not masked (§5.1).
            return Err("a WebSocket frame without a mask");
        }
        let Some((len, at)) = length(second & 0x7f, bytes)? else {
            return Ok(None);
        };
        let Some(mask) = bytes.get(at..at + 4) else {
            return Ok(None);
        };
        let mask = [mask[0], mask[1], mask[2], mask[3]];
        let start = at + 4;
        let (fin, kind) = (first & FIN != 0, first & 0x0f);
        match kind {
            CONTINUATION if !self.open => Err("a WebSocket continuation of nothing"),
            BINARY if self.open => Err("a WebSocket message inside another"),
            CONTINUATION | BINARY => {
                self.open = !fin;
                self.left = len;
                self.mask = mask;
                self.turn = 0;
                Ok(Some(start))
            }
            // [MQTT-6.0.0-1]
            TEXT => Err("a WebSocket text frame: MQTT needs binary ones"),
            CLOSE | PING | PONG => {
                if !fin || len > CONTROL_MAX as u64 {
                    return Err("a WebSocket control frame that is cut or too long");
                }
                let end = start + len as usize;
                let Some(body) = bytes.get(start..end) else {
                    return Ok(None);
                };
                let body = body
                    .iter()
                    .zip(mask.iter().cycle())
                    .map(|(byte, mask)| byte ^ mask);
                match kind {
                    // §5.5.1: nothing, or a status and perhaps words.
                    CLOSE if len == 1 => return Err("a WebSocket close with half a status"),
                    CLOSE => controls.push(Control::Close),
                    PING => controls.push(Control::Ping(body.collect())),
                    _ => {}
                }
                Ok(Some(end))
            }
            _ => Err("a WebSocket frame of unknown kind"),
        }
    }

    /// Moves the last `count` bytes of `window` to its front, without their mask. Each block is read
    /// before it is written, so the places may overlap.
    fn unmask(&mut self, window: &mut [u8], count: usize) {
        let gap = window.len() - count;
        let mut mask = self.mask;
        mask.rotate_left(self.turn);
        let done = unmask_blocks(window, gap, count / BLOCK, mask);
        for (place, mask) in (done..count).zip(mask.iter().cycle()) {
            window[place] = window[gap + place] ^ mask;
        }
        self.left -= count as u64;
        self.turn = (self.turn + count) % 4;
    }
}

/// Bytes of the data, and of what stands before the mask. `None`: not all is here.
fn length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, &'static str> {
    let (len, at, least) = match (short, bytes) {
        (126, [_, _, a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4, 126),
        (127, [_, _, len @ ..]) if len.len() >= 8 => {
            let mut eight = [0; 8];
            eight.copy_from_slice(&len[..8]);
            (u64::from_be_bytes(eight), 10, 0x1_0000)
        }
        (126 | 127, _) => return Ok(None),
        (len, _) => (u64::from(len), 2, 0),
    };
    // §5.2: in as few bytes as will do, and never negative.
    if len < least || len >> 63 == 1 {
        return Err("a WebSocket frame with a bad length");
    }
    Ok(Some((len, at)))
}

/// Bytes that are unmasked at a time; a multiple of a mask's.
const BLOCK: usize = 16;

/// Unmasks blocks that begin `gap` bytes behind the front of `window`, into its front. Returns how
/// many bytes that are.
#[inline]
fn unmask_blocks(window: &mut [u8], gap: usize, blocks: usize, mask: [u8; 4]) -> usize {
    let [a, b, c, d] = mask;
    let mask = u128::from_ne_bytes([a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d]);
    for at in (0..blocks * BLOCK).step_by(BLOCK) {
        let Some(block) = window[gap + at..].first_chunk::<BLOCK>() else {
            return at;
        };
        let block = u128::from_ne_bytes(*block) ^ mask;
        let Some(place) = window[at..].first_chunk_mut::<BLOCK>() else {
            return at;
        };
        *place = block.to_ne_bytes();
    }
    blocks * BLOCK
}

/// Takes frames off that are binary, short and whole, from `from` on, and puts their data at `to`.
/// Clients give each packet a frame, so this is nearly all there is; the rest of the work, and all
/// that is wrong, is the reader's. Returns where frames and data end.
fn take_off_short(bytes: &mut [u8], mut from: usize, mut to: usize) -> (usize, usize) {
    while let Some(&[first, second, a, b, c, d]) = bytes[from..].first_chunk::<6>() {
        let len = usize::from(second & 0x7f);
        let (start, mask) = (from + 6, [a, b, c, d]);
        let end = start + len;
        let whole = len <= 125 && end <= bytes.len();
        if first != FIN | BINARY || second & MASKED == 0 || !whole {
            break;
        }
        let rounded = len.next_multiple_of(BLOCK);
        // Whole blocks are written, over the data's end: only what was read already may lie there.
        if to + rounded <= end && start + rounded <= bytes.len() {
            let window = &mut bytes[to..start + rounded];
            unmask_blocks(window, start - to, rounded / BLOCK, mask);
        } else {
            for (at, mask) in (0..len).zip(mask.iter().cycle()) {
                bytes[to + at] = bytes[start + at] ^ mask;
            }
        }
        (from, to) = (end, to + len);
    }
    (from, to)
}

/// The head of a binary frame with `len` bytes behind it, and how long it is.
pub fn binary_head(len: usize) -> ([u8; HEAD_MAX], usize) {
    let mut head = [0; HEAD_MAX];
    head[0] = FIN | BINARY;
    let size = match len {
        0..=125 => {
            head[1] = len as u8;
            2
        }
        126..=0xffff => {
            head[1] = 126;
            head[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        _ => {
            head[1] = 127;
            head[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    };
    (head, size)
}

/// A pong, or the answer to a close.
pub fn put_control(control: &Control, out: &mut Vec<u8>) {
    match control {
        Control::Ping(body) => {
            put_head(PONG, body.len(), out);
            out.extend_from_slice(body);
        }
        Control::Close => put_close(out),
    }
}

/// A close frame with status 1000.
pub fn put_close(out: &mut Vec<u8>) {
    put_head(CLOSE, 2, out);
    out.extend_from_slice(&1_000_u16.to_be_bytes());
}

/// The head of a control frame, which is short.
fn put_head(kind: u8, len: usize, out: &mut Vec<u8>) {
    out.extend([FIN | kind, len as u8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, body: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut out = Vec::new();
        let (head, size) = binary_head(body.len());
        out.extend_from_slice(&head[..size]);
        out[0] = first;
        out[1] |= MASKED;
        out.extend_from_slice(&mask);
        out.extend(
            body.iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        out
    }

    #[test]
    fn data_comes_out_the_same_however_it_is_cut() {
        let body: Vec<u8> = (0..=255).cycle().take(70_000).collect();
        let mut stream = frame(0x02, &body[..300], [1, 2, 3, 4]);
        stream.extend(frame(0x89, b"are you there", [9, 8, 7, 6]));
        stream.extend(frame(0x80, &body[300..], [5, 6, 7, 8]));
        stream.extend(frame(0x88, &[], [0; 4]));
        for step in [1, 2, 3, 5, 7, 13, 100, 4_099, stream.len()] {
            let (mut frames, mut data, mut controls) = (Frames::default(), Vec::new(), Vec::new());
            for part in stream.chunks(step) {
                let mut part = part.to_vec();
                let (count, result) = frames.read(&mut part, &mut controls);
                assert_eq!(result, Ok(()));
                data.extend_from_slice(&part[..count]);
            }
            assert!(data == body, "cut every {step}");
            assert_eq!(
                controls,
                [Control::Ping(b"are you there".to_vec()), Control::Close]
            );
        }
    }

    #[test]
    fn short_frames_in_a_row_are_put_together() {
        let body: Vec<u8> = (0..=255).cycle().take(9_000).collect();
        let (mut stream, mut rest, mut size) = (Vec::new(), &body[..], 0);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(size.min(rest.len()));
            let number = size as u8;
            stream.extend(frame(0x82, now, [number, 77, !number, 3]));
            (rest, size) = (later, (size + 1) % 130);
        }
        for step in [1, 61, 131, 1_000, stream.len()] {
            let (mut frames, mut data) = (Frames::default(), Vec::new());
            for part in stream.chunks(step) {
                let mut part = part.to_vec();
                let (count, result) = frames.read(&mut part, &mut Vec::new());
                assert_eq!(result, Ok(()));
                data.extend_from_slice(&part[..count]);
            }
            assert!(data == body, "cut every {step}");
        }
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        let check = |bytes: &[u8], what: &str| {
            let mut frames = Frames::default();
            let before = frame(0x82, b"before", [1, 2, 3, 4]);
            let mut bytes = [&before, bytes].concat();
            let (count, found) = frames.read(&mut bytes, &mut Vec::new());
            let found = found.unwrap_err();
            assert!(found.contains(what), "{found}");
            assert!(bytes[..count].starts_with(b"before"));
        };
        check(&[0x82, 1, 0], "without a mask");
        check(&frame(0xc2, b"a", [1; 4]), "reserved");
        check(&frame(0x81, b"a", [1; 4]), "text");
        check(&frame(0x80, b"a", [1; 4]), "continuation of nothing");
        check(&frame(0x09, b"a", [1; 4]), "control frame");
        check(&frame(0x89, &[0; 126], [1; 4]), "control frame");
        check(&frame(0x83, b"a", [1; 4]), "unknown kind");
        check(&frame(0x88, b"a", [1; 4]), "half a status");
        check(&[0x82, 0xfe, 0, 125], "bad length");
        check(&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], "bad length");
        check(&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], "bad length");
        let mut two = frame(0x02, b"a", [1; 4]);
        two.extend(frame(0x82, b"a", [1; 4]));
        check(&two, "inside another");
    }
}
