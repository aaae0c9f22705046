//! TLS between processes, both ways: who serves shows a certificate, and so must whoever calls.

use std::time::Duration;

use chassis::{ConfigError, Env};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

/// How long the two may take to agree.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// What the processes of a fleet know each other by. One certificate is for both sides.
#[derive(Clone)]
pub struct Tls {
    identity: Identity,
    authority: Certificate,
    name: Option<String>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// `EVENTUS_GRPC_TLS_CERT`, `EVENTUS_GRPC_TLS_KEY` and `EVENTUS_GRPC_TLS_CA`, PEM each: all three, or none for calls
    /// without TLS. `EVENTUS_GRPC_TLS_NAME`: the name that certificates of services are for, where it is not the host
    /// of their address.
    ///
    /// # Errors
    /// Some of them are there and others are not, or one can't be read.
    pub fn from_env(env: &Env) -> Result<Option<Self>, ConfigError> {
        const CERT: &str = "EVENTUS_GRPC_TLS_CERT";
        const WHOLE: &str =
            "PEM, together with EVENTUS_GRPC_TLS_KEY and EVENTUS_GRPC_TLS_CA, or none of the three";
        let all = [CERT, "EVENTUS_GRPC_TLS_KEY", "EVENTUS_GRPC_TLS_CA"].map(|key| env.get(key));
        let name = env.get("EVENTUS_GRPC_TLS_NAME")?;
        let [cert, key, authority] = all;
        match (cert?, key?, authority?) {
            (None, None, None) => Ok(None),
            (Some(cert), Some(key), Some(authority)) => {
                let (identity, authority) = (Identity::from_pem(cert, key), Certificate::from_pem(authority));
                let tls = Self { identity, authority, name };
                // What is no certificate is said before anything starts.
                tls.check().map_err(|_| ConfigError::invalid(CERT, WHOLE))?;
                Ok(Some(tls))
            }
            _ => Err(ConfigError::invalid(CERT, WHOLE)),
        }
    }

    fn check(&self) -> Result<(), tonic::transport::Error> {
        tonic::transport::Server::builder().tls_config(self.server())?;
        tonic::transport::Endpoint::from_static("https://localhost").tls_config(self.client())?;
        Ok(())
    }

    /// For who serves.
    pub(crate) fn server(&self) -> ServerTlsConfig {
        let config = ServerTlsConfig::new().identity(self.identity.clone());
        config.client_ca_root(self.authority.clone()).timeout(HANDSHAKE)
    }

    /// For who calls.
    pub(crate) fn client(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().identity(self.identity.clone());
        let config = config.ca_certificate(self.authority.clone()).timeout(HANDSHAKE);
        match &self.name {
            Some(name) => config.domain_name(name),
            None => config,
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::Env;

    use super::Tls;

    #[test]
    fn all_three_or_none() {
        let tls = |pairs: &[(&str, &str)]| Tls::from_env(&Env::from_pairs(pairs.iter().copied()));
        assert!(tls(&[("A", "b")]).unwrap().is_none());
        let some =
            [("EVENTUS_GRPC_TLS_CERT", "x"), ("EVENTUS_GRPC_TLS_KEY", "x"), ("EVENTUS_GRPC_TLS_CA", "x")];
        for part in [&some[..1], &some[1..], &some[..]] {
            let error = tls(part).unwrap_err().to_string();
            assert!(error.contains("EVENTUS_GRPC_TLS_CERT"), "{error}");
        }
    }
}
