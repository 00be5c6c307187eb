//! The allocator, and giving memory back. The allocator keeps what one thread freed for that thread's next burst, and takes
//! back what others freed of it only when that thread allocates again; so a thread that has come to rest says so.

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives back what this thread's bursts have left. Takes up to milliseconds: for threads with nothing else to do.
#[cfg(feature = "mimalloc")]
#[allow(unsafe_code, reason = "the one call of the allocator's C interface; no safe one exists")]
pub fn give_back() {
    // SAFETY: callable at any time from any thread; it touches only memory that nobody has allocated.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

/// Gives back what this thread's bursts have left: the C library does so by itself.
#[cfg(not(feature = "mimalloc"))]
pub fn give_back() {}
