//! The files of the repository.

use std::path::Path;
use std::process::Command;

use tests::tools::repo_root;

/// Every file that is or could be committed, relative to the root, in order.
pub(crate) fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(repo_root())
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let mut files: Vec<String> = String::from_utf8(listed.stdout)
        .expect("names in UTF-8")
        .split('\0')
        .filter(|name| !name.is_empty() && repo_root().join(name).is_file())
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    assert!(files.iter().any(|f| f == "Cargo.toml"), "the list of files is not the repository's");
    files
}

/// The text of a file, or none where it is no text.
pub(crate) fn text(file: &str) -> Option<String> {
    let bytes = std::fs::read(repo_root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    String::from_utf8(bytes).ok()
}

/// Rust sources of the crates: what is built into libraries and programs, no tests.
pub(crate) fn sources() -> Vec<(String, String)> {
    let found: Vec<_> = files()
        .into_iter()
        .filter(|file| file.ends_with(".rs") && file.split('/').any(|part| part == "src"))
        .filter_map(|file| text(&file).map(|text| (file, text)))
        .collect();
    assert!(found.len() > 20, "only {} sources were found", found.len());
    found
}

/// The part of a source before its inline tests, without comments, with line numbers.
pub(crate) fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line))
}

/// The last part of a path, without its extension.
pub(crate) fn stem(file: &str) -> &str {
    Path::new(file).file_stem().and_then(|s| s.to_str()).unwrap_or_default()
}
