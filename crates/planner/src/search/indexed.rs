//! `search` where indexes of texts are kept: which items fit, how well, and where in them.
//!
//! PostgreSQL uses an index over an expression for that expression only, so the index and the conditions are made of
//! the same texts here. A word is found in the first [`LENGTH`] characters of a field.

use access::Action;
use model::{Collection, Error, Field, SearchIndex, quote_identifier};
use query::Path;

use super::{Builder, Looked, contains, is_searched};
use crate::reader::Reader;
use crate::statement::Binding;

/// Characters of a field whose words are indexed. Of much longer texts PostgreSQL can't make one entry, and the write
/// would fail.
const LENGTH: usize = 100_000;
/// Bytes of what is searched; a longer word can't be asked for.
const SEARCH_LIMIT: usize = 2_000;
/// Sorted by: how well an item fits.
const RELEVANCE: &str = "_relevance";
/// Selected: where the text stands in an item.
pub(crate) const EXCERPT: &str = "_excerpt";
/// Letters on either side of a part of a word.
const AROUND: usize = 80;
/// How an excerpt is cut. Hits stand between two control characters, which are taken out of the text before.
const CUT: &str = r#"E'StartSel="\x02", StopSel="\x03", MinWords=15, MaxWords=35'"#;

/// What the managed index of a field is made of: the members of `USING gin (..)`.
pub fn search_index_parts(field: &str, index: &SearchIndex) -> Vec<String> {
    let column = quote_identifier(field);
    match index {
        SearchIndex::Words(languages) => languages.iter().map(|language| vector(&column, language)).collect(),
        SearchIndex::Trigrams { schema } => {
            vec![format!("{} {}.gin_trgm_ops", folded(&column), quote_identifier(schema))]
        }
    }
}

/// The path asks for the rank, not for a field.
pub(crate) fn is_relevance(path: &Path, collection: &Collection) -> bool {
    path.steps.is_empty()
        && path.function.is_none()
        && path.last.scope.is_none()
        && stands_for(&path.last.name, RELEVANCE, collection)
}

/// The name asks for excerpts, not for a field.
pub(crate) fn is_excerpt(name: &str, collection: &Collection) -> bool {
    stands_for(name, EXCERPT, collection)
}

/// A field of that name goes first.
fn stands_for(name: &str, word: &str, collection: &Collection) -> bool {
    name == word && collection.has_search_indexes() && collection.field(word).is_none()
}

/// A text that is looked for in the indexes of a collection.
pub(crate) struct Sought<'a> {
    text: String,
    collection: &'a Collection,
    reader: Reader<'a>,
    source: &'a str,
}

impl<'a> Sought<'a> {
    /// Of items that are read as `source`.
    ///
    /// # Errors
    /// `INVALID_QUERY`: there is no text, or it is too long.
    pub(crate) fn of(
        text: Option<&str>,
        collection: &'a Collection,
        reader: Reader<'a>,
        source: &'a str,
    ) -> Result<Self, Error> {
        let needs = || Error::invalid_query(format!("\"{RELEVANCE}\" and \"{EXCERPT}\" need \"search\""));
        let text = text.ok_or_else(needs)?.replace('\0', "");
        if text.len() > SEARCH_LIMIT {
            return Err(Error::invalid_query(format!("\"search\" is longer than {SEARCH_LIMIT} bytes")));
        }
        Ok(Self { text, collection, reader, source })
    }

    /// The indexed fields that the caller may read.
    fn fields(&self) -> impl Iterator<Item = (&'a Field, &'a SearchIndex)> {
        let (collection, reader) = (self.collection, self.reader);
        let searched = collection.fields.iter().filter(move |field| is_searched(field, collection, reader));
        searched.filter_map(|field| Some((field, field.search.as_ref()?)))
    }

    /// Conditions of which one has to hold: one per field and language, each with an index, and one on the key.
    pub(super) fn conditions(&self, b: &mut Builder) -> Vec<String> {
        let (mut words, mut part) = (None, None);
        let mut all = Vec::new();
        for (field, index) in self.fields() {
            let column = format!("{}.{}", self.source, quote_identifier(&field.name));
            let fits: Vec<String> = match index {
                SearchIndex::Words(languages) => {
                    let words = words.get_or_insert_with(|| self.bind(b));
                    languages.iter().map(|language| matches(&column, language, words)).collect()
                }
                SearchIndex::Trigrams { .. } => {
                    let part = part.get_or_insert_with(|| contains(&self.text, b));
                    vec![format!("{} LIKE {part}", folded(&column))]
                }
            };
            // Beside the column, not around it: the index is of the bare column.
            let seen = self.reader.reach_with(&field.name, self.collection, Action::Read, self.source, b);
            all.extend(fits.into_iter().map(|fits| match &seen {
                Some(seen) => format!("({fits} AND {seen})"),
                None => fits,
            }));
        }
        let key = self.collection.key().filter(|key| is_searched(key, self.collection, self.reader));
        let Self { text, collection, reader, source } = self;
        let looked = Looked { text, collection, reader: *reader, source };
        all.extend(key.and_then(|key| looked.is_value(key, b)));
        all
    }

    /// How well an item fits: the sum over its fields, of each in the language that fits best.
    pub(crate) fn relevance(&self, b: &mut Builder) -> String {
        let words = self.bind(b);
        let ranks: Vec<String> = self
            .fields()
            .map(|(field, index)| {
                let column = self.reader.column(field, self.collection, self.source, b);
                let ranks: Vec<String> = match index {
                    SearchIndex::Words(languages) => languages
                        .iter()
                        .map(|language| {
                            // 1: the longer a text, the less a word in it says.
                            format!("ts_rank({}, {}, 1)", vector(&column, language), asked(language, &words))
                        })
                        .collect(),
                    SearchIndex::Trigrams { schema } => vec![format!(
                        "{}.word_similarity(lower({words}::text), {})",
                        quote_identifier(schema),
                        folded(&column)
                    )],
                };
                format!("coalesce(greatest({}), 0)", ranks.join(", "))
            })
            .collect();
        if ranks.is_empty() { "0::real".to_owned() } else { format!("({})", ranks.join(" + ")) }
    }

    /// An object with a member for each field: an excerpt as HTML, null where it holds no hit. What the field holds
    /// is escaped; the only elements are the `<mark>`s around the hits.
    pub(crate) fn excerpts(&self, b: &mut Builder) -> String {
        let words = self.bind(b);
        let mut part = None;
        let mut members = Vec::new();
        for (field, index) in self.fields() {
            let column = self.reader.column(field, self.collection, self.source, b);
            // The marks are ours alone.
            let plain = format!("translate({}, E'\\x02\\x03', '')", text(&column));
            let cases: Vec<String> = match index {
                SearchIndex::Words(languages) => languages
                    .iter()
                    .map(|language| {
                        let query = asked(language, &words);
                        let cut = format!("ts_headline({}, {plain}, {query}, {CUT})", config(language));
                        format!(" WHEN {} THEN {}", matches(&column, language, &words), escaped(&cut))
                    })
                    .collect(),
                SearchIndex::Trigrams { .. } => {
                    let part = part.get_or_insert_with(|| contains(&self.text, b));
                    let cut = escaped(&format!(
                        "substr(m.m, greatest(1, strpos(m.m, E'\\x02') - {AROUND}), {} + length({words}::text))",
                        2 * AROUND + 2
                    ));
                    let marked =
                        format!("regexp_replace({plain}, '***=' || {words}::text, E'\\x02\\\\&\\x03', 'i')");
                    vec![format!(
                        " WHEN {} LIKE {part} THEN (SELECT {cut} FROM (SELECT {marked} AS m) m)",
                        folded(&column)
                    )]
                }
            };
            members.push(format!("CASE{} END AS {}", cases.concat(), quote_identifier(&field.name)));
        }
        if members.is_empty() {
            return "'{}'::json".to_owned();
        }
        format!("(SELECT row_to_json(e.*) FROM (SELECT {}) e)", members.join(", "))
    }

    fn bind(&self, b: &mut Builder) -> String {
        b.bind(Binding::Text(Some(self.text.clone())))
    }
}

/// What is indexed of a text.
fn text(column: &str) -> String {
    format!("left({column}::text, {LENGTH})")
}

fn vector(column: &str, language: &str) -> String {
    format!("to_tsvector({}, {})", config(language), text(column))
}

fn folded(column: &str) -> String {
    format!("lower({column}::text)")
}

fn asked(language: &str, words: &str) -> String {
    format!("websearch_to_tsquery({}, {words}::text)", config(language))
}

fn matches(column: &str, language: &str, words: &str) -> String {
    format!("{} @@ {}", vector(column, language), asked(language, words))
}

/// A text search configuration. Its name is the schema's, as those of columns are: in a binding it would hide the
/// index.
fn config(language: &str) -> String {
    format!("'{}'::regconfig", quote_identifier(language).replace('\'', "''"))
}

/// Text as HTML, with our marks.
fn escaped(sql: &str) -> String {
    const PAIRS: [(&str, &str); 7] = [
        ("'&'", "'&amp;'"),
        ("'<'", "'&lt;'"),
        ("'>'", "'&gt;'"),
        ("'\"'", "'&quot;'"),
        ("''''", "'&#39;'"),
        (r"E'\x02'", "'<mark>'"),
        (r"E'\x03'", "'</mark>'"),
    ];
    PAIRS.iter().fold(sql.to_owned(), |sql, (from, to)| format!("replace({sql}, {from}, {to})"))
}
