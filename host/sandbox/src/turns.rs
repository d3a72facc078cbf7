//! Turns: which guests run now, so that one that computes for long holds up none that does not.
//!
//! A guest waits for nothing while it runs. More long calls at once than there are processors make each of them later and none
//! sooner, and whoever needs a millisecond waits for a piece of every one of them. So they queue for as many places as there
//! are processors, before they have an instance; a plugin whose calls are short has its turn at once. Which are which is seen
//! from what its calls took before. It refuses to know what a guest does, and whose it is.

use std::{
    future::poll_fn,
    pin::pin,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{limits, meter::Meter};

/// What the calls of a plugin took lately, as microseconds of a processor.
#[derive(Debug)]
pub(crate) struct Habit(AtomicU32);

/// Places for calls.
#[derive(Debug)]
pub(crate) struct Turns {
    /// Calls that take long have one each; with it goes an instance, for those that have none yet.
    places: Semaphore,
    /// Of the calls that are expected to take long, the next one waits for a place, and the others behind it: one that takes
    /// long although its plugin's others did not has an instance already, and is not to queue behind those that have none.
    next: Semaphore,
    /// All other calls have one each, for their instance.
    instances: Semaphore,
}

/// The right to have one instance and to run, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// Whose call it is that evaluates, and where it gets a place once it takes long; a call that loads has no need of one.
    evaluates: Option<(&'a Habit, &'a Semaphore)>,
    _instance: Option<SemaphorePermit<'a>>,
    place: Option<SemaphorePermit<'a>>,
    /// How long it was waited for, at first and once it took long.
    pub(crate) waited: Duration,
    /// How long it has run.
    ran: Duration,
    /// What the guest's store has of it.
    pub(crate) meter: Meter,
}

impl Habit {
    /// That of a plugin which nothing is known about yet: long, until a call shows otherwise.
    pub(crate) fn unknown() -> Self {
        Self(AtomicU32::new(micros(limits::SHORT) + 1))
    }

    /// Whether its next call is expected to take long.
    pub(crate) fn is_long(&self) -> bool {
        self.0.load(Relaxed) > micros(limits::SHORT)
    }

    /// A call took so long. What was long once is so for some more calls, so that a plugin whose calls are long now and
    /// then is counted among those whose calls are.
    fn learn(&self, took: Duration) {
        let before = self.0.load(Relaxed);
        self.0.store(micros(took).max(before.saturating_sub(1 + before / limits::LONG_FORGOTTEN)), Relaxed);
    }
}

impl Turns {
    pub(crate) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::of(processors.min(limits::LONG_MOST), limits::INSTANCES as usize)
    }

    fn of(places: usize, instances: usize) -> Self {
        Self { places: Semaphore::new(places), next: Semaphore::new(1), instances: Semaphore::new(instances - places) }
    }

    /// Wait for the turn of a call that evaluates, of a plugin with this habit.
    pub(crate) async fn evaluating<'a>(&'a self, habit: &'a Habit) -> Turn<'a> {
        let since = Instant::now();
        let (instance, place) = if habit.is_long() {
            let _next = permit(&self.next).await;
            (None, Some(permit(&self.places).await))
        } else {
            (Some(permit(&self.instances).await), None)
        };
        let mut turn = Turn::with(instance);
        (turn.evaluates, turn.place, turn.waited) = (Some((habit, &self.places)), place, since.elapsed());
        turn
    }

    /// Wait for the turn of a call that is made when a plugin is loaded. It runs aside and among few others, and needs no place.
    pub(crate) async fn loading(&self) -> Turn<'_> {
        Turn::with(Some(permit(&self.instances).await))
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

async fn permit(permits: &Semaphore) -> SemaphorePermit<'_> {
    permits.acquire().await.expect("the semaphore is never closed")
}

impl<'a> Turn<'a> {
    fn with(instance: Option<SemaphorePermit<'a>>) -> Self {
        let (waited, ran) = (Duration::ZERO, Duration::ZERO);
        Self { evaluates: None, _instance: instance, place: None, waited, ran, meter: Meter::default() }
    }

    /// Let what a guest does run to its end. One that evaluates goes on only with a place once it has run for long.
    pub(crate) async fn run<T>(&mut self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        loop {
            let polled = poll_fn(|context| {
                self.meter.resume(self.ran);
                let polled = call.as_mut().poll(context);
                self.ran = self.meter.ran();
                Poll::Ready(polled)
            });
            if let Poll::Ready(done) = polled.await {
                return done;
            }
            match self.evaluates {
                Some((_, places)) if self.ran > limits::SHORT && self.place.is_none() => {
                    let since = Instant::now();
                    self.place = Some(permit(places).await);
                    self.waited += since.elapsed();
                }
                Some(_) | None => until_woken().await,
            }
        }
    }
}

/// What a call took is remembered however it ended.
impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some((habit, _)) = self.evaluates {
            habit.learn(self.ran);
        }
    }
}

/// Pending once: whoever was pending before has seen to it that it is woken.
async fn until_woken() {
    let mut pending = true;
    poll_fn(|_| if std::mem::replace(&mut pending, false) { Poll::Pending } else { Poll::Ready(()) }).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A call that computes for about so long, and yields all the while.
    async fn computing(time: Duration) {
        let meter = Meter::default();
        let mut ran = Duration::ZERO;
        while ran < time {
            meter.resume(ran);
            std::hint::black_box((0..1_000_u64).sum::<u64>());
            ran = meter.ran();
            tokio::task::yield_now().await;
        }
    }

    fn long() -> Habit {
        Habit::unknown()
    }

    fn short() -> Habit {
        Habit(AtomicU32::new(0))
    }

    fn turns(places: usize) -> Arc<Turns> {
        Arc::new(Turns::of(places, 8))
    }

    #[tokio::test]
    async fn a_plugin_whose_calls_are_short_has_its_turn_while_others_queue() {
        let (turns, habits, quick) = (turns(1), [long(), long()], short());
        let first = turns.evaluating(&habits[0]).await;
        let mut second = pin!(turns.evaluating(&habits[1]));
        assert!(is_pending(&mut second).await, "the one place is taken");
        let mut quick = turns.evaluating(&quick).await;
        quick.run(computing(limits::SHORT / 4)).await;
        drop(first);
        let second = second.await;
        assert!(second.place.is_some() && quick.place.is_none());
    }

    #[tokio::test]
    async fn a_call_that_takes_long_all_the_same_goes_on_only_with_a_place() {
        let (turns, habits) = (turns(1), [short(), short()]);
        let mut first = turns.evaluating(&habits[0]).await;
        first.run(computing(limits::SHORT * 2)).await;
        assert!(first.place.is_some());
        let mut second = turns.evaluating(&habits[1]).await;
        {
            let mut running = pin!(second.run(computing(limits::SHORT * 2)));
            // Far more often than it would yield until its end.
            for _ in 0..100_000 {
                assert!(is_pending(&mut running).await, "the one place is taken");
            }
            drop(first);
            running.await;
        }
        assert!(second.ran >= limits::SHORT * 2 && second.place.is_some());
        drop(second);
        assert!(habits.iter().all(Habit::is_long), "what they took is remembered");
    }

    #[tokio::test]
    async fn a_call_that_takes_long_all_the_same_queues_behind_one_that_has_no_instance_and_no_more() {
        let (turns, long, surprising) = (turns(1), long(), short());
        let first = turns.evaluating(&long).await;
        let (mut second, mut third) = (pin!(turns.evaluating(&long)), pin!(turns.evaluating(&long)));
        assert!(is_pending(&mut second).await && is_pending(&mut third).await, "the one place is taken");
        let mut turn = turns.evaluating(&surprising).await;
        {
            let mut running = pin!(turn.run(computing(limits::SHORT * 2)));
            // Far more often than it would yield until its end.
            for _ in 0..100_000 {
                assert!(is_pending(&mut running).await, "the one place is taken");
            }
            drop(first);
            drop(second.await);
            assert!(is_pending(&mut third).await, "it came before, and has no instance");
            running.await;
        }
        drop(turn);
        assert!(third.await.place.is_some());
    }

    #[tokio::test]
    async fn with_a_place_goes_an_instance_though_all_others_are_taken() {
        let (turns, long, surprising) = (turns(1), long(), short());
        let mut others = Vec::new();
        for _ in 0..7 {
            others.push(turns.evaluating(&surprising).await);
        }
        assert!(is_pending(&mut pin!(turns.evaluating(&surprising))).await, "no instance is left");
        // Otherwise it would wait with the place for an instance, and those that have one for the place.
        assert!(!is_pending(&mut pin!(turns.evaluating(&long))).await);
    }

    #[tokio::test]
    async fn a_call_that_loads_needs_no_place() {
        let (turns, habit) = (turns(1), short());
        let mut first = turns.evaluating(&habit).await;
        first.run(computing(limits::SHORT * 2)).await;
        let mut loading = turns.loading().await;
        loading.run(computing(limits::SHORT * 2)).await;
        assert!(first.place.is_some() && loading.place.is_none());
    }

    #[test]
    fn a_habit_is_long_until_it_is_known_and_for_some_calls_after_a_long_one() {
        let habit = Habit::unknown();
        assert!(habit.is_long());
        habit.learn(Duration::ZERO);
        assert!(!habit.is_long(), "it showed that it is short");
        habit.learn(limits::SHORT);
        assert!(!habit.is_long());
        habit.learn(limits::TIME);
        let mut calls = 0;
        while habit.is_long() {
            habit.learn(Duration::ZERO);
            calls += 1;
        }
        assert!((10..50).contains(&calls), "{calls} short calls after a long one");
    }

    /// Whether it is still pending when it is asked once.
    async fn is_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
        poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())).await
    }
}
