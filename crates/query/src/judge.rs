//! Judging an item by a rule: which of its values are not as the rule wants them, and why.
//!
//! Every failure is told, not the first alone. A field that was not sent is judged by the value that it holds; one that
//! holds nothing only by rules that want it sent, or not null.

mod failure;
mod instant;
mod pattern;

use std::collections::HashMap;

pub use failure::Failure;
use model::{Filter, Operator};
pub use pattern::Pattern;
use serde_json::{Map, Value};

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// Values that are written.
    pub sent: &'a Map<String, Value>,
    /// Values that stand there, or will, where none is sent; of fields that are not here nothing is known.
    pub held: &'a Map<String, Value>,
    /// The whole item is judged: what nothing fits fails even where nothing is sent and nothing is known.
    pub whole: bool,
}

/// A value, as far as there is one.
enum Subject<'a> {
    Value(&'a Value),
    /// Nothing was sent, and nothing stands there.
    Hollow,
    Unknown,
}

impl<'a> Item<'a> {
    fn value(self, field: &str) -> Subject<'a> {
        match self.sent.get(field).or_else(|| self.held.get(field).filter(|value| !value.is_null())) {
            Some(value) => Subject::Value(value),
            None if self.held.contains_key(field) => Subject::Hollow,
            None => Subject::Unknown,
        }
    }
}

/// Judges items; a regular expression is made once.
#[derive(Debug, Default)]
pub struct Judge {
    patterns: HashMap<String, Option<Pattern>>,
}

impl Judge {
    /// What of the item is against the rule, in the rule's order.
    pub fn failures(&mut self, rule: &Filter, item: Item<'_>) -> Vec<Failure> {
        match rule {
            Filter::And(all) => all.iter().flat_map(|one| self.failures(one, item)).collect(),
            Filter::Or(any) => {
                let mut failures = Vec::new();
                for one in any {
                    let found = self.failures(one, item);
                    if found.is_empty() {
                        return found;
                    }
                    failures.extend(found);
                }
                failures
            }
            Filter::Compare { field, operator, value, .. } => {
                let failures = match item.value(field) {
                    Subject::Value(value) if *operator == Operator::Submitted => {
                        let held = !item.sent.contains_key(field) && !value.is_null();
                        if held { vec![Failure::required()] } else { Vec::new() }
                    }
                    Subject::Value(subject) => self.compare(*operator, subject, value),
                    Subject::Hollow | Subject::Unknown if *operator == Operator::Submitted => {
                        vec![Failure::required()]
                    }
                    Subject::Hollow if *operator == Operator::Nnull => vec![Failure::bare("nnull")],
                    Subject::Hollow | Subject::Unknown if item.whole && is_never(*operator, value) => {
                        self.compare(*operator, &Value::Null, value)
                    }
                    Subject::Hollow | Subject::Unknown => Vec::new(),
                };
                failures.into_iter().map(|failure| Failure { field: field.clone(), ..failure }).collect()
            }
            Filter::Related { field, filter, .. } => match item.value(field) {
                Subject::Value(Value::Object(related)) => {
                    let nothing = Map::new();
                    let failures =
                        self.failures(filter, Item { sent: related, held: &nothing, whole: false });
                    failures.into_iter().map(|failure| failure.below(field)).collect()
                }
                // A key says nothing of what it leads to.
                Subject::Value(_) => vec![Failure { field: field.clone(), ..Failure::required() }],
                Subject::Hollow | Subject::Unknown => Vec::new(),
            },
        }
    }

    fn compare(&mut self, operator: Operator, subject: &Value, value: &Value) -> Vec<Failure> {
        use Operator as O;
        let one = |failure: Failure, holds: bool| if holds { Vec::new() } else { vec![failure] };
        match operator {
            O::Eq | O::Neq => equal(operator, subject, value),
            O::Ieq | O::Nieq => {
                let same = folded(subject).is_some_and(|text| Some(text) == folded(value));
                let kind = if operator == O::Ieq { "eq" } else { "neq" };
                one(Failure::with(kind, value.clone()), same == (operator == O::Ieq))
            }
            O::In | O::Nin => {
                let found = value.as_array().is_some_and(|list| list.contains(subject));
                let kind = if operator == O::In { "in" } else { "nin" };
                one(Failure::with(kind, value.clone()), found == (operator == O::In))
            }
            O::Lt => instant::ordered("lt", subject, value, std::cmp::Ordering::is_lt),
            O::Lte => instant::ordered("lte", subject, value, std::cmp::Ordering::is_le),
            O::Gt => instant::ordered("gt", subject, value, std::cmp::Ordering::is_gt),
            O::Gte => instant::ordered("gte", subject, value, std::cmp::Ordering::is_ge),
            O::Between | O::Nbetween => between(operator, subject, value),
            O::Null => one(Failure::bare("null"), subject.is_null()),
            O::Nnull => one(Failure::bare("nnull"), !subject.is_null()),
            O::Empty => one(Failure::bare("empty"), subject.as_str() == Some("")),
            O::Nempty => one(Failure::bare("nempty"), subject.as_str() != Some("")),
            O::Regex => self.matches(subject, value),
            O::Submitted => Vec::new(),
            // Read as what holds for nothing; none comes here.
            O::Intersects | O::Nintersects | O::IntersectsBbox | O::NintersectsBbox | O::Json => {
                vec![Failure::with("in", Value::Array(Vec::new()))]
            }
            _ => part(operator, subject, value),
        }
    }

    fn matches(&mut self, subject: &Value, value: &Value) -> Vec<Failure> {
        let Some(text) = subject.as_str() else { return vec![Failure::required()] };
        let source = value.as_str().unwrap_or_default();
        let pattern = self
            .patterns
            .entry(source.to_owned())
            .or_insert_with(|| Pattern::parse(source).filter(|_| value.is_string()));
        // An expression that can't be read fits nothing.
        if pattern.as_ref().is_some_and(|pattern| pattern.fits(text)) {
            return Vec::new();
        }
        vec![Failure::invalid("regex", subject.clone())]
    }
}

/// No value fits it.
fn is_never(operator: Operator, value: &Value) -> bool {
    operator == Operator::In && value.as_array().is_some_and(Vec::is_empty)
}

/// The letters of a text, regardless of case.
fn folded(value: &Value) -> Option<String> {
    value.as_str().map(str::to_lowercase)
}

/// Numbers are equal to their texts, and the failure names both forms.
fn equal(operator: Operator, subject: &Value, value: &Value) -> Vec<Failure> {
    let both = instant::number(value).map(|number| [number.clone(), Value::from(shown(&number))]);
    let same = match &both {
        Some(both) => both.contains(subject) || instant::same_number(subject, value),
        None => subject == value,
    };
    if same == (operator == Operator::Eq) {
        return Vec::new();
    }
    let equal = operator == Operator::Eq;
    vec![match both {
        Some(both) => Failure::with(if equal { "in" } else { "nin" }, Value::from(both.to_vec())),
        None => Failure::with(if equal { "eq" } else { "neq" }, value.clone()),
    }]
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn between(operator: Operator, subject: &Value, value: &Value) -> Vec<Failure> {
    let Some([low, high]) = value.as_array().map(Vec::as_slice) else {
        return vec![Failure::with("in", Value::Array(Vec::new()))];
    };
    let failures = |kinds: [&'static str; 2], fits: [fn(std::cmp::Ordering) -> bool; 2]| {
        let mut low = instant::ordered(kinds[0], subject, low, fits[0]);
        let high = instant::ordered(kinds[1], subject, high, fits[1]);
        // What can't be compared at all is said once.
        low.extend(high.into_iter().filter(|failure| failure.kind != "required"));
        low
    };
    if operator == Operator::Between {
        return failures(["gte", "lte"], [std::cmp::Ordering::is_ge, std::cmp::Ordering::is_le]);
    }
    let outside = failures(["lt", "gt"], [std::cmp::Ordering::is_lt, std::cmp::Ordering::is_gt]);
    // To lie on one side is enough.
    if outside.len() == 1 && outside[0].kind != "required" { Vec::new() } else { outside }
}

/// The operators that compare with a part of a text.
fn part(operator: Operator, subject: &Value, value: &Value) -> Vec<Failure> {
    use Operator as O;
    let contains = matches!(operator, O::Contains | O::Ncontains | O::Icontains | O::Nicontains);
    let kind = match operator {
        O::Icontains => "contains",
        O::Nicontains => "ncontains",
        other => other.as_str().trim_start_matches('_'),
    };
    let failure = || vec![Failure::substring(kind, value.clone())];
    let fold = operator.as_str().starts_with("_i") || operator.as_str().starts_with("_ni");
    let letters = |text: &str| if fold { text.to_lowercase() } else { text.to_owned() };
    let wanted = letters(&shown(value));
    let found = match subject {
        Value::String(text) => {
            let text = letters(text);
            match operator {
                _ if contains => text.contains(&wanted),
                O::StartsWith | O::NstartsWith | O::IstartsWith | O::NistartsWith => {
                    text.starts_with(&wanted)
                }
                _ => text.ends_with(&wanted),
            }
        }
        // A list contains its entries.
        Value::Array(list) if contains => list.iter().any(|entry| letters(&shown(entry)) == wanted),
        _ if contains => return failure(),
        _ => return vec![Failure::required()],
    };
    let against = operator.as_str().starts_with("_n");
    if found == against { failure() } else { Vec::new() }
}

#[cfg(test)]
mod tests;
