//! Keys, each with the one algorithm that it is good for: HS256 by a secret, EdDSA or RS256 by a private key.
//!
//! Keys of a pair have a name, the thumbprint of their public part (RFC 7638), which tokens bear; secrets have none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{
    ED25519, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    UnparsedPublicKey,
};
use ring::{digest, hmac, rand, rsa};
use serde_json::{Value, json};

use super::{BASE64, Error};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Why a text holds no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no PEM of private keys in PKCS#8, Ed25519 or RSA of 2048 bits or more")]
pub struct NoKeys;

/// A key, with the one algorithm and the one type that it is good for.
pub struct Key {
    material: Material,
    pub(super) alg: &'static str,
    pub(super) typ: String,
    pub(super) kid: Option<String>,
    /// The encoded header, with its dot.
    pub(super) header: String,
}

enum Material {
    Secret(hmac::Key),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("alg", &self.alg)
            .field("typ", &self.typ)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// HS256 with a key of these bytes, for tokens whose header says `typ` (`JWT` for access tokens).
    pub fn new(secret: &[u8], typ: &str) -> Self {
        let header = json!({ "alg": "HS256", "typ": typ }).to_string();
        Self {
            material: Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret)),
            alg: "HS256",
            typ: typ.to_owned(),
            kid: None,
            header: format!("{}.", BASE64.encode(header)),
        }
    }

    /// The private keys of a PEM text, in their order: EdDSA by Ed25519, RS256 by RSA.
    ///
    /// # Errors
    /// [`NoKeys`] when there is none, or one of another kind.
    pub fn from_pem(text: &str, typ: &str) -> Result<Vec<Self>, NoKeys> {
        // In an environment variable line ends may be written as they are in JSON.
        let text = text.replace("\\n", "\n");
        let mut keys = Vec::new();
        let mut rest = text.as_str();
        while let Some((_, after)) = rest.split_once(BEGIN) {
            let (body, behind) = after.split_once(END).ok_or(NoKeys)?;
            let body: String = body.split_ascii_whitespace().collect();
            keys.push(Self::from_pkcs8(&STANDARD.decode(body).map_err(|_| NoKeys)?, typ)?);
            rest = behind;
        }
        let is_clean = !text.replace(BEGIN, "").contains("-----BEGIN");
        if keys.is_empty() || !is_clean { Err(NoKeys) } else { Ok(keys) }
    }

    fn from_pkcs8(der: &[u8], typ: &str) -> Result<Self, NoKeys> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self::of_pair(Material::Ed25519(pair), "EdDSA", typ));
        }
        let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| NoKeys)?;
        Ok(Self::of_pair(Material::Rsa(Box::new(pair)), "RS256", typ))
    }

    fn of_pair(material: Material, alg: &'static str, typ: &str) -> Self {
        // Members in the order of their names, nothing else: as the thumbprint wants them.
        let public = material.public().map(|public| public.to_string()).unwrap_or_default();
        let kid = BASE64.encode(digest::digest(&digest::SHA256, public.as_bytes()));
        let header = json!({ "alg": alg, "kid": kid, "typ": typ }).to_string();
        let header = format!("{}.", BASE64.encode(header));
        Self { material, alg, typ: typ.to_owned(), kid: Some(kid), header }
    }

    /// The public part, as others verify by it (RFC 7517). A secret has none.
    pub fn jwk(&self) -> Option<Value> {
        let mut public = self.material.public()?;
        public["kid"] = Value::from(self.kid.clone()?);
        public["alg"] = Value::from(self.alg);
        public["use"] = Value::from("sig");
        Some(public)
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.material {
            Material::Secret(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Material::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Material::Rsa(pair) => {
                let mut tag = vec![0; pair.public().modulus_len()];
                let random = rand::SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut tag).map_err(|_| Error::Signature)?;
                Ok(tag)
            }
        }
    }

    pub(super) fn verify(&self, message: &[u8], tag: &[u8]) -> Result<(), Error> {
        let verified = match &self.material {
            Material::Secret(key) => hmac::verify(key, message, tag),
            Material::Ed25519(pair) => {
                UnparsedPublicKey::new(&ED25519, pair.public_key()).verify(message, tag)
            }
            Material::Rsa(pair) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key()).verify(message, tag)
            }
        };
        verified.map_err(|_| Error::Signature)
    }
}

impl Material {
    /// The members that make up the public part.
    fn public(&self) -> Option<Value> {
        match self {
            Self::Secret(_) => None,
            Self::Ed25519(pair) => {
                Some(json!({ "crv": "Ed25519", "kty": "OKP", "x": BASE64.encode(pair.public_key()) }))
            }
            Self::Rsa(pair) => {
                let rsa::PublicKeyComponents::<Vec<u8>> { n, e } = pair.public().into();
                Some(json!({ "e": BASE64.encode(e), "kty": "RSA", "n": BASE64.encode(n) }))
            }
        }
    }
}
