//! The status as counts for a monitor.

use std::fmt::Write as _;

use schemas::status::Mode;

use crate::live::LocalStatus;

impl LocalStatus {
    /// The status in the Prometheus text form.
    #[must_use]
    pub fn metrics(&self) -> String {
        let status = &self.status;
        let mut out = String::new();
        let mut gauge = |name: &str, kind: &str, value: u64| {
            // Writing to a string does not fail.
            let _ = writeln!(out, "# TYPE live_{name} {kind}\nlive_{name} {value}");
        };
        gauge("connected", "gauge", self.connected.into());
        gauge("stale", "gauge", status.stale.into());
        gauge("too_old", "gauge", status.too_old.into());
        gauge("frozen", "gauge", (status.mode == Mode::Frozen).into());
        if let Some(age) = status.age_ms {
            gauge("confirmed_age_seconds", "gauge", age / 1000);
        }
        gauge("trust_list_version", "gauge", status.trust);
        gauge("renders_total", "counter", status.counters.renders);
        gauge("render_errors_total", "counter", status.counters.render_errors);
        out.push_str("# TYPE live_set_serial gauge\n");
        for set in &status.sets {
            if let Some(active) = &set.active {
                let _ = writeln!(out, "live_set_serial{{set=\"{}\"}} {}", set.set, active.serial);
            }
        }
        out
    }
}
