//! What `live` says of itself: logs on standard error, and spans for a collector.

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::Failure;
use crate::options::coloured;

/// Where spans go, as it was said.
#[derive(Debug)]
pub(crate) struct Spans {
    pub(crate) endpoint: String,
    pub(crate) sample: Option<String>,
    pub(crate) service: String,
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
    #[cfg(feature = "otel")]
    {
        let made = spans.as_ref().map(crate::otel::layer).transpose()?;
        let (layer, spans) = made.unzip();
        registry.with(layer).with(lines.with_filter(filter)).init();
        Ok(Logging { spans })
    }
    #[cfg(not(feature = "otel"))]
    {
        if spans.is_some() {
            return Err(Failure::Configuration(
                "otlp_endpoint: this program was built without the feature \"otel\"".into(),
            ));
        }
        registry.with(lines.with_filter(filter)).init();
        Ok(Logging {})
    }
}
