//! What tells two JSON values apart, as steps from the one to the other: the form of the npm package `deep-diff`,
//! which the original uses. Pure.

use model::Error;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest list that a step makes.
const LONGEST: usize = 10_000;

/// A member of an object or an index of a list, on the way to what differs.
pub type Path = Vec<Value>;

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Step {
    /// Something new.
    N {
        /// Where; empty = the whole.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        path: Path,
        /// What.
        #[serde(default)]
        rhs: Value,
    },
    /// Something is gone.
    D {
        /// Where; empty = the whole.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        path: Path,
        /// What it was.
        #[serde(default)]
        lhs: Value,
    },
    /// Something else.
    E {
        /// Where.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        path: Path,
        /// What it was.
        #[serde(default)]
        lhs: Value,
        /// What it is.
        #[serde(default)]
        rhs: Value,
    },
    /// A list has grown or shrunk.
    A {
        /// Where the list is.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        path: Path,
        /// Place in the list.
        index: usize,
        /// `N` or `D`, without a path.
        item: Box<Step>,
    },
}

/// The steps from one value to another.
pub fn steps(from: &Value, to: &Value) -> Vec<Step> {
    let mut found = Vec::new();
    walk(from, to, &mut Vec::new(), &mut found);
    found
}

fn walk(from: &Value, to: &Value, path: &mut Path, found: &mut Vec<Step>) {
    match (from, to) {
        (Value::Object(a), Value::Object(b)) => objects(a, b, path, found),
        (Value::Array(a), Value::Array(b)) => {
            for index in (a.len()..b.len()).rev() {
                let item = Box::new(Step::N { path: Vec::new(), rhs: b[index].clone() });
                found.push(Step::A { path: path.clone(), index, item });
            }
            for index in (b.len()..a.len()).rev() {
                let item = Box::new(Step::D { path: Vec::new(), lhs: a[index].clone() });
                found.push(Step::A { path: path.clone(), index, item });
            }
            for index in (0..a.len().min(b.len())).rev() {
                path.push(Value::from(index));
                walk(&a[index], &b[index], path, found);
                path.pop();
            }
        }
        _ if from == to => {}
        _ => found.push(Step::E { path: path.clone(), lhs: from.clone(), rhs: to.clone() }),
    }
}

fn objects(from: &Map<String, Value>, to: &Map<String, Value>, path: &mut Path, found: &mut Vec<Step>) {
    for (name, lhs) in from {
        path.push(Value::from(name.as_str()));
        match to.get(name) {
            Some(rhs) => walk(lhs, rhs, path, found),
            None => found.push(Step::D { path: path.clone(), lhs: lhs.clone() }),
        }
        path.pop();
    }
    for (name, rhs) in to.iter().filter(|(name, _)| !from.contains_key(*name)) {
        path.push(Value::from(name.as_str()));
        found.push(Step::N { path: path.clone(), rhs: rhs.clone() });
        path.pop();
    }
}

impl Step {
    /// Takes the step. What it says of before is not looked at: the hash of the whole schema answers for that.
    ///
    /// # Errors
    /// The way leads through something that is neither object nor list, or past the end of a list.
    pub fn take(&self, value: &mut Value) -> Result<(), Error> {
        match self {
            Self::N { path, rhs } | Self::E { path, rhs, .. } => set(value, path, rhs.clone()),
            Self::D { path, .. } => remove(value, path),
            Self::A { path, index, item } => {
                let Value::Array(list) = reach(value, path)? else { return Err(astray(path)) };
                match &**item {
                    Self::N { rhs, .. } if *index < LONGEST => {
                        // The last of several new ones comes first.
                        list.resize(list.len().max(*index + 1), Value::Null);
                        list[*index] = rhs.clone();
                    }
                    Self::D { .. } if *index < list.len() => _ = list.remove(*index),
                    _ => return Err(astray(path)),
                }
                Ok(())
            }
        }
    }
}

fn astray(path: &[Value]) -> Error {
    let path: Vec<String> = path.iter().map(|part| part.to_string().replace('"', "")).collect();
    Error::invalid_payload(format!("The diff leads nowhere at \"{}\"", path.join(".")))
}

/// What stands at the end of a path; objects on the way are made.
fn reach<'a>(value: &'a mut Value, path: &[Value]) -> Result<&'a mut Value, Error> {
    let mut here = value;
    for part in path {
        if here.is_null() {
            *here = Value::Object(Map::new());
        }
        here = match (here, part) {
            (Value::Object(members), Value::String(name)) => {
                members.entry(name.as_str()).or_insert(Value::Null)
            }
            (Value::Array(list), Value::Number(index)) => {
                let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
                index.and_then(|index| list.get_mut(index)).ok_or_else(|| astray(path))?
            }
            _ => return Err(astray(path)),
        };
    }
    Ok(here)
}

fn set(value: &mut Value, path: &[Value], to: Value) -> Result<(), Error> {
    *reach(value, path)? = to;
    Ok(())
}

fn remove(value: &mut Value, path: &[Value]) -> Result<(), Error> {
    let Some((last, way)) = path.split_last() else { return Err(astray(path)) };
    match (reach(value, way)?, last) {
        (Value::Object(members), Value::String(name)) => _ = members.remove(name),
        (Value::Null, _) => {}
        _ => return Err(astray(path)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::steps;

    #[test]
    fn steps_have_the_originals_form() {
        let from = json!({"a": [1, 2, 3], "b": {"c": null, "d": 1}, "e": "x"});
        let to = json!({"a": [1, 4], "b": {"c": {"n": [1]}, "f": true}, "e": "x"});
        assert_eq!(
            serde_json::to_value(steps(&from, &to)).unwrap(),
            json!([
                {"kind": "A", "path": ["a"], "index": 2, "item": {"kind": "D", "lhs": 3}},
                {"kind": "E", "path": ["a", 1], "lhs": 2, "rhs": 4},
                {"kind": "E", "path": ["b", "c"], "lhs": null, "rhs": {"n": [1]}},
                {"kind": "D", "path": ["b", "d"], "lhs": 1},
                {"kind": "N", "path": ["b", "f"], "rhs": true},
            ])
        );
    }

    #[test]
    fn a_way_that_is_not_there_is_refused() {
        let step: super::Step =
            serde_json::from_value(json!({"kind": "E", "path": ["a", "b"], "rhs": 1})).unwrap();
        assert!(step.take(&mut json!({"a": "text"})).is_err());
        let step: super::Step =
            serde_json::from_value(json!({"kind": "A", "path": ["a"], "index": 9, "item": {"kind": "D"}}))
                .unwrap();
        assert!(step.take(&mut json!({"a": []})).is_err());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3_i64).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[abc]", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn steps_lead_from_one_to_the_other(from in value(), to in value()) {
            let mut walked = from.clone();
            for step in steps(&from, &to) {
                let json = serde_json::to_string(&step).unwrap();
                let read: super::Step = serde_json::from_str(&json).unwrap();
                prop_assert_eq!(&read, &step);
                read.take(&mut walked).unwrap();
            }
            prop_assert_eq!(walked, to);
        }
    }
}
