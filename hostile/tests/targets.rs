//! The bodies of the fuzz targets on inputs of a fixed seed. `make fuzz` tries other ones, for longer.

use hostile::target::TARGETS;

const SEED: u64 = 20_260_101;

fn hammer(name: &str, count: usize) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    target.hammer(SEED, count);
}

macro_rules! targets {
    ($($test:ident: $name:literal $count:literal),+ $(,)?) => {
        $(#[test]
        fn $test() {
            hammer($name, $count);
        })+

        #[test]
        fn every_target_has_its_test() {
            let tested = [$($name),+];
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), tested);
        }
    };
}

targets! {
    no_bytes_make_a_bundle_that_reads_in_two_ways: "bundle" 20_000,
    no_bytes_pass_for_what_forge_signed: "attestation" 6_000,
    no_bytes_make_a_status_that_reads_in_two_ways: "status" 40_000,
    no_bytes_pass_for_a_credential: "credential" 10_000,
    no_bytes_make_a_name_that_climbs_or_matches: "address" 60_000,
    no_source_panics_hangs_or_grows: "template" 50_000,
    no_file_brings_a_reader_down: "exchange" 2_000,
}
