//! Dynamic variables (`$NOW`, `$CURRENT_USER` ...) are part of the language but not of ours yet: they must not be
//! taken for plain text.

use model::Error;

const NAMES: [&str; 5] = ["$NOW", "$CURRENT_USER", "$CURRENT_ROLES", "$CURRENT_ROLE", "$CURRENT_POLICIES"];

/// Refuses a value that is a dynamic variable, with a path or arguments or without.
///
/// # Errors
/// Names the variable.
pub fn refuse(text: &str) -> Result<(), Error> {
    if !text.starts_with('$') {
        return Ok(());
    }
    let name = text.split(['.', '(']).next().unwrap_or_default();
    if NAMES.contains(&name) {
        return Err(Error::invalid_query(format!("Dynamic variable \"{name}\" is not supported yet")));
    }
    Ok(())
}
