//! `rate_limit` of web.config.yml: a bucket of `burst` requests that one more drops into every `interval`.

use std::sync::Mutex;
use std::time::Duration;

use crate::config::web::file::Rate;

/// The bucket, as what was taken from it: the time at which it is full again.
#[derive(Debug, Default)]
pub(super) struct Bucket(Mutex<Duration>);

impl Bucket {
    /// Takes one request at `now`, if there is one.
    pub(super) fn take(&self, rate: Rate, now: Duration) -> bool {
        let mut full_at = self.0.lock().expect("no holder of the lock panics");
        let after = (*full_at).max(now).saturating_add(rate.interval);
        // Go's limiter takes nothing at all with a burst of 0; one request in each interval is what is meant.
        let fits = after <= now.saturating_add(rate.interval.saturating_mul(rate.burst.max(1)));
        if fits {
            *full_at = after;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_in_each_interval() {
        let (bucket, second) = (Bucket::default(), Duration::from_secs(1));
        let rate = Rate { interval: second, burst: 2 };
        let now = second * 100;
        let taken = |at| bucket.take(rate, at);
        assert!(taken(now) && taken(now) && !taken(now));
        assert!(taken(now + second) && !taken(now + second));
        assert!(taken(now + second * 9) && taken(now + second * 9) && !taken(now + second * 9));
    }
}
