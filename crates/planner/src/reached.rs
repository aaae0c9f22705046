//! Which actions reach one item.

use access::Action;
use model::{Collection, Errors};

use crate::keys::Keys;
use crate::read::{key_field, table};
use crate::reader::Reader;
use crate::rights::check_collection;
use crate::statement::{Builder, Statement};
use crate::value::parse_key;

/// Plans the question which of these actions reach the item with a key, or the one item of a singleton: one row with a
/// boolean for each action, in their order, or no row when there is no such item.
///
/// # Errors
/// 403: a key that can't be one.
pub fn plan_reached(
    key: Option<&str>,
    actions: &[Action],
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<Statement, Errors> {
    let mut b = Builder::default();
    let field = key_field(collection)?;
    let which = match key {
        Some(key) => {
            let keys = Keys::bind(&[parse_key(key, field)?], field, &mut b);
            format!(" WHERE {}", keys.hold(&format!("t.{}", model::quote_identifier(&field.name))))
        }
        None => " LIMIT 1".to_owned(),
    };
    let reached = |action: &Action| {
        if check_collection(collection, reader.access, *action).is_err() {
            return "false".to_owned();
        }
        let condition = reader.reach(collection, *action, "t", &mut b);
        condition.map_or_else(|| "true".to_owned(), |condition| format!("coalesce({condition}, false)"))
    };
    let reached: Vec<String> = actions.iter().map(reached).collect();
    b.push(&format!("SELECT {} FROM {} t{which}", reached.join(", "), table(collection)));
    Ok(b.finish("permissions.reached"))
}
