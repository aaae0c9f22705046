//! One comparison -> SQL.

use access::Action;
use model::{Error, Field, FieldType, Function, Link, Operator};
use serde_json::Value;

use super::constant::constant;
use super::fits::{check_number, check_operator};
use super::like::like;
use super::{Conditions, Whose};
use crate::column::sql_type;
use crate::function::function_value;
use crate::geometry;
use crate::link::target_key;
use crate::read::table;
use crate::reader::{Reader, Variable};
use crate::rights::and;
use crate::shape::readable_field;
use crate::statement::{Binding, Builder};
use crate::value::filter_text;

/// What a subject is compared with.
enum Operand {
    Value(String),
    /// A field of the one who asks, which may be null.
    Looked(String),
    /// A variable stands for nothing.
    Nothing,
}

/// What is compared: an expression, and the type that values are read as.
pub(super) struct Subject<'f> {
    pub(super) sql: String,
    pub(super) cast: String,
    pub(super) field: &'f Field,
    /// A number of ours, whatever the field is.
    pub(super) number: bool,
}

impl Conditions<'_> {
    pub(super) fn compare(
        &self,
        field: &Field,
        function: Option<&Function>,
        operator: Operator,
        value: &Value,
        b: &mut Builder,
    ) -> Result<String, Error> {
        let subject = match function {
            Some(Function::Json(path)) => return self.inside(field, path, operator, value, b),
            Some(function) => {
                let sql = function_value(function, field, self.collection, self.source, &self.reader, b)?;
                check_number(function, operator)?;
                Subject { sql, cast: "numeric".to_owned(), field, number: true }
            }
            None => {
                check_operator(field, operator)?;
                let sql = self.reader.column(field, self.collection, self.source, b);
                Subject { sql, cast: sql_type(field).to_owned(), field, number: false }
            }
        };
        self.compared(&subject, operator, value, b)
    }

    /// A comparison that the subject takes.
    pub(super) fn compared(
        &self,
        subject: &Subject<'_>,
        operator: Operator,
        value: &Value,
        b: &mut Builder,
    ) -> Result<String, Error> {
        let column = &subject.sql;
        let sign = match operator {
            Operator::Null | Operator::Nnull => {
                let wanted = (operator == Operator::Null) == truth(value);
                return Ok(format!("{column} IS {}NULL", if wanted { "" } else { "NOT " }));
            }
            Operator::Empty | Operator::Nempty => {
                let wanted = (operator == Operator::Empty) == truth(value);
                return Ok(match wanted {
                    true => format!("({column} IS NULL OR {column}::text = '')"),
                    false => format!("({column} IS NOT NULL AND {column}::text <> '')"),
                });
            }
            Operator::In | Operator::Nin => return self.one_of(subject, operator, value, b),
            Operator::Between | Operator::Nbetween => return self.between(subject, operator, value, b),
            // null compared is a question about null, as in the original.
            Operator::Eq if value.is_null() => return Ok(format!("{column} IS NULL")),
            Operator::Neq if value.is_null() => return Ok(format!("{column} IS NOT NULL")),
            Operator::Eq => "=",
            Operator::Neq => "<>",
            Operator::Lt => "<",
            Operator::Lte => "<=",
            Operator::Gt => ">",
            Operator::Gte => ">=",
            Operator::Intersects
            | Operator::Nintersects
            | Operator::IntersectsBbox
            | Operator::NintersectsBbox => {
                return geometry::compare(column, subject.field, operator, value, b);
            }
            _ => return like(subject, operator, value, b),
        };
        let operand = self.operand(subject, value, b)?;
        Ok(match (operand, self.whose.unresolved()) {
            (Operand::Value(operand), _) => format!("{column} {sign} {operand}"),
            (Operand::Looked(operand), _) => self.against(&operand, format!("{column} {sign} {operand}")),
            (Operand::Nothing, Some(unresolved)) => unresolved.to_owned(),
            // A variable that stands for nothing.
            (Operand::Nothing, None) if operator == Operator::Eq => format!("{column} IS NULL"),
            (Operand::Nothing, None) if operator == Operator::Neq => format!("{column} IS NOT NULL"),
            (Operand::Nothing, None) => "false".to_owned(),
        })
    }

    /// The dynamic variable that a value names.
    fn variable(&self, value: &Value, b: &mut Builder) -> Result<Option<Variable>, Error> {
        match value {
            Value::String(text) => self.reader.variables.resolve(text, b),
            _ => Ok(None),
        }
    }

    /// A value as an expression of the subject's type.
    fn operand(&self, subject: &Subject<'_>, value: &Value, b: &mut Builder) -> Result<Operand, Error> {
        match self.variable(value, b)? {
            None => match constant(self.whose, subject, value) {
                Some(constant) => Ok(Operand::Value(constant)),
                None => bound(subject, value, b).map(Operand::Value),
            },
            Some(Variable::Instant(text)) => self.instant(subject, &text, b).map(Operand::Value),
            Some(Variable::Ids(ids)) => match ids.first() {
                Some(id) => bound(subject, &Value::from(id.to_string()), b).map(Operand::Value),
                None => Ok(Operand::Nothing),
            },
            Some(variable @ Variable::Of { .. }) => {
                let list = self.of(subject, &variable, b)?;
                Ok(Operand::Looked(format!("(SELECT v.v FROM ({list}) v LIMIT 1)")))
            }
        }
    }

    /// A comparison with what is looked up and may be null.
    fn against(&self, looked: &str, comparison: String) -> String {
        match self.whose {
            Whose::RuleAgainst => format!("(CASE WHEN {looked} IS NULL THEN true ELSE {comparison} END)"),
            // Null is not true, and nothing turns it around.
            Whose::Client | Whose::Rule => comparison,
        }
    }

    /// `$NOW` in the subject's own notation.
    fn instant(&self, subject: &Subject<'_>, text: &str, b: &mut Builder) -> Result<String, Error> {
        let cast = match subject.field.kind {
            _ if subject.number => return Err(Error::invalid_query("\"$NOW\" is no number")),
            FieldType::Timestamp => "",
            FieldType::DateTime => " AT TIME ZONE 'UTC'",
            FieldType::Date => " AT TIME ZONE 'UTC')::date",
            FieldType::Time => " AT TIME ZONE 'UTC')::time",
            _ => return bound(subject, &Value::from(text), b),
        };
        let instant = format!("{}::text::timestamptz", b.bind(Binding::Text(Some(text.to_owned()))));
        Ok(if cast.contains(')') { format!("({instant}{cast}") } else { format!("({instant}{cast})") })
    }

    /// The values of a field of the items that a variable stands for: a select of `v`.
    fn of(&self, subject: &Subject<'_>, variable: &Variable, b: &mut Builder) -> Result<String, Error> {
        let Variable::Of { collection, ids, path } = variable else { return Err(Error::internal()) };
        // Whoever asks about the past is who he is now.
        let reader = Reader { schema: self.reader.schema.present(), ..self.reader };
        let mut collection = reader.related(collection)?;
        let mut keys = format!("ANY({}::uuid[])", b.bind(Binding::Uuids(ids.clone())));
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            let field = readable_field(name, collection, reader.access)?;
            if field.is_concealed() || !field.is_stored() {
                return Err(Error::forbidden_field(&collection.name, path));
            }
            let alias = b.alias();
            let column = reader.column(field, collection, &alias, b);
            let seen = and(reader.reach(collection, Action::Read, &alias, b));
            let (from, key) = (table(collection), target_key(collection, &alias));
            let select =
                |what: String| format!("SELECT {what} FROM {from} {alias} WHERE {key} = {keys}{seen}");
            match (&field.link, names.peek()) {
                (_, None) => return Ok(select(format!("{column}::text::{} AS v", subject.cast))),
                (Some(Link::One { collection: related }), Some(_)) => {
                    keys = format!("ANY({})", select(column));
                    collection = reader.related(related)?;
                }
                (_, Some(below)) => return Err(Error::forbidden_field(&collection.name, below)),
            }
        }
        Err(Error::internal())
    }

    fn one_of(
        &self,
        subject: &Subject<'_>,
        operator: Operator,
        value: &Value,
        b: &mut Builder,
    ) -> Result<String, Error> {
        let column = &subject.sql;
        let (mut texts, mut parts, mut has_null) = (Vec::new(), Vec::new(), false);
        let (equal, glue) = if operator == Operator::In { ("= ANY", " OR ") } else { ("<> ALL", " AND ") };
        for value in list(subject, operator, value)? {
            match self.variable(value, b)? {
                None if value.is_null() => has_null = true,
                None => texts.push(Some(text_of(subject, value)?)),
                Some(Variable::Instant(text)) => {
                    let sign = if operator == Operator::In { "=" } else { "<>" };
                    parts.push(format!("{column} {sign} {}", self.instant(subject, &text, b)?));
                }
                Some(Variable::Ids(ids)) => {
                    if ids.is_empty() && (operator == Operator::Nin || self.whose == Whose::RuleAgainst) {
                        parts.extend(self.whose.unresolved().map(str::to_owned));
                    }
                    for id in ids {
                        texts.push(Some(text_of(subject, &Value::from(id.to_string()))?));
                    }
                }
                Some(variable @ Variable::Of { .. }) => {
                    let list = self.of(subject, &variable, b)?;
                    parts.push(self.among(&list, format!("{column} {equal}({list})"), operator));
                }
            }
        }
        let bound = b.bind(Binding::Texts(texts));
        parts.insert(0, format!("{column} {equal}({bound}::text[]::{}[])", subject.cast));
        if has_null {
            let not = if operator == Operator::In { "" } else { "NOT " };
            parts.push(format!("{column} IS {not}NULL"));
        }
        Ok(format!("({})", parts.join(glue)))
    }

    /// A comparison with a list that is looked up and may be empty.
    fn among(&self, list: &str, comparison: String, operator: Operator) -> String {
        let there = format!("EXISTS (SELECT FROM ({list}) v WHERE v.v IS NOT NULL)");
        match self.whose {
            Whose::Client => comparison,
            Whose::Rule if operator == Operator::In => comparison,
            Whose::Rule => format!("({comparison} AND {there})"),
            Whose::RuleAgainst => format!("({comparison} OR NOT {there})"),
        }
    }

    fn between(
        &self,
        subject: &Subject<'_>,
        operator: Operator,
        value: &Value,
        b: &mut Builder,
    ) -> Result<String, Error> {
        let bounds = list(subject, operator, value)?;
        let [low, high] = bounds.as_slice() else {
            return Err(Error::invalid_query(format!("\"{}\" needs two values", operator.as_str())));
        };
        let not = if operator == Operator::Between { "" } else { "NOT " };
        let (mut ends, mut looked) = (Vec::new(), Vec::new());
        for end in [low, high] {
            match self.operand(subject, end, b)? {
                Operand::Value(end) => ends.push(end),
                Operand::Looked(end) => {
                    looked.push(end.clone());
                    ends.push(end);
                }
                Operand::Nothing => return Ok(self.whose.unresolved().unwrap_or("false").to_owned()),
            }
        }
        let between = format!("{} {not}BETWEEN {}", subject.sql, ends.join(" AND "));
        Ok(looked.iter().fold(between, |comparison, looked| self.against(looked, comparison)))
    }
}

fn list<'v>(subject: &Subject<'_>, operator: Operator, value: &'v Value) -> Result<Vec<&'v Value>, Error> {
    match value {
        Value::Array(values) => Ok(values.iter().collect()),
        _ => Err(Error::invalid_query(format!(
            "\"{}\" needs a list for {}",
            subject.field.name,
            operator.as_str()
        ))),
    }
}

/// A value's text, checked by the type it is read as.
fn text_of(subject: &Subject<'_>, value: &Value) -> Result<String, Error> {
    if !subject.number {
        return filter_text(value, subject.field);
    }
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => String::new(),
    };
    let fits = text.len() < 30 && text.parse::<f64>().is_ok_and(f64::is_finite);
    if fits {
        Ok(text)
    } else {
        Err(Error::invalid_query("A function's result is compared with numbers only"))
    }
}

fn bound(subject: &Subject<'_>, value: &Value, b: &mut Builder) -> Result<String, Error> {
    let bound = b.bind(Binding::Text(Some(text_of(subject, value)?)));
    Ok(format!("{bound}::text::{}", subject.cast))
}

pub(super) fn truth(value: &Value) -> bool {
    !matches!(value, Value::Bool(false)) && value.as_str() != Some("false")
}
