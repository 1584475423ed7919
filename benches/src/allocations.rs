//! An allocator that counts, to show that a path makes no allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting what the calling thread asks of it.
#[derive(Debug)]
pub(crate) struct Counting;

// SAFETY: every call is handed to the system's allocator as it came; the counter is a plain cell of the
// thread, has no destructor and allocates nothing. The only unsafe code of the benches: an allocator's
// trait cannot be implemented without.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps to the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How many allocations `call` makes on this thread.
pub(crate) fn count(call: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    call();
    COUNT.with(Cell::get) - before
}
