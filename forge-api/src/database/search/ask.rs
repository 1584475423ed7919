//! Asking the index: the newest of what fits, never more than is wanted.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::RunQueryDsl;

use super::super::{Conn, Result};
use super::facet;
use crate::search::words::Word;

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
    /// One of these; empty: every kind.
    pub kinds: Vec<&'static str>,
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
            let query = diesel::sql_query(
                "SELECT number, kind, row_id, organisation_id, project_id, set_id \
                 FROM search_found($1, $2, $3) ORDER BY number DESC",
            )
            .bind::<Text, _>(in_a_block(wanted, tier))
            .bind::<BigInt, _>(below)
            .bind::<BigInt, _>(limit);
            Ok(query.load(&mut **object).await?)
        }
    }
}

/// What FTS5 is asked. Words hold letters, digits and marks only, so that none can leave its quotes.
fn expression(wanted: &Wanted, tier: Tier) -> String {
    let one = |sort: char, id: &str| format!("\"{}\"", facet(sort, id));
    let whose: Vec<String> = (wanted.organisations.iter().map(|id| one('o', id)))
        .chain(wanted.granted.iter().map(|id| one('p', id)))
        .collect();
    let kinds: Vec<String> = wanted.kinds.iter().map(|kind| one('k', kind)).collect();
    let places = [
        wanted.set.as_deref().map(|id| one('s', id)),
        wanted.project.as_deref().map(|id| one('p', id)),
        (!kinds.is_empty()).then(|| kinds.join(" OR ")),
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

/// What a block of PostgreSQL's index is asked, as `tsquery` writes it, with `#` for the block. No word holds that sign,
/// nor one that could leave its quotes.
fn in_a_block(wanted: &Wanted, tier: Tier) -> String {
    let facet = |sort: char, id: &str| format!("'#_{}'", facet(sort, id));
    let name = |name: &str| format!("'#-{name}'");
    let all = |sort: char| {
        let words: Vec<String> = wanted
            .words
            .iter()
            .map(|w| format!("'#{sort}{}'{}", w.text, if w.prefix { ":*" } else { "" }))
            .collect();
        words.join(" & ")
    };
    let whole = wanted.whole.as_deref().map(name);
    let (fits, not) = match tier {
        Tier::Whole => (whole, None),
        _ if wanted.words.is_empty() => (None, None),
        Tier::Names => (Some(all('-')), whole),
        Tier::Words => (Some(all('.')), Some(all('-'))),
    };
    let whose: Vec<String> = (wanted.organisations.iter().map(|id| facet('o', id)))
        .chain(wanted.granted.iter().map(|id| facet('p', id)))
        .collect();
    let kinds: Vec<String> = wanted.kinds.iter().map(|kind| facet('k', kind)).collect();
    let out: Vec<String> = [
        fits,
        wanted.tag.as_deref().map(name),
        wanted.set.as_deref().map(|id| facet('s', id)),
        wanted.project.as_deref().map(|id| facet('p', id)),
        match kinds.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(format!("({})", several.join(" | "))),
        },
        Some(format!("({})", whose.join(" | "))),
        not.map(|not| format!("!({not})")),
    ]
    .into_iter()
    .flatten()
    .collect();
    out.join(" & ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::words;

    #[test]
    fn what_fits_better_is_not_found_again() {
        let wanted = Wanted {
            organisations: vec!["0-1".into()],
            kinds: vec!["prompt"],
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
        assert_eq!(
            in_a_block(&wanted, Tier::Words),
            "'#.wel':* & '#.x' & '#_kprompt' & ('#_o01') & !('#-wel':* & '#-x')"
        );
        assert_eq!(
            in_a_block(&wanted, Tier::Names),
            "'#-wel':* & '#-x' & '#_kprompt' & ('#_o01') & !('#-W')"
        );
        assert_eq!(
            in_a_block(&Wanted { granted: vec!["7".into()], ..Wanted::default() }, Tier::Words),
            "('#_p7')"
        );
    }
}
