//! Names in a query: `title`, `author.name`, `year(published_at)`, `author.year(born)`, `item:headings.text`.

use model::{Error, Function};

/// Relational steps of one name.
const STEP_LIMIT: usize = 32;
/// Steps of a path inside json (`MAX_JSON_QUERY_DEPTH`).
const JSON_LIMIT: usize = 10;

/// A field, perhaps of a related item, perhaps seen through a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Relational fields on the way.
    pub steps: Vec<Step>,
    /// The field itself.
    pub last: Step,
    /// What of it is meant instead of its value.
    pub function: Option<Function>,
}

/// One name of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Field.
    pub name: String,
    /// Of a field that may refer to several collections: the one that is meant.
    pub scope: Option<String>,
}

impl Step {
    fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((name, scope)) if !name.is_empty() && !scope.is_empty() => {
                Self { name: name.to_owned(), scope: Some(scope.to_owned()) }
            }
            _ => Self { name: text.to_owned(), scope: None },
        }
    }

    /// As it is written.
    pub fn text(&self) -> String {
        match &self.scope {
            Some(scope) => format!("{}:{scope}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Path {
    /// Reads a name. A function may stand around the whole path or around its last name.
    ///
    /// # Errors
    /// `INVALID_QUERY`: an unknown function, a bracket that is not closed, too many steps.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (before, inner, function) = match text.find('(') {
            None => ("", text, None),
            Some(open) => {
                let inner = text[open + 1..].strip_suffix(')').ok_or_else(|| malformed(text))?;
                let (before, name) = text[..open].rsplit_once('.').unwrap_or(("", &text[..open]));
                let (inner, function) = call(name, inner).ok_or_else(|| malformed(text))?;
                (before, inner, Some(function))
            }
        };
        let all = before.split('.').filter(|part| !part.is_empty()).chain(inner.trim().split('.'));
        let mut steps: Vec<Step> = all.map(|part| Step::parse(part.trim())).collect();
        let last = steps.pop().filter(|last| !last.name.is_empty()).ok_or_else(|| malformed(text))?;
        if steps.len() > STEP_LIMIT {
            return Err(Error::invalid_query(format!("\"{text}\" has more than {STEP_LIMIT} steps")));
        }
        Ok(Self { steps, last, function })
    }
}

/// `year`, `json` ... and what is within the brackets: the field, and a function with its own argument.
fn call<'a>(name: &str, inner: &'a str) -> Option<(&'a str, Function)> {
    if name == "json" {
        let (field, path) = inner.split_once(',')?;
        return Some((field, inside(path)?));
    }
    Some((inner, Function::parse(name)?))
}

/// A value inside json; nothing when the path is none, or too deep.
pub(crate) fn inside(path: &str) -> Option<Function> {
    let plain = !path.contains(['$', '*', '?', '@', '\0']) && !path.contains("[]");
    let fits = plain && (1..=JSON_LIMIT).contains(&json_steps(path).len());
    fits.then(|| Function::Json(path.trim().to_owned()))
}

fn malformed(text: &str) -> Error {
    Error::invalid_query(format!("\"{text}\" is not the name of a field"))
}

/// A function's result is called like this in an answer: `published_at_year`, `metadata_a_b_json`.
pub fn result_name(field: &str, function: &Function) -> String {
    match function {
        Function::Json(path) => {
            format!("{field}_{}_json", json_steps(path).join("_")).replace(char::is_whitespace, "_")
        }
        _ => format!("{field}_{}", function.as_str()),
    }
}

/// The steps of a path inside json: `a.b[0]` is `a`, `b`, `0`.
pub fn json_steps(path: &str) -> Vec<&str> {
    path.split(['.', '[', ']']).map(str::trim).filter(|step| !step.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use model::Function;

    use super::Path;

    fn shown(text: &str) -> String {
        match Path::parse(text) {
            Ok(path) => {
                let steps: Vec<String> = path.steps.iter().map(super::Step::text).collect();
                format!("{steps:?} {} {:?}", path.last.text(), path.function)
            }
            Err(_) => "malformed".to_owned(),
        }
    }

    #[test]
    fn paths_are_read() {
        for (text, expected) in [
            ("title", "[] title None"),
            ("author.name", r#"["author"] name None"#),
            ("year(born)", "[] born Some(Year)"),
            ("year(author.born)", r#"["author"] born Some(Year)"#),
            ("author.year(born)", r#"["author"] born Some(Year)"#),
            ("a.b.count(c)", r#"["a", "b"] c Some(Count)"#),
            ("item:headings.text", r#"["item:headings"] text None"#),
            ("json(metadata, a.b[0])", r#"[] metadata Some(Json("a.b[0]"))"#),
            ("*.*", r#"["*"] * None"#),
            ("nope(x)", "malformed"),
            ("json(a)", "malformed"),
            ("json(a, )", "malformed"),
            ("json(a, $.b)", "malformed"),
            ("json(a, [].b)", "malformed"),
            ("year(x", "malformed"),
            ("a.", "malformed"),
            ("", "malformed"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert_eq!(super::result_name("a", &Function::Year), "a_year");
        assert_eq!(super::result_name("a", &Function::Json("b.c[0].\"d".to_owned())), "a_b_c_0_\"d_json");
    }
}
