//! Logs, spans and the panic counter of a process, set up once at its start.

mod lines;
mod otlp;

use std::str::FromStr;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, ParseError, Targets, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt as _};
use tracing_subscriber::{Layer as _, Registry};

use crate::{ConfigError, Env, metrics};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStyle {
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

/// What is logged and where spans go.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// `service.name` of exported spans.
    pub service_name: String,
    /// A level, and levels of modules: `info`, `warn,items_service=debug` ...
    pub log_level: String,
    /// How log lines look.
    pub log_style: LogStyle,
    /// Where spans go (OTLP over gRPC); nowhere if not set.
    pub otlp_endpoint: Option<String>,
    /// Which traces are exported.
    pub sampler: Sampler,
}

/// Telemetry can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `LOG_LEVEL` is not understood.
    #[error("log filter")]
    Filter(#[from] ParseError),
    /// The exporter can't be made.
    #[error("span exporter")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

impl TelemetryConfig {
    /// Reads `LOG_LEVEL` (else `RUST_LOG`), `LOG_STYLE`, `OTEL_SERVICE_NAME`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`
    /// (else `OTEL_EXPORTER_OTLP_ENDPOINT`), `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`, `OTEL_SDK_DISABLED`. Spans go by gRPC only.
    pub fn from_env(env: &Env, service_name: &str) -> Result<Self, ConfigError> {
        let rust_log = env.get("RUST_LOG")?;
        let log_level = env.get("LOG_LEVEL")?.or(rust_log).unwrap_or_else(|| "info".to_owned());
        let log_level = directus_level(&log_level).to_owned();
        if !is_filter(&log_level) {
            return Err(ConfigError::invalid("LOG_LEVEL", "a level, or directives such as warn,bus=debug"));
        }
        let log_style = match env.get("LOG_STYLE")?.as_deref() {
            None | Some("json" | "raw") => LogStyle::Json,
            Some("pretty") => LogStyle::Pretty,
            Some(_) => return Err(ConfigError::invalid("LOG_STYLE", "json or pretty")),
        };
        if !matches!(env.get("OTEL_EXPORTER_OTLP_PROTOCOL")?.as_deref(), None | Some("grpc")) {
            return Err(ConfigError::invalid("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"));
        }
        let everything = env.get("OTEL_EXPORTER_OTLP_ENDPOINT")?;
        let endpoint = env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")?.or(everything);
        Ok(Self {
            service_name: env.get("OTEL_SERVICE_NAME")?.unwrap_or_else(|| service_name.to_owned()),
            log_level,
            log_style,
            otlp_endpoint: if env.flag("OTEL_SDK_DISABLED", false)? { None } else { endpoint },
            sampler: otlp::sampler(env)?,
        })
    }
}

/// A level, or directives of which those without `=` are levels: a mistyped level would be taken for a target.
fn is_filter(text: &str) -> bool {
    let part = |part: &str| part.contains('=') || LevelFilter::from_str(part.trim()).is_ok();
    text.split(',').all(part) && Targets::from_str(text).is_ok()
}

/// Directus's level names that tracing does not know.
fn directus_level(level: &str) -> &str {
    match level {
        "silent" => "off",
        "fatal" => "error",
        other => other,
    }
}

/// What has to be finished at the end of the process.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Sets up logs, spans and the panic hook (`eventus_panics_total`) for the whole process. Where a subscriber is set
/// up already (a second call, a test), it stays and nothing is exported. With an endpoint it needs a tokio runtime.
pub fn init(config: &TelemetryConfig) -> Result<Telemetry, Error> {
    let filter = Targets::from_str(&config.log_level)?;
    // Spans pass the log's filter at every level: its lines need their ids, and they cost it nothing.
    let filter = filter_fn(|metadata| metadata.is_span() && traced(metadata))
        .with_max_level_hint(LevelFilter::INFO)
        .or(filter)
        .and(cheap());
    let lines = lines::Lines::new(config.log_style).with_filter(filter);
    let registry = Registry::default().with(lines);
    let provider = match &config.otlp_endpoint {
        None => {
            let ids = crate::trace::ids::IdsLayer.with_filter(spans().and(cheap()));
            let _ = tracing::subscriber::set_global_default(registry.with(ids));
            None
        }
        Some(endpoint) => {
            let provider = otlp::provider(endpoint, config)?;
            let layer = tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("eventus"))
                .with_context_activation(false)
                .with_tracked_inactivity(false)
                .with_threads(false)
                .with_location(false)
                .with_filter(spans());
            let installed = tracing::subscriber::set_global_default(registry.with(layer)).is_ok();
            installed.then_some(provider)
        }
    };
    count_panics();
    Ok(Telemetry { provider })
}

impl Telemetry {
    /// Sends the spans that still wait. Takes up to five seconds if nobody takes them.
    pub async fn shutdown(self) {
        let Some(provider) = self.provider else { return };
        // Blocks until the batch is sent, while the sending itself needs this runtime.
        match tokio::task::spawn_blocking(move || provider.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not exported"),
            Err(error) => tracing::warn!(%error, "the last spans were not exported"),
        }
    }
}

/// Spans of INFO and above that are ours, and warnings within them.
fn spans<S: Subscriber>() -> impl Filter<S> {
    filter_fn(|metadata| {
        traced(metadata) && (metadata.is_span() || *metadata.level() <= tracing::Level::WARN)
    })
    .with_max_level_hint(LevelFilter::INFO)
}

/// Not one of the transports below us: the exporter itself uses them and would trace itself.
fn traced(metadata: &Metadata<'_>) -> bool {
    const FOREIGN: [&str; 12] = [
        "h2",
        "hyper",
        "hyper_util",
        "tonic",
        "tower",
        "tower_http",
        "sqlx",
        "sqlx_core",
        "sqlx_postgres",
        "rustls",
        "async_nats",
        "opentelemetry",
    ];
    let target = metadata.target();
    let root = target.split("::").next().unwrap_or(target);
    *metadata.level() <= tracing::Level::INFO
        && !FOREIGN.contains(&root)
        && !root.starts_with("opentelemetry")
}

/// All but the spans that are worth their cost only to an exporter.
fn cheap<S: Subscriber>() -> impl Filter<S> {
    // With a level, so that the filter beside it goes on to say how far one has to look.
    filter_fn(|metadata| metadata.target() != crate::trace::EXPORTED).with_max_level_hint(LevelFilter::TRACE)
}

/// Panics become a log line and a count; what follows from them is the business of whoever runs the work.
fn count_panics() {
    let panics = metrics::counter("eventus_panics_total", "Panics, wherever they happened.", &[])
        .with_label_values::<&str>(&[]);
    std::panic::set_hook(Box::new(move |panic| {
        panics.inc();
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(message, location, "panic");
    }));
}

#[cfg(test)]
mod tests {
    use super::{LogStyle, TelemetryConfig};
    use crate::{ConfigError, Env};

    fn config(pairs: &[(&str, &str)]) -> Result<TelemetryConfig, ConfigError> {
        TelemetryConfig::from_env(&Env::from_pairs(pairs.iter().copied()), "eventus")
    }

    #[test]
    fn the_standard_variables_decide() {
        let plain = config(&[]).unwrap();
        assert_eq!((plain.log_level.as_str(), plain.log_style), ("info", LogStyle::Json));
        assert_eq!((plain.service_name.as_str(), plain.otlp_endpoint), ("eventus", None));
        let full = config(&[
            ("RUST_LOG", "debug"),
            ("LOG_LEVEL", "warn,bus=debug"),
            ("LOG_STYLE", "pretty"),
            ("OTEL_SERVICE_NAME", "items"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        let full = full.unwrap();
        assert_eq!((full.log_level.as_str(), full.log_style), ("warn,bus=debug", LogStyle::Pretty));
        assert_eq!(full.otlp_endpoint.as_deref(), Some("http://traces:4317"));
        assert_eq!(format!("{:?}", full.sampler), "ParentBased(TraceIdRatioBased(0.25))");
        let off = config(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1"), ("OTEL_SDK_DISABLED", "true")]);
        assert_eq!(off.unwrap().otlp_endpoint, None);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (key, value) in [
            ("LOG_LEVEL", "inf"),
            ("LOG_LEVEL", "bus=loud"),
            ("LOG_STYLE", "xml"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ] {
            assert!(config(&[(key, value)]).unwrap_err().to_string().starts_with(key), "{key}={value}");
        }
        for level in ["silent", "fatal", "trace", "INFO"] {
            assert!(config(&[("LOG_LEVEL", level)]).is_ok(), "{level}");
        }
    }
}
