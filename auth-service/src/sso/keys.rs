//! Public keys of a provider (RFC 7517) and the one algorithm that each is good for: what a token's header says only
//! chooses among them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// Keys of a set that are looked at.
const MOST: usize = 64;

/// A key that signatures are checked with.
#[derive(Debug)]
pub struct Key {
    id: Option<String>,
    public: Public,
}

#[derive(Debug)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// As it stands in the set. Keys of other kinds have other members, or none of these.
#[derive(Deserialize)]
struct Listed {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// The keys of a set that we can use; `None` when it is no set.
pub fn parse(json: &[u8]) -> Option<Vec<Key>> {
    let set: Set = serde_json::from_slice(json).ok()?;
    let listed = set.keys.into_iter().take(MOST).filter_map(|key| serde_json::from_value(key).ok());
    Some(listed.filter_map(Key::of).collect())
}

impl Key {
    fn of(listed: Listed) -> Option<Self> {
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let public = match (listed.kty.as_str(), listed.crv.as_deref()) {
            ("RSA", _) => Public::Rsa { n: bytes(&listed.n)?, e: bytes(&listed.e)? },
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&listed.x)?, bytes(&listed.y)?);
                Public::P256((x.len() == 32 && y.len() == 32).then(|| [&[4][..], &x, &y].concat())?)
            }
            ("OKP", Some("Ed25519")) => Public::Ed25519(bytes(&listed.x)?),
            _ => return None,
        };
        let key = Self { id: listed.kid, public };
        let signs = listed.usage.as_deref().is_none_or(|usage| usage == "sig");
        let fits = listed.alg.as_deref().is_none_or(|alg| key.is_for(alg));
        (signs && fits).then_some(key)
    }

    /// Whether it is good for an algorithm (and for no other).
    pub fn is_for(&self, algorithm: &str) -> bool {
        match self.public {
            Public::Rsa { .. } => algorithm == "RS256",
            Public::P256(_) => algorithm == "ES256",
            Public::Ed25519(_) => matches!(algorithm, "EdDSA" | "Ed25519"),
        }
    }

    /// Its name in the set.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether a message was signed by its owner.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.public {
            Public::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Public::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Public::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        }
        .is_ok()
    }
}
