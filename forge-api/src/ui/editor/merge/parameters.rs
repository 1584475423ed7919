//! Parameters that two changed at once, made one by their names.

use std::collections::{HashMap, HashSet};

use super::super::parameter::Row;
use super::super::typed::Typed;
use super::{Clash, Three, three, three_by};

/// The rows of a form by their names; of one name, the first.
struct Named<'a> {
    rows: Vec<&'a Row>,
    by: HashMap<&'a str, &'a Row>,
    /// Rows with no name, or with one that stands above.
    loose: Vec<&'a Row>,
}

impl<'a> Named<'a> {
    fn of(typed: &'a Typed) -> Self {
        let mut named = Self { rows: Vec::new(), by: HashMap::new(), loose: Vec::new() };
        for row in &typed.parameters {
            if row.name.is_empty() || named.by.contains_key(row.name.as_str()) {
                named.loose.push(row);
            } else {
                named.by.insert(row.name.as_str(), row);
                named.rows.push(row);
            }
        }
        named
    }

    fn get(&self, name: &str) -> Option<&'a Row> {
        self.by.get(name).copied()
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.rows.iter().copied().map(|row| row.name.as_str())
    }

    /// The names that the others have too, in the order of this one.
    fn order(&self, others: [&Self; 2]) -> Vec<&'a str> {
        self.names().filter(|name| others.iter().all(|other| other.by.contains_key(*name))).collect()
    }
}

/// What both made of the parameters. A parameter that both changed, each otherwise, stays as I have it.
pub(super) fn parameters(of: Three<'_>, clashes: &mut Vec<Clash>) -> Vec<Row> {
    let [base, mine, theirs] = [of.base, of.mine, of.theirs].map(Named::of);
    let mut kept: HashMap<&str, &Row> = HashMap::new();
    let mut seen: HashSet<&str> = HashSet::new();
    for name in mine.names().chain(theirs.names()).filter(|name| seen.insert(*name)) {
        let (row, clash) = three_by(base.get(name), mine.get(name), theirs.get(name), same);
        if clash {
            let what = format!("parameter {name}");
            clashes.push(Clash::of(what, described(theirs.get(name)), described(mine.get(name))));
        }
        if let Some(row) = row {
            kept.insert(name, row);
        }
    }
    let orders = (base.order([&mine, &theirs]), mine.order([&base, &theirs]), theirs.order([&base, &mine]));
    if three(orders.0.as_slice(), orders.1.as_slice(), orders.2.as_slice()).1 {
        clashes.push(Clash::of("order of the parameters", orders.2.join(", "), orders.1.join(", ")));
    }
    let (lead, other) = if orders.1 == orders.0 { (&theirs, &mine) } else { (&mine, &theirs) };
    let mut rows: Vec<&Row> = lead.names().filter_map(|name| kept.remove(name)).collect();
    // What only the other one has comes after what it stands behind there.
    let mut at = 0;
    for name in other.names() {
        if let Some(row) = kept.remove(name) {
            rows.insert(at, row);
            at += 1;
        } else if let Some(found) = rows.iter().position(|row| row.name == name) {
            at = found + 1;
        }
    }
    rows.into_iter().chain(mine.loose.iter().copied()).cloned().collect()
}

/// Whether two rows are one and the same parameter, however they were typed.
fn same(one: Option<&Row>, other: Option<&Row>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            one == other || matches!((one.parameter(), other.parameter()), (Ok(a), Ok(b)) if a == b)
        }
        _ => false,
    }
}

/// All of a parameter, in one line.
fn described(row: Option<&Row>) -> String {
    let Some(row) = row else { return "removed".to_owned() };
    let field = |what: &str, text: &str| (!text.is_empty()).then(|| format!("{what} {text}"));
    let parts = [
        Some(row.kind.clone()),
        Some(if row.required { "required" } else { "optional" }.to_owned()),
        field("smallest", &row.min),
        field("largest", &row.max),
        field("values", &row.values.replace('\n', " ")),
        field("shape", &row.shape),
        field("default", &row.default),
        field("example", &row.example),
        field("description", &row.description),
    ];
    parts.into_iter().flatten().collect::<Vec<String>>().join(", ")
}
