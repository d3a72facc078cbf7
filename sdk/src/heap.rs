//! The memory of a policy in Wasm: small blocks are cut from one piece, and used again for the same size.
//!
//! An evaluation makes some hundreds of small texts, and then its whole memory is gone. What an allocator for long lives does to
//! keep memory together was a third of its instructions. It refuses to know large blocks: those are the standard
//! allocator's, as its own pieces are. Only in a Wasm build; [`crate::export!`] uses it.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::UnsafeCell,
    mem::MaybeUninit,
    ptr,
};

/// Bytes from one size of blocks to the next, and what each is aligned to.
const STEP: usize = 16;

/// Sizes of blocks, up to 1 KiB.
const SIZES: usize = 64;

/// Bytes of a piece. One is enough for most evaluations.
const PIECE: usize = 64 << 10;

/// An allocator for one thread.
#[derive(Debug)]
pub struct Heap(UnsafeCell<Blocks>);

struct Blocks {
    /// The last block of each size that was given back; its first bytes have the one before.
    free: [*mut u8; SIZES],
    /// What is left of the piece that blocks are cut from.
    next: *mut u8,
    left: usize,
    /// The first piece, which is there from the start.
    first: MaybeUninit<Piece>,
    begun: bool,
}

#[repr(align(16))]
#[expect(dead_code, reason = "blocks are cut from it")]
struct Piece([u8; PIECE]);

// SAFETY: a component has one thread.
#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "an allocator is global")]
unsafe impl Sync for Heap {}

impl Heap {
    /// One that has given out nothing yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it is made where nothing but a constant can be")]
    pub const fn new() -> Self {
        let free = [ptr::null_mut(); SIZES];
        Self(UnsafeCell::new(Blocks {
            free,
            next: ptr::null_mut(),
            left: 0,
            first: MaybeUninit::uninit(),
            begun: false,
        }))
    }
}

/// Which of the sizes a block is of, if it is small enough for one.
const fn small(layout: Layout) -> Option<usize> {
    let size = layout.size().wrapping_sub(1) / STEP;
    if size < SIZES && layout.align() <= STEP { Some(size) } else { None }
}

#[expect(unsafe_code, reason = "memory is what it is about")]
impl Blocks {
    /// A block of a size, or null.
    fn take(&mut self, size: usize) -> *mut u8 {
        let free = self.free[size];
        if !free.is_null() {
            // SAFETY: the block was given back, so its first bytes are ours, and have what `give_back` wrote.
            self.free[size] = unsafe { free.cast::<*mut u8>().read() };
            return free;
        }
        let bytes = (size + 1) * STEP;
        if self.left < bytes && !self.begin() {
            return ptr::null_mut();
        }
        let block = self.next;
        // SAFETY: so many bytes of the piece are left.
        self.next = unsafe { block.add(bytes) };
        self.left -= bytes;
        block
    }

    /// # Safety
    ///
    /// The block was taken with this size, and nobody has it any more.
    unsafe fn give_back(&mut self, block: *mut u8, size: usize) {
        // SAFETY: each block has room for an address and is aligned for it.
        unsafe { block.cast::<*mut u8>().write(self.free[size]) };
        self.free[size] = block;
    }

    /// Begin a piece, if there is one. What was left of the last is forgotten: less than 1 KiB.
    #[cold]
    fn begin(&mut self) -> bool {
        let piece: *mut u8 = if self.begun {
            // SAFETY: a piece has bytes.
            unsafe { System.alloc(Layout::new::<Piece>()) }
        } else {
            self.begun = true;
            self.first.as_mut_ptr().cast()
        };
        if !piece.is_null() {
            (self.next, self.left) = (piece, PIECE);
        }
        !piece.is_null()
    }
}

// SAFETY: a block is cut from a piece once, and from then on is either with whoever took it or in the list of its size, so
// it has one owner; it has as many bytes as its size says, which is at least what was asked for; pieces are aligned to
// `STEP`, and blocks have multiples of it. The layout says whether a block is small, so each goes back to where it came from.
#[expect(unsafe_code, reason = "memory is what it is about")]
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match small(layout) {
            // SAFETY: there is one thread, and nothing that is called here allocates.
            Some(size) => unsafe { (*self.0.get()).take(size) },
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match small(layout) {
            // SAFETY: there is one thread, and the caller's promise.
            Some(size) => unsafe { (*self.0.get()).give_back(block, size) },
            // SAFETY: the caller's promise.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        let wanted = unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) };
        match (small(layout), small(wanted)) {
            (Some(one), Some(other)) if one == other => block,
            // SAFETY: the caller's promise.
            (None, None) => unsafe { System.realloc(block, layout, bytes) },
            _ => {
                // SAFETY: the caller's promise; the new block has room for what is copied, and is not the old one.
                unsafe {
                    let moved = self.alloc(wanted);
                    if !moved.is_null() {
                        ptr::copy_nonoverlapping(block, moved, layout.size().min(bytes));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "memory is what it is about")]
mod tests {
    use super::*;

    /// A block that somebody has, filled with a byte of its own.
    struct Had {
        block: *mut u8,
        layout: Layout,
        byte: u8,
    }

    impl Had {
        fn fill(&self) {
            unsafe { ptr::write_bytes(self.block, self.byte, self.layout.size()) };
        }

        fn is_whole(&self, bytes: usize) -> bool {
            (0..bytes).all(|at| unsafe { self.block.add(at).read() } == self.byte)
        }
    }

    /// Numbers that look random, and are the same each time.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % end
        }
    }

    /// Sizes around every edge, and alignments of all kinds.
    fn layout(numbers: &mut Numbers) -> Layout {
        let edge = [1, STEP, 2 * STEP, 512, SIZES * STEP, 4096, PIECE][numbers.below(7)];
        let size = (edge + numbers.below(3)).saturating_sub(1).max(1);
        Layout::from_size_align(size, 1 << numbers.below(7)).unwrap()
    }

    #[test]
    fn no_block_is_anothers_whatever_is_taken_grown_and_given_back_in_whatever_order() {
        let steps = if cfg!(miri) { 600 } else { 10_000 };
        let (heap, mut numbers, mut had) = (Heap::new(), Numbers(7), Vec::<Had>::new());
        for step in 0..steps {
            let byte = u8::try_from(step % 251).unwrap();
            match numbers.below(4) {
                0 | 1 if had.len() < 200 => {
                    let layout = layout(&mut numbers);
                    let block = unsafe { heap.alloc(layout) };
                    assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()), "{layout:?}");
                    had.push(Had { block, layout, byte });
                    had.last().unwrap().fill();
                }
                2 if !had.is_empty() => {
                    let at = numbers.below(had.len());
                    let one = &mut had[at];
                    let after = Layout::from_size_align(layout(&mut numbers).size(), one.layout.align()).unwrap();
                    one.block = unsafe { heap.realloc(one.block, one.layout, after.size()) };
                    assert!(!one.block.is_null() && one.block.addr().is_multiple_of(after.align()), "{after:?}");
                    assert!(one.is_whole(one.layout.size().min(after.size())), "what was in it moved with it");
                    (one.layout, one.byte) = (after, byte);
                    one.fill();
                }
                _ if !had.is_empty() => {
                    let one = had.swap_remove(numbers.below(had.len()));
                    assert!(one.is_whole(one.layout.size()), "nobody else wrote to it");
                    unsafe { heap.dealloc(one.block, one.layout) };
                }
                _ => {}
            }
        }
        for one in had {
            assert!(one.is_whole(one.layout.size()));
            unsafe { heap.dealloc(one.block, one.layout) };
        }
    }

    #[test]
    fn what_was_given_back_is_used_again_for_its_size() {
        let heap = Heap::new();
        let layout = Layout::from_size_align(100, 8).unwrap();
        let blocks: Vec<*mut u8> = (0..3 * PIECE).map(|_| unsafe { taken_and_given_back(&heap, layout) }).collect();
        assert!(blocks.iter().all(|block| *block == blocks[0]));
        let first = unsafe { heap.alloc(layout) };
        let second = unsafe { heap.alloc(Layout::from_size_align(112, 16).unwrap()) };
        assert!(first == blocks[0] && second != first, "it is taken");
    }

    unsafe fn taken_and_given_back(heap: &Heap, layout: Layout) -> *mut u8 {
        unsafe {
            let block = heap.alloc(layout);
            heap.dealloc(block, layout);
            block
        }
    }

    #[test]
    fn memory_that_is_asked_for_as_zeros_is_zeros_also_when_it_is_used_again() {
        let heap = Heap::new();
        let layout = Layout::from_size_align(64, 1).unwrap();
        let one = Had { block: unsafe { heap.alloc(layout) }, layout, byte: 7 };
        one.fill();
        unsafe { heap.dealloc(one.block, layout) };
        let zeros = Had { block: unsafe { heap.alloc_zeroed(layout) }, layout, byte: 0 };
        assert!(zeros.block == one.block && zeros.is_whole(64));
    }
}
