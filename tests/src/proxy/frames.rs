//! What a NATS server sends, taken apart into frames: lines, and messages with their payload.

use bytes::{Buf as _, Bytes, BytesMut};

/// A line of the protocol is never longer; what is, is no NATS and goes through as it is.
const LINE_MAX: usize = 1 << 20;

/// One frame, whole, with its line ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Of a message (`MSG`, `HMSG`).
    pub subject: Option<String>,
    pub bytes: Bytes,
}

/// Gathers bytes and gives frames.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: BytesMut,
    /// What came is no NATS; nothing is looked for any more.
    strange: bool,
}

impl Frames {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn rest(&mut self) -> Option<Frame> {
        let bytes = self.buffer.split().freeze();
        (!bytes.is_empty()).then_some(Frame { subject: None, bytes })
    }
}

impl Iterator for Frames {
    type Item = Frame;

    /// The next frame that is whole.
    fn next(&mut self) -> Option<Frame> {
        if self.strange {
            return self.rest();
        }
        let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") else {
            if self.buffer.remaining() > LINE_MAX {
                self.strange = true;
                return self.rest();
            }
            return None;
        };
        let line = end + 2;
        let (subject, payload) = match head(&self.buffer[..end]) {
            Some((subject, size)) => (Some(subject), size + 2),
            None => (None, 0),
        };
        if self.buffer.len() < line + payload {
            return None;
        }
        Some(Frame { subject, bytes: self.buffer.split_to(line + payload).freeze() })
    }
}

/// Subject and size of a message, from its first line: `MSG subject sid [reply] size`, and
/// `HMSG subject sid [reply] headers size`.
fn head(line: &[u8]) -> Option<(String, usize)> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let kind = words.next()?;
    if !kind.eq_ignore_ascii_case("MSG") && !kind.eq_ignore_ascii_case("HMSG") {
        return None;
    }
    let subject = words.next()?.to_owned();
    Some((subject, words.last()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b"INFO {}\r\nPING\r\nMSG a.b 1 3\r\nx\r\n\r\nHMSG c 2 reply 4 9\r\nhead\r\nMSG\r\nMSG d 1 0\r\n\r\n";

    fn cut(at: usize) -> Vec<Frame> {
        let (mut frames, mut found) = (Frames::default(), Vec::new());
        for part in STREAM.chunks(at) {
            frames.push(part);
            found.extend(frames.by_ref());
        }
        found
    }

    #[test]
    fn however_the_bytes_come_the_frames_are_the_same() {
        let whole = cut(STREAM.len());
        let subjects: Vec<Option<&str>> = whole.iter().map(|f| f.subject.as_deref()).collect();
        assert_eq!(subjects, [None, None, Some("a.b"), Some("c"), Some("d")]);
        for at in 1..STREAM.len() {
            let found = cut(at);
            assert_eq!(found, whole, "in parts of {at}");
            let bytes: Vec<u8> = found.iter().flat_map(|f| f.bytes.to_vec()).collect();
            assert_eq!(bytes, STREAM, "in parts of {at}");
        }
    }
}
