//! A kept plan is given to whom it was made for, and to nobody else.

use std::time::Instant;

use access::Access;
use bytes::Bytes;
use model::{Collection, Field, FieldType, KeySource, Schema};
use planner::{Binding, Limits, Reader, Variables};
use query::Query;
use time::OffsetDateTime;
use uuid::Uuid;

use super::generations::{BYTES, CALLERS, ENTRIES};
use super::{Asked, LARGEST, ListPlan, Plan, Plans, Ready};

fn field(name: &str, kind: FieldType, column_type: &str) -> Field {
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

fn schema() -> Schema {
    let notes = Collection {
        name: "notes".to_owned(),
        view: None,
        primary_key: "id".to_owned(),
        key_source: KeySource::Uuid,
        first_version: 1,
        fields: vec![
            field("id", FieldType::Uuid, "uuid"),
            field("title", FieldType::String, "character varying(255)"),
            field("owner", FieldType::Uuid, "uuid"),
            field("at", FieldType::Timestamp, "timestamp with time zone"),
        ],
        singleton: false,
        sort_field: None,
        system: false,
    };
    Schema { version: 1, collections: [("notes".to_owned(), notes.into())].into(), past: None }
}

fn user(number: u128) -> Variables {
    Variables {
        now: OffsetDateTime::UNIX_EPOCH,
        user: Some(Uuid::from_u128(number)),
        role: None,
        roles: Vec::new(),
        policies: Vec::new(),
    }
}

struct Room {
    plans: Plans,
    schema: Schema,
}

impl Room {
    fn new() -> Self {
        Self { plans: Plans::default(), schema: schema() }
    }

    /// The plan, and whether it had to be made.
    fn asked(&self, one: bool, query: &Bytes, access: &Access, variables: &Variables) -> (Ready, bool) {
        let mut made = false;
        let asked = Asked { one, collection: "notes", query, access, variables };
        let collection = self.schema.collection("notes").unwrap();
        let reader = Reader { schema: &self.schema, access, variables, limits: Limits::default() };
        let ready = self.plans.of(&asked, || {
            made = true;
            let query = Query::from_bytes(query)?;
            Ok::<_, model::Error>(Some(match one {
                true => Plan::One(planner::plan_read_one(&query, collection, reader)?),
                false => Plan::List(ListPlan {
                    plan: planner::plan_read(&query, collection, reader)?,
                    meta: query.meta,
                    is_large: false,
                }),
            }))
        });
        (ready.unwrap().unwrap(), made)
    }

    fn admin(&self, query: &str, variables: &Variables) -> (Ready, bool) {
        self.asked(false, &bytes(query), &Access::admin(), variables)
    }
}

fn bytes(query: &str) -> Bytes {
    Query::from_query_string(query).unwrap().to_bytes().into()
}

fn bindings(ready: &Ready) -> Vec<Binding> {
    ready.kept.plan.statement().bindings.clone()
}

#[test]
fn a_query_that_comes_again_is_not_planned_again() {
    let room = Room::new();
    let (first, made) = room.admin("filter[title]=a", &user(1));
    assert!(made && !first.prepared);
    let (again, made) = room.admin("filter[title]=a", &user(2));
    assert!(!made && again.prepared);
    assert!(std::sync::Arc::ptr_eq(&first.kept, &again.kept));
    // Other values are another plan, with the same text.
    let (other, made) = room.admin("filter[title]=b", &user(1));
    assert!(made && other.prepared);
    assert_eq!(other.kept.plan.statement().sql, first.kept.plan.statement().sql);
    assert_ne!(bindings(&other), bindings(&first));
    // One item is another question than a list.
    let (_, made) = room.asked(true, &bytes("filter[title]=a"), &Access::admin(), &user(1));
    assert!(made);
    let refused = room.plans.of(
        &Asked {
            one: false,
            collection: "no",
            query: &Bytes::new(),
            access: &Access::admin(),
            variables: &user(1),
        },
        || Err::<Option<Plan>, _>("refused"),
    );
    assert_eq!(refused.unwrap_err(), "refused");
}

#[test]
fn nobody_gets_a_plan_with_the_values_of_another_or_of_another_time() {
    let room = Room::new();
    for query in ["filter[owner]=$CURRENT_USER", r#"filter={"owner":{"_in":["$CURRENT_USER"]}}"#] {
        for number in [1, 2] {
            let (own, made) = room.admin(query, &user(number));
            assert!(made);
            assert!(
                format!("{:?}", bindings(&own)).contains(&Uuid::from_u128(number).to_string()),
                "{query}"
            );
        }
        let later = Variables { now: OffsetDateTime::UNIX_EPOCH + time::Duration::HOUR, ..user(1) };
        let (again, made) = room.admin(query, &later);
        assert!(
            !made && format!("{:?}", bindings(&again)).contains(&Uuid::from_u128(1).to_string()),
            "{query}"
        );
        let mut with_role = user(1);
        with_role.roles.push(Uuid::from_u128(9));
        assert!(room.admin(query, &with_role).1);
    }
    for hour in 0..3 {
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::HOUR * hour;
        let (fresh, made) = room.admin("filter[at][_lt]=$NOW", &Variables { now, ..user(1) });
        assert!(made && format!("{:?}", bindings(&fresh)).contains(&format!("T{hour:02}:00")), "{fresh:?}");
        assert_eq!(fresh.prepared, hour > 0);
    }
    // Who may do nothing is told so, whatever plans there are.
    room.admin("", &user(1));
    let none = Access::none();
    let asked =
        Asked { one: false, collection: "notes", query: &Bytes::new(), access: &none, variables: &user(1) };
    assert!(room.plans.of(&asked, || Err::<Option<Plan>, _>(())).is_err());
}

#[test]
fn the_room_is_bounded_and_the_latest_stay() {
    let room = Room::new();
    for number in 0..ENTRIES * 5 {
        room.admin(&format!("limit={number}"), &user(1));
        assert!(!room.admin("limit=0", &user(1)).1 || number == 0, "{number}");
    }
    let size = || room.plans.generations(|generations| generations.size());
    assert!(size().0 <= 2 * ENTRIES, "{:?}", size());
    for number in 0..200 {
        let text = "x".repeat(100_000);
        room.admin(&format!("filter[title]={text}{number}"), &user(1));
    }
    assert!(size().1 <= 2 * BYTES, "{:?}", size());
    let huge = format!("filter[title]={}", "x".repeat(LARGEST));
    assert!(room.admin(&huge, &user(1)).1 && room.admin(&huge, &user(1)).1);
    let before = size().0;
    for number in 0..1_000 {
        room.admin("filter[owner]=$CURRENT_USER", &user(number));
    }
    assert!(size().0 <= before + CALLERS, "{:?}", size());
}

/// What it costs to find a kept plan; what that saves is measured in `planner`.
#[test]
#[ignore = "a measurement"]
fn what_finding_costs() {
    let room = Room::new();
    let query = bytes("fields=id,title&filter[title][_eq]=published&sort=-at&limit=25");
    let (admin, caller, rounds) = (Access::admin(), user(1), 20_000);
    room.asked(false, &query, &admin, &caller);
    let begun = Instant::now();
    (0..rounds).for_each(|_| drop(room.asked(false, &query, &admin, &caller)));
    println!("{:.2} us", begun.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
}
