//! Every rpc that a contract names, asked by nobody, by somebody without rights and by who claims to be of the fleet.

use std::path::Path;

use bytes::Buf as _;
use http::uri::PathAndQuery;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::{errors, request};
use crate::world::{Shape, World};

/// What answers everybody, as it does over HTTP: an empty message is enough for it.
const OPEN: [&str; 8] = [
    "AccountsService/RequestPassword",
    "AccountsService/ReadSetUp",
    "AccountsService/GenerateHash",
    "AuthService/Providers",
    "AuthService/GetPublicKeys",
    "SchemaService/GetGlobals",
    "SchemaService/GetOpenApi",
    "SchemaService/GetAsyncApi",
];

/// Of one's own, for everybody who is somebody.
const OWN: [&str; 4] = [
    "AccountsService/TrackPage",
    "ApiKeyService/ListApiKeys",
    "SchemaService/GetPermissions",
    "SchemaService/GetItemPermissions",
];

/// Empty messages there, and any message back.
struct Empty;

impl Codec for Empty {
    type Encode = ();
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Empty {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Empty {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        source.advance(source.remaining());
        Ok(Some(()))
    }
}

/// `/package.Service/Method` of every rpc in proto/.
fn methods() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("proto/eventus");
    let mut methods = Vec::new();
    for domain in std::fs::read_dir(folder).unwrap() {
        for file in std::fs::read_dir(domain.unwrap().path().join("v1")).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let (mut package, mut service) = (String::new(), String::new());
            for line in text.lines().map(str::trim) {
                let word = || line.split([' ', ';', '(']).nth(1).unwrap_or_default().to_owned();
                match line.split(' ').next() {
                    Some("package") => package = word(),
                    Some("service") => service = word(),
                    Some("rpc") => methods.push(format!("/{package}.{service}/{}", word())),
                    _ => {}
                }
            }
        }
    }
    assert!(methods.len() > 90, "{}", methods.len());
    methods
}

/// What comes of an empty message.
async fn called(channel: &Channel, path: &str, metadata: &[(&'static str, &str)]) -> Code {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let path: PathAndQuery = path.parse().unwrap();
    match grpc.server_streaming(request((), metadata), path, Empty).await {
        Err(status) => status.code(),
        Ok(answer) => match answer.into_inner().message().await {
            Err(status) => status.code(),
            Ok(_) => Code::Ok,
        },
    }
}

#[tokio::test]
async fn no_call_is_open_but_those_that_everybody_may_make() {
    let world = World::start(shape!()).await;
    world.user("user@example.com", "every-call-user-token-01").await;
    let channel = super::channel(&world).await;
    let (forged, user) = (errors::FORGED, "Bearer every-call-user-token-01");
    let mut wrong = Vec::new();
    for path in methods() {
        let nobody = called(&channel, &path, &[]).await;
        // One process of a split fleet serves only its own.
        if nobody == Code::Unimplemented && shape!() == Shape::Split {
            continue;
        }
        let of = |names: &[&str]| names.iter().any(|name| path.ends_with(name));
        let refused = |code: Code| {
            use Code::{InvalidArgument, PermissionDenied, Unauthenticated, Unimplemented};
            [InvalidArgument, PermissionDenied, Unauthenticated, Unimplemented].contains(&code)
        };
        let open = nobody == Code::Ok && of(&OPEN);
        if !refused(nobody) && !open {
            wrong.push(format!("{path} for nobody: {nobody:?}"));
        }
        let user = called(&channel, &path, &[("authorization", user)]).await;
        let open = user == Code::Ok && (of(&OPEN) || of(&OWN));
        if !refused(user) && !open {
            wrong.push(format!("{path} for a user without rights: {user:?}"));
        }
        for claimed in [forged, "", "admin"] {
            let code = called(&channel, &path, &[("eventus-accountability", claimed)]).await;
            if code != Code::Unauthenticated {
                wrong.push(format!("{path} for who claims {claimed:?}: {code:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
