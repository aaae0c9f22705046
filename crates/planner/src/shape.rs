//! Which fields an answer holds, checked against schema and access.

use access::{Access, Action};
use model::{Collection, Error, Field};
use query::Query;

/// The fields of an answer, in their order on the wire.
pub(crate) fn answer_fields<'a>(
    query: &Query,
    collection: &'a Collection,
    access: &Access,
) -> Result<Vec<&'a Field>, Error> {
    let readable = |field: &Field| access.allows_field(&collection.name, &field.name, Action::Read);
    let all = || collection.fields.iter().filter(|field| field.is_stored() && readable(field));
    let Some(names) = &query.fields else { return Ok(all().collect()) };
    let mut chosen: Vec<&Field> = Vec::with_capacity(names.len());
    for name in names {
        if name == "*" {
            chosen.extend(all());
            continue;
        }
        chosen.push(readable_field(name, collection, access)?);
    }
    let mut seen = std::collections::HashSet::new();
    chosen.retain(|field| seen.insert(field.name.as_str()));
    Ok(chosen)
}

/// A field that may be named in a query; missing and out of reach are not told apart.
pub(crate) fn readable_field<'a>(
    name: &str,
    collection: &'a Collection,
    access: &Access,
) -> Result<&'a Field, Error> {
    collection
        .field(name)
        .filter(|field| field.is_stored() && access.allows_field(&collection.name, name, Action::Read))
        .ok_or_else(|| Error::forbidden_field(&collection.name, name))
}

/// The collection may be touched so at all.
pub(crate) fn check_collection(
    collection: &Collection,
    access: &Access,
    action: Action,
) -> Result<(), Error> {
    if access.allows(&collection.name, action) {
        Ok(())
    } else {
        Err(Error::forbidden_collection(&collection.name))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use model::{Collection, Field, FieldType, KeySource, Special};

    /// A plain nullable field.
    pub(crate) fn field(name: &str, kind: FieldType, column_type: &str) -> Field {
        Field {
            name: name.to_owned(),
            kind,
            column_type: column_type.to_owned(),
            nullable: true,
            default: None,
            unique: false,
            required: false,
            generated: false,
            special: Vec::new(),
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
        title.required = true;
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
}
