//! What parsing and planning cost: `cargo test -p planner -- --ignored --nocapture`, optimised for figures that count.

use std::time::Instant;

use access::Access;
use query::Query;
use time::OffsetDateTime;

use crate::shape::tests::shop;
use crate::{Limits, Reader, Variables, plan_read, plan_read_one};

const QUERIES: [&str; 4] = [
    "",
    "fields=id,title&filter[title][_eq]=published&sort=-at&limit=25",
    "fields=id,title,author.name,tags.tags_id.name&filter[author][name][_eq]=x&sort=-at&limit=25",
    r#"fields=id,title,at&filter={"_and":[{"title":{"_contains":"a"}},{"_or":[{"author":{"_null":true}},{"at":{"_lt":"2026-01-01"}}]}]}&sort=-at,title&limit=25&page=3&meta=*"#,
];

#[test]
#[ignore = "a measurement"]
fn what_a_query_costs() {
    let (schema, access) = (shop(), Access::admin());
    let now = OffsetDateTime::UNIX_EPOCH;
    let variables = Variables { now, user: None, role: None, roles: Vec::new(), policies: Vec::new() };
    let reader =
        Reader { schema: &schema, access: &access, variables: &variables, limits: Limits::default() };
    let posts = schema.collection("posts").unwrap();
    let rounds = 1_000;
    for text in QUERIES {
        println!("{text}");
        let timed = |name: &str, work: &dyn Fn()| {
            let round = |_| {
                let begun = Instant::now();
                (0..rounds).for_each(|_| work());
                begun.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
            };
            // The best of several: the machine has other things to do.
            let best = (0..10).map(round).fold(f64::INFINITY, f64::min);
            println!("{name:>12} {best:>8.2} us");
        };
        let query = Query::from_query_string(text).unwrap();
        let bytes = query.to_bytes();
        timed("parse", &|| drop(Query::from_query_string(text).unwrap()));
        timed("to bytes", &|| drop(query.to_bytes()));
        timed("from bytes", &|| drop(Query::from_bytes(&bytes).unwrap()));
        timed("plan", &|| drop(plan_read(&query, posts, reader).unwrap()));
        timed("plan one", &|| drop(plan_read_one(&query, posts, reader).unwrap()));
    }
}
