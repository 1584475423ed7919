//! Allocators that count: how often and how much at once on a thread, or how much the whole process holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, counting what the calling thread asks of it.
#[derive(Debug)]
pub struct Counting;

fn taken(size: usize) {
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    held(i64::try_from(size).unwrap_or(i64::MAX));
}

fn held(change: i64) {
    let _ = LIVE.try_with(|live| {
        live.set(live.get().wrapping_add(change));
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

fn given_back(size: usize) {
    held(i64::try_from(size).unwrap_or(i64::MAX).wrapping_neg());
}

// SAFETY: every call is handed to the system's allocator as it came; the counters are plain cells of the
// thread, have no destructor and allocate nothing. The only unsafe code here: an allocator's trait cannot be
// implemented without.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        given_back(layout.size());
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may exist while the content is copied.
        taken(size);
        given_back(layout.size());
        // SAFETY: the caller keeps to the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

static HELD: AtomicI64 = AtomicI64::new(0);

/// The system's allocator, counting what all threads together hold.
#[derive(Debug)]
pub struct Holding;

fn changed(change: i64) {
    HELD.fetch_add(change, Ordering::Relaxed);
}

// SAFETY: every call is handed to the system's allocator as it came; the counter allocates nothing.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Holding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        changed(i64::try_from(layout.size()).unwrap_or(i64::MAX));
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        changed(i64::try_from(layout.size()).unwrap_or(i64::MAX).wrapping_neg());
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (before, after) = (i64::try_from(layout.size()), i64::try_from(size));
        changed(after.unwrap_or(i64::MAX).wrapping_sub(before.unwrap_or(i64::MAX)));
        // SAFETY: the caller keeps to the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Bytes that the process asked for and did not give back. 0 where [`Holding`] is not its allocator.
pub fn held_by_all() -> u64 {
    u64::try_from(HELD.load(Ordering::Relaxed)).unwrap_or(0)
}

/// How many allocations `call` makes on this thread. None where [`Counting`] is not the program's allocator.
pub fn count(call: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    call();
    COUNT.with(Cell::get) - before
}

/// What `call` gives, and the most bytes that it held at once on this thread beyond what was held before.
pub fn peak<T>(call: impl FnOnce() -> T) -> (T, u64) {
    let before = LIVE.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    let done = call();
    let most = PEAK.with(Cell::get).wrapping_sub(before);
    (done, u64::try_from(most).unwrap_or(0))
}
