//! What came along with a copy or with an import, or that a version was restored, said once.

use serde::Deserialize;

use crate::author::Along;
use crate::ui::view::{Callout, count, encoded};

/// What the address says of what was just done: of a copy, names of partials with commas between them; of a draft, the
/// version that was restored; of an import, how many changes it made.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Copied {
    brought: String,
    differs: String,
    missing: String,
    restored: String,
    imported: String,
}

/// The query that [`Copied`] reads; empty where there is nothing to say.
pub(crate) fn along(along: &Along) -> String {
    let said = [("brought", &along.brought), ("differs", &along.differs), ("missing", &along.missing)];
    let fields: Vec<String> = said
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(field, names)| format!("{field}={}", encoded(&names.join(","))))
        .collect();
    if fields.is_empty() { String::new() } else { format!("?{}", fields.join("&")) }
}

impl Copied {
    /// The query once more, for the page that an import leads on to.
    pub(super) fn onwards(&self) -> String {
        self.changes().map(|n| format!("?imported={n}")).unwrap_or_default()
    }

    /// How many changes an import made.
    fn changes(&self) -> Option<u64> {
        self.imported.parse().ok()
    }

    /// What is said above the text.
    pub(crate) fn callout(&self) -> Option<Callout> {
        if let Some(n) = self.changes() {
            return Some(Callout::ok(
                "Imported.",
                format!("{} made.", count(n, "change was", "changes were")),
            ));
        }
        if !self.restored.is_empty() {
            let text = format!(
                "The draft is what {} was. What stood there before is in the histories, and what went is archived.",
                self.restored
            );
            return Some(Callout::ok("Restored.", text));
        }
        let names = |list: &str| list.split(',').filter(|n| !n.is_empty()).collect::<Vec<_>>().join(", ");
        let mut said = Vec::new();
        if !self.brought.is_empty() {
            said.push(format!("These partials came along: {}.", names(&self.brought)));
        }
        if !self.differs.is_empty() {
            let words = "This set has its own, with another text, and the copy takes in those";
            said.push(format!("{words}: {}.", names(&self.differs)));
        }
        if !self.missing.is_empty() {
            let words = "These are missing here, and the copy does not render until they are written";
            said.push(format!("{words}: {}.", names(&self.missing)));
        }
        if said.is_empty() {
            return None;
        }
        let mut callout = Callout::ok("Copied.", said.join(" "));
        if !(self.differs.is_empty() && self.missing.is_empty()) {
            (callout.state, callout.icon) = ("warn", "alert");
        }
        Some(callout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_along_is_said_and_nothing_where_nothing_did() {
        assert_eq!(along(&Along::default()), "");
        assert!(Copied::default().callout().is_none());
        let told = Along { brought: vec!["tone".into(), "mail/foot".into()], ..Along::default() };
        assert_eq!(along(&told), "?brought=tone%2Cmail%2Ffoot");
        let copied = Copied { brought: "tone,mail/foot".into(), missing: "gone".into(), ..Copied::default() };
        let said = copied.callout().unwrap();
        assert!(said.text.contains("came along: tone, mail/foot.") && said.text.contains("gone"), "{said:?}");
        assert_eq!(said.state, "warn");
        let restored = Copied { restored: "1.2.0".into(), ..Copied::default() };
        assert!(restored.callout().unwrap().text.contains("what 1.2.0 was"));
        let imported = Copied { imported: "3".into(), ..Copied::default() };
        assert_eq!(imported.callout().unwrap().text, "3 changes were made.");
        assert_eq!(imported.onwards(), "?imported=3");
        let other = Copied { imported: "<b>".into(), ..Copied::default() };
        assert!(other.callout().is_none() && other.onwards().is_empty());
    }
}
