//! Spans of renders, sent to an OpenTelemetry collector (OTLP over HTTP, as JSON).
//!
//! A span bears the prompt's set, id and version, and whether it failed; never a value, never a text.
//! Spans wait in a queue of a fixed length: while the collector is away, what does not fit is dropped. That it
//! is away is said once, and once more when it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
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
pub(crate) struct Exporter {
    provider: SdkTracerProvider,
    losses: Arc<Losses>,
}

impl Exporter {
    /// Sends what waits, for a few seconds at most.
    pub(crate) fn end(self) {
        // A collector that is away is no reason to fail.
        let _ = self.provider.shutdown_with_timeout(TIMEOUT);
        let lost = self.losses.lost.load(Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(spans.lost = lost, "spans did not reach the collector");
        }
    }
}

/// What did not reach the collector.
#[derive(Debug, Default)]
struct Losses {
    /// Spans, since the start.
    lost: AtomicUsize,
    away: AtomicBool,
}

impl Losses {
    /// Notes what became of so many spans. Says the first failure, and the first success after it.
    fn note(&self, many: usize, done: &OTelSdkResult) {
        let Err(error) = done else {
            if self.away.swap(false, Ordering::Relaxed) {
                let lost = self.lost.load(Ordering::Relaxed);
                tracing::info!(spans.lost = lost, "the collector takes spans again");
            }
            return;
        };
        self.lost.fetch_add(many, Ordering::Relaxed);
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %error, "the collector takes no spans; they are lost until it does");
        }
    }
}

/// An exporter that says when the collector does not take what it is sent.
#[derive(Debug)]
struct Watched {
    exporter: OtlpExporter,
    losses: Arc<Losses>,
}

impl SpanExporter for Watched {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let many = batch.len();
        let done = self.exporter.export(batch).await;
        self.losses.note(many, &done);
        done
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// A layer that turns the spans of renders into those of OpenTelemetry.
///
/// # Errors
/// The exporter cannot be made of the address.
pub(crate) fn layer<S>(spans: &Spans) -> Result<(impl Layer<S>, Exporter), Failure>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let exporter = OtlpExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpJson)
        .with_endpoint(format!("{}{PATH}", spans.endpoint.trim_end_matches('/')))
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|error| Failure::Configuration(format!("otlp_endpoint: {error}")))?;
    let losses = Arc::new(Losses::default());
    let exporter = Watched { exporter, losses: Arc::clone(&losses) };
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
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(spans.sample))))
        .with_resource(resource)
        .build();
    let only = Targets::new().with_target(live_agent::RENDER_SPANS, LevelFilter::DEBUG);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("live-agent"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(only);
    Ok((layer, Exporter { provider, losses }))
}
