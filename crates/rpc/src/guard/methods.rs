//! The methods that the contracts name, each with its counters at hand. What else is called counts as "unknown",
//! so that callers can't make up metrics.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use chassis::metrics::{self, Histogram, IntCounter, IntCounterVec};
use model::Accountability;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;

/// One rpc.
#[derive(Debug)]
pub(crate) struct Method {
    pub(super) service: String,
    pub(super) name: String,
    /// Needs nobody's accountability.
    pub(super) free: bool,
    /// It changes nothing.
    reads: bool,
    /// Whoever calls by an API key may call it.
    by_keys: bool,
    seconds: Histogram,
    requests: [OnceLock<IntCounter>; 17],
}

/// How methods begin that change nothing. All others are refused to those who only read, new ones too.
const READS: [&str; 9] =
    ["Read", "List", "Get", "Stream", "Explain", "Compare", "Diff", "Subscribe", "Metrics"];

/// Services that make credentials.
const MINTING: [&str; 3] =
    ["eventus.auth.v1.AuthService", "eventus.auth.v1.ApiKeyService", "eventus.accounts.v1.AccountsService"];

/// Of their methods those that API keys may call, because they make none for whom the key stands.
const OF_KEYS: [&str; 18] = [
    "GetPublicKeys",
    "ListApiKeys",
    "GetApiKey",
    "DeleteApiKey",
    "Login",
    "Refresh",
    "Logout",
    "RequestPassword",
    "ResetPassword",
    "InviteUsers",
    "InviteToShare",
    "AcceptInvite",
    "Register",
    "VerifyRegistration",
    "ReadSetUp",
    "TrackPage",
    "GenerateHash",
    "VerifyHash",
];

static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter("eventus_rpc_requests_total", "Calls answered.", &["service", "method", "code"])
});

struct Methods {
    by_path: HashMap<String, Method>,
    unknown: Method,
}

static METHODS: LazyLock<Methods> = LazyLock::new(|| {
    let known = [
        (proto::DESCRIPTORS, false),
        (tonic_health::pb::FILE_DESCRIPTOR_SET, true),
        (tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET, true),
        (tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET, true),
    ];
    let mut by_path = HashMap::new();
    for (descriptors, free) in known {
        // They come from the same build; were they broken, every call would count as unknown.
        let files = FileDescriptorSet::decode(descriptors).unwrap_or_default();
        for file in &files.file {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                for method in &service.method {
                    let path = format!("/{name}/{}", method.name());
                    by_path.insert(path, Method::new(&name, method.name(), free));
                }
            }
        }
    }
    Methods { by_path, unknown: Method::new("unknown", "unknown", false) }
});

impl Method {
    /// The method of a path.
    pub(crate) fn of(path: &str) -> &'static Self {
        let methods = &*METHODS;
        methods.by_path.get(path).unwrap_or(&methods.unknown)
    }

    fn new(service: &str, name: &str, free: bool) -> Self {
        let seconds = metrics::histogram(
            "eventus_rpc_seconds",
            "Time until a call was answered to its end.",
            &["service", "method"],
            metrics::SECONDS,
        );
        Self {
            service: service.to_owned(),
            name: name.to_owned(),
            free,
            reads: free || READS.iter().any(|verb| name.starts_with(verb)),
            by_keys: !MINTING.contains(&service) || OF_KEYS.contains(&name),
            seconds: seconds.with_label_values(&[service, name]),
            requests: Default::default(),
        }
    }

    /// What an accountability has no say in: whoever only reads calls nothing that changes, and who calls by an API
    /// key nothing that makes other credentials.
    pub(crate) fn admits(&self, by: &Accountability) -> bool {
        (self.reads || !by.read_only) && (self.by_keys || by.api_key.is_none())
    }

    /// One call is over.
    pub(super) fn count(&self, code: Code, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        let index = usize::try_from(i32::from(code)).unwrap_or_default();
        if let Some(counter) = self.requests.get(index) {
            let made = || REQUESTS.with_label_values(&[self.service.as_str(), &self.name, name(code)]);
            counter.get_or_init(made).inc();
        }
    }
}

/// A code as the gRPC specification writes it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
