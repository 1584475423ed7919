//! What is served: every prompt of every active set, compiled, behind one pointer.
//!
//! Reading takes no lock, makes no system call and allocates nothing: it loads the pointer, looks
//! into a hash map and borrows. Taking up a bundle builds a new table beside the old one and swaps
//! the pointer; a reader sees the one or the other, never a mixture. Local overrides are laid over
//! what is published when the table is built, so that reading knows nothing of them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use hashbrown::HashMap;
use schemas::names::{NameError, Reference, Wanted};
use schemas::prompt::Partial;
use schemas::status::{Applied, OVERRIDES_MAX};
use schemas::template::{CompiledPrompt, CompiledSet};
use schemas::{PromptId, Slug};

use crate::overrides::Overrides;
use crate::overrides::folder::Found as File;
use crate::report::tally::Tally;
use crate::report::usage::Usage;

/// One set as it is served.
#[derive(Debug)]
pub(crate) struct ActiveSet {
    pub(crate) set: Slug,
    pub(crate) applied: Applied,
    pub(crate) compiled: CompiledSet,
    pub(crate) partials: Vec<Partial>,
    /// The prompts of it that are of this machine, and not what FORGE published.
    pub(crate) local: BTreeSet<PromptId>,
}

impl ActiveSet {
    pub(crate) fn prompts(&self) -> impl Iterator<Item = &Arc<CompiledPrompt>> {
        self.compiled.iter().map(|(_, prompt)| prompt)
    }
}

/// A prompt as it is served, and the counts of its use.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) prompt: Arc<CompiledPrompt>,
    pub(crate) tally: Arc<Tally>,
}

/// The prompts of one set, by id.
type Shelf = HashMap<Box<str>, Arc<Served>, foldhash::fast::RandomState>;

/// All that is served at one moment.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Sorted by name.
    sets: Vec<Arc<ActiveSet>>,
    /// What each of them has, in the same order.
    shelves: Vec<Arc<Shelf>>,
    /// Where each id stands. Left empty while there is only one set: that set is asked itself.
    index: HashMap<Box<str>, Place, foldhash::fast::RandomState>,
}

#[derive(Debug)]
enum Place {
    One(Arc<Served>),
    Several(Vec<Slug>),
}

/// What a look-up gives.
#[derive(Debug)]
pub(crate) enum Found<'t> {
    One(&'t Arc<Served>),
    /// More than one set has the id.
    Several(&'t [Slug]),
    None,
    /// The set is served, in a version that the address does not ask for; or nobody here can know.
    OtherVersion {
        set: &'t ActiveSet,
        wanted: Wanted,
    },
    OtherOrganisation,
    NoAddress(NameError),
}

#[derive(Debug)]
pub(crate) struct Cache {
    table: ArcSwap<Table>,
    parts: Mutex<Parts>,
    usage: Usage,
}

/// What the table is built of. Readers never touch it.
#[derive(Debug, Default)]
struct Parts {
    published: Vec<Arc<ActiveSet>>,
    overrides: Overrides,
}

impl Cache {
    /// Serves nothing yet. The use of each prompt is kept where `usage_by_prompt`, and its sums anyhow.
    pub(crate) fn new(usage_by_prompt: bool) -> Self {
        Self { table: ArcSwap::default(), parts: Mutex::default(), usage: Usage::new(usage_by_prompt) }
    }

    pub(crate) fn load(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts each set in the place of the one of its name, all at one moment.
    pub(crate) fn put(&self, new: Vec<ActiveSet>) {
        let mut parts = self.parts();
        parts.published.retain(|s| !new.iter().any(|n| n.set == s.set));
        parts.published.extend(new.into_iter().map(Arc::new));
        self.build(&mut parts);
    }

    /// Takes up what is in the folder of overrides now; gives the sets in which something changed.
    pub(crate) fn lay_over(&self, files: Vec<File>) -> BTreeSet<Slug> {
        let mut parts = self.parts();
        parts.overrides.update(files);
        self.build(&mut parts)
    }

    fn build(&self, parts: &mut Parts) -> BTreeSet<Slug> {
        let (mut sets, changed) = parts.overrides.lay_over(&parts.published);
        sets.sort_by(|a, b| a.set.cmp(&b.set));
        let before = self.table.load_full();
        // Whatever of it was used is known before what comes back asks for its counts.
        self.usage.note(before.tallies(), std::iter::empty());
        let table = Arc::new(Table::new(sets, &before, &self.usage));
        self.table.store(Arc::clone(&table));
        self.usage.note(table.tallies(), before.tallies());
        changed
    }

    /// The use of all prompts, with that of those served now as of now.
    pub(crate) fn usage(&self) -> &Usage {
        self.usage.note(self.table.load().tallies(), std::iter::empty());
        &self.usage
    }

    /// What is wrong with files of overrides.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.parts().overrides.problems().to_vec()
    }
}

impl Table {
    /// `before` is the table whose place it takes; what is the same, or comes back, is counted on.
    fn new(sets: Vec<Arc<ActiveSet>>, before: &Self, usage: &Usage) -> Self {
        let shelves: Vec<Arc<Shelf>> = sets.iter().map(|set| before.shelf_of(set, usage)).collect();
        let mut index = HashMap::default();
        if sets.len() > 1 {
            index.reserve(shelves.iter().map(|shelf| shelf.len()).sum());
            for served in shelves.iter().flat_map(|shelf| shelf.values()) {
                enter(&mut index, served, &sets);
            }
        }
        Self { sets, shelves, index }
    }

    fn shelf_of(&self, set: &Arc<ActiveSet>, usage: &Usage) -> Arc<Shelf> {
        let had = self.sets.binary_search_by(|had| had.set.cmp(&set.set)).ok();
        let had = had.and_then(|place| Some((self.sets.get(place)?, self.shelves.get(place)?)));
        if let Some((had, shelf)) = had
            && Arc::ptr_eq(had, set)
        {
            return Arc::clone(shelf);
        }
        let shelf = had.map(|(_, shelf)| shelf);
        let version = &set.applied.version;
        let former = usage.former(&set.set, version);
        let each = set.prompts().map(|prompt| {
            let id = prompt.prompt().id.as_str();
            let had = shelf.and_then(|shelf| shelf.get(id));
            let same = had.filter(|had| Arc::ptr_eq(&had.prompt, prompt));
            let served = same.cloned().unwrap_or_else(|| {
                let local = set.local.contains(&prompt.prompt().id);
                let had = had.map(|had| &had.tally).filter(|tally| tally.is_of(&set.set, version));
                let counted = had.or_else(|| former.get(id)).filter(|_| !local).cloned();
                let new = || Arc::new(Tally::new(set.set.clone(), version.clone(), id, local));
                Arc::new(Served { prompt: Arc::clone(prompt), tally: counted.unwrap_or_else(new) })
            });
            (id.into(), served)
        });
        Arc::new(each.collect())
    }

    fn tallies(&self) -> impl Iterator<Item = &Arc<Tally>> {
        self.shelves.iter().flat_map(|shelf| shelf.values()).map(|served| &served.tally)
    }

    /// Finds a prompt by its id, or by an address ([`Reference`]) of our `organisation`.
    #[inline]
    pub(crate) fn find(&self, id: &str, organisation: &Slug) -> Found<'_> {
        if id.starts_with('@') { self.find_address(id, organisation) } else { self.find_id(id) }
    }

    #[inline]
    fn find_id(&self, id: &str) -> Found<'_> {
        if let [only] = self.shelves.as_slice() {
            return only.get(id).map_or(Found::None, Found::One);
        }
        match self.index.get(id) {
            Some(Place::One(prompt)) => Found::One(prompt),
            Some(Place::Several(sets)) => Found::Several(sets),
            None => Found::None,
        }
    }

    fn find_address(&self, address: &str, organisation: &Slug) -> Found<'_> {
        match Reference::new(address) {
            Err(error) => Found::NoAddress(error),
            Ok(Reference::Id(id)) => self.find_id(id),
            Ok(Reference::Path { first, rest }) => {
                if let Some((_, shelf)) = self.place(first) {
                    return find_in(shelf, rest);
                }
                let inner = rest.split_once('/').filter(|_| first == organisation.as_str());
                inner.and_then(|(set, id)| Some(find_in(self.place(set)?.1, id))).unwrap_or(Found::None)
            }
            Ok(Reference::Versioned { organisation: Some(other), .. }) if other != organisation.as_str() => {
                Found::OtherOrganisation
            }
            Ok(Reference::Versioned { set, version, id, .. }) => {
                let Some((set, shelf)) = self.place(set) else { return Found::None };
                match Wanted::new(version) {
                    Err(error) => Found::NoAddress(error),
                    Ok(wanted) if wanted.is_met_by(&set.applied.version) == Some(true) => find_in(shelf, id),
                    Ok(wanted) => Found::OtherVersion { set, wanted },
                }
            }
        }
    }

    /// The set of that name.
    pub(crate) fn set(&self, name: &str) -> Option<&ActiveSet> {
        self.place(name).map(|(set, _)| set)
    }

    fn place(&self, name: &str) -> Option<(&ActiveSet, &Shelf)> {
        let place = self.sets.binary_search_by(|set| set.set.as_str().cmp(name)).ok()?;
        Some((self.sets.get(place)?, self.shelves.get(place)?))
    }

    pub(crate) fn sets(&self) -> &[Arc<ActiveSet>] {
        &self.sets
    }

    /// What is of this machine and not what FORGE published, as `@set/id`; as many as a status names.
    pub(crate) fn overrides(&self) -> Vec<String> {
        let each = |set: &Arc<ActiveSet>| -> Vec<String> {
            set.local.iter().map(|id| format!("@{}/{id}", set.set)).collect()
        };
        self.sets.iter().flat_map(each).take(OVERRIDES_MAX).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }
}

fn find_in<'t>(shelf: &'t Shelf, id: &str) -> Found<'t> {
    shelf.get(id).map_or(Found::None, Found::One)
}

fn enter(
    index: &mut HashMap<Box<str>, Place, foldhash::fast::RandomState>,
    served: &Arc<Served>,
    sets: &[Arc<ActiveSet>],
) {
    let id = served.prompt.prompt().id.as_str();
    match index.get_mut(id) {
        None => {
            index.insert(id.into(), Place::One(Arc::clone(served)));
        }
        Some(Place::Several(_)) => {}
        Some(place) => {
            let having = sets.iter().filter(|s| s.compiled.get(id).is_some());
            *place = Place::Several(having.map(|s| s.set.clone()).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::bundle::{Bundle, SCHEMA_VERSION};
    use schemas::canonical::Digest;
    use schemas::prompt::Prompt;

    use super::*;

    fn set(name: &str, serial: u64, ids: &[&str]) -> ActiveSet {
        let set: Slug = name.parse().unwrap();
        let bundle = Bundle {
            schema_version: SCHEMA_VERSION,
            organisation: "acme".parse().unwrap(),
            project: "support".parse().unwrap(),
            set: set.clone(),
            version: "1.0.0".parse().unwrap(),
            prompts: ids.iter().map(|id| Prompt::text(id.parse().unwrap(), format!("{serial}"))).collect(),
            partials: Vec::new(),
            dependencies: Vec::new(),
        };
        let applied = Applied {
            publication: "p".into(),
            serial,
            version: bundle.version.clone(),
            digest: Digest::of(name.as_bytes()),
            activated_at: 0,
        };
        let compiled = CompiledSet::compile(&bundle).unwrap();
        ActiveSet { set, applied, compiled, partials: Vec::new(), local: BTreeSet::new() }
    }

    fn finds(cache: &Cache, address: &str) -> String {
        match cache.load().find(address, &"acme".parse().unwrap()) {
            Found::One(served) => served.prompt.render(&schemas::vars! {}).unwrap(),
            Found::Several(sets) => sets.iter().map(Slug::as_str).collect::<Vec<_>>().join("+"),
            Found::None => "-".into(),
            Found::OtherVersion { set, wanted: Wanted::Alias(_) } => format!("? {}", set.applied.version),
            Found::OtherVersion { set, .. } => format!("other {}", set.applied.version),
            Found::OtherOrganisation => "other organisation".into(),
            Found::NoAddress(_) => "no address".into(),
        }
    }

    #[test]
    fn an_address_finds_only_what_is_of_that_organisation_and_version() {
        let cache = Cache::new(true);
        cache.put(vec![set("chat", 1, &["a", "x/b"]), set("mail", 2, &["a", "chat/a"])]);
        let found = |address: &str| finds(&cache, address);
        for address in
            ["@chat@1.0.0/a", "@chat@^1/x/b", "@acme/chat@1/a", "@acme/chat@latest/x/b", "@acme/chat/a"]
        {
            assert_eq!(found(address), "1", "{address}");
        }
        assert_eq!(found("@acme/chat/x/b"), "1");
        assert_eq!(found("@mail/chat/a"), "2", "a set before an organisation, and an id with a folder");
        assert_eq!(["@chat@2/a", "@acme/chat@1.0.1/a"].map(found), ["other 1.0.0"; 2]);
        assert_eq!(["@chat@stable/a", "@acme/mail@live/none"].map(found), ["? 1.0.0"; 2]);
        assert_eq!(found("@meridian/chat@1/a"), "other organisation");
        let none = ["@meridian/chat/a", "@shop@1/a", "@acme/shop/a", "@acme/chat", "@acme/chat@1/none"];
        assert_eq!(none.map(found), ["-"; 5]);
        assert_eq!(["@chat", "@", "@chat@/a", "@chat@1", "@chat@^^/a"].map(found), ["no address"; 5]);
    }

    #[test]
    fn a_prompt_is_found_by_its_id_and_by_its_address() {
        let cache = Cache::new(true);
        assert_eq!(finds(&cache, "a"), "-");
        cache.put(vec![set("chat", 1, &["a", "x/b"])]);
        assert_eq!(["a", "x/b", "@chat/a", "@chat/x/b"].map(|id| finds(&cache, id)), ["1", "1", "1", "1"]);
        cache.put(vec![set("mail", 2, &["b", "a"]), set("shop", 3, &["c", "a"])]);
        assert_eq!(["x/b", "b", "c"].map(|id| finds(&cache, id)), ["1", "2", "3"]);
        assert_eq!(finds(&cache, "a"), "chat+mail+shop");
        assert_eq!(["@chat/a", "@mail/a", "@shop/a"].map(|id| finds(&cache, id)), ["1", "2", "3"]);
        assert_eq!(["@none/a", "", "@chat/c"].map(|id| finds(&cache, id)), ["-"; 3]);
        assert_eq!(["@chat", "@/a"].map(|id| finds(&cache, id)), ["no address"; 2]);
    }

    #[test]
    fn what_is_published_again_is_counted_on_and_what_is_of_this_machine_apart() {
        let cache = Cache::new(true);
        let tally = || match cache.load().find("a", &"acme".parse().unwrap()) {
            Found::One(served) => Arc::clone(&served.tally),
            _ => panic!("it is served"),
        };
        cache.put(vec![set("chat", 1, &["a"])]);
        let first = tally();
        let _ = first.measure(|| Ok::<(), ()>(()));
        cache.put(vec![set("chat", 2, &["a"])]);
        assert!(Arc::ptr_eq(&first, &tally()), "the same version");
        let mut own = set("chat", 3, &["a"]);
        own.local.insert("a".parse().unwrap());
        cache.put(vec![own]);
        let _ = tally().measure(|| Ok::<(), ()>(()));
        assert!(tally().local && tally().uses() == 1);
        cache.put(vec![set("chat", 4, &["a"])]);
        assert!(Arc::ptr_eq(&first, &tally()), "what is of this machine is gone, and counts for nothing");
        drop(first);
        cache.put(vec![set("chat", 5, &["b"])]);
        cache.put(vec![set("chat", 6, &["a"])]);
        assert_eq!(tally().uses(), 1);
        assert_eq!(cache.usage().counters().renders, 2);
    }

    #[test]
    fn a_newer_set_takes_the_place_of_the_old_one_and_nothing_of_it_stays() {
        let cache = Cache::new(true);
        cache.put(vec![set("chat", 1, &["a", "gone"]), set("mail", 1, &["m"])]);
        let before = cache.load();
        cache.put(vec![set("chat", 2, &["a", "new"])]);
        assert_eq!(["a", "new", "gone", "m"].map(|id| finds(&cache, id)), ["2", "2", "-", "1"]);
        assert!(
            matches!(before.find("gone", &"acme".parse().unwrap()), Found::One(_)),
            "who reads the old one reads all of it"
        );
    }
}
