//! Queries made at random: nothing panics, and nothing that a client wrote stands in the SQL.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use access::{Access, Action, Fields, Rule};
use model::{FieldType, Filter, Operator, Schema, SearchIndex};
use query::{Compute, Figure, Query, Shape, Sort, TreeReport, WindowReport};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::shape::tests::{field, shop};
use crate::{
    Limits, Reader, Statement, Variables, plan_estimate, plan_page, plan_read, plan_read_keys, plan_read_one,
    plan_stream, plan_tree, plan_window,
};

/// Stands in every text of the client that is not the name of a field.
const MARK: &str = "zqmarkqz";

/// Numbers that look random and are the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }

    /// Once in so many.
    fn once_in(&mut self, many: usize) -> bool {
        self.roll(many) == 0
    }
}

const OWN: [&str; 9] = ["id", "title", "author", "parent", "at", "price", "children", "tags", "meta"];
const HOSTILE: [&str; 10] = [
    "\"; DROP TABLE posts; --",
    "'",
    "\\",
    "\0",
    "%_%",
    "$CURRENT_USER",
    "$NOW(-1 day)",
    "$CURRENT_USER.name",
    "ſ\u{202e}",
    ")",
];
const PATHS: [&str; 15] = [
    "*",
    "_excerpt",
    "*.*",
    "id",
    "title",
    "author.name",
    "author.*",
    "parent.parent.title",
    "children.title",
    "tags.tags_id.name",
    "blocks.item:headings.text",
    "blocks.*",
    "year(at)",
    "count(tags)",
    "author.posts.title",
];
const LEADS: [&str; 5] = ["author", "parent", "children", "tags", "blocks"];

fn text(dice: &mut Dice) -> String {
    match dice.roll(4) {
        0 => format!("{MARK}{}", dice.pick(&HOSTILE)),
        1 => format!("{}{MARK}", dice.pick(&HOSTILE)),
        2 => MARK.to_owned(),
        _ => dice.pick(&HOSTILE).to_owned(),
    }
}

fn value(dice: &mut Dice, depth: usize) -> Value {
    match dice.roll(if depth > 2 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => json!(dice.once_in(2)),
        2 => json!(dice.roll(100_000)),
        3 => json!("2026-01-01T00:00:00Z"),
        4 => json!("12.50"),
        5 => text(dice).into(),
        6 => (0..dice.roll(4)).map(|_| value(dice, depth + 1)).collect(),
        _ => json!({text(dice): value(dice, depth + 1)}),
    }
}

fn filter(dice: &mut Dice, depth: usize) -> Value {
    let operators: Vec<&str> = Operator::ALL.iter().map(|(wire, _)| *wire).collect();
    match dice.roll(if depth > 3 { 3 } else { 8 }) {
        7 => {
            json!({"meta": {"_json": {format!("a{}", text(dice)): {dice.pick(&operators): value(dice, 0)}}}})
        }
        0..3 => json!({dice.pick(&OWN): {dice.pick(&operators): value(dice, 0)}}),
        3 => json!({"_and": [filter(dice, depth + 1), filter(dice, depth + 1)]}),
        4 => json!({"_or": [filter(dice, depth + 1), filter(dice, depth + 1)]}),
        5 => json!({dice.pick(&LEADS): filter(dice, depth + 1)}),
        _ => json!({dice.pick(&LEADS): {dice.pick(&["_some", "_none"]): filter(dice, depth + 1)}}),
    }
}

fn fields(dice: &mut Dice) -> Value {
    let mut fields: Vec<String> = (0..=dice.roll(4)).map(|_| dice.pick(&PATHS).to_owned()).collect();
    match dice.roll(6) {
        0 => fields.push(format!("json(meta, {MARK}.a[0])")),
        1 => fields.push(format!("a{MARK}")),
        2 if dice.once_in(4) => fields.push(text(dice)),
        _ => {}
    }
    fields.into()
}

fn parameters(dice: &mut Dice, depth: usize) -> Map<String, Value> {
    let mut all = Map::new();
    let mut put = |name: &str, value: Value| all.insert(name.to_owned(), value);
    put("fields", fields(dice));
    put("alias", json!({format!("a{MARK}"): dice.pick(&OWN)}));
    if dice.once_in(2) {
        put("filter", filter(dice, 0));
    }
    if dice.once_in(3) {
        put("search", text(dice).into());
    }
    if dice.once_in(3) {
        put(
            "sort",
            json!([dice.pick(&[
                "-at",
                "title",
                "author.name",
                "-tags.tags_id.name",
                "year(at)",
                "-_relevance",
                MARK
            ])]),
        );
    }
    if dice.once_in(4) {
        put("limit", json!(dice.pick(&["-1", "0", "25", "1e3", "100000000000"])));
    }
    if dice.once_in(6) {
        put("page", json!(dice.roll(9)));
    }
    if dice.once_in(4) {
        put("meta", "*".into());
    }
    if dice.once_in(6) {
        put(
            "aggregate",
            json!({dice.pick(&["count", "sum", "min", "countDistinct"]): dice.pick(&["*", "price", "id"])}),
        );
        put("groupBy", json!([dice.pick(&["title", "year(at)", "author", MARK])]));
    }
    if depth < 2 && dice.once_in(4) {
        let below = parameters(dice, depth + 1).into_iter().map(|(name, value)| (format!("_{name}"), value));
        let below: Map<String, Value> = below.collect();
        put("deep", json!({dice.pick(&LEADS): below}));
    }
    all
}

/// As in a query string: names between commas, all else may be JSON.
fn query_string(parameters: &Map<String, Value>, dice: &mut Dice) -> String {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let one = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name}={}", encode(text)),
        Value::Array(names) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            format!("{name}={}", encode(&names.join(",")))
        }
        other => format!("{name}={}", encode(&other.to_string())),
    };
    let mut text = parameters.iter().map(one).collect::<Vec<_>>().join("&");
    if dice.once_in(10) {
        let at = dice.roll(text.len());
        text.replace_range(at..=at, dice.pick(&["[", "]", "%", "&", "=", "%00", "[]", ""]));
    }
    text
}

/// Posts that are searched by indexes, with json in them.
fn searched() -> Schema {
    let mut schema = shop();
    let posts = schema.collections.get_mut("posts").map(Arc::make_mut).unwrap();
    posts.fields.push(field("meta", FieldType::Json, "jsonb"));
    let words = SearchIndex::Words(vec!["english".to_owned(), "simple".to_owned()]);
    posts
        .fields
        .iter_mut()
        .filter(|field| field.name == "title")
        .for_each(|title| title.search = Some(words.clone()));
    schema
}

fn guarded() -> Access {
    let named = |names: &[&str]| Fields::Named(names.iter().map(|name| (*name).to_owned()).collect());
    let published = Filter::Compare {
        field: "title".to_owned(),
        function: None,
        operator: Operator::Neq,
        value: format!("secret{MARK}").into(),
    };
    let rule = |collection: &str, items: Option<&Filter>, fields: Fields| {
        Rule::new(collection, Action::Read, items.cloned(), fields)
    };
    let mut rules = vec![
        rule("posts", Some(&published), named(&["id", "title", "author", "tags", "at"])),
        rule("posts", None, named(&["id", "title", "children", "blocks", "meta"])),
        rule("authors", None, named(&["id", "name", "posts"])),
    ];
    rules
        .extend(["tags", "posts_tags", "posts_blocks", "headings"].map(|name| rule(name, None, Fields::All)));
    Access::by(rules)
}

/// The other roads that such a query goes.
fn pages_and_reports(query: &Query, key: &str, reader: Reader<'_>) -> Vec<Statement> {
    let posts = reader.schema.collection("posts").unwrap();
    let place = vec![Some(key.to_owned()); query.sort.len() + 1];
    let name = query.sort.first().map_or("price", |sort| &sort.field).to_owned();
    let tree = TreeReport {
        parent: "parent".to_owned(),
        root: Some(key.to_owned()),
        depth: 3,
        nodes: 10,
        shape: Shape::Flat,
        query: query.clone(),
    };
    let window = WindowReport {
        compute: vec![Compute { figure: Figure::MovingSum, field: Some(name.clone()), count: Some(3) }],
        partition: vec![name.clone()],
        order: vec![Sort { field: name, descending: true }],
        query: query.clone(),
    };
    let all = [
        plan_page(query, posts, reader, None).map(|plan| plan.statement),
        plan_page(query, posts, reader, Some(&place)).map(|plan| plan.statement),
        plan_estimate(query, posts, reader),
        plan_tree(&TreeReport { root: None, ..tree.clone() }, posts, reader),
        plan_tree(&tree, posts, reader),
        plan_window(&window, posts, reader).map(|plan| plan.statement),
        plan_window(&WindowReport { compute: vec![], ..window }, posts, reader).map(|plan| plan.statement),
    ];
    all.into_iter().flatten().collect()
}

/// Runs so many queries and gives the share of those that could be read, and of those that could be planned.
fn run(cases: u32, seed: u64) -> (f64, f64) {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(searched);
    let (admin, guarded) = (Access::admin(), guarded());
    let me = Some(Uuid::from_u128(7));
    let now = OffsetDateTime::UNIX_EPOCH;
    let variables = Variables { now, user: me, role: None, roles: Vec::new(), policies: Vec::new() };
    let posts = SCHEMA.collection("posts").unwrap();
    let mut dice = Dice(seed);
    let (mut read, mut planned) = (0_u32, 0_u32);
    for _ in 0..cases {
        let parameters = parameters(&mut dice, 0);
        let query = match dice.once_in(3) {
            true => Query::from_json(&Value::Object(parameters)),
            false => Query::from_query_string(&query_string(&parameters, &mut dice)),
        };
        let Ok(query) = query else { continue };
        read += 1;
        assert_eq!(Query::from_bytes(&query.to_bytes()).unwrap(), query, "what travels is what was asked");
        let access = if dice.once_in(2) { &admin } else { &guarded };
        let reader = Reader { schema: &SCHEMA, access, variables: &variables, limits: Limits::default() };
        let key = text(&mut dice);
        let plans = [
            plan_read(&query, posts, reader).map(|plan| plan.statement).ok(),
            plan_stream(&query, posts, reader).map(|plan| plan.items).ok(),
            plan_read_one(&query, posts, reader).map(|plan| plan.keyless().clone()).ok(),
            plan_read_keys(std::slice::from_ref(&key), &query, posts, reader).map(|plan| plan.statement).ok(),
        ];
        planned += u32::from(plans[0].is_some());
        // They are many: each eighth query is enough for them.
        let further = if read % 8 == 0 { pages_and_reports(&query, &key, reader) } else { Vec::new() };
        for statement in plans.into_iter().flatten().chain(further) {
            let sql = &statement.sql;
            assert!(!sql.contains(MARK) && !sql.contains('\0'), "{query:?}\n{sql}");
            assert!(
                !sql.contains("DROP") && !sql.contains("--") && !sql.contains('\u{202e}'),
                "{query:?}\n{sql}"
            );
            let last = statement.bindings.len();
            assert!(!sql.contains(&format!("${}", last + 1)), "{sql}");
        }
    }
    (f64::from(read) / f64::from(cases), f64::from(planned) / f64::from(cases))
}

#[test]
fn what_clients_write_is_never_sql() {
    let (read, planned) = run(4_000, 0x9E37_79B9_7F4A_7C15);
    assert!(read > 0.5 && planned > 0.2, "{read} of the queries could be read, {planned} planned");
}

/// A million inputs; prints the shares and the time.
#[test]
#[ignore = "takes minutes"]
fn a_million_queries() {
    let begun = Instant::now();
    let (read, planned) = run(1_000_000, 0xD1B5_4A32_D192_ED03);
    println!("read {read:.3}, planned {planned:.3}, {:?}", begun.elapsed());
    assert!(read > 0.5);
}

/// Noise: not even these panic.
#[test]
fn noise_is_refused() {
    let mut dice = Dice(7);
    for _ in 0..20_000 {
        let bytes = (0..dice.roll(60)).map(|_| {
            dice.pick(&[
                "filter", "[", "]", "{", "}", "\"", "_and", "=", "&", "%", "%5", ":", ",", "sort", "-",
                "deep", "(", ")", ".", "year", "\u{0}", "ä",
            ])
        });
        let text: String = bytes.collect();
        let _ = Query::from_query_string(&text);
        let _ = Query::from_json_text(&text);
        let _ = Query::from_bytes(text.as_bytes());
    }
}
