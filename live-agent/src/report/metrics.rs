//! The status as counts for a monitor, in the Prometheus text form.

use std::fmt::{self, Display, Write as _};

use schemas::status::{Mode, SetStatus};

use crate::clock;
use crate::live::LocalStatus;

/// A value of a label, with what would end it escaped.
struct Label<'l>(&'l dyn Display);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaped(f), "{}", self.0)
    }
}

struct Escaped<'e, 'f>(&'e mut fmt::Formatter<'f>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            '\\' => self.0.write_str("\\\\"),
            '"' => self.0.write_str("\\\""),
            '\n' => self.0.write_str("\\n"),
            c => self.0.write_char(c),
        })
    }
}

/// Metrics, one family after the other.
#[derive(Default)]
struct Families(String);

impl Families {
    /// A family with its values, each with its labels.
    fn many(&mut self, name: &str, kind: &str, help: &str, values: impl IntoIterator<Item = (String, f64)>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP live_{name} {help}\n# TYPE live_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(self.0, "live_{name}{labels} {value}");
        }
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Into<f64>) {
        self.many(name, kind, help, [(String::new(), value.into())]);
    }
}

/// Above 2^53 a count loses its last digits: no agent gets there.
#[expect(clippy::cast_precision_loss, reason = "counts of a monitor are floating point numbers")]
fn count(value: u64) -> f64 {
    value as f64
}

fn nanoseconds(value: u64) -> f64 {
    count(value) / 1e9
}

impl LocalStatus {
    /// The status in the Prometheus text form.
    #[must_use]
    pub fn metrics(&self) -> String {
        let mut out = Families::default();
        self.agent(&mut out);
        self.sets(&mut out);
        self.renders(&mut out);
        out.0
    }

    fn agent(&self, out: &mut Families) {
        let status = &self.status;
        let info = format!(
            "{{agent=\"{}\",version=\"{}\",scope=\"{}\",service=\"{}\",cache=\"{}\"}}",
            Label(&status.agent),
            Label(&status.agent_version),
            Label(&status.scope),
            Label(&status.service),
            Label(&status.cache)
        );
        out.many("agent_info", "gauge", "Which agent this is; always 1.", [(info, 1.0)]);
        let gauges = [
            ("connected", "Whether the broker is connected.", self.connected),
            (
                "stale",
                "Whether FORGE is silent, or something newer is known and not to be had.",
                status.stale,
            ),
            (
                "too_old",
                "Whether the rule for content that was not confirmed for long holds.",
                status.too_old,
            ),
            ("frozen", "Whether the mode is FROZEN.", status.mode == Mode::Frozen),
        ];
        for (name, help, value) in gauges {
            out.one(name, "gauge", help, u8::from(value));
        }
        if let Some(age) = status.age_ms {
            let help = "Time since FORGE confirmed all that is served.";
            out.one("confirmed_age_seconds", "gauge", help, count(age) / 1e3);
        }
        if let Some(rule) = status.max_age {
            out.one("max_age_seconds", "gauge", "Longest time without confirmation.", count(rule.seconds));
        }
        out.one("trust_list_version", "gauge", "Version of the trust list.", count(status.trust));
        out.one(
            "overrides",
            "gauge",
            "Prompts served from this machine.",
            count(status.overrides.len() as u64),
        );
        let started = status.started_at.max(0).unsigned_abs();
        out.one("start_time_seconds", "gauge", "When the agent started.", count(started) / 1e6);
        out.one("connects_total", "counter", "How often the broker was connected.", count(self.connects));
        let refusals = self.refusals.iter();
        let refusals = refusals.map(|(code, many)| (format!("{{code=\"{}\"}}", Label(code)), count(*many)));
        out.many("refused_bundles_total", "counter", "Bundles that were refused, by the reason.", refusals);
    }

    fn sets(&self, out: &mut Families) {
        let sets = &self.status.sets;
        let of = |set: &SetStatus| format!("{{set=\"{}\"}}", Label(&set.set));
        let active = || sets.iter().filter_map(|set| Some((set, set.active.as_ref()?)));
        let versions = active().map(|(set, active)| {
            let (version, digest) = (Label(&active.version), active.digest.short());
            (format!("{{set=\"{}\",version=\"{version}\",digest=\"{digest}\"}}", Label(&set.set)), 1.0)
        });
        out.many("set_info", "gauge", "Which version of a set is served; always 1.", versions);
        let serials = active().map(|(set, active)| (of(set), count(active.serial)));
        out.many("set_serial", "gauge", "Serial of what is served.", serials);
        let heads = sets.iter().filter_map(|set| Some((of(set), count(set.head_serial?))));
        out.many("set_head_serial", "gauge", "Serial of what FORGE announced last.", heads);
        let now = clock::now();
        let ages = active().map(|(set, active)| {
            (of(set), count(now.saturating_sub(active.activated_at).max(0).unsigned_abs()) / 1e6)
        });
        out.many("set_active_seconds", "gauge", "How long it has been served.", ages);
        let pending = sets.iter().map(|set| (of(set), f64::from(u8::from(set.pending.is_some()))));
        out.many("set_pending", "gauge", "Whether something newer is known and not served.", pending);
        let revoked = sets.iter().map(|set| (of(set), f64::from(u8::from(set.revoked))));
        out.many("set_revoked", "gauge", "Whether the key that signed it is revoked.", revoked);
    }

    fn renders(&self, out: &mut Families) {
        let counters = &self.status.counters;
        out.one("renders_total", "counter", "Renders since the start.", count(counters.renders));
        let help = "Renders that failed since the start.";
        out.one("render_errors_total", "counter", help, count(counters.render_errors));
        let times = [("0.5", counters.render_p50_ns), ("0.99", counters.render_p99_ns)];
        let times = times.map(|(q, ns)| (format!("{{quantile=\"{q}\"}}"), nanoseconds(ns)));
        out.many("render_time_seconds", "gauge", "What a render takes, of one in 64.", times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_can_end_itself() {
        assert_eq!(Label(&"a\\b\"c\nd").to_string(), "a\\\\b\\\"c\\nd");
    }
}
