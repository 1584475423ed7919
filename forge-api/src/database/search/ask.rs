//! Asking the index: the newest of what fits, never more than is wanted.

use diesel::QueryableByName;
use diesel::pg::Pg;
use diesel::query_builder::SqlQuery;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use diesel_async::RunQueryDsl;

use super::super::{Conn, Result};
use super::facet;
use crate::search::words::Word;

/// Entries of PostgreSQL that are looked at one by one, from the newest, before the index of words is asked: a frequent
/// word is found among them at once, and the index would give a great many rows to sort.
const NEWEST: i64 = 1000;

/// A row that fits.
#[derive(Debug, Clone, QueryableByName)]
pub struct Entry {
    /// Grows with the time of the change; the list is ordered by it.
    #[diesel(sql_type = BigInt)]
    pub number: i64,
    /// `project`, `set`, `prompt` or `partial`, or one of the archive.
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub row_id: String,
    #[diesel(sql_type = Text)]
    pub organisation_id: String,
    #[diesel(sql_type = Text)]
    pub project_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub set_id: Option<String>,
}

/// How well something fits, best first. What fits better is not found again by a lesser one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Its whole name is what was asked for.
    Whole,
    /// Every word stands in its name or tags.
    Names,
    /// Every word stands somewhere.
    Words,
}

impl Tier {
    pub const ALL: [Self; 3] = [Self::Whole, Self::Names, Self::Words];
}

/// What is looked for, and where.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Whole organisations,
    pub organisations: Vec<String>,
    /// and single projects of others.
    pub granted: Vec<String>,
    /// Of these, this one only.
    pub project: Option<String>,
    pub set: Option<String>,
    pub kind: Option<&'static str>,
    /// As [`crate::search::words::tag`] writes it.
    pub tag: Option<String>,
    /// None: everything fits.
    pub words: Vec<Word>,
    /// As [`crate::search::words::whole`] writes it.
    pub whole: Option<String>,
}

/// The newest entries below a number that fit in this tier.
pub async fn candidates(
    conn: &mut Conn,
    wanted: &Wanted,
    tier: Tier,
    below: i64,
    limit: i64,
) -> Result<Vec<Entry>> {
    if wanted.organisations.is_empty() && wanted.granted.is_empty() {
        return Ok(Vec::new());
    }
    match conn {
        Conn::Sqlite(object) => {
            let query = diesel::sql_query(
                "SELECT e.number, e.kind, e.row_id, e.organisation_id, e.project_id, e.set_id \
                 FROM (SELECT rowid AS number FROM search_index \
                       WHERE search_index MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?) AS found \
                 CROSS JOIN search_entries AS e ON e.number = found.number ORDER BY e.number DESC",
            )
            .bind::<Text, _>(expression(wanted, tier))
            .bind::<BigInt, _>(below)
            .bind::<BigInt, _>(limit);
            Ok(query.load(&mut **object).await?)
        }
        Conn::Postgres(object) => {
            if tier != Tier::Whole && !wanted.words.is_empty() {
                let found: Vec<Entry> =
                    among_newest(wanted, tier, below, limit).query().load(&mut **object).await?;
                if found.len() as i64 == limit {
                    return Ok(found);
                }
            }
            Ok(among_all(wanted, tier, below, limit).query().load(&mut **object).await?)
        }
    }
}

/// What FTS5 is asked. Words hold letters, digits and marks only, so that none can leave its quotes.
fn expression(wanted: &Wanted, tier: Tier) -> String {
    let one = |sort: char, id: &str| format!("\"{}\"", facet(sort, id));
    let whose: Vec<String> = (wanted.organisations.iter().map(|id| one('o', id)))
        .chain(wanted.granted.iter().map(|id| one('p', id)))
        .collect();
    let places = [
        wanted.set.as_deref().map(|id| one('s', id)),
        wanted.project.as_deref().map(|id| one('p', id)),
        wanted.kind.map(|kind| one('k', kind)),
        Some(whose.join(" OR ")),
    ];
    let mut out: Vec<String> = places.into_iter().flatten().map(|p| format!("facets : ({p})")).collect();
    out.extend(wanted.tag.as_ref().map(|tag| format!("names : \"{tag}\"")));
    let words: Vec<String> =
        wanted.words.iter().map(|w| format!("\"{}\"{}", w.text, if w.prefix { "*" } else { "" })).collect();
    let all = words.join(" AND ");
    let whole = wanted.whole.as_ref().map(|w| format!("names : \"{w}\""));
    let (fits, not) = match tier {
        Tier::Whole => (whole, None),
        _ if words.is_empty() => (None, None),
        Tier::Names => (Some(format!("names : ({all})")), whole),
        Tier::Words => (Some(format!("words : ({all})")), Some(format!("names : ({all})"))),
    };
    // What is rarest comes first.
    let out: Vec<String> = fits.into_iter().chain(out).map(|part| format!("({part})")).collect();
    let out = out.join(" AND ");
    not.map_or(out.clone(), |not| format!("({out}) NOT ({not})"))
}

/// A statement of PostgreSQL with its values.
#[derive(Default)]
struct Statement {
    text: String,
    values: Vec<Value>,
}

enum Value {
    Text(String),
    Texts(Vec<String>),
    Number(i64),
}

type Boxed = diesel::query_builder::BoxedSqlQuery<'static, Pg, SqlQuery>;

impl Statement {
    /// Adds a value, and gives its place.
    fn value(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    fn query(self) -> Boxed {
        let boxed = diesel::sql_query(self.text).into_boxed::<Pg>();
        self.values.into_iter().fold(boxed, |query, value| match value {
            Value::Text(text) => query.bind::<Text, _>(text),
            Value::Texts(texts) => query.bind::<Array<Text>, _>(texts),
            Value::Number(number) => query.bind::<BigInt, _>(number),
        })
    }

    fn scope(&mut self, wanted: &Wanted, below: i64) -> String {
        let mut out = match (wanted.organisations.as_slice(), wanted.granted.as_slice()) {
            ([one], []) => vec![format!("organisation_id = {}", self.value(Value::Text(one.clone())))],
            (many, granted) => vec![format!(
                "(organisation_id = ANY ({}) OR project_id = ANY ({}))",
                self.value(Value::Texts(many.to_vec())),
                self.value(Value::Texts(granted.to_vec()))
            )],
        };
        if let Some(project) = &wanted.project {
            out.push(format!("project_id = {}", self.value(Value::Text(project.clone()))));
        }
        if let Some(set) = &wanted.set {
            out.push(format!("set_id = {}", self.value(Value::Text(set.clone()))));
        }
        if let Some(kind) = wanted.kind {
            out.push(format!("kind = {}", self.value(Value::Text(kind.to_owned()))));
        }
        out.push(format!("number < {}", self.value(Value::Number(below))));
        out.join(" AND ")
    }

    /// The words, as `tsquery` writes them; empty where everything fits.
    fn fits(&mut self, wanted: &Wanted, tier: Tier) -> String {
        let words: Vec<String> = wanted
            .words
            .iter()
            .map(|w| format!("'{}'{}", w.text, if w.prefix { ":*" } else { "" }))
            .collect();
        let all = words.join(" & ");
        let whole = wanted.whole.as_ref().map(|w| format!("'{w}'"));
        let (fits, not) = match tier {
            Tier::Whole => (whole.map(|w| ("names", w)), None),
            _ if words.is_empty() => (None, None),
            Tier::Names => (Some(("names", all)), whole),
            Tier::Words => (Some(("words", all.clone())), Some(all)),
        };
        let tag = wanted.tag.as_ref().map(|tag| ("names", format!("'{tag}'")));
        let mut out = Vec::new();
        for (column, query) in fits.into_iter().chain(tag) {
            out.push(format!("{column} @@ {}::tsquery", self.value(Value::Text(query))));
        }
        if let Some(query) = not {
            out.push(format!("NOT names @@ {}::tsquery", self.value(Value::Text(query))));
        }
        out.join(" AND ")
    }
}

const COLUMNS: &str = "number, kind, row_id, organisation_id, project_id, set_id";

/// Of the newest entries of the scope, those that fit.
fn among_newest(wanted: &Wanted, tier: Tier, below: i64, limit: i64) -> Statement {
    let mut statement = Statement::default();
    let (scope, fits) = (statement.scope(wanted, below), statement.fits(wanted, tier));
    let limit = statement.value(Value::Number(limit));
    statement.text = format!(
        "SELECT {COLUMNS} FROM (SELECT * FROM search_entries WHERE {scope} ORDER BY number DESC LIMIT {NEWEST}) \
         AS newest WHERE {fits} ORDER BY number DESC LIMIT {limit}"
    );
    statement
}

/// Of all entries of the scope, those that fit. The planner may not try the newest one by one: that was done.
fn among_all(wanted: &Wanted, tier: Tier, below: i64, limit: i64) -> Statement {
    let mut statement = Statement::default();
    let (scope, fits) = (statement.scope(wanted, below), statement.fits(wanted, tier));
    let limit = statement.value(Value::Number(limit));
    statement.text = match fits.as_str() {
        "" => {
            format!("SELECT {COLUMNS} FROM search_entries WHERE {scope} ORDER BY number DESC LIMIT {limit}")
        }
        fits => format!(
            "WITH found AS MATERIALIZED (SELECT {COLUMNS} FROM search_entries WHERE {scope} AND {fits}) \
             SELECT * FROM found ORDER BY number DESC LIMIT {limit}"
        ),
    };
    statement
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::words;

    #[test]
    fn what_fits_better_is_not_found_again() {
        let wanted = Wanted {
            organisations: vec!["0-1".into()],
            kind: Some("prompt"),
            words: words::asked("wel x"),
            whole: Some("W".into()),
            ..Wanted::default()
        };
        assert_eq!(
            expression(&wanted, Tier::Words),
            r#"((words : ("wel"* AND "x")) AND (facets : ("kprompt")) AND (facets : ("o01"))) NOT (names : ("wel"* AND "x"))"#
        );
        assert_eq!(
            expression(&wanted, Tier::Whole),
            r#"(names : "W") AND (facets : ("kprompt")) AND (facets : ("o01"))"#
        );
        let mut statement = Statement::default();
        assert_eq!(statement.fits(&wanted, Tier::Words), "words @@ $1::tsquery AND NOT names @@ $2::tsquery");
    }
}
