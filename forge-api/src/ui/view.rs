//! Small views that several pages show: times, bars, words for states, callouts, form fields.
//!
//! These types derive `Serialize` for the templates only; nothing of them is an API.

use jiff::Timestamp;
use schemas::Micros;
use serde::Serialize;

use crate::clock;

/// A time: exact for machines, absolute on hover, relative in the text.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Moment {
    pub iso: String,
    pub title: String,
    pub text: String,
}

impl Moment {
    /// `4 min ago`, or `in 6 days`.
    pub(crate) fn relative(at: Micros) -> Self {
        Self { text: ago(at, clock::now()), ..Self::clock(at) }
    }

    /// `08:52:03.114`, for lives and logs.
    pub(crate) fn clock(at: Micros) -> Self {
        Self {
            iso: clock::rfc3339(at),
            title: written(at, "%-d %b %Y, %H:%M:%S UTC"),
            text: written(at, "%H:%M:%S%.3f"),
        }
    }
}

/// A time in UTC in the form of `strftime`.
pub(crate) fn written(at: Micros, form: &str) -> String {
    Timestamp::from_microsecond(at).map_or_else(|_| String::new(), |t| t.strftime(form).to_string())
}

fn ago(at: Micros, now: Micros) -> String {
    let seconds = now.saturating_sub(at) / 1_000_000;
    // What is to come is rounded to the nearest, what was is cut: "in 90 days" is made a moment later.
    let n = |unit: u64| (seconds.unsigned_abs() + if seconds < 0 { unit / 2 } else { 0 }) / unit;
    let (count, unit) = match seconds.unsigned_abs() {
        0..60 => (n(1), "s"),
        60..3600 => (n(60), "min"),
        3600..86_400 => (n(3600), "h"),
        _ if n(86_400) == 1 => (1, "day"),
        _ => (n(86_400), "days"),
    };
    match seconds {
        0 | 1 => "just now".to_owned(),
        2.. => format!("{count} {unit} ago"),
        _ => format!("in {count} {unit}"),
    }
}

/// Parts of a whole, as widths of an SVG of 100; no part narrower than 1.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Bar {
    pub parts: Vec<Part>,
    pub label: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    pub state: &'static str,
    pub x: String,
    pub width: String,
}

impl Bar {
    pub(crate) fn of(counts: &[Tally]) -> Self {
        let shown: Vec<&Tally> = counts.iter().filter(|t| t.count > 0).collect();
        let total: u64 = shown.iter().map(|t| t.count).sum();
        let label = shown.iter().map(|t| format!("{} {}", t.count, t.word)).collect::<Vec<_>>().join(", ");
        let widths: Vec<f64> =
            shown.iter().map(|t| (t.count as f64 / total.max(1) as f64 * 100.0).max(1.0)).collect();
        let scale = 100.0 / widths.iter().sum::<f64>().max(1.0);
        let mut x = 0.0;
        let parts = shown
            .iter()
            .zip(widths)
            .map(|(tally, width)| {
                let part =
                    Part { state: tally.state, x: format!("{x:.3}"), width: format!("{:.3}", width * scale) };
                x += width * scale;
                part
            })
            .collect();
        Self { parts, label }
    }
}

/// How many are in a state, with the word for it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tally {
    pub state: &'static str,
    pub word: &'static str,
    pub count: u64,
}

/// What happened, why, and the way out.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Callout {
    pub state: &'static str,
    pub icon: &'static str,
    pub title: String,
    pub text: String,
    pub actions: Vec<Action>,
    /// The request id, or how often it was tried.
    pub small: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Action {
    pub text: String,
    pub href: String,
}

impl Callout {
    pub(crate) fn bad(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { state: "bad", icon: "alert", title: title.into(), text: text.into(), ..Self::default() }
    }

    pub(crate) fn ok(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { state: "ok", icon: "check", title: title.into(), text: text.into(), ..Self::default() }
    }

    pub(crate) fn info(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { state: "info", icon: "clock", title: title.into(), text: text.into(), ..Self::default() }
    }
}

/// One field of a form, with what was typed and what is wrong with it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Field {
    pub id: &'static str,
    pub label: &'static str,
    pub kind: &'static str,
    pub value: String,
    pub hint: Option<String>,
    pub error: Option<String>,
    pub required: bool,
    pub autofocus: bool,
    pub autocomplete: &'static str,
    pub rows: Option<u8>,
}

impl Field {
    pub(crate) fn text(id: &'static str, label: &'static str, value: impl Into<String>) -> Self {
        Self {
            id,
            label,
            kind: "text",
            value: value.into(),
            hint: None,
            error: None,
            required: false,
            autofocus: false,
            autocomplete: "off",
            rows: None,
        }
    }

    pub(crate) fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(crate) fn first(self) -> Self {
        Self { autofocus: true, ..self }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Says what is wrong with it; the caret goes there.
    pub(crate) fn error(self, error: Option<String>) -> Self {
        Self { autofocus: self.autofocus || error.is_some(), error, ..self }
    }
}

/// One choice of a `<select>` or of radio buttons.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Choice {
    pub value: String,
    pub text: String,
    pub chosen: bool,
}

/// `1 prompt`, `14 prompts`.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {many}", grouped(n)) }
}

/// `48,212`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `41.2 KB`.
pub(crate) fn bytes(n: u64) -> String {
    match n {
        0..1000 => count(n, "byte", "bytes"),
        1000..1_000_000 => format!("{:.1} KB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}

/// `9 ms`, `1.4 s`, `3 min`.
pub(crate) fn duration(micros: i64) -> String {
    match micros.max(0) {
        n @ 0..1000 => format!("{n} µs"),
        n @ 1000..10_000_000 if n < 1_000_000 => format!("{} ms", n / 1000),
        n @ 0..60_000_000 => format!("{:.1} s", n as f64 / 1e6),
        n @ 60_000_000..3_600_000_000 => format!("{} min", n / 60_000_000),
        n => format!("{} h", n / 3_600_000_000),
    }
}

/// `61 ns`, `2.4 µs`.
pub(crate) fn nanoseconds(n: u64) -> String {
    match n {
        0 => String::new(),
        1..1000 => format!("{n} ns"),
        1000..1_000_000 => format!("{:.1} µs", n as f64 / 1e3),
        _ => format!("{:.1} ms", n as f64 / 1e6),
    }
}

/// The ends of a digest or key: `9f2c…1b04`.
pub(crate) fn short(full: &str) -> String {
    let bare = full.strip_prefix("sha256:").unwrap_or(full);
    let chars: Vec<char> = bare.chars().collect();
    match chars.as_slice() {
        [a, b, c, d, _, .., w, x, y, z] => format!("{a}{b}{c}{d}…{w}{x}{y}{z}"),
        _ => bare.to_owned(),
    }
}

/// `ML` of Mara Lindqvist.
pub(crate) fn initials(name: &str) -> String {
    let first: String = name.split_whitespace().filter_map(|w| w.chars().next()).take(2).collect();
    if first.is_empty() { "?".to_owned() } else { first.to_uppercase() }
}

/// A value in a query string.
pub(crate) fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_do() {
        let now = 1_795_218_423_000_000;
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(now - 12_000_000, now), "12 s ago");
        assert_eq!(ago(now - 4 * 60_000_000, now), "4 min ago");
        assert_eq!(ago(now - 3 * 86_400_000_000, now), "3 days ago");
        assert_eq!(ago(now + 6 * 86_400_000_000, now), "in 6 days");
        assert_eq!(ago(now + 90 * 86_400_000_000 - 20_000, now), "in 90 days");
    }

    #[test]
    fn a_bar_fills_its_width_and_hides_no_part() {
        let tally = |state, count| Tally { state, word: state, count };
        let bar = Bar::of(&[tally("active", 9_999), tally("frozen", 0), tally("refused", 1)]);
        assert_eq!(bar.label, "9999 active, 1 refused");
        let widths: Vec<f64> = bar.parts.iter().map(|p| p.width.parse().unwrap()).collect();
        assert_eq!(widths.len(), 2);
        assert!(widths[1] > 0.9, "{widths:?}");
        assert!((widths.iter().sum::<f64>() - 100.0).abs() < 0.01, "{widths:?}");
        assert!(Bar::of(&[]).parts.is_empty());
    }

    #[test]
    fn numbers_are_short_and_readable() {
        assert_eq!(grouped(48_212), "48,212");
        assert_eq!(grouped(999), "999");
        assert_eq!(bytes(41_200), "41.2 KB");
        assert_eq!(duration(9_400), "9 ms");
        assert_eq!(duration(1_400_000), "1.4 s");
        assert_eq!(short("sha256:9f2cAAAAAAAA1b04"), "9f2c…1b04");
        assert_eq!(short("abc"), "abc");
        assert_eq!(initials("Mara Lindqvist"), "ML");
        assert_eq!(initials(""), "?");
        assert_eq!(encoded("a/b c&d"), "a%2Fb%20c%26d");
    }
}
