//! Hashes for whoever asks: within the bounds of all hashing, and never at a cost that the asker chose.

use model::Error as Told;
use proto::accounts::v1 as pb;

use crate::Error;
use crate::state::State;

/// What verifying a hash may cost: the original's own, with room.
const MEMORY: u32 = 131_072;
const PASSES: u32 = 8;
const LANES: u32 = 8;

/// Makes a hash.
pub async fn generate(
    state: &State,
    request: pb::GenerateHashRequest,
) -> Result<pb::GenerateHashResponse, Error> {
    let hash = state.hasher.hash(request.text).await?;
    Ok(pb::GenerateHashResponse { hash })
}

/// Compares one.
pub async fn verify(state: &State, request: pb::VerifyHashRequest) -> Result<pb::VerifyHashResponse, Error> {
    if !is_modest(&request.hash) {
        return Err(Told::invalid_payload("Invalid \"hash\" or \"string\"").into());
    }
    let fits = state.hasher.verify(request.text, Some(request.hash)).await?;
    Ok(pb::VerifyHashResponse { fits })
}

/// An argon2 hash whose cost is one that we pay.
fn is_modest(hash: &str) -> bool {
    let mut parts = hash.split('$').skip(1);
    let argon = parts.next().is_some_and(|name| matches!(name, "argon2id" | "argon2i" | "argon2d"));
    let cost = parts.find(|part| part.starts_with("m=")).unwrap_or_default();
    let below = |name: &str, most: u32| {
        let value = cost.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok()).is_some_and(|value: u32| value <= most)
    };
    argon && hash.len() <= 512 && below("m", MEMORY) && below("t", PASSES) && below("p", LANES)
}

#[cfg(test)]
mod tests {
    use super::is_modest;

    #[test]
    fn nobody_chooses_a_dear_hash() {
        assert!(is_modest("$argon2id$v=19$m=65536,t=3,p=4$phsTvq+Rwsl3QpUllWXTvw$H3SH7xARQ+vSlCu"));
        for hash in [
            "",
            "nohash",
            "$2b$10$abc",
            "$argon2id$v=19$m=4194304,t=3,p=4$a$b",
            "$argon2id$v=19$m=64,t=4294967295,p=4$a$b",
            "$argon2id$v=19$m=64,t=1,p=255$a$b",
            "$argon2id$v=19$m=64,t=1$a$b",
        ] {
            assert!(!is_modest(hash), "{hash}");
        }
    }
}
