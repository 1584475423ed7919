//! The benchmarks: `make bench` runs all of them.
//!
//! Each figure stands beside a baseline that was measured in the same run, in turn with it. The table goes
//! to standard output and the figures to `target/bench/results.json`.
//!
//! | module | what is measured |
//! |---|---|
//! | [`read`] | a prompt from a cache of 10,000, by one thread and by two |
//! | [`render`] | rendering three sizes of prompt |
//! | [`start`] | a cold start with 1,000 prompts and no network |
//! | [`peers`] | reading and rendering beside the ways of peers: a TTL cache over HTTP, flags over gRPC |
//! | [`apply`] | taking up 10,000 prompts |
//! | [`bundle`] | making the bundle of the real prompts |
//! | [`publish`], [`fleet`] | from publish to active, and to every answer, for 1, 100 and 1,000 agents |
//! | [`storm`] | the broker's return, until 1,000 agents are current |
//! | [`revoke`] | from revoking a credential until its clients are cut off, on both databases |
//! | [`resident`] | the memory of an agent with 1,000 prompts |
//! | [`sidecar`] | requests a second of `live serve`, and its memory |
//! | [`finding`] | pages, reads and searches of FORGE at 100,000 prompts and 1,000 projects, on both databases |
//! | [`hostile`] | the longest and the largest of each kind of hostile template |
//! | [`measure`] | how |
//! | [`prompts`] | with what |
//! | [`report`] | how it is told |

mod apply;
mod bundle;
mod finding;
mod fleet;
mod hostile;
mod measure;
mod peers;
mod prompts;
mod publish;
mod read;
mod render;
mod report;
mod resident;
mod revoke;
mod sidecar;
mod start;
mod storm;

use std::path::Path;

use anyhow::bail;
use report::Figure;

#[global_allocator]
static ALLOCATOR: ::hostile::allocations::Counting = ::hostile::allocations::Counting;

type Bench = (&'static str, fn() -> anyhow::Result<Vec<Figure>>);

/// Every bench, in the order of the table.
const BENCHES: &[Bench] = &[
    ("read", read::run),
    ("render", render::run),
    ("start", start::run),
    ("peers", peers::run),
    ("apply", apply::run),
    ("bundle", bundle::run),
    ("publish", publish::run),
    ("storm", storm::run),
    ("revoke", revoke::run),
    ("resident", resident::run),
    ("sidecar", sidecar::run),
    ("finding", finding::run),
    ("hostile", hostile::run),
];

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, file] = wanted.as_slice()
        && mode == "fleet"
    {
        return tokio::runtime::Runtime::new()?.block_on(fleet::serve(Path::new(file)));
    }
    if wanted == [sidecar::HELLO] {
        return tokio::runtime::Runtime::new()?.block_on(sidecar::hello());
    }
    if let Some(unknown) = wanted.iter().find(|w| !BENCHES.iter().any(|(name, _)| name == w)) {
        let names: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
        bail!("there is no bench {unknown}: name some of {}, or none for all", names.join(", "));
    }
    if cfg!(debug_assertions) {
        eprintln!("benches: this is a debug build; the figures mean nothing (say `make bench`)");
    }
    let mut figures = Vec::new();
    for (name, run) in
        BENCHES.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name))
    {
        eprintln!("benches: {name}");
        figures.extend(run()?);
    }
    report::print(&figures);
    report::write(&figures, &tests::tools::repo_root().join("target/bench/results.json"))
}
