//! Giving way: while alerts wait for their evaluation, a state is not saved.
//!
//! To save it costs what a few hundred thousand evaluations cost, and nobody waits for it. It refuses to know what it is that
//! gives way.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::watch};

use super::limits::{BUSY, GIVE_WAY_LOOK};
use crate::status::Status;

/// Something that gives way, for so long in all.
pub(super) struct GivingWay {
    status: Arc<Status>,
    runtime: Handle,
    ending: watch::Receiver<bool>,
    left: Duration,
}

impl GivingWay {
    pub(super) const fn new(
        status: Arc<Status>,
        runtime: Handle,
        ending: watch::Receiver<bool>,
        most: Duration,
    ) -> Self {
        Self { status, runtime, ending, left: most }
    }

    /// Return once few alerts wait, patience is out or the host ends.
    pub(super) fn first(&mut self) {
        while self.status.numbers().backlog >= BUSY && !self.left.is_zero() && !*self.ending.borrow() {
            let (since, look) = (Instant::now(), GIVE_WAY_LOOK.min(self.left));
            let ending = &mut self.ending;
            self.runtime.block_on(async {
                let _ = tokio::time::timeout(look, ending.wait_for(|ending| *ending)).await;
            });
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use tokio::runtime::Runtime;

    use super::*;

    const LONG: Duration = Duration::from_secs(60 * 60);

    /// A host with a backlog, something that gives way to it on a thread of its own, and what says that it went on.
    fn gives_way(backlog: u64, most: Duration) -> (Arc<Status>, watch::Sender<bool>, mpsc::Receiver<()>, Runtime) {
        let (status, runtime) = (Arc::<Status>::default(), Runtime::new().unwrap());
        status.set_backlog(backlog);
        let (ends, ending) = watch::channel(false);
        let mut giving_way = GivingWay::new(Arc::clone(&status), runtime.handle().clone(), ending, most);
        let (went_on, goes_on) = mpsc::sync_channel(1);
        thread::spawn(move || {
            giving_way.first();
            went_on.send(()).unwrap();
        });
        (status, ends, goes_on, runtime)
    }

    #[test]
    fn a_host_that_keeps_up_is_not_waited_for() {
        let (_, _ends, goes_on, _runtime) = gives_way(BUSY - 1, LONG);
        goes_on.recv_timeout(LONG).unwrap();
    }

    #[test]
    fn a_busy_one_is_until_it_has_caught_up() {
        let (status, _ends, goes_on, _runtime) = gives_way(BUSY, LONG);
        assert!(goes_on.recv_timeout(3 * GIVE_WAY_LOOK).is_err(), "it did not give way");
        status.set_backlog(0);
        goes_on.recv_timeout(LONG).unwrap();
    }

    #[test]
    fn one_that_never_catches_up_is_not_waited_for_for_ever() {
        let (_, _ends, goes_on, _runtime) = gives_way(BUSY, 3 * GIVE_WAY_LOOK);
        goes_on.recv_timeout(LONG).unwrap();
    }

    #[test]
    fn nor_is_one_that_ends() {
        let (_, ends, goes_on, _runtime) = gives_way(BUSY, LONG);
        ends.send(true).unwrap();
        goes_on.recv_timeout(LONG).unwrap();
    }
}
