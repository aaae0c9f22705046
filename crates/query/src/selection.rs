//! The fields of an answer as a tree: `a.b` and `a.c` are one relation with two fields.

use model::{Error, Function};

use crate::path::{Path, Step};

/// A field of an answer, with the fields of the items it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Name, or `*`.
    pub name: String,
    /// What of it is meant instead of its value.
    pub function: Option<Function>,
    /// Fields wanted of the items it leads to, by the collection that is meant; none for the bare value.
    pub below: Vec<Below>,
}

/// What is wanted of related items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Below {
    /// Of a field that may refer to several collections: the one that is meant.
    pub scope: Option<String>,
    /// Fields.
    pub fields: Vec<Selected>,
}

/// The tree of these paths, in the order in which names come up first.
///
/// # Errors
/// `INVALID_QUERY` when one of them is no path.
pub fn select(names: &[String]) -> Result<Vec<Selected>, Error> {
    let mut tree = Vec::new();
    for name in names {
        let path = Path::parse(name)?;
        put(&mut tree, &path.steps, &path.last, path.function);
    }
    Ok(tree)
}

fn put(tree: &mut Vec<Selected>, steps: &[Step], last: &Step, function: Option<Function>) {
    let Some((first, rest)) = steps.split_first() else {
        if !tree.iter().any(|known| known.name == last.name && known.function == function) {
            tree.push(Selected { name: last.name.clone(), function, below: Vec::new() });
        }
        return;
    };
    let at = tree.iter().position(|known| known.name == first.name && known.function.is_none());
    let at = at.unwrap_or_else(|| {
        tree.push(Selected { name: first.name.clone(), function: None, below: Vec::new() });
        tree.len() - 1
    });
    let below = &mut tree[at].below;
    let within = below.iter().position(|known| known.scope == first.scope).unwrap_or_else(|| {
        below.push(Below { scope: first.scope.clone(), fields: Vec::new() });
        below.len() - 1
    });
    put(&mut below[within].fields, rest, last, function);
}

#[cfg(test)]
mod tests {
    use super::{Selected, select};

    fn shown(tree: &[Selected]) -> String {
        let one = |selected: &Selected| {
            let below = selected.below.iter().map(|below| {
                format!("{}[{}]", below.scope.clone().unwrap_or_default(), shown(&below.fields))
            });
            let function = selected.function.as_ref().map(|function| format!("!{}", function.as_str()));
            format!("{}{}{}", selected.name, function.unwrap_or_default(), below.collect::<String>())
        };
        tree.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn names_grow_together() {
        let names =
            ["id", "a.b", "a.c.d", "*.*", "a.b", "item:x.t", "item:y.*", "year(a.e)", "a", "count(a)"];
        let names: Vec<String> = names.map(str::to_owned).to_vec();
        insta::assert_snapshot!(shown(&select(&names).unwrap()), @"id a[b c[d] e!year] *[*] itemx[t]y[*] a!count");
    }
}
