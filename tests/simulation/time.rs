//! Virtual time. Nothing waits: when every task rests, the clock jumps to the next moment for which somebody asked.
//!
//! The runtime has one thread and no timers of its own. It calls [`Timers::step`] just before it would park, so that
//! exactly one waiter wakes at a time, in the order of time and then of asking. That order is the seed's doing alone.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use rekeyd::domain::Timestamp;

/// Milliseconds since the simulation began.
pub(crate) type Millis = u64;

pub(crate) const SECOND: Millis = 1000;
pub(crate) const MINUTE: Millis = 60 * SECOND;
pub(crate) const HOUR: Millis = 60 * MINUTE;
pub(crate) const DAY: Millis = 24 * HOUR;

/// When the simulation begins: late enough that keys a few years old have a date.
const BEGINNING: i64 = 1_767_225_600_000;

/// A moment as the world's clock shows it.
pub(crate) fn stamp(at: Millis) -> Timestamp {
    offset_stamp(at, 0)
}

/// A moment as a clock shows it that is `offset` milliseconds ahead.
pub(crate) fn offset_stamp(at: Millis, offset: i64) -> Timestamp {
    let at = i64::try_from(at).unwrap();
    Timestamp::from_timestamp_millis(BEGINNING + at + offset).unwrap()
}

/// The moment at which the world's clock shows `stamp`.
pub(crate) fn moment(stamp: Timestamp) -> Millis {
    u64::try_from(stamp.timestamp_millis() - BEGINNING).unwrap()
}

#[derive(Default)]
struct Queue {
    now: Millis,
    serial: u64,
    waiting: BTreeMap<(Millis, u64), Waker>,
}

/// Everybody who waits.
#[derive(Default)]
pub(crate) struct Timers(Mutex<Queue>);

impl Timers {
    /// A clock that shows `now`.
    pub(crate) fn starting_at(now: Millis) -> Self {
        Self(Mutex::new(Queue { now, ..Queue::default() }))
    }

    pub(crate) fn now(&self) -> Millis {
        self.0.lock().unwrap().now
    }

    /// Nobody can go on: time passes until somebody can.
    pub(crate) fn step(&self) {
        let mut queue = self.0.lock().unwrap();
        let Some(((at, _), waker)) = queue.waiting.pop_first() else {
            panic!("the simulation stands still: everybody waits for somebody else");
        };
        queue.now = queue.now.max(at);
        drop(queue);
        waker.wake();
    }

    pub(crate) fn sleep(self: &Arc<Self>, time: Millis) -> Sleep {
        let at = self.now() + time;
        Sleep { timers: Arc::clone(self), at, place: None }
    }
}

/// A wait.
pub(crate) struct Sleep {
    timers: Arc<Timers>,
    at: Millis,
    place: Option<(Millis, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (timers, at) = (Arc::clone(&self.timers), self.at);
        let mut queue = timers.0.lock().unwrap();
        if queue.now >= at {
            return Poll::Ready(());
        }
        let place = *self.place.get_or_insert_with(|| {
            queue.serial += 1;
            (at, queue.serial)
        });
        queue.waiting.insert(place, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.timers.0.lock().unwrap().waiting.remove(&place);
        }
    }
}
