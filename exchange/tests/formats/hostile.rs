//! Archives that mean harm.

use std::io::{Cursor, Write as _};

use exchange::files::{FILES_MAX, UPLOAD_MAX, unpack};
use exchange::read;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn code(bytes: &[u8]) -> &'static str {
    unpack("x.zip", bytes).map(|files| panic!("taken: {:?}", files.keys())).unwrap_err().code
}

#[test]
fn no_path_leaves_the_archive() {
    for path in ["../a.md", "a/../../b.md", "/etc/a.md", "C:/a.md", "a\\b.md", "a//b.md", "a/\u{7}.md"] {
        assert_eq!(code(&zip(&[(path, b"x")])), "bad_path", "{path}");
    }
    let deep = format!("{}a.md", "d/".repeat(40));
    assert_eq!(code(&zip(&[(&deep, b"x")])), "bad_path");
}

#[test]
fn links_are_refused() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("a.md", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    assert_eq!(code(&zip.finish().unwrap().into_inner()), "bad_path");
}

#[test]
fn two_files_of_one_name_are_refused_however_they_are_spelled() {
    assert_eq!(code(&zip(&[("a.md", b"x"), ("A.md", b"y")])), "duplicate");
    assert_eq!(code(&zip(&[("a/b.md", b"x"), ("a/./b.md", b"y")])), "duplicate");
    // The same name to the letter: one entry's name is changed behind the writer's back.
    let mut bytes = zip(&[("aa.md", b"x"), ("ab.md", b"y")]);
    for at in 0..bytes.len() - 5 {
        if &bytes[at..at + 5] == b"ab.md" {
            bytes[at + 1] = b'a';
        }
    }
    assert_eq!(code(&bytes), "duplicate");
    // Other names, one id.
    let same = zip(&[("a b.md", b"x"), ("a-b.md", b"y")]);
    assert_eq!(read(None, "x.zip", &same).unwrap_err().code, "duplicate");
}

#[test]
fn bombs_and_crowds_are_refused() {
    let zeros = vec![b'0'; 12 * 1024 * 1024];
    assert_eq!(code(&zip(&[("a.md", &zeros)])), "too_large");
    assert_eq!(code(&vec![b'a'; UPLOAD_MAX + 1]), "too_large");
    let names: Vec<String> = (0..=FILES_MAX).map(|n| format!("{n}.md")).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &b"x"[..])).collect();
    assert_eq!(code(&zip(&entries)), "too_large");
    assert_eq!(unpack("x.zip", &zip(&entries[1..])).unwrap().len(), FILES_MAX);
}

#[test]
fn a_damaged_archive_is_refused_at_every_byte() {
    let whole = zip(&[("a.md", b"Hello {{ name }}"), ("b.md", b"again and again and again")]);
    for end in 4..whole.len() {
        assert!(unpack("x.zip", &whole[..end]).is_err(), "{end}");
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        // Some bytes mean nothing; none may bring anything down.
        let _ = read(None, "x.zip", &bytes);
    }
}

#[test]
fn nothing_that_is_written_brings_a_reader_down() {
    let pieces = [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{",
        "}",
        "#if a",
        "/if",
        "else",
        "each x",
        "|",
        "\"",
        "'",
        "-",
        "~",
        "\\",
        "for a in b",
        "endfor",
        "if x",
        "endif",
        "raw",
        "endraw",
        "case x",
        "when 1",
        "role \"system\"",
        "history",
        "é",
        "\n",
        " ",
        "a",
        ".",
        "=",
        ">p",
        "^x",
        "!c",
    ];
    let mut seed = 7u64;
    for _ in 0..300 {
        let mut text = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
        }
        let quoted = serde_json::to_string(&text).unwrap();
        let lc = |format: &str| {
            format!(r#"{{"_type":"prompt","template":{quoted},"template_format":"{format}"}}"#)
        };
        for (name, bytes) in [
            ("a.prompt", text.clone()),
            ("a.prompty", text.clone()),
            ("a.liquid", text.clone()),
            ("a.md", text.clone()),
            ("a.json", lc("f-string")),
            ("a.json", lc("mustache")),
            ("a.json", format!(r#"{{"name":"a","type":"text","prompt":{quoted}}}"#)),
        ] {
            let Ok(found) = read(None, name, bytes.as_bytes()) else { continue };
            for format in exchange::Format::ALL {
                let _ = exchange::write(format, "x", &found.content);
            }
        }
    }
}
