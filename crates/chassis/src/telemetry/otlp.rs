//! Spans to an OpenTelemetry collector, by the standard `OTEL_*` variables.

use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

use super::{Error, TelemetryConfig};
use crate::{ConfigError, Env};

/// `OTEL_TRACES_SAMPLER` and its `_ARG`; `parentbased_always_on` if not set.
pub(super) fn sampler(env: &Env) -> Result<Sampler, ConfigError> {
    let ratio = env.parse("OTEL_TRACES_SAMPLER_ARG", 1.0_f64)?;
    if !(0.0..=1.0).contains(&ratio) {
        return Err(ConfigError::invalid("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1"));
    }
    let parent = |root: Sampler| Sampler::ParentBased(Box::new(root));
    Ok(match env.get("OTEL_TRACES_SAMPLER")?.as_deref() {
        None | Some("parentbased_always_on") => parent(Sampler::AlwaysOn),
        Some("always_on") => Sampler::AlwaysOn,
        Some("always_off") => Sampler::AlwaysOff,
        Some("traceidratio") => Sampler::TraceIdRatioBased(ratio),
        Some("parentbased_always_off") => parent(Sampler::AlwaysOff),
        Some("parentbased_traceidratio") => parent(Sampler::TraceIdRatioBased(ratio)),
        Some(_) => {
            let names = "always_on, always_off, traceidratio or one of them after parentbased_";
            return Err(ConfigError::invalid("OTEL_TRACES_SAMPLER", names));
        }
    })
}

/// A provider that exports in batches. Needs a tokio runtime.
pub(super) fn provider(endpoint: &str, config: &TelemetryConfig) -> Result<SdkTracerProvider, Error> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(config.sampler.clone())
        .with_resource(Resource::builder().with_service_name(config.service_name.clone()).build())
        .build())
}
