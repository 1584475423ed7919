//! Tar archives: read as zip archives are, and refused for the same reasons.

use std::io::Write as _;

use exchange::files::{FILES_MAX, Files, unpack};
use exchange::{Format, read};
use flate2::Compression;
use flate2::write::GzEncoder;

const FILE: u8 = b'0';
const FOLDER: u8 = b'5';

fn header(name: &str, kind: u8, size: usize) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    put(148, "        ");
    put(257, "ustar");
    put(263, "00");
    block[156] = kind;
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, kind, content.len());
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.extend([0; 1024]);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Both ways that it may come.
fn both(bytes: &[u8]) -> [Result<Files, &'static str>; 2] {
    [bytes.to_vec(), gzip(bytes)].map(|bytes| unpack("x.tar", &bytes).map_err(|refusal| refusal.code))
}

fn refused(what: &str, bytes: &[u8], code: &str) {
    for found in both(bytes) {
        assert_eq!(found.unwrap_err(), code, "{what}");
    }
}

#[test]
fn a_folder_of_files_is_read_plain_and_gzipped() {
    let long = format!("{}/long.md", "folder-with-a-long-name/".repeat(5).trim_end_matches('/'));
    let record = format!(" path={long}\n");
    let record = format!("{}{record}", record.len() + 3);
    let bytes = tar(&[
        entry("pax_global_header", b'g', b"52 comment=0123456789012345678901234567890123456789\n"),
        entry("./", FOLDER, b""),
        entry("./a/", FOLDER, b""),
        entry("./a/hello.md", FILE, b"Hello {{ name }}\n"),
        entry("././@LongLink", b'L', format!("{long}\0").as_bytes()),
        entry("cut", FILE, b"Long by GNU"),
        entry("pax", b'x', record.replace("long.md", "pax8.md").as_bytes()),
        entry("cut", FILE, b"Long by pax"),
        entry("._hello.md", FILE, b"rubbish"),
    ]);
    for found in both(&bytes) {
        let found = found.unwrap();
        assert_eq!(found["a/hello.md"], b"Hello {{ name }}\n");
        assert_eq!(found[&long], b"Long by GNU");
        assert_eq!(found[&long.replace("long.md", "pax8.md")], b"Long by pax");
        assert_eq!(found.len(), 3);
    }
    let found = read(None, "prompts.tgz", &gzip(&bytes)).unwrap();
    assert_eq!((found.format, found.content.prompts.len()), (Format::Folder, 3));
}

#[test]
fn what_a_zip_archive_may_not_do_a_tar_archive_may_not_either() {
    for path in ["../a.md", "a/../../b.md", "/etc/a.md", "C:/a.md", "a\\b.md", "a//b.md", "a/\u{7}.md"] {
        refused(path, &tar(&[entry(path, FILE, b"x")]), "bad_path");
    }
    refused("deep", &tar(&[entry(&format!("{}a.md", "d/".repeat(40)), FILE, b"x")]), "bad_path");
    for (kind, what) in [(b'1', "hard link"), (b'2', "link"), (b'3', "device"), (b'6', "pipe")] {
        refused(what, &tar(&[entry("a.md", kind, b"")]), "bad_path");
    }
    // Files with holes, as GNU's tar wrote them once and as it writes them now.
    refused("holes", &tar(&[entry("a.md", b'S', b"")]), "damaged");
    let holes = entry("x", b'x', b"22 GNU.sparse.major=1\n");
    refused("holes by pax", &tar(&[holes, entry("a.md", FILE, b"x")]), "wrong_type");
    let twice = tar(&[entry("a.md", FILE, b"x"), entry("A.md", FILE, b"y")]);
    refused("twice", &twice, "duplicate");
    refused("nothing", &tar(&[entry("a/", FOLDER, b"")]), "empty");
    refused("long", &tar(&[entry("x", b'L', &[b'a'; 20_000]), entry("a.md", FILE, b"x")]), "bad_path");
    let up = entry("x", b'x', b"18 path=../../a.md\n");
    refused("pax", &tar(&[up, entry("a.md", FILE, b"x")]), "damaged");
    let up = entry("x", b'x', b"19 path=../../a.md\n");
    refused("pax", &tar(&[up, entry("a.md", FILE, b"x")]), "bad_path");
}

#[test]
fn bombs_and_crowds_are_refused() {
    let zeros = vec![b'0'; 12 * 1024 * 1024];
    let files: Vec<Vec<u8>> = (0..4).map(|n| entry(&format!("{n}.md"), FILE, &zeros)).collect();
    assert_eq!(unpack("x.tgz", &gzip(&tar(&files))).unwrap_err().code, "too_large");
    assert_eq!(unpack("x.gz", &gzip(&gzip(&zeros))).unwrap_err().code, "wrong_type");
    let crowd: Vec<Vec<u8>> = (0..=FILES_MAX).map(|n| entry(&format!("{n}.md"), FILE, b"x")).collect();
    refused("crowd", &tar(&crowd), "too_large");
    // Not packed, so many are more bytes than an upload may have.
    assert_eq!(unpack("x.tgz", &gzip(&tar(&crowd[1..]))).unwrap().len(), FILES_MAX);
}

#[test]
fn a_damaged_tar_archive_is_refused_at_every_byte() {
    let whole = tar(&[entry("a.md", FILE, b"Hello"), entry("b.md", FILE, b"again and again")]);
    // What comes behind the first block of zeros is only padding.
    for end in 1..whole.len() - 1023 {
        let cut = &whole[..end];
        // Too short to be known as tar, it is one text file, of which the zeros are refused later.
        if end >= 262 {
            assert!(unpack("x.tar", cut).is_err(), "{end}");
        }
    }
    let packed = gzip(&whole);
    for end in 2..packed.len() {
        assert!(unpack("x.tgz", &packed[..end]).is_err(), "{end}");
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        // Some bytes mean nothing; none may bring anything down.
        let _ = read(None, "x.tar", &bytes);
    }
}
