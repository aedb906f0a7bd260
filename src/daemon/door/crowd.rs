//! Who is connected, and who makes room where there are too many.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio_util::sync::CancellationToken;

/// Everybody who is connected, by the order in which they came.
pub(super) struct Crowd {
    most: usize,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    next: u64,
    guests: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

/// A connection's place; given back when it is dropped.
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    gone: CancellationToken,
}

impl Crowd {
    pub(super) fn new(most: usize) -> Self {
        Self { most, inside: Mutex::default() }
    }

    /// Takes a place. Where there is none, the oldest of the address with most of them loses his.
    pub(super) fn enter(self: &Arc<Self>, from: IpAddr) -> Place {
        let gone = CancellationToken::new();
        let mut inside = self.inside();
        if inside.guests.len() >= self.most
            && let Some(number) = inside.oldest_of_most()
            && let Some((_, gone)) = inside.guests.remove(&number)
        {
            gone.cancel();
        }
        let number = inside.next;
        inside.next += 1;
        inside.guests.insert(number, (from, gone.clone()));
        Place { crowd: Arc::clone(self), number, gone }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no holder of the lock panics")
    }
}

impl Inside {
    fn oldest_of_most(&self) -> Option<u64> {
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (address, _) in self.guests.values() {
            *counts.entry(*address).or_default() += 1;
        }
        let (most, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        self.guests.iter().find(|(_, (address, _))| *address == most).map(|(number, _)| *number)
    }
}

impl Place {
    /// Ends when the place is lost.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.inside().guests.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_most_makes_room() {
        let crowd = Arc::new(Crowd::new(3));
        let (many, one): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let scraper = crowd.enter(one);
        let first = crowd.enter(many);
        let second = crowd.enter(many);
        let third = crowd.enter(many);
        assert!(first.gone.is_cancelled());
        assert!(!scraper.gone.is_cancelled() && !second.gone.is_cancelled() && !third.gone.is_cancelled());
        drop((first, second));
        assert_eq!(crowd.inside().guests.len(), 2);
    }
}
