//! Requests, counted and timed, for a monitor.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use super::routes::ROUTES;

/// What is answered; anything else is counted as the last.
const CODES: &[u16] = &[200, 204, 303, 400, 401, 403, 404, 405, 408, 409, 413, 421, 422, 500, 503, 0];
/// Upper edges of the buckets, in seconds.
const EDGES: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5,
    1.0, 5.0,
];
/// Enough for every route, and one for what is no route.
const PLACES: usize = 32;

#[derive(Debug, Default)]
struct Route {
    codes: [AtomicU64; CODES.len()],
    buckets: [AtomicU64; EDGES.len() + 1],
    nanoseconds: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    routes: [Route; PLACES],
    in_flight: AtomicI64,
    pub(super) connections: AtomicI64,
}

/// One request, until its answer is made. What is dropped before is no longer in flight, and not counted.
#[derive(Debug)]
pub(super) struct Timed<'m> {
    meter: &'m Requests,
    route: usize,
    began: Instant,
}

impl Requests {
    /// `route` is its place in the table; one beyond is for what is none.
    pub(super) fn begin(&self, route: usize) -> Timed<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Timed { meter: self, route: route.min(ROUTES.len()), began: Instant::now() }
    }

    /// In the Prometheus text form, to the end of `out`.
    pub(super) fn write(&self, out: &mut String, readers: usize) {
        let mut line = |line: std::fmt::Arguments<'_>| {
            // Writing to a string does not fail.
            let _ = out.write_fmt(line);
        };
        let gauges = [
            (
                "live_http_requests_in_flight",
                "Requests that are being answered.",
                self.in_flight.load(Ordering::Relaxed),
            ),
            (
                "live_http_connections",
                "Connections of the sidecar's own sockets.",
                self.connections.load(Ordering::Relaxed),
            ),
            (
                "live_event_readers",
                "Readers of the event stream.",
                i64::try_from(readers).unwrap_or(i64::MAX),
            ),
        ];
        for (name, help, value) in gauges {
            line(format_args!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"));
        }
        line(format_args!(
            "# HELP live_http_requests_total Requests by route and status.\n# TYPE live_http_requests_total counter\n"
        ));
        for (name, method, route) in self.named() {
            for (code, count) in CODES.iter().zip(&route.codes) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let code = if *code == 0 { "other".to_owned() } else { code.to_string() };
                    line(format_args!(
                        "live_http_requests_total{{route=\"{name}\",method=\"{method}\",code=\"{code}\"}} {count}\n"
                    ));
                }
            }
        }
        line(format_args!(
            "# HELP live_http_request_duration_seconds Time from the head of a request to the head of its answer.\n\
             # TYPE live_http_request_duration_seconds histogram\n"
        ));
        for (name, method, route) in self.named() {
            let labels = format!("route=\"{name}\",method=\"{method}\"");
            let counts: Vec<u64> = route.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
            let total: u64 = counts.iter().sum();
            if total == 0 {
                continue;
            }
            let mut below = 0;
            for (edge, count) in EDGES.iter().zip(&counts) {
                below += count;
                line(format_args!(
                    "live_http_request_duration_seconds_bucket{{{labels},le=\"{edge}\"}} {below}\n"
                ));
            }
            let seconds = Duration::from_nanos(route.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
            line(format_args!(
                "live_http_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {total}\n\
                 live_http_request_duration_seconds_sum{{{labels}}} {seconds}\n\
                 live_http_request_duration_seconds_count{{{labels}}} {total}\n"
            ));
        }
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, &'static str, &Route)> {
        let names = ROUTES.iter().map(|route| (route.path, route.method)).chain([("other", "any")]);
        names.zip(&self.routes).map(|((path, method), route)| (path, method, route))
    }
}

impl Timed<'_> {
    pub(super) fn end(self, status: StatusCode) {
        let Some(route) = self.meter.routes.get(self.route) else { return };
        let took = self.began.elapsed();
        let code = CODES.iter().position(|code| *code == status.as_u16()).unwrap_or(CODES.len() - 1);
        if let Some(count) = route.codes.get(code) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let seconds = took.as_secs_f64();
        let bucket = EDGES.iter().position(|edge| seconds <= *edge).unwrap_or(EDGES.len());
        if let Some(count) = route.buckets.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        route.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.meter.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_place_for_every_route() {
        assert!(ROUTES.len() < PLACES);
        let meter = Requests::default();
        meter.begin(usize::MAX).end(StatusCode::IM_A_TEAPOT);
        drop(meter.begin(0));
        let mut out = String::new();
        meter.write(&mut out, 0);
        assert!(
            out.contains("live_http_requests_total{route=\"other\",method=\"any\",code=\"other\"} 1\n"),
            "{out}"
        );
        assert!(out.contains("live_http_requests_in_flight 0\n"), "{out}");
    }
}
