//! Making the bundle of the 225 real prompts: canonical bytes, digest, compression.

use std::hint::black_box;

use anyhow::Context as _;
use schemas::bundle::{Bundle, SCHEMA_VERSION};

use crate::measure::{Pair, pair};
use crate::prompts;
use crate::report::Figure;

/// Nanoseconds in a millisecond.
const MS: f64 = 1e6;

pub(crate) fn run() -> anyhow::Result<Vec<Figure>> {
    let bundle =
        Bundle { schema_version: SCHEMA_VERSION, ..prompts::bundle("patterns", prompts::fabric()?)? };
    let built = publisher::bundle::build(bundle.clone()).context("the real prompts make a bundle")?;
    let name = format!(
        "bundle of {} prompts ({} KiB, {} KiB sent)",
        bundle.prompts.len(),
        built.body.len() / 1024,
        built.wire.len() / 1024
    );
    // The baseline does what any format would: serialise, and compress alike.
    let Pair { measured, baseline } = pair(
        || {
            black_box(publisher::bundle::build(black_box(&bundle).clone()).expect("it was built before"));
        },
        || {
            let json = serde_json::to_vec(&black_box(&bundle).clone()).expect("it was serialised before");
            black_box(zstd::bulk::compress(&json, schemas::bundle::ZSTD_LEVEL).expect("it compresses"));
        },
    );
    Ok(vec![Figure::new(name, measured / MS, "ms").against(baseline / MS).at_most(20.0)])
}
