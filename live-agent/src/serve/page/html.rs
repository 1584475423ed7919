//! Markup that cannot be broken out of: what is not written in this program's own source is escaped.

use std::fmt::{Display, Write as _};

use crate::clock;

/// Markup in the making. Only literals get in as they are.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    pub(super) fn raw(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Text, or the value of an attribute within double quotes.
    pub(super) fn text(&mut self, text: impl Display) {
        // Writing to a string does not fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

struct Escaped<'h>(&'h mut String);

impl std::fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // No character of a page, and a null would end it for some.
                '\0' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// Literals are markup, what stands in parentheses is text.
macro_rules! html {
    ($out:expr $(,)?) => {};
    ($out:expr, $markup:literal $($rest:tt)*) => {
        $out.raw($markup);
        html!($out $($rest)*)
    };
    ($out:expr, ($text:expr) $($rest:tt)*) => {
        $out.text($text);
        html!($out $($rest)*)
    };
}
pub(super) use html;

/// Where a page stands, and of whom it is.
#[derive(Debug)]
pub(super) struct Frame {
    /// What every link begins with.
    pub(super) root: String,
    /// The overview.
    pub(super) home: String,
    pub(super) agent: String,
    pub(super) scope: String,
}

/// What a colour stands for; the word is always there too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Ok,
    Info,
    Warn,
    Bad,
    Cold,
    Mute,
}

impl Tone {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Cold => "cold",
            Self::Mute => "mute",
        }
    }
}

/// Something to be said on top of a page.
#[derive(Debug)]
pub(super) struct Note {
    tone: Tone,
    text: String,
}

impl Note {
    pub(super) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }

    pub(super) fn write(&self, out: &mut Html) {
        html!(
            out,
            "<p class=\"note\" role=\"status\" data-tone=\"",
            (self.tone.name()),
            "\">",
            (&self.text),
            "</p>"
        );
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Prompts,
}

const MARK: &str = "<svg class=\"mark\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path d=\"M1.5 5.5h6V4h15v4.5h-3.75c-2.5 0-4 1.4-4 3.25s1.25 3 3 3H18.5V20h-12v-5.25h.75c1.75 0 3-1.15 3-3 0-.5-.1-.9-.25-1.25C5.75 10.5 2.25 9 1.5 5.5z\"/></svg>";

/// A whole page around `body`.
pub(super) fn page(frame: &Frame, tab: Tab, title: &str, body: impl FnOnce(&mut Html)) -> String {
    let mut out = Html::default();
    let current = |own: Tab| if own == tab { "page" } else { "false" };
    html!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
        "<meta name=\"color-scheme\" content=\"light dark\"><title>",
        (title),
        " · ",
        (&frame.agent),
        " · live</title><link rel=\"icon\" href=\"",
        (&frame.root),
        "live.svg\"><link rel=\"stylesheet\" href=\"",
        (&frame.root),
        "live.css\"></head><body><a class=\"skip\" href=\"#main\">Skip to content</a>",
        "<header class=\"top\"><a class=\"brand\" href=\"",
        (&frame.home),
        "\">"
    );
    out.raw(MARK);
    html!(
        out,
        "<b>live</b></a><span class=\"who\"><span>",
        (&frame.agent),
        "</span> <span class=\"hint\">",
        (&frame.scope),
        "</span></span><nav aria-label=\"Pages\"><a href=\"",
        (&frame.home),
        "\" aria-current=\"",
        (current(Tab::Overview)),
        "\">Status</a><a href=\"",
        (&frame.root),
        "prompts\" aria-current=\"",
        (current(Tab::Prompts)),
        "\">Prompts</a></nav></header>",
        "<main id=\"main\" class=\"page\">"
    );
    body(&mut out);
    html!(out, "</main></body></html>\n");
    out.finish()
}

/// A page of nothing but a few words, for those who may see nothing else.
pub(super) fn bare(title: &str, text: &str) -> String {
    let mut out = Html::default();
    html!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
        "<meta name=\"color-scheme\" content=\"light dark\"><title>",
        (title),
        " · live</title></head><body><main><h1>",
        (title),
        "</h1><p>",
        (text),
        "</p></main></body></html>\n"
    );
    out.finish()
}

/// A moment as people say it, with the exact seconds behind it.
pub(super) fn ago(at: schemas::Micros) -> String {
    let seconds = (clock::now().saturating_sub(at)).max(0) / 1_000_000;
    match seconds {
        0..=119 => format!("{seconds} s ago"),
        120..=7_199 => format!("{} min ago", seconds / 60),
        7_200..=172_799 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_comes_from_outside_can_become_markup() {
        let evil = "\"><script>alert('1')</script>&\0";
        let mut out = Html::default();
        html!(out, "<a title=\"", (evil), "\">", (evil), "</a>");
        let escaped = "&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;\u{fffd}";
        assert_eq!(out.finish(), format!("<a title=\"{escaped}\">{escaped}</a>"));
    }
}
