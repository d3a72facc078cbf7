//! Which of the host's threads stand back behind which.
//!
//! What holds up nobody may take only what nobody else wants of the processors. It refuses to know what is done there.

/// How far they stand back. At 10 a busy host's other threads get nine tenths of a processor that they share with one of them
/// (sched(7)), and it still comes to its end.
const NICENESS: i32 = 10;

/// Let the calling thread stand back, and with it whatever it starts from now on. Where that is not possible, its work is done
/// all the same.
pub(crate) fn stand_back() {
    // Without a process, setpriority(2) is about the calling thread alone.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}
