//! The demo: a small shop made over HTTP as any client would, and a receiver for its webhooks.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::platform::Addresses;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Name of the demo's webhook endpoint.
const ENDPOINT: &str = "demo";

/// Settings that the demo needs: its receiver listens on loopback, which outbound calls avoid unless allowed.
pub fn settings() -> Vec<(String, String)> {
    let pairs = [("EVENTUS_OUTBOUND_ALLOW", "127.0.0.1/32"), ("EVENTUS_HOOK_DERIVE_COLLECTIONS", "products")];
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
}

/// Makes what is missing of the shop and starts the receiver, which the caller keeps.
pub async fn make(addresses: &Addresses, token: &str) -> Result<Child, Failure> {
    let http = addresses.http.ok_or("the gateway is not here")?;
    let shop = Shop { client: Client::builder(TokioExecutor::new()).build_http(), http, token };
    let field = |name: &str, kind: &str| json!({"field": name, "type": kind});
    let customers =
        shop.collection("customers", json!([field("name", "string"), field("email", "string")])).await?;
    let products = [
        field("title", "string"),
        field("slug", "string"),
        field("content", "text"),
        field("price", "decimal"),
    ];
    let products = shop.collection("products", json!(products)).await?;
    let orders = [
        field("title", "string"),
        field("customer", "integer"),
        field("product", "integer"),
        field("quantity", "integer"),
    ];
    let orders = shop.collection("orders", json!(orders)).await?;
    if orders {
        shop.relation("orders", "customer", "customers").await?;
        shop.relation("orders", "product", "products").await?;
    }
    if customers {
        let people = json!([{"name": "Ada", "email": "ada@example.com"}, {"name": "Grace", "email": "grace@example.com"}]);
        shop.send(Method::POST, "/items/customers", people).await?;
    }
    if products {
        let goods = json!([
            {"title": "Brass Compass", "content": "Points north, always.", "price": "24.90"},
            {"title": "Café Thermos", "content": "Keeps it warm for a day and a night.", "price": "31.50"},
        ]);
        shop.send(Method::POST, "/items/products", goods).await?;
    }
    let receiver = shop.receiver().await?;
    println!(
        "eventus: demo shop is there: customers, products, orders; products get a slug from a filter hook"
    );
    Ok(receiver)
}

struct Shop<'a> {
    client: Client<HttpConnector, Full<Bytes>>,
    http: SocketAddr,
    token: &'a str,
}

impl Shop<'_> {
    /// Makes a collection unless it is there; says whether it made it.
    async fn collection(&self, name: &str, fields: Value) -> Result<bool, Failure> {
        if self.call(Method::GET, &format!("/collections/{name}"), None).await?.0 == 200 {
            return Ok(false);
        }
        self.send(Method::POST, "/collections", json!({"collection": name, "schema": {}, "fields": fields}))
            .await?;
        Ok(true)
    }

    async fn relation(&self, collection: &str, field: &str, related: &str) -> Result<(), Failure> {
        let body = json!({"collection": collection, "field": field, "related_collection": related});
        self.send(Method::POST, "/relations", body).await.map(drop)
    }

    /// A webhook endpoint for item events, and a process that receives them.
    async fn receiver(&self) -> Result<Child, Failure> {
        let known = self.call(Method::GET, "/webhooks/endpoints", None).await?.1;
        for endpoint in
            known["data"].as_array().into_iter().flatten().filter(|endpoint| endpoint["name"] == ENDPOINT)
        {
            let id = endpoint["id"].as_str().unwrap_or_default();
            self.call(Method::DELETE, &format!("/webhooks/endpoints/{id}"), None).await?;
        }
        let listen = free_port().await?;
        let body = json!({"name": ENDPOINT, "url": format!("http://{listen}/"), "events": ["items.*"]});
        let made = self.send(Method::POST, "/webhooks/endpoints", body).await?;
        let secret = made["data"]["secret"].as_str().ok_or("the endpoint came without a secret")?;
        let program = std::env::current_exe()?;
        // Through `keep`, so that it does not outlive a kill -9 of this process.
        let receiver = Command::new(&program)
            .args(["keep", "--parent", &std::process::id().to_string(), "--death-signal", "SIGTERM", "--"])
            .arg(&program)
            .args(["receive", "--listen", &listen.to_string()])
            .env("EVENTUS_RECEIVE_SECRET", secret)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(receiver)
    }

    /// A call that must succeed.
    async fn send(&self, method: Method, path: &str, body: Value) -> Result<Value, Failure> {
        let (status, answer) = self.call(method, path, Some(body)).await?;
        if (200..300).contains(&status) {
            Ok(answer)
        } else {
            Err(format!("{path}: {status} {answer}").into())
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<(u16, Value), Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.http))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Full::from(body.map(|body| body.to_string()).unwrap_or_default()))?;
        let response = self.client.request(request).await?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }
}

async fn free_port() -> std::io::Result<SocketAddr> {
    tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()
}
