//! What somebody is told of what he may do: `/permissions/me`, one item, and what policies grant beside permissions.

use std::collections::BTreeMap;

use access::{Action, Fields};
use model::{Accountability, Error, Errors};
use rpc::Caller;
use serde_json::{Map, Value, json};
use sqlx::Row as _;

use super::Line;
use crate::execute;
use crate::failure::Failure;
use crate::state::State;

type Told = Result<Vec<u8>, Errors>;

/// Everything that the caller may do, by collection and action.
pub async fn all(state: &State, caller: &Caller) -> Told {
    let who = &caller.accountability;
    if who.is_public() && who.share_scope.is_none() {
        return Err(Error::forbidden().into());
    }
    if who.admin {
        let every = json!({"access": "full", "fields": ["*"]});
        let every: Map<String, Value> =
            Action::ALL.iter().map(|action| (action.name().to_owned(), every.clone())).collect();
        let snapshot = state.snapshots.present();
        let names = snapshot.schema.collections.keys().cloned();
        let all: Map<String, Value> = names.map(|name| (name, Value::Object(every.clone()))).collect();
        return Ok(Value::Object(all).to_string().into_bytes());
    }
    if who.share_scope.is_some() {
        return guest(state, caller).await;
    }
    let permissions = state.rights.present().await?;
    let mut by_collection: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in permissions.of(who) {
        by_collection.entry(&line.collection).or_default().push(line);
    }
    let told = by_collection.into_iter().map(|(name, lines)| (name.to_owned(), of_collection(&lines)));
    Ok(Value::Object(told.collect()).to_string().into_bytes())
}

/// What the guest of a share may do: read some items.
async fn guest(state: &State, caller: &Caller) -> Told {
    let asking = state.asking(caller).await?;
    let reached = asking.access.reached(Action::Read).unwrap_or_default();
    let told = reached.into_iter().map(|(name, fields)| {
        let fields = match fields {
            Fields::All => json!(["*"]),
            Fields::Named(names) => json!(names),
        };
        let of = |action: Action| {
            let read = action == Action::Read;
            let told =
                if read { json!({"access": "partial", "fields": fields}) } else { json!({"access": "none"}) };
            (action.name().to_owned(), told)
        };
        (name.to_owned(), Value::Object(Action::ALL.into_iter().map(of).collect()))
    });
    Ok(Value::Object(told.collect()).to_string().into_bytes())
}

fn of_collection(lines: &[&Line]) -> Value {
    let of = |action: Action| {
        let lines: Vec<&Line> = lines.iter().copied().filter(|line| line.action == action).collect();
        (action.name().to_owned(), Value::Object(of_action(&lines)))
    };
    Value::Object(Action::ALL.into_iter().map(of).collect())
}

fn of_action(lines: &[&Line]) -> Map<String, Value> {
    let mut told = Map::new();
    let access = match lines {
        [] => "none",
        some if some.iter().any(|line| line.partial) => "partial",
        _ => "full",
    };
    told.insert("access".to_owned(), access.into());
    let mut fields: Vec<&String> = Vec::new();
    for field in lines.iter().flat_map(|line| &line.fields) {
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    if fields.iter().any(|field| *field == "*") {
        told.insert("fields".to_owned(), json!(["*"]));
    } else if !fields.is_empty() {
        told.insert("fields".to_owned(), json!(fields));
    }
    let presets: Map<String, Value> =
        lines.iter().filter_map(|line| line.presets.clone()).flatten().collect();
    if !presets.is_empty() {
        told.insert("presets".to_owned(), Value::Object(presets));
    }
    told
}

/// What the caller may do with one item.
pub async fn of_item(state: &State, caller: &Caller, collection: &str, key: Option<&str>) -> Told {
    reached(state, caller, collection, key).await.map_err(|failure| match failure {
        Failure::Refused(errors) => errors,
        Failure::Sql(error) => state.failure(&error, collection),
    })
}

/// What is asked of one item.
const ASKED: [Action; 3] = [Action::Update, Action::Delete, Action::Share];

async fn reached(state: &State, caller: &Caller, name: &str, key: Option<&str>) -> Result<Vec<u8>, Failure> {
    let who = &caller.accountability;
    if who.is_public() {
        return Err(Error::forbidden().into());
    }
    let asking = state.asking(caller).await?;
    let snapshot = state.snapshots.present();
    let collection = snapshot.schema.collection(name);
    let singleton = collection.is_some_and(|collection| collection.singleton);
    let key = key.filter(|_| !singleton);
    let allowed = ASKED.map(|action| asking.access.allows(name, action));
    let plan = collection.filter(|_| !who.admin && (key.is_some() || singleton));
    let plan =
        plan.map(|collection| planner::plan_reached(key, &ASKED, collection, asking.reader(&snapshot)));
    let access = match plan {
        // Of no item in particular: whether there may be any.
        None => allowed,
        // What can't be a key is no item's.
        Some(Err(_)) => [false; 3],
        Some(Ok(plan)) => {
            let rows = execute::rows_alone(state.reading.of(who), &plan).await?;
            match rows.first() {
                Some(row) => [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?],
                // The item of a singleton that is not there yet is made by its first change.
                None => allowed.map(|allowed| allowed && singleton),
            }
        }
    };
    let mut told = Map::new();
    for (action, access) in ASKED.into_iter().zip(access) {
        let mut of_action = Map::from_iter([("access".to_owned(), Value::Bool(access))]);
        if access && singleton && !who.admin && action == Action::Update {
            of_action.extend(of_singleton(state, who, name).await?);
        }
        told.insert(action.name().to_owned(), Value::Object(of_action));
    }
    Ok(Value::Object(told).to_string().into_bytes())
}

/// Fields and presets of the change of a singleton.
async fn of_singleton(
    state: &State,
    who: &Accountability,
    collection: &str,
) -> Result<Map<String, Value>, Error> {
    let permissions = state.rights.present().await?;
    let lines = permissions.of(who).into_iter();
    let lines: Vec<&Line> =
        lines.filter(|line| line.collection == collection && line.action == Action::Update).collect();
    let mut told = of_action(&lines);
    told.remove("access");
    Ok(told)
}

/// What the caller's policies grant beside permissions.
pub async fn globals(state: &State, caller: &Caller) -> Told {
    const ENFORCED: &str =
        "SELECT coalesce(bool_or(enforce_tfa), false) FROM directus_policies WHERE id = ANY($1)";
    let Accountability { app, admin, policies, .. } = &caller.accountability;
    if caller.accountability.is_public() {
        return Ok(json!({ "app_access": app }).to_string().into_bytes());
    }
    let enforced = sqlx::query_scalar::<_, bool>(ENFORCED).bind(policies).fetch_one(&state.db).await;
    let enforced = enforced.map_err(|error| state.failure(&error, "directus_policies"))?;
    let told = json!({"app_access": app | admin, "admin_access": admin, "enforce_tfa": enforced});
    Ok(told.to_string().into_bytes())
}
