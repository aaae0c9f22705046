//! What a query reads, as people look at it: collections, conditions, order. It holds no value of a client's, so it may
//! be logged.

use std::collections::BTreeSet;
use std::sync::Arc;

use access::Action;
use model::{Collection, Field, Filter, Function, Link, Quantifier};
use query::{Path, Query, Selected, Sort, select};
use serde_json::{Map, Value, json};

use crate::reader::Reader;
use crate::search::is_relevance;

/// Relations that are spelled out.
const MOST: usize = 100;

/// A query, spelled out.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// An object: `collection`, `fields`, `relations`, `filter`, `sort` ... as far as they are asked for.
    pub shape: Value,
    /// Every collection that the answer depends on.
    pub collections: BTreeSet<String>,
}

/// Spells out a query that a plan was made for: what a plan would refuse is left out.
pub fn tree(query: &Query, collection: &Collection, reader: Reader<'_>) -> Tree {
    let mut trees = Trees { reader, collections: BTreeSet::new(), left: MOST };
    let everything = ["*".to_owned()];
    let selected = select(query.fields.as_deref().unwrap_or(&everything)).unwrap_or_default();
    let shape = Value::Object(trees.node(query, &selected, collection, 0));
    Tree { shape, collections: trees.collections }
}

struct Trees<'a> {
    reader: Reader<'a>,
    collections: BTreeSet<String>,
    left: usize,
}

impl Trees<'_> {
    fn node(
        &mut self,
        query: &Query,
        selected: &[Selected],
        collection: &Collection,
        depth: usize,
    ) -> Map<String, Value> {
        self.collections.insert(collection.name.clone());
        let mut node = Map::new();
        let mut put = |name: &str, value: Value| drop(node.insert(name.to_owned(), value));
        put("collection", Value::from(collection.name.as_str()));
        if query.aggregate.is_empty() && query.group.is_empty() {
            let (fields, relations) = self.fields(query, selected, collection, depth);
            put("fields", Value::from(fields));
            if !relations.is_empty() {
                put("relations", Value::Object(relations));
            }
        } else {
            let figure = |figure: &query::Aggregate| {
                format!("{}({})", figure.function.as_str(), figure.field.as_deref().unwrap_or("*"))
            };
            put("figures", query.aggregate.iter().map(figure).collect());
            if !query.group.is_empty() {
                put("groups", query.group.iter().map(|group| self.path(group, collection)).collect());
            }
        }
        if let Some(filter) = &query.filter {
            put("filter", self.filter(filter, collection));
        }
        if query.search.is_some() {
            put("search", Value::Bool(true));
        }
        if !query.sort.is_empty() {
            put("sort", query.sort.iter().map(|sort| self.sort(sort, collection)).collect());
        }
        put("limit", Value::from(self.reader.limits.items(query).ok().flatten().unwrap_or(-1)));
        for (name, number) in [("offset", query.offset), ("page", query.page)] {
            if let Some(number) = number {
                put(name, Value::from(number));
            }
        }
        node
    }

    fn fields(
        &mut self,
        query: &Query,
        selected: &[Selected],
        collection: &Collection,
        depth: usize,
    ) -> (Vec<String>, Map<String, Value>) {
        let (mut fields, mut relations) = (Vec::new(), Map::new());
        for selected in selected {
            if selected.name == "*" {
                fields.push("*".to_owned());
                for field in &collection.fields {
                    let many = matches!(field.link, Some(Link::Many { .. }));
                    let leads_on = many || (field.link.is_some() && !selected.below.is_empty());
                    if leads_on && self.sees(field, collection) {
                        self.relation(query, selected, field, depth, &mut relations);
                    }
                }
                continue;
            }
            let name = query.alias.get(&selected.name).unwrap_or(&selected.name);
            let Some(field) = self.field(name, collection) else { continue };
            let many = matches!(field.link, Some(Link::Many { .. })) && selected.function.is_none();
            if many || !selected.below.is_empty() {
                self.relation(query, selected, field, depth, &mut relations);
            } else {
                self.counted(field, selected.function.as_ref());
                fields.push(called(&field.name, selected.function.as_ref()));
            }
        }
        (fields, relations)
    }

    /// The items that a field leads to, by the collections that they may be of.
    fn relation(
        &mut self,
        query: &Query,
        selected: &Selected,
        field: &Field,
        depth: usize,
        relations: &mut Map<String, Value>,
    ) {
        for name in targets(field) {
            let Some(target) = self.target(name) else { continue };
            if depth >= self.reader.limits.depth || self.left == 0 {
                continue;
            }
            self.left -= 1;
            let fits = |scope: &Option<String>| scope.as_deref().is_none_or(|scope| scope == name);
            let below = selected.below.iter().filter(|below| fits(&below.scope));
            let below: Vec<Selected> = below.flat_map(|below| below.fields.clone()).collect();
            let any = matches!(field.link, Some(Link::Any { .. }));
            let scoped = query.deep.get(&format!("{}:{name}", field.name)).filter(|_| any);
            let asked =
                scoped.or_else(|| query.deep.get(&selected.name)).or_else(|| query.deep.get(&field.name));
            let mut node = self.node(asked.unwrap_or(&Query::default()), &below, &target, depth + 1);
            if !matches!(field.link, Some(Link::Many { .. })) {
                // There is one at most.
                node.remove("limit");
            }
            let mut label = if any { format!("{}:{name}", field.name) } else { field.name.clone() };
            // Several aliases of one relation.
            while query.alias.contains_key(&selected.name) && relations.contains_key(&label) {
                label.push('\'');
            }
            // What is named counts, not what a wildcard brings beside it.
            if selected.name != "*" || !relations.contains_key(&label) {
                relations.insert(label, Value::Object(node));
            }
        }
    }

    fn filter(&mut self, filter: &Filter, collection: &Collection) -> Value {
        match filter {
            Filter::And(parts) => json!({"_and": self.filters(parts, collection)}),
            Filter::Or(parts) => json!({"_or": self.filters(parts, collection)}),
            Filter::Compare { field, function, operator, .. } => {
                let Some(field) = self.field(field, collection) else { return Value::Null };
                self.counted(field, function.as_ref().or(Some(&Function::Count)));
                json!({ called(&field.name, function.as_ref()): operator.as_str() })
            }
            Filter::Related { field, scope, quantifier, filter } => {
                let Some(field) = self.field(field, collection) else { return Value::Null };
                let named = |name: &&str| scope.as_deref().is_none_or(|scope| scope == *name);
                let target = targets(field).into_iter().find(named).and_then(|name| self.target(name));
                let Some(target) = target else { return Value::Null };
                let below = self.filter(filter, &target);
                let below = match quantifier {
                    Quantifier::Any => below,
                    Quantifier::Some => json!({ "_some": below }),
                    Quantifier::None => json!({ "_none": below }),
                };
                json!({ field.name.clone(): below })
            }
        }
    }

    fn filters(&mut self, parts: &[Filter], collection: &Collection) -> Vec<Value> {
        parts.iter().map(|part| self.filter(part, collection)).collect()
    }

    fn sort(&mut self, sort: &Sort, collection: &Collection) -> String {
        let sign = if sort.descending { "-" } else { "" };
        format!("{sign}{}", self.path(&sort.field, collection))
    }

    /// A path, as far as it is one of the schema's; its collections are seen.
    fn path(&mut self, text: &str, collection: &Collection) -> String {
        let Ok(path) = Path::parse(text) else { return String::new() };
        if is_relevance(&path, collection) {
            return text.to_owned();
        }
        let mut names = Vec::new();
        let mut here = Some(Arc::new(collection.clone()));
        for step in &path.steps {
            let field = here.as_deref().and_then(|here| here.field(&step.name)).cloned();
            let Some(field) = field else { return names.join(".") };
            let named = |name: &&str| step.scope.as_deref().is_none_or(|scope| scope == *name);
            here = targets(&field).into_iter().find(named).and_then(|name| self.target(name));
            names.push(field.name);
        }
        if let Some(field) = here.as_deref().and_then(|here| here.field(&path.last.name)) {
            self.counted(field, path.function.as_ref());
            names.push(called(&field.name, path.function.as_ref()));
        }
        names.join(".")
    }

    /// Those who refer are looked at when they are counted; a comparison with them asks whether there are any.
    fn counted(&mut self, field: &Field, function: Option<&Function>) {
        if let (Some(Link::Many { collection, .. }), Some(Function::Count)) = (&field.link, function) {
            self.target(collection);
        }
    }

    fn field<'c>(&self, name: &str, collection: &'c Collection) -> Option<&'c Field> {
        collection.field(name).filter(|field| self.sees(field, collection))
    }

    fn sees(&self, field: &Field, collection: &Collection) -> bool {
        self.reader.access.allows_field(&collection.name, &field.name, Action::Read)
    }

    fn target(&mut self, name: &str) -> Option<Arc<Collection>> {
        let found = self.reader.schema.collection(name)?;
        if !self.reader.access.allows(name, Action::Read) {
            return None;
        }
        self.collections.insert(name.to_owned());
        Some(found.clone())
    }
}

/// The collections that a field leads to.
fn targets(field: &Field) -> Vec<&str> {
    match &field.link {
        Some(Link::One { collection } | Link::Many { collection, .. }) => vec![collection],
        Some(Link::Any { allowed, .. }) => allowed.iter().map(String::as_str).collect(),
        None => Vec::new(),
    }
}

/// `title`, `year(published_at)`; where inside json somebody looks is his own affair.
fn called(field: &str, function: Option<&Function>) -> String {
    function.map_or_else(|| field.to_owned(), |function| format!("{}({field})", function.as_str()))
}

#[cfg(test)]
mod tests {
    use access::{Access, Action, Fields, Rule};
    use query::Query;
    use time::OffsetDateTime;

    use super::tree;
    use crate::shape::tests::shop;
    use crate::{Limits, Reader, Variables, plan_read};

    fn spelled(text: &str, access: &Access) -> String {
        let schema = shop();
        let now = OffsetDateTime::UNIX_EPOCH;
        let variables = Variables { now, user: None, role: None, roles: Vec::new(), policies: Vec::new() };
        let reader = Reader { schema: &schema, access, variables: &variables, limits: Limits::default() };
        let (posts, query) = (schema.collection("posts").unwrap(), Query::from_query_string(text).unwrap());
        plan_read(&query, posts, reader).unwrap();
        let tree = tree(&query, posts, reader);
        assert!(!tree.shape.to_string().contains("zq9"), "{}", tree.shape);
        let collections: Vec<String> = tree.collections.into_iter().collect();
        format!("{}\n{}", tree.shape, collections.join(" "))
    }

    fn posts(text: &str) -> String {
        spelled(text, &Access::admin())
    }

    #[test]
    fn a_query_is_spelled_out_without_its_values() {
        insta::assert_snapshot!(posts(""));
        insta::assert_snapshot!(posts(
            "fields=title,author.name,author.posts.id,tags.tags_id.name,year(at)&limit=5&offset=10"
        ));
        insta::assert_snapshot!(posts(
            r#"fields=id&filter={"_or":[{"title":{"_contains":"zq9"}},{"author":{"name":{"_eq":"zq9"}}},{"children":{"_none":{"title":{"_eq":"zq9"}}}},{"year(at)":{"_gt":2000}},{"tags":{"_null":true}}]}&search=zq9"#
        ));
        insta::assert_snapshot!(posts(
            "fields=id&sort=-author.name,tags.tags_id.name,year(at)&alias[zq9]=title"
        ));
        insta::assert_snapshot!(posts(
            "fields=a.id,b.id&alias[a]=children&alias[b]=children&deep[a][_limit]=3&deep[b][_filter][title]=zq9"
        ));
        insta::assert_snapshot!(posts("fields=blocks.item:headings.text,blocks.item:notes.*,*.id"));
        insta::assert_snapshot!(posts("aggregate[count]=*&aggregate[max]=at&groupBy=author,year(at)"));
    }

    #[test]
    fn what_nobody_may_see_is_left_out() {
        let rule = |collection: &str| {
            let fields = ["id", "title", "author"].map(str::to_owned);
            Rule::new(collection, Action::Read, None, Fields::Named(fields.into()))
        };
        insta::assert_snapshot!(spelled("fields=*.*", &Access::by([rule("posts"), rule("authors")])));
    }
}
