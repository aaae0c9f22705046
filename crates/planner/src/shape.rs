//! Which fields an answer holds, checked against schema and access.

use access::{Access, Action};
use model::{Collection, Error, Field};

/// A field that may be named in a query; missing and out of reach are not told apart.
pub(crate) fn readable_field<'a>(
    name: &str,
    collection: &'a Collection,
    access: &Access,
) -> Result<&'a Field, Error> {
    collection
        .field(name)
        .filter(|_| access.allows_field(&collection.name, name, Action::Read))
        .ok_or_else(|| Error::forbidden_field(&collection.name, name))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use model::{Collection, Field, FieldType, KeySource, Link, Schema, Special};

    /// A plain nullable field.
    pub(crate) fn field(name: &str, kind: FieldType, column_type: &str) -> Field {
        Field {
            name: name.to_owned(),
            kind,
            column_type: column_type.to_owned(),
            nullable: true,
            default: None,
            unique: false,
            validation: None,
            generated: false,
            special: Vec::new(),
            searchable: true,
            search: None,
            link: None,
        }
    }

    /// A collection that has one field of most kinds.
    pub(crate) fn articles() -> Collection {
        let mut id = field("id", FieldType::Integer, "integer");
        id.nullable = false;
        id.unique = true;
        id.default = Some("nextval('articles_id_seq'::regclass)".to_owned());
        let mut title = field("title", FieldType::String, "character varying(255)");
        title.nullable = false;
        let mut status = field("status", FieldType::String, "character varying(20)");
        status.default = Some("'draft'::character varying".to_owned());
        let mut token = field("token", FieldType::String, "character varying(64)");
        token.special = vec![Special::Conceal];
        let mut created = field("created", FieldType::Timestamp, "timestamp with time zone");
        created.special = vec![Special::DateCreated];
        let mut updated = field("updated", FieldType::Timestamp, "timestamp with time zone");
        updated.special = vec![Special::DateUpdated];
        Collection {
            name: "articles".to_owned(),
            view: None,
            primary_key: "id".to_owned(),
            first_version: 1,
            key_source: KeySource::Sequence("\"public\".\"articles_id_seq\"".to_owned()),
            fields: vec![
                id,
                title,
                status,
                field("words", FieldType::Integer, "integer"),
                field("price", FieldType::Decimal, "numeric(10,2)"),
                field("views", FieldType::BigInteger, "bigint"),
                field("published_at", FieldType::Timestamp, "timestamp with time zone"),
                field("meta", FieldType::Json, "json"),
                field("tags", FieldType::Csv, "text"),
                field("active", FieldType::Boolean, "boolean"),
                token,
                created,
                updated,
            ],
            singleton: false,
            sort_field: None,
            system: false,
        }
    }

    /// The same with keys that are uuids.
    pub(crate) fn notes() -> Collection {
        let mut id = field("id", FieldType::Uuid, "uuid");
        id.nullable = false;
        id.unique = true;
        Collection {
            name: "no\"tes".to_owned(),
            view: None,
            primary_key: "id".to_owned(),
            first_version: 1,
            key_source: KeySource::Uuid,
            fields: vec![id, field("body", FieldType::Text, "text")],
            singleton: false,
            sort_field: None,
            system: false,
        }
    }

    fn linked(name: &str, column_type: &str, link: Link) -> Field {
        let kind = match link {
            Link::Many { .. } => FieldType::Alias,
            Link::One { .. } => FieldType::Integer,
            Link::Any { .. } => FieldType::String,
        };
        Field { link: Some(link), ..field(name, kind, column_type) }
    }

    fn many(name: &str, collection: &str, by: &str) -> Field {
        let (collection, field) = (collection.to_owned(), by.to_owned());
        linked(name, "", Link::Many { collection, field, sort_field: None, deletes: by == "posts_id" })
    }

    fn one(name: &str, collection: &str) -> Field {
        linked(name, "integer", Link::One { collection: collection.to_owned() })
    }

    fn collection(name: &str, fields: Vec<Field>) -> Arc<Collection> {
        let id = articles().fields.remove(0);
        let fields = [id].into_iter().chain(fields).collect();
        Arc::new(Collection { name: name.to_owned(), fields, ..articles() })
    }

    /// Posts with an author, tags by a junction, blocks of two kinds, and a parent.
    pub(crate) fn shop() -> Schema {
        let text = |name: &str| field(name, FieldType::String, "character varying(255)");
        let item = Link::Any {
            collection_field: "collection".to_owned(),
            allowed: vec!["headings".to_owned(), "notes".to_owned()],
        };
        let mut notes = notes();
        notes.name = "notes".to_owned();
        let mut all = vec![
            collection(
                "posts",
                vec![
                    text("title"),
                    one("author", "authors"),
                    one("parent", "posts"),
                    many("children", "posts", "parent"),
                    many("tags", "posts_tags", "posts_id"),
                    many("blocks", "posts_blocks", "posts_id"),
                    field("at", FieldType::Timestamp, "timestamp with time zone"),
                    field("price", FieldType::Decimal, "numeric(10,2)"),
                ],
            ),
            collection("authors", vec![text("name"), many("posts", "posts", "author")]),
            collection("tags", vec![text("name")]),
            collection("posts_tags", vec![one("posts_id", "posts"), one("tags_id", "tags")]),
            collection(
                "posts_blocks",
                vec![
                    one("posts_id", "posts"),
                    text("collection"),
                    linked("item", "character varying(255)", item),
                ],
            ),
            collection("headings", vec![text("text")]),
            collection("directus_users", vec![text("name")]),
            Arc::new(notes),
        ];
        all.push(Arc::new(articles()));
        let collections = all.into_iter().map(|one| (one.name.clone(), one)).collect();
        Schema { version: 1, collections, past: None }
    }
}
