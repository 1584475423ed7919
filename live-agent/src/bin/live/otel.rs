//! Spans of renders, sent to an OpenTelemetry collector (OTLP over HTTP, as JSON).
//!
//! A span bears the prompt's set, id and version, and whether it failed; never a value, never a text.
//! Spans wait in a queue of a fixed length: while the collector is away, what does not fit is dropped.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use crate::Failure;
use crate::log::Spans;

/// Spans that wait to be sent; what comes beyond is dropped.
const QUEUE: usize = 4096;
const BATCH: usize = 512;
const EVERY: Duration = Duration::from_secs(2);
/// For one batch, and for the last one at the end.
const TIMEOUT: Duration = Duration::from_secs(3);
const PATH: &str = "/v1/traces";

/// Sends spans until it is ended.
#[derive(Debug)]
pub(crate) struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Sends what waits, for a few seconds at most.
    pub(crate) fn end(self) {
        // A collector that is away is no reason to fail.
        let _ = self.0.shutdown_with_timeout(TIMEOUT);
    }
}

/// A layer that turns the spans of renders into those of OpenTelemetry.
///
/// # Errors
/// The address is none, or it asks for what this program does not do.
pub(crate) fn layer<S>(spans: &Spans) -> Result<(impl Layer<S>, Exporter), Failure>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let wrong = |why: String| Failure::Configuration(format!("otlp_endpoint: {why}"));
    if !spans.endpoint.starts_with("http://") {
        let why = "write http://host:port; for TLS, run a collector beside the agent";
        return Err(wrong(why.into()));
    }
    let sample = spans.sample.as_deref().unwrap_or("1").parse().unwrap_or(f64::NAN);
    if !(0.0..=1.0).contains(&sample) {
        return Err(Failure::Configuration("otlp_sample: write a number from 0 to 1".into()));
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpJson)
        .with_endpoint(format!("{}{PATH}", spans.endpoint.trim_end_matches('/')))
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|error| wrong(error.to_string()))?;
    let queue = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(EVERY)
        .build();
    let service = if spans.service.is_empty() { "live".into() } else { spans.service.clone() };
    let resource = Resource::builder_empty()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", live_agent::VERSION))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(queue).build())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample))))
        .with_resource(resource)
        .build();
    let only = Targets::new().with_target(live_agent::RENDER_SPANS, LevelFilter::DEBUG);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("live-agent"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(only);
    Ok((layer, Exporter(provider)))
}
