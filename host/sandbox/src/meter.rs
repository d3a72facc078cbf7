//! The processor's time that a guest has used in one call, wherever it ran and however often it gave way to others.
//!
//! The wall's clock goes on while a thread waits for a processor, and ticks are counted only where a guest looks at them: an
//! instruction that fills a whole memory takes tens of milliseconds and sees one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// Counts while the guest runs; shared by who lets it run and by who asks whether it has had enough.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    /// When it would have begun, by the clock of the thread that it runs on, had it run there all the time: nanoseconds.
    began: Arc<AtomicI64>,
}

impl Meter {
    /// It goes on now, on this thread, after it has run for so long.
    pub(crate) fn resume(&self, ran: Duration) {
        let ran = i64::try_from(ran.as_nanos()).unwrap_or(i64::MAX);
        self.began.store(now().saturating_sub(ran), Relaxed);
    }

    /// How long it has run. On the thread that it goes on on.
    pub(crate) fn ran(&self) -> Duration {
        Duration::from_nanos(u64::try_from(now() - self.began.load(Relaxed)).unwrap_or(0))
    }
}

/// Nanoseconds that this thread has had a processor.
fn now() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_used_goes_with_it_to_another_thread_and_waiting_is_not_counted() {
        let meter = Meter::default();
        meter.resume(Duration::ZERO);
        let mut sum = 0_u64;
        while meter.ran() < Duration::from_millis(3) {
            sum = std::hint::black_box(sum + 1);
        }
        let ran = meter.ran();
        let waited = std::thread::spawn(move || {
            meter.resume(ran);
            std::thread::sleep(Duration::from_millis(30));
            meter.ran()
        });
        let after = waited.join().expect("it ends");
        assert!(after >= ran && after < ran + Duration::from_millis(25), "{ran:?} and {after:?}");
    }
}
