//! TLS between processes: who has no certificate of the fleet is no peer, and everything else is as it was.

use proto::items::v1::ReadItemsRequest;
use proto::items::v1::items_service_client::ItemsServiceClient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request};

use crate::world::{Options, Shape, TOKEN, World};

/// Who vouches for a fleet.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this name, and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

async fn read(channel: Result<Channel, tonic::transport::Error>) -> Result<(), Code> {
    let channel = channel.map_err(|_| Code::Unavailable)?;
    let mut request =
        Request::new(ReadItemsRequest { collection: "orders".to_owned(), ..Default::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    ItemsServiceClient::new(channel).read_items(request).await.map(drop).map_err(|status| status.code())
}

#[tokio::test]
async fn only_who_has_a_certificate_of_the_fleet_is_heard() {
    let (ours, others) = (Authority::new(), Authority::new());
    let (cert, key) = ours.issue("fleet.internal");
    let options = Options::default()
        .set("EVENTUS_GRPC_TLS_CERT", cert.clone())
        .set("EVENTUS_GRPC_TLS_KEY", key.clone())
        .set("EVENTUS_GRPC_TLS_CA", ours.pem())
        .set("EVENTUS_GRPC_TLS_NAME", "fleet.internal");
    let world = World::with(Shape::Split, options).await;
    // The gateway asks every service, hooks are told, items are written.
    world.collection("orders", json!([{"field": "n", "type": "integer"}])).await;
    world.api.post("/items/orders", json!([{"n": 1}, {"n": 2}])).await.expect(200);
    world.api.get("/hooks/runs").await.expect(200);
    world.api.get("/analytics/metrics").await.expect(200);
    world.api.get("/webhooks/deliveries").await.expect(200);

    let address = format!("https://{}", world.grpc);
    let endpoint =
        |tls: ClientTlsConfig| Endpoint::from_shared(address.clone()).unwrap().tls_config(tls).unwrap();
    let trusting = |authority: &Authority| {
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
        config.domain_name("fleet.internal")
    };
    let by = |(cert, key): (String, String)| Identity::from_pem(cert, key);
    let right = trusting(&ours).identity(by(ours.issue("whoever")));
    assert_eq!(read(endpoint(right).connect().await).await, Ok(()));
    // Without TLS, without a certificate, with somebody else's.
    let plain = Endpoint::from_shared(format!("http://{}", world.grpc)).unwrap();
    assert!(read(plain.connect().await).await.is_err());
    assert!(read(endpoint(trusting(&ours)).connect().await).await.is_err());
    let foreign = trusting(&ours).identity(by(others.issue("fleet.internal")));
    assert!(read(endpoint(foreign).connect().await).await.is_err());
    // And who trusts somebody else does not believe that it is us.
    let mistrusting = trusting(&others).identity(by(ours.issue("whoever")));
    assert!(read(endpoint(mistrusting).connect().await).await.is_err());
}
