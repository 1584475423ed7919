//! What `live` says of itself: logs on standard error, and spans for a collector.

use axum::http::Uri;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::Failure;
use crate::options::{Settings, coloured};

/// Where spans go, as it was said.
#[derive(Debug)]
pub(crate) struct Spans {
    pub(crate) endpoint: String,
    /// The part of all, from 0 to 1.
    #[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "only what sends spans asks for it"))]
    pub(crate) sample: f64,
    #[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "only what sends spans asks for it"))]
    pub(crate) service: String,
}

impl Spans {
    /// What the settings say; none where no collector is named.
    pub(crate) fn of(settings: &Settings) -> Option<Self> {
        let sample = settings.text("otlp_sample").and_then(|sample| sample.parse().ok());
        Some(Self {
            endpoint: settings.text("otlp_endpoint")?,
            sample: sample.unwrap_or(1.0),
            service: settings.text("service").unwrap_or_default(),
        })
    }

    /// Whether this program can send there; if not, what to write instead, from the key on.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !cfg!(feature = "otel") {
            return Err("otlp_endpoint: this program was built without the feature \"otel\"".into());
        }
        let uri = self.endpoint.parse::<Uri>().ok();
        let good = uri.as_ref().is_some_and(|uri| {
            uri.scheme_str() == Some("http")
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.query().is_none()
        });
        if good {
            return Ok(());
        }
        Err("otlp_endpoint: write http://host:port; for TLS, run a collector beside the agent".into())
    }
}

/// Ends what sends spans.
#[derive(Debug)]
pub(crate) struct Logging {
    #[cfg(feature = "otel")]
    spans: Option<crate::otel::Exporter>,
}

impl Logging {
    /// Sends what waits; a few seconds at most.
    #[cfg_attr(not(feature = "otel"), expect(clippy::unused_async, reason = "it waits where spans are sent"))]
    pub(crate) async fn end(self) {
        #[cfg(feature = "otel")]
        if let Some(spans) = self.spans {
            let _ = tokio::task::spawn_blocking(move || spans.end()).await;
        }
    }
}

/// Logs go to standard error, so that standard output is only what was asked for.
pub(crate) fn start(filter: &str, json: bool, spans: Option<Spans>) -> Result<Logging, Failure> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| Failure::Configuration(format!("log: {error}")))?;
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(coloured(&std::io::stderr()));
    let lines = if json { lines.json().boxed() } else { lines.with_target(false).boxed() };
    let registry = tracing_subscriber::registry();
    if let Some(spans) = &spans {
        spans.check().map_err(Failure::Configuration)?;
    }
    #[cfg(feature = "otel")]
    {
        let made = spans.as_ref().map(crate::otel::layer).transpose()?;
        let (layer, spans) = made.unzip();
        registry.with(layer).with(lines.with_filter(filter)).init();
        Ok(Logging { spans })
    }
    #[cfg(not(feature = "otel"))]
    {
        registry.with(lines.with_filter(filter)).init();
        Ok(Logging {})
    }
}
