//! Secrets of a development folder: made once, kept in files that only their owner reads.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::Env;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::Error;

/// What the banner shows.
pub struct Secrets {
    /// The first admin's static token.
    pub token: String,
}

/// Settings that the environment does not give, from the folder or new.
pub fn keep(env: &Env, home: &Path) -> Result<(Vec<(String, String)>, Secrets), Error> {
    std::fs::create_dir_all(home).map_err(|error| Error::part("development folder", error))?;
    let mut pairs = Vec::new();
    let mut value = |key: &str, file: &str| -> Result<String, Error> {
        if let Some(given) = env.get(key)? {
            return Ok(given);
        }
        let kept =
            read_or_make(&home.join(file)).map_err(|error| Error::part("development folder", error))?;
        pairs.push((key.to_owned(), kept.clone()));
        Ok(kept)
    };
    value("SECRET", "secret")?;
    let token = value("ADMIN_TOKEN", "admin-token")?;
    if env.get("ADMIN_EMAIL")?.is_none() {
        pairs.push(("ADMIN_EMAIL".to_owned(), "admin@example.com".to_owned()));
    }
    for (key, default) in [
        ("LOG_LEVEL", "warn"),
        ("LOG_STYLE", "pretty"),
        ("EVENTUS_ADMIN_LISTEN", "127.0.0.1:0"),
        ("HOST", "127.0.0.1"),
    ] {
        if env.get(key)?.is_none() {
            pairs.push((key.to_owned(), default.to_owned()));
        }
    }
    Ok((pairs, Secrets { token }))
}

fn read_or_make(path: &Path) -> std::io::Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut bytes = [0_u8; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| std::io::Error::other("no random bytes"))?;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(text)
}
