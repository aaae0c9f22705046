//! Cursors: the place of a page's last item, signed, so that it can be taken back from the client's hands.
//!
//! A cursor holds for the query that it was given out for: collection, filter, search and order. Which fields are
//! answered and how many items may change from page to page.

use access::Action;
use model::{Collection, Error};
use planner::{Place, Reader};
use query::Query;
use secrets::Signet;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::failure::Failure;

/// Bytes of a cursor: it has to fit into an address.
const LIMIT: usize = 8_000;

/// The cursor of a request.
pub struct Cursor {
    context: Vec<u8>,
    after: Option<Place>,
}

impl Cursor {
    /// That of a query, if it has one.
    ///
    /// # Errors
    /// `INVALID_QUERY` when it was not given out for this query, here.
    pub fn of(
        query: &Query,
        collection: &Collection,
        reader: Reader<'_>,
        signet: &Signet,
    ) -> Result<Option<Self>, Error> {
        let Some(text) = &query.cursor else { return Ok(None) };
        // Before anything is said about the cursor: whoever may not read here learns nothing, as of what is not there.
        if !reader.access.allows(&collection.name, Action::Read) {
            return Err(Error::forbidden_collection(&collection.name));
        }
        let context = context(query, collection);
        if text.is_empty() {
            return Ok(Some(Self { context, after: None }));
        }
        let place = signet.verified(text, &context).and_then(|place| serde_json::from_slice(&place).ok());
        let place = place.ok_or_else(|| Error::invalid_query("\"cursor\" is not one of this query"))?;
        Ok(Some(Self { context, after: Some(place) }))
    }

    /// Where the page begins; nothing for the first one.
    pub fn after(&self) -> Option<&Place> {
        self.after.as_ref()
    }

    /// The cursor of the next page, of a row of [`planner::plan_page`]; empty where there is none.
    ///
    /// # Errors
    /// `INVALID_QUERY`: the order goes by a text that is too long for an address.
    pub fn next(&self, row: &PgRow, signet: &Signet) -> Result<String, Failure> {
        let Some(place) = row.try_get::<Option<String>, _>("last")? else { return Ok(String::new()) };
        let signed = signet.sign(place.as_bytes(), &self.context);
        if signed.len() > LIMIT {
            let reason = "\"sort\" goes by a value that is too long for a \"cursor\"";
            return Err(Error::invalid_query(reason).into());
        }
        Ok(signed)
    }
}

/// What a cursor holds for.
fn context(query: &Query, collection: &Collection) -> Vec<u8> {
    let Query { filter, search, sort, .. } = query;
    let by_itself = sort.is_empty().then_some(&collection.sort_field);
    let context = (&collection.name, &collection.primary_key, filter, search, sort, by_itself);
    // Texts, lists and maps with string keys: JSON can always be made of them.
    serde_json::to_vec(&context).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use access::Access;
    use model::{Collection, KeySource, Schema};
    use planner::{Reader, Variables};
    use query::Query;
    use secrets::Signet;
    use time::OffsetDateTime;

    use super::{Cursor, context};

    fn collection(name: &str) -> Collection {
        Collection {
            name: name.to_owned(),
            view: None,
            primary_key: "id".to_owned(),
            key_source: KeySource::Client,
            first_version: 1,
            fields: Vec::new(),
            singleton: false,
            sort_field: None,
            system: false,
        }
    }

    fn query(text: &str) -> Query {
        Query::from_query_string(text).unwrap()
    }

    #[test]
    fn a_cursor_holds_for_its_query() {
        let signet = Signet::try_new("a secret of more than 32 characters for tests", "cursors").unwrap();
        let own = "filter[a]=1&search=x&sort=-a";
        let signed = signet.sign(br#"["1",null]"#, &context(&query(own), &collection("posts")));
        let now = OffsetDateTime::UNIX_EPOCH;
        let variables = Variables { now, user: None, role: None, roles: Vec::new(), policies: Vec::new() };
        let schema = Schema { version: 1, ..Schema::default() };
        let (admin, nobody) = (Access::admin(), Access::none());
        let limits = planner::Limits::default();
        let reader = Reader { schema: &schema, access: &admin, variables: &variables, limits };
        let read = |text: &str, name: &str| {
            let query = query(&format!("{text}&cursor={signed}"));
            let cursor = Cursor::of(&query, &collection(name), reader, &signet);
            cursor.map(|cursor| cursor.unwrap().after().cloned())
        };
        let place = Some(vec![Some("1".to_owned()), None]);
        assert_eq!(read(own, "posts").unwrap(), place);
        assert_eq!(read("filter[a]=1&search=x&sort=-a&fields=id&limit=3&meta=*", "posts").unwrap(), place);
        for other in
            ["", "filter[a]=2&search=x&sort=-a", "filter[a]=1&sort=-a", "filter[a]=1&search=x&sort=a"]
        {
            read(other, "posts").unwrap_err();
        }
        read(own, "others").unwrap_err();
        let of = |text: &str, reader| Cursor::of(&query(text), &collection("posts"), reader, &signet);
        assert!(of("sort=a", reader).unwrap().is_none());
        let refused = of("cursor=x", Reader { access: &nobody, ..reader }).err().unwrap();
        assert_eq!(refused.code, model::ErrorCode::Forbidden);
        let mut sorted = collection("posts");
        sorted.sort_field = Some("a".to_owned());
        assert_ne!(context(&query(""), &sorted), context(&query(""), &collection("posts")));
    }
}
