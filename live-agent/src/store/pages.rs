//! Reads LMDB's data file without LMDB, trusting nothing in it.
//!
//! LMDB maps its file and follows every offset that stands in it: a flipped bit or a cut-off file
//! ends in a signal that kills the process. This reader uses ordinary reads, checks every page that
//! is reached, and finds damage before LMDB is let near the file. It is also how processes read that
//! do not write: it needs no lock.
//!
//! Only what this crate writes is known here: one unnamed tree with plain values, and the tree of
//! free pages. Format: `mdb.c` of LMDB 0.9, 64-bit, little endian.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const HEADER: usize = 16;
const NODE: usize = 8;
const MAGIC: u32 = 0xBEEF_C0DE;
const DATA_VERSION: u32 = 1;
const NO_PAGE: u64 = u64::MAX;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const OVERFLOW: u16 = 0x04;
const META: u16 = 0x08;
const INTEGER_KEY: u16 = 0x08;
const BIG_DATA: u16 = 0x01;
const DEPTH_MAX: usize = 16;
/// No file of ours comes near it; a larger number in the file is damage.
const MAP_MAX: u64 = 1 << 40;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PagesError {
    #[error("the data file cannot be read")]
    Io(#[source] io::Error),
    #[error("page {page} of the data file is damaged: {what}")]
    Damaged { page: u64, what: &'static str },
    #[error("the data file changed while it was read")]
    Changed,
}

/// One record: its key, and where its value stands.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) key: Vec<u8>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Inline(Vec<u8>),
    Pages { first: u64, length: usize },
}

/// One committed state of the file.
#[derive(Debug)]
pub(crate) struct Snapshot {
    file: File,
    page_size: usize,
    pages: u64,
    meta: Meta,
}

#[derive(Debug, Clone, Copy)]
struct Meta {
    transaction: u64,
    free_root: u64,
    main_root: u64,
    last_page: u64,
}

/// Which of the two states that LMDB keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Newest,
    /// The one before: whole even where the newest was cut off by a loss of power.
    Before,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
fn damaged(page: u64, what: &'static str) -> PagesError {
    PagesError::Damaged { page, what }
}

impl Snapshot {
    /// Opens the file; none where there is no file or it is still empty.
    pub(crate) fn open(path: &Path, which: Which) -> Result<Option<Self>, PagesError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(PagesError::Io(e)),
        };
        let length = file.metadata().map_err(PagesError::Io)?.len();
        if length == 0 {
            return Ok(None);
        }
        let (page_size, metas) = read_metas(&file, length)?;
        let [first, second] = metas;
        let (newer, older) =
            if first.transaction > second.transaction { (first, second) } else { (second, first) };
        let meta = match which {
            Which::Newest => newer,
            Which::Before => older,
        };
        let pages = length / page_size as u64;
        Ok(Some(Self { file, page_size, pages, meta }))
    }

    /// Walks both trees, checks every page that LMDB would touch, and lists the records.
    pub(crate) fn check(&self) -> Result<Vec<Slot>, PagesError> {
        let mut walk = Walk {
            snapshot: self,
            reached: vec![false; usize::try_from(self.pages.min(MAP_MAX)).unwrap_or(0)],
            slots: Vec::new(),
            free: Vec::new(),
        };
        walk.tree(self.meta.main_root, false)?;
        walk.tree(self.meta.free_root, true)?;
        walk.free_pages()?;
        Ok(walk.slots)
    }

    /// The bytes of a record.
    pub(crate) fn read(&self, slot: &Slot) -> Result<Vec<u8>, PagesError> {
        match &slot.value {
            Value::Inline(bytes) => Ok(bytes.clone()),
            Value::Pages { first, length } => {
                let mut out = vec![0; *length];
                let at = first * self.page_size as u64 + HEADER as u64;
                self.file.read_exact_at(&mut out, at).map_err(PagesError::Io)?;
                Ok(out)
            }
        }
    }

    /// Whether no newer state was committed since this one was opened. Only then is what was read
    /// surely of one piece: LMDB reuses pages from the second commit after.
    pub(crate) fn still_newest(&self) -> bool {
        let length = self.file.metadata().map(|m| m.len()).unwrap_or(0);
        read_metas(&self.file, length)
            .is_ok_and(|(_, [a, b])| a.transaction.max(b.transaction) == self.meta.transaction)
    }

    fn page(&self, number: u64, into: &mut Vec<u8>) -> Result<(), PagesError> {
        if number < 2 || number >= self.pages || number > self.meta.last_page {
            return Err(damaged(number, "the page lies outside of the file"));
        }
        into.resize(self.page_size, 0);
        self.file.read_exact_at(into, number * self.page_size as u64).map_err(PagesError::Io)?;
        if u64_at(into, 0) != Some(number) {
            return Err(damaged(number, "the page bears another number"));
        }
        Ok(())
    }
}

fn read_metas(file: &File, length: u64) -> Result<(usize, [Meta; 2]), PagesError> {
    let mut head = [0; HEADER + 136];
    let mut read = |at: u64, page: u64| {
        if at + head.len() as u64 > length {
            return Err(damaged(page, "the file is cut off"));
        }
        file.read_exact_at(&mut head, at).map_err(PagesError::Io)?;
        parse_meta(&head, page)
    };
    let (first_size, first) = read(0, 0)?;
    let (second_size, second) = read(first_size, 1)?;
    if first_size != second_size {
        return Err(damaged(1, "the meta pages differ in page size"));
    }
    let far = first.transaction.abs_diff(second.transaction) > 1;
    if far || first.transaction % 2 != 0 || (second.transaction % 2 != 1 && second.transaction != 0) {
        return Err(damaged(1, "the meta pages do not follow each other"));
    }
    let size = usize::try_from(first_size).map_err(|_| damaged(0, "page size"))?;
    Ok((size, [first, second]))
}

fn parse_meta(head: &[u8], page: u64) -> Result<(u64, Meta), PagesError> {
    let cut = || damaged(page, "the file is cut off");
    let n16 = |at| u16_at(head, at).ok_or_else(cut);
    let n32 = |at| u32_at(head, at).ok_or_else(cut);
    let n64 = |at| u64_at(head, at).ok_or_else(cut);
    if n64(0)? != page || n16(10)? != META {
        return Err(damaged(page, "it is no meta page"));
    }
    if n32(16)? != MAGIC || n32(20)? != DATA_VERSION || n64(24)? != 0 || n64(32)? > MAP_MAX {
        return Err(damaged(page, "the meta page is not of this format"));
    }
    let (page_size, free_flags, main_flags) = (u64::from(n32(40)?), n16(44)?, n16(92)?);
    if !matches!(page_size, 4096 | 8192 | 16384 | 32768) {
        return Err(damaged(page, "the page size is impossible"));
    }
    if free_flags != INTEGER_KEY || main_flags != 0 {
        return Err(damaged(page, "the trees have unknown flags"));
    }
    let meta =
        Meta { free_root: n64(80)?, main_root: n64(128)?, last_page: n64(136)?, transaction: n64(144)? };
    if meta.last_page < 1 || meta.last_page > MAP_MAX / page_size {
        return Err(damaged(page, "the last page is impossible"));
    }
    Ok((page_size, meta))
}

struct Walk<'s> {
    snapshot: &'s Snapshot,
    reached: Vec<bool>,
    slots: Vec<Slot>,
    free: Vec<u64>,
}

impl Walk<'_> {
    fn tree(&mut self, root: u64, free: bool) -> Result<(), PagesError> {
        if root == NO_PAGE {
            return Ok(());
        }
        let mut last = None;
        self.branch_or_leaf(root, free, 0, &mut last)
    }

    fn reach(&mut self, page: u64) -> Result<(), PagesError> {
        let slot = usize::try_from(page).ok().and_then(|p| self.reached.get_mut(p));
        match slot {
            Some(reached) if !*reached => {
                *reached = true;
                Ok(())
            }
            Some(_) => Err(damaged(page, "the page is used twice")),
            None => Err(damaged(page, "the page lies outside of the file")),
        }
    }

    /// `last` is the greatest key so far: keys must grow, over all pages.
    fn branch_or_leaf(
        &mut self,
        number: u64,
        free: bool,
        depth: usize,
        last: &mut Option<Vec<u8>>,
    ) -> Result<(), PagesError> {
        if depth > DEPTH_MAX {
            return Err(damaged(number, "the tree is too deep"));
        }
        let mut page = Vec::new();
        self.snapshot.page(number, &mut page)?;
        self.reach(number)?;
        let cut = || damaged(number, "a node lies outside of its page");
        let flags = u16_at(&page, 10).ok_or_else(cut)?;
        let lower = usize::from(u16_at(&page, 12).ok_or_else(cut)?);
        let upper = usize::from(u16_at(&page, 14).ok_or_else(cut)?);
        if (flags != BRANCH && flags != LEAF)
            || lower < HEADER
            || lower % 2 != 0
            || lower > upper
            || upper > self.snapshot.page_size
        {
            return Err(damaged(number, "the page's header is impossible"));
        }
        let count = (lower - HEADER) / 2;
        if count == 0 || (flags == BRANCH && count < 2) {
            return Err(damaged(number, "the page is empty"));
        }
        for index in 0..count {
            let at = usize::from(u16_at(&page, HEADER + index * 2).ok_or_else(cut)?);
            if at < upper || at % 2 != 0 {
                return Err(cut());
            }
            let node = page.get(at..).ok_or_else(cut)?;
            if flags == BRANCH {
                self.branch_node(node, number, index, free, depth, last)?;
            } else {
                self.leaf_node(node, number, free, last)?;
            }
        }
        Ok(())
    }

    fn branch_node(
        &mut self,
        node: &[u8],
        number: u64,
        index: usize,
        free: bool,
        depth: usize,
        last: &mut Option<Vec<u8>>,
    ) -> Result<(), PagesError> {
        let cut = || damaged(number, "a node lies outside of its page");
        let child = u64::from(u16_at(node, 0).ok_or_else(cut)?)
            | u64::from(u16_at(node, 2).ok_or_else(cut)?) << 16
            | u64::from(u16_at(node, 4).ok_or_else(cut)?) << 32;
        let key_length = usize::from(u16_at(node, 6).ok_or_else(cut)?);
        let key = node.get(NODE..NODE + key_length).ok_or_else(cut)?;
        if index > 0 && last.as_deref().is_some_and(|l| !before(l, key, free)) {
            return Err(damaged(number, "the keys are out of order"));
        }
        let from = self.slots.len();
        self.branch_or_leaf(child, free, depth + 1, last)?;
        let first = self.slots.get(from).map(|s| s.key.as_slice());
        if index > 0 && !free && first.is_some_and(|f| f < key) {
            return Err(damaged(number, "the keys are out of order"));
        }
        Ok(())
    }

    fn leaf_node(
        &mut self,
        node: &[u8],
        number: u64,
        free: bool,
        last: &mut Option<Vec<u8>>,
    ) -> Result<(), PagesError> {
        let cut = || damaged(number, "a node lies outside of its page");
        let length = usize::from(u16_at(node, 0).ok_or_else(cut)?)
            | usize::from(u16_at(node, 2).ok_or_else(cut)?) << 16;
        let flags = u16_at(node, 4).ok_or_else(cut)?;
        let key_length = usize::from(u16_at(node, 6).ok_or_else(cut)?);
        if key_length == 0 || key_length > 511 || (free && key_length != 8) || flags & !BIG_DATA != 0 {
            return Err(damaged(number, "a record's header is impossible"));
        }
        let key = node.get(NODE..NODE + key_length).ok_or_else(cut)?.to_vec();
        if last.as_deref().is_some_and(|l| !before(l, &key, free)) {
            return Err(damaged(number, "the keys are out of order"));
        }
        let data = NODE + key_length;
        let value = if flags & BIG_DATA == 0 {
            Value::Inline(node.get(data..data + length).ok_or_else(cut)?.to_vec())
        } else {
            let first = u64_at(node, data).ok_or_else(cut)?;
            self.overflow(first, length)?;
            Value::Pages { first, length }
        };
        *last = Some(key.clone());
        let slot = Slot { key, value };
        if free {
            return self.free_record(&slot, number);
        }
        self.slots.push(slot);
        Ok(())
    }

    fn overflow(&mut self, first: u64, length: usize) -> Result<(), PagesError> {
        let mut head = Vec::new();
        self.snapshot.page(first, &mut head)?;
        let count = (HEADER - 1 + length) / self.snapshot.page_size + 1;
        let fits = u16_at(&head, 10) == Some(OVERFLOW)
            && u32_at(&head, 12).is_some_and(|n| usize::try_from(n) == Ok(count));
        if !fits {
            return Err(damaged(first, "the value's pages are not what the record says"));
        }
        let end = first.saturating_add(count as u64);
        if end > self.snapshot.pages || end > self.snapshot.meta.last_page + 1 {
            return Err(damaged(first, "the file is cut off"));
        }
        (first..end).try_for_each(|page| self.reach(page))
    }

    /// A record of the tree of free pages: a count, then so many page numbers, falling.
    fn free_record(&mut self, slot: &Slot, number: u64) -> Result<(), PagesError> {
        let transaction = u64_at(&slot.key, 0).unwrap_or(NO_PAGE);
        let list = self.snapshot.read(slot)?;
        let count = u64_at(&list, 0).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        if transaction > self.snapshot.meta.transaction || list.len() / 8 <= count || list.len() % 8 != 0 {
            return Err(damaged(number, "a list of free pages is impossible"));
        }
        let pages: Vec<u64> = (1..=count).filter_map(|i| u64_at(&list, i * 8)).collect();
        if pages.windows(2).any(|pair| pair.first() <= pair.last()) {
            return Err(damaged(number, "a list of free pages is out of order"));
        }
        self.free.extend(pages);
        Ok(())
    }

    /// No page is both free and in use, or free twice: LMDB would write over what is served.
    fn free_pages(&mut self) -> Result<(), PagesError> {
        let mut free = std::mem::take(&mut self.free);
        free.sort_unstable();
        if free.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(damaged(0, "a page is free twice"));
        }
        let mut missing = i128::from(self.snapshot.meta.last_page) + 1 - i128::from(self.snapshot.pages);
        for page in free {
            let used = usize::try_from(page).ok().and_then(|p| self.reached.get(p)).copied();
            if page < 2 || page > self.snapshot.meta.last_page || used == Some(true) {
                return Err(damaged(page, "the page is free and in use"));
            }
            missing -= i128::from(page >= self.snapshot.pages);
        }
        // LMDB leaves free pages at the end unwritten; any other page must be in the file.
        if missing > 0 { Err(damaged(0, "the file is cut off")) } else { Ok(()) }
    }
}

fn before(a: &[u8], b: &[u8], integers: bool) -> bool {
    if integers { u64_at(a, 0) < u64_at(b, 0) } else { a < b }
}
