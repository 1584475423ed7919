//! Numbers that are the same on every run, and bytes changed by them.

/// A small generator of numbers.
#[derive(Debug, Clone)]
pub struct Dice(u64);

/// What parsers stumble over.
const STUMBLES: [&[u8]; 26] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"0.1",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"\x00",
    b"\xff",
    b"\xc3\x28",
    "\u{202e}".as_bytes(),
    b"..",
    b"/",
    b"{{",
    b"}}",
    b"{%",
    b"*",
    b">",
];

impl Dice {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `sides`; 0 where there are none.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 8).unwrap_or(0) % sides.max(1)
    }

    pub fn byte(&mut self) -> u8 {
        u8::try_from(self.roll(256)).unwrap_or(0)
    }

    /// Bytes of no meaning, at most `longest` of them.
    pub fn bytes(&mut self, longest: usize) -> Vec<u8> {
        (0..self.roll(longest + 1)).map(|_| self.byte()).collect()
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.roll(length + 1);
        start..start + self.roll((length - start).min(24) + 1)
    }

    /// `bytes` with one to six changes: turned bits, other bytes, parts taken out, doubled or put elsewhere,
    /// things that parsers stumble over, an early end.
    #[must_use]
    pub fn changed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for _ in 0..=self.roll(6) {
            let at = self.roll(out.len() + 1);
            match self.roll(7) {
                0 => {
                    if let Some(byte) = out.get_mut(at) {
                        *byte ^= 1 << self.roll(8);
                    }
                }
                1 => {
                    if let Some(byte) = out.get_mut(at) {
                        *byte = self.byte();
                    }
                }
                2 => {
                    let range = self.range(out.len());
                    out.drain(range);
                }
                3 => {
                    let range = self.range(out.len());
                    let part = out[range].to_vec();
                    out.splice(at..at, part);
                }
                4 | 5 => {
                    let stumble = STUMBLES[self.roll(STUMBLES.len())];
                    out.splice(at..at, stumble.iter().copied());
                }
                _ if self.roll(4) == 0 => out.truncate(at),
                _ => {}
            }
        }
        out
    }
}
