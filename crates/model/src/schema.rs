//! The user's schema: collections, fields and where they lead, as far as reading and writing items needs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Filter, GeometryKind};

/// Everything the user (and the system) defined, as of one version of the schema.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// Version of the control row `schema` that it was read at.
    pub version: i64,
    /// Collections that have a table, by name.
    pub collections: BTreeMap<String, Arc<Collection>>,
    /// The collections are to be read as they stood once.
    pub past: Option<Past>,
}

/// When a schema's collections are read.
#[derive(Debug, Clone)]
pub struct Past {
    /// The last position of the log that counts.
    pub position: i64,
    /// The collections as they are now: who asks is who he is now.
    pub present: Arc<Schema>,
}

impl Schema {
    /// A collection by its name.
    pub fn collection(&self, name: &str) -> Option<&Arc<Collection>> {
        self.collections.get(name)
    }

    /// The same as it is now.
    pub fn present(&self) -> &Self {
        self.past.as_ref().map_or(self, |past| &past.present)
    }
}

/// A collection that has a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Collection {
    /// Name, which is also the table's.
    pub name: String,
    /// What items are read from when it is not that table: a quoted name. Such a collection is not written.
    pub view: Option<String>,
    /// Name of the primary key field.
    pub primary_key: String,
    /// Where the keys of new items come from when the payload gives none.
    pub key_source: KeySource,
    /// Version of a new item: 1, or more where an earlier collection bore the name.
    pub first_version: i64,
    /// Fields in their order on the wire.
    pub fields: Vec<Field>,
    /// Holds one item only.
    pub singleton: bool,
    /// Field that orders items by default.
    pub sort_field: Option<String>,
    /// A system collection (`directus_*`): hidden under `/items`.
    pub system: bool,
}

impl Collection {
    /// A field by its name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The primary key's field.
    pub fn key(&self) -> Option<&Field> {
        self.field(&self.primary_key)
    }

    /// `search` looks into managed indexes of its texts instead of every field.
    pub fn has_search_indexes(&self) -> bool {
        self.fields.iter().any(|field| field.search.is_some())
    }

    /// The same for writes that nobody makes by hand: who and when made and changed the items stays as it is.
    pub fn unstamped(&self) -> Self {
        use Special::{DateCreated, DateUpdated, RoleCreated, RoleUpdated, UserCreated, UserUpdated};
        let stamps = [DateCreated, DateUpdated, RoleCreated, RoleUpdated, UserCreated, UserUpdated];
        let mut quiet = self.clone();
        quiet.fields.iter_mut().for_each(|field| field.special.retain(|special| !stamps.contains(special)));
        quiet
    }

    /// Scope of its events: `items` for user collections, the short name for system ones
    /// (`users` for `directus_users`).
    pub fn scope(&self) -> &str {
        if self.system { self.name.strip_prefix("directus_").unwrap_or(&self.name) } else { "items" }
    }
}

/// Where keys of new items come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeySource {
    /// A sequence, by its schema-qualified, quoted name.
    Sequence(String),
    /// A random uuid made by us.
    Uuid,
    /// The client must give it.
    Client,
}

/// A field of a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Name, which is also the column's.
    pub name: String,
    /// Type on the wire.
    pub kind: FieldType,
    /// PostgreSQL's type of the column, as `format_type` prints it (`character varying(255)`); empty for aliases.
    pub column_type: String,
    /// May be null.
    pub nullable: bool,
    /// Default as SQL text, as PostgreSQL prints it.
    pub default: Option<String>,
    /// A unique constraint or the primary key stands on this field alone.
    pub unique: bool,
    /// What its values are judged by (`meta.validation`).
    #[serde(default)]
    pub validation: Option<Box<Filter>>,
    /// The database computes it; never written.
    pub generated: bool,
    /// What happens to its value beside being stored.
    pub special: Vec<Special>,
    /// `search` looks at it.
    pub searchable: bool,
    /// The managed index of its text, once it is there.
    #[serde(default)]
    pub search: Option<SearchIndex>,
    /// What it refers to, or what refers to it.
    #[serde(default)]
    pub link: Option<Link>,
}

/// A managed index of a field's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchIndex {
    /// Its words in each of these text search configurations of PostgreSQL's (`english`); at least one.
    Words(Vec<String>),
    /// Its runs of three letters, by the extension pg_trgm.
    Trigrams {
        /// PostgreSQL schema that the extension stands in.
        schema: String,
    },
}

/// Where a relational field leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link {
    /// To one item: the field holds its key.
    One {
        /// Collection of the item.
        collection: String,
    },
    /// To one item of any of several collections: the field holds its key as text.
    Any {
        /// Field beside it that holds the name of the item's collection.
        collection_field: String,
        /// Collections that it may be of.
        allowed: Vec<String>,
    },
    /// To the items that refer to this one; the field is an alias.
    Many {
        /// Their collection.
        collection: String,
        /// Their field that refers.
        field: String,
        /// Their field that orders them.
        sort_field: Option<String>,
        /// One that is taken out of the list is deleted; else its reference becomes null.
        #[serde(default)]
        deletes: bool,
    },
}

impl Field {
    /// Has a column of its own.
    pub fn is_stored(&self) -> bool {
        self.kind != FieldType::Alias
    }

    /// Its value is shown as a mask and never enters the event log.
    pub fn is_concealed(&self) -> bool {
        self.kind == FieldType::Hash
            || self.special.iter().any(|s| matches!(s, Special::Hash | Special::Conceal | Special::Encrypt))
    }

    /// Bears a special.
    pub fn has(&self, special: Special) -> bool {
        self.special.contains(&special)
    }
}

/// Directus's type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[expect(missing_docs, reason = "the names are Directus's own")]
pub enum FieldType {
    Alias,
    String,
    Text,
    Boolean,
    Integer,
    BigInteger,
    Float,
    Decimal,
    Date,
    Time,
    DateTime,
    Timestamp,
    Json,
    Csv,
    Uuid,
    Hash,
    Binary,
    Geometry(GeometryKind),
    Unknown,
}

impl FieldType {
    /// Every type with its name on the wire.
    pub const ALL: [(&'static str, Self); 25] = [
        ("alias", Self::Alias),
        ("string", Self::String),
        ("text", Self::Text),
        ("boolean", Self::Boolean),
        ("integer", Self::Integer),
        ("bigInteger", Self::BigInteger),
        ("float", Self::Float),
        ("decimal", Self::Decimal),
        ("date", Self::Date),
        ("time", Self::Time),
        ("dateTime", Self::DateTime),
        ("timestamp", Self::Timestamp),
        ("json", Self::Json),
        ("csv", Self::Csv),
        ("uuid", Self::Uuid),
        ("hash", Self::Hash),
        ("binary", Self::Binary),
        ("geometry", Self::Geometry(GeometryKind::Any)),
        ("geometry.Point", Self::Geometry(GeometryKind::Point)),
        ("geometry.LineString", Self::Geometry(GeometryKind::LineString)),
        ("geometry.Polygon", Self::Geometry(GeometryKind::Polygon)),
        ("geometry.MultiPoint", Self::Geometry(GeometryKind::MultiPoint)),
        ("geometry.MultiLineString", Self::Geometry(GeometryKind::MultiLineString)),
        ("geometry.MultiPolygon", Self::Geometry(GeometryKind::MultiPolygon)),
        ("unknown", Self::Unknown),
    ];

    /// The type of a wire name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(wire, _)| *wire == name).map(|(_, kind)| *kind)
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("unknown", |(wire, _)| wire)
    }
}

impl From<FieldType> for String {
    fn from(kind: FieldType) -> Self {
        kind.as_str().to_owned()
    }
}

impl TryFrom<String> for FieldType {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::parse(&name).ok_or_else(|| format!("{name} is no type of a field"))
    }
}

/// What happens to a field's value beside being stored (`directus_fields.special`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are Directus's own")]
pub enum Special {
    Uuid,
    Hash,
    Conceal,
    Encrypt,
    CastBoolean,
    CastJson,
    CastCsv,
    CastTimestamp,
    CastDateTime,
    DateCreated,
    DateUpdated,
    UserCreated,
    UserUpdated,
    RoleCreated,
    RoleUpdated,
}

impl Special {
    /// The special of a wire name; markers without effect on values (`m2o`, `alias` ...) give `None`.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "uuid" => Self::Uuid,
            "hash" => Self::Hash,
            "conceal" => Self::Conceal,
            "encrypt" => Self::Encrypt,
            "cast-boolean" => Self::CastBoolean,
            "cast-json" => Self::CastJson,
            "cast-csv" => Self::CastCsv,
            "cast-timestamp" => Self::CastTimestamp,
            "cast-datetime" => Self::CastDateTime,
            "date-created" => Self::DateCreated,
            "date-updated" => Self::DateUpdated,
            "user-created" => Self::UserCreated,
            "user-updated" => Self::UserUpdated,
            "role-created" => Self::RoleCreated,
            "role-updated" => Self::RoleUpdated,
            _ => return None,
        })
    }
}

/// A name as a PostgreSQL identifier: quoted, with quotes doubled. NUL never reaches here (names are checked
/// when they are made), and is dropped all the same.
pub fn quote_identifier(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('"');
    for c in name.chars().filter(|c| *c != '\0') {
        if c == '"' {
            quoted.push('"');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}
