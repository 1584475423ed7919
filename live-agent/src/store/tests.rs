//! The store under everything that can befall a disk.

use bytes::Bytes;
use schemas::Scope;
use schemas::canonical::Digest;
use tempfile::TempDir;

use super::*;
use crate::verify::Message;

/// In memory where there is such a place: thousands of commits are waited for here.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

pub(super) fn scope() -> Scope {
    Scope::new("acme", "support", "dev").unwrap()
}

pub(super) fn kept(set: &str, serial: u64, size: usize) -> Kept {
    let mut state = serial.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    let wire: Bytes = (0..size).map(|_| noise()).collect();
    let message = Message {
        set: set.parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        serial,
        digest: Digest::of(&wire),
        publication: Some("publication".into()),
        certificate: "certificate".into(),
        attestation: "attestation".into(),
        trust: None,
        encoding: None,
        sequence: serial,
        wire,
    };
    Kept { message, activated_at: 7 }
}

fn state(floor: u64) -> State {
    State::new(scope(), Mode::Accepting, floor, Some(9))
}

/// A store with several sets, one of them through several serials, as a file at rest.
fn filled(dir: &Path) -> KeyPair {
    let identity = KeyPair::new_user();
    let (mut store, _) = Store::open(dir, &scope()).unwrap();
    store.commit(&[Write::Identity(&identity), Write::State(&state(0))]).unwrap();
    for serial in 1..=6 {
        for (set, size) in [("chat", 20_000), ("mail", 700), ("tiny", 10)] {
            let one = kept(set, serial, size);
            store.commit(&[Write::Latest(&one), Write::State(&state(serial))]).unwrap();
        }
    }
    store.commit(&[Write::Pending(&kept("chat", 7, 9_000))]).unwrap();
    store.sync();
    identity
}

fn serials(kept: &[Kept]) -> Vec<(String, u64)> {
    kept.iter().map(|k| (k.message.set.to_string(), k.message.serial)).collect()
}

fn all(serial: u64) -> Vec<(String, u64)> {
    ["chat", "mail", "tiny"].iter().map(|set| ((*set).into(), serial)).collect()
}

#[test]
fn what_was_committed_is_read_back_with_latest_previous_and_pending() {
    let dir = folder();
    let identity = filled(dir.path());
    let (store, loaded) = Store::open(dir.path(), &scope()).unwrap();
    assert_eq!(store.describe(), "disk");
    assert_eq!(serials(&loaded.latest), all(6));
    assert_eq!(serials(&loaded.previous), all(5));
    assert_eq!(serials(&loaded.pending), vec![("chat".into(), 7)]);
    assert_eq!(loaded.latest[0], kept("chat", 6, 20_000));
    assert_eq!(loaded.state, Some(state(6)));
    assert_eq!(loaded.identity.unwrap().public_key(), identity.public_key());
    assert_eq!(loaded.damage, None);
}

/// Whatever stands in the file: nothing panics, nothing crashes, only whole records come back, and
/// the store can be written after.
fn survives(dir: &Path, what: &str) -> Loaded {
    let read = read(dir).unwrap_or_else(|error| panic!("{what}: {error}"));
    let (mut store, loaded) = Store::open(dir, &scope()).unwrap_or_else(|e| panic!("{what}: {e}"));
    for kept in loaded.latest.iter().chain(&loaded.previous).chain(&loaded.pending).chain(&read.latest) {
        let size = kept.message.wire.len();
        let expected = super::tests::kept(kept.message.set.as_str(), kept.message.serial, size);
        assert!(*kept == expected, "{what}: a record came back changed");
    }
    for serial in 8..=9 {
        let new = [("chat", 30_000), ("mail", 900), ("new", 5_000)].map(|(s, size)| kept(s, serial, size));
        let [chat, mail, other] = &new;
        let writes =
            [Write::Latest(chat), Write::Latest(mail), Write::Latest(other), Write::State(&state(serial))];
        store.commit(&writes).unwrap();
    }
    store.sync();
    drop(store);
    let (_, again) = Store::open(dir, &scope()).unwrap();
    assert_eq!(again.damage, None, "{what}");
    let newest: Vec<_> = again.latest.iter().filter(|k| k.message.serial == 9).collect();
    assert_eq!(newest.len(), 3, "{what}");
    loaded
}

#[test]
fn a_flipped_bit_anywhere_in_the_file_is_survived() {
    let dir = folder();
    filled(dir.path());
    let whole = fs::read(data_file(dir.path())).unwrap();
    let (mut found, mut harmless) = (0, 0);
    let flip = |at: usize, bit: u8| {
        let fresh = folder();
        fs::create_dir_all(store_dir(fresh.path())).unwrap();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << bit;
        fs::write(data_file(fresh.path()), &bytes).unwrap();
        survives(fresh.path(), &format!("bit {bit} of byte {at}"))
    };
    // The meta pages' heads, the heads of all pages with LMDB's offsets, and a spread over the rest.
    let two = |at: usize| [0, 3].map(|more| (at, u8::try_from((at + more) % 8).unwrap()));
    let metas = (0..152).chain(4096..4096 + 152).flat_map(two);
    let step = 211;
    let rest = (8192..whole.len()).step_by(step).map(|at| (at, u8::try_from(at / step % 8).unwrap()));
    let heads = (2..whole.len() / 4096).flat_map(|page| (0..24).map(move |at| page * 4096 + at));
    let heads = heads.map(|at| (at, u8::try_from(at % 8).unwrap()));
    for (at, bit) in metas.chain(rest).chain(heads) {
        let loaded = flip(at, bit);
        match loaded.damage {
            Some(_) => found += 1,
            None => {
                harmless += 1;
                // Not noticed means not needed: all is there, as it was or one commit before.
                assert_eq!(serials(&loaded.latest), all(6), "bit {bit} of byte {at}");
                assert!(loaded.identity.is_some() && loaded.state.is_some());
            }
        }
    }
    assert!(found > 100 && harmless > 100, "{found} found, {harmless} in unused places");
}

#[test]
fn a_file_cut_off_anywhere_is_survived() {
    let dir = folder();
    filled(dir.path());
    let whole = fs::read(data_file(dir.path())).unwrap();
    let pages = whole.len() / 4096;
    let cuts = (0..=pages).map(|page| page * 4096).chain((0..pages).map(|page| page * 4096 + 1_234));
    for cut in cuts.filter(|cut| *cut < whole.len()) {
        let fresh = folder();
        fs::create_dir_all(store_dir(fresh.path())).unwrap();
        fs::write(data_file(fresh.path()), &whole[..cut]).unwrap();
        let loaded = survives(fresh.path(), &format!("cut at {cut}"));
        // Not noticed means that only free pages are gone.
        let unharmed = serials(&loaded.latest) == all(6) && serials(&loaded.previous) == all(5);
        assert!(loaded.damage.is_some() || cut == 0 || unharmed, "cut at {cut} was not noticed");
    }
}

#[test]
fn a_page_of_noise_anywhere_is_survived() {
    let dir = folder();
    filled(dir.path());
    let whole = fs::read(data_file(dir.path())).unwrap();
    let noise = kept("noise", 3, 4096).message.wire;
    for page in 0..whole.len() / 4096 {
        for fill in [&noise[..], &[0; 4096], &[0xFF; 4096]] {
            let fresh = folder();
            fs::create_dir_all(store_dir(fresh.path())).unwrap();
            let mut bytes = whole.clone();
            bytes[page * 4096..(page + 1) * 4096].copy_from_slice(fill);
            fs::write(data_file(fresh.path()), &bytes).unwrap();
            survives(fresh.path(), &format!("page {page}"));
        }
    }
}

#[test]
fn damage_is_set_aside_and_what_is_whole_is_kept() {
    let dir = folder();
    let identity = filled(dir.path());
    let mut bytes = fs::read(data_file(dir.path())).unwrap();
    // One bit of the first set's own bytes.
    let wire = kept("chat", 6, 20_000).message.wire;
    let at = bytes.windows(64).position(|w| w == &wire[9_000..9_064]).unwrap();
    bytes[at] ^= 4;
    fs::write(data_file(dir.path()), &bytes).unwrap();
    let (_, loaded) = Store::open(dir.path(), &scope()).unwrap();
    assert!(loaded.damage.is_some());
    assert_eq!(loaded.identity.unwrap().public_key(), identity.public_key());
    assert!(loaded.latest.len() >= 2, "{:?}", serials(&loaded.latest));
    let aside = fs::read_dir(dir.path()).unwrap().flatten();
    assert_eq!(aside.filter(|e| e.file_name().to_string_lossy().starts_with("damaged-")).count(), 1);
}

#[test]
fn a_state_that_the_disk_never_finished_gives_the_one_before() {
    let dir = folder();
    filled(dir.path());
    let before = fs::read(data_file(dir.path())).unwrap();
    {
        let (mut store, _) = Store::open(dir.path(), &scope()).unwrap();
        store.commit(&[Write::Latest(&kept("mail", 7, 15_000)), Write::State(&state(7))]).unwrap();
    }
    // Power is lost: the meta page reached the disk, the pages that it speaks of did not.
    let mut torn = fs::read(data_file(dir.path())).unwrap();
    let length = before.len().min(torn.len());
    torn[8192..length].copy_from_slice(&before[8192..length]);
    torn[length..].fill(0);
    fs::write(data_file(dir.path()), &torn).unwrap();
    let (_, loaded) = Store::open(dir.path(), &scope()).unwrap();
    assert!(loaded.damage.is_some());
    assert_eq!(serials(&loaded.latest), all(6));
    assert_eq!(loaded.state.unwrap().floor, 6);
}

#[test]
fn one_writes_and_others_read() {
    let dir = folder();
    filled(dir.path());
    let (mut writer, _) = Store::open(dir.path(), &scope()).unwrap();
    let (reader, loaded) = Store::open(dir.path(), &scope()).unwrap();
    assert!(writer.writes() && !reader.writes());
    assert_eq!(serials(&loaded.latest), all(6));
    // While one writes without a pause, the other never sees half of anything.
    let done = std::sync::atomic::AtomicBool::new(false);
    let (done, path) = (&done, dir.path());
    std::thread::scope(|threads| {
        threads.spawn(move || {
            for serial in 7..=120 {
                writer
                    .commit(&[Write::Latest(&kept("chat", serial, 18_000)), Write::State(&state(serial))])
                    .unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        let mut last = 0;
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            let Ok(Some(snapshot)) = Snapshot::open(&data_file(path), Which::Newest) else { continue };
            drop(snapshot);
            let Ok(loaded) = load(path, Which::Newest) else { continue };
            let serial = loaded.latest[0].message.serial;
            assert_eq!(loaded.state.unwrap().floor, serial);
            assert_eq!(loaded.latest[0], kept("chat", serial, if serial > 6 { 18_000 } else { 20_000 }));
            assert!(serial >= last);
            last = serial;
        }
    });
}

#[test]
fn the_cache_of_another_scope_is_refused_and_left_alone() {
    let dir = folder();
    filled(dir.path());
    let other = Scope::new("acme", "support", "prod").unwrap();
    let error = Store::open(dir.path(), &other).unwrap_err();
    assert!(matches!(error, StoreError::OtherScope { .. }), "{error}");
    let (_, loaded) = Store::open(dir.path(), &scope()).unwrap();
    assert_eq!(serials(&loaded.latest), all(6));
}

#[test]
fn a_store_for_itself_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder();
    filled(dir.path());
    assert_eq!(fs::metadata(store_dir(dir.path())).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(data_file(dir.path())).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn many_sets_and_many_commits_stay_whole_and_do_not_grow_without_bound() {
    let dir = folder();
    let (mut store, _) = Store::open(dir.path(), &scope()).unwrap();
    for serial in 1..=30 {
        for set in 0..60 {
            let size = 100 + (set * 977 + usize::try_from(serial).unwrap() * 131) % 9_000;
            store.commit(&[Write::Latest(&kept(&format!("set-{set}"), serial, size))]).unwrap();
        }
    }
    store.commit(&[Write::State(&state(30))]).unwrap();
    drop(store);
    let (_, loaded) = Store::open(dir.path(), &scope()).unwrap();
    assert_eq!((loaded.latest.len(), loaded.previous.len(), loaded.damage), (60, 60, None));
    let size = fs::metadata(data_file(dir.path())).unwrap().len();
    assert!(size < 4 << 20, "{size} bytes for about 600 kB");
}
