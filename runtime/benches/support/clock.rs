//! Processor time, which other load on the machine hardly affects.

/// Nanoseconds of processor time that this thread has used.
pub(super) fn cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "the standard library doesn't tell processor time")]
    // SAFETY: the call fills the structure that it is given.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "the kernel reports no processor time");
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}
