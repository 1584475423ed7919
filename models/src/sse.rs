//! Server-sent events out of bytes as they come.

/// Longest event, in bytes.
const EVENT_MAX: usize = 1024 * 1024;

/// The bytes are no stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoEvents;

/// Puts events together. What kind an event is stands in its data, in both protocols.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The beginning of a line.
    line: Vec<u8>,
    /// The data of the event that is not at its end.
    data: Option<String>,
    after_return: bool,
}

impl Decoder {
    /// Takes bytes, and gives the data of every event that ends in them.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, NoEvents> {
        let mut events = Vec::new();
        for &byte in bytes {
            let was_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if was_return => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.line(std::str::from_utf8(&line).map_err(|_| NoEvents)?));
                }
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.as_ref().map_or(0, String::len) > EVENT_MAX {
                return Err(NoEvents);
            }
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Option<String> {
        if line.is_empty() {
            return self.data.take();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let text = "\u{feff}: hello\r\nevent: x\r\ndata: {\"a\":\"ü\"}\r\n\r\ndata:one\ndata: two\n\nid: 1\n\ndata: left"
            .trim_start_matches('\u{feff}');
        let expected = vec!["{\"a\":\"ü\"}".to_owned(), "one\ntwo".to_owned()];
        for size in 1..text.len() {
            let mut decoder = Decoder::default();
            let found: Vec<String> =
                text.as_bytes().chunks(size).flat_map(|part| decoder.push(part).unwrap()).collect();
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_never_ends_or_is_no_text_is_refused() {
        let mut decoder = Decoder::default();
        let part = [b'x'; 4096];
        assert!((0..300).any(|_| decoder.push(&part).is_err()));
        assert!(Decoder::default().push(b"data: \xff\n\n").is_err());
    }
}
