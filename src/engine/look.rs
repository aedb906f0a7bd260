//! One look at the world: what the stage needs to know, and what could not be seen.

use std::sync::Arc;

use super::desk::Hand;
use super::{Unit, peers};
use crate::clock::Clock;
use crate::domain::failure::{Class, Failure};
use crate::domain::key::Key;
use crate::domain::names::Role;
use crate::domain::observation::{Content, Looks, Observation, Seen};
use crate::secret::ServiceKey;

/// Looks at what `looks` asks for.
pub(super) async fn look(unit: &Unit, hand: &mut Hand, looks: Looks, clock: &dyn Clock) -> Observation {
    let (keys, status) = tokio::join!(
        async { if looks.keys { seen(unit.issuer.list().await) } else { Seen::NotAsked } },
        async { if looks.status { seen(unit.consumer.status().await) } else { Seen::NotAsked } },
    );
    let content = if looks.content { content(unit, hand).await } else { Seen::NotAsked };
    let passing = |failure: Option<&Failure>| failure.is_some_and(|failure| failure.class.is_passing());
    // The key that the content is read with may be gone.
    let hidden = keys == Seen::NotAsked && passing(content.failure());
    let keys = if hidden { seen(unit.issuer.list().await) } else { keys };
    let blind = keys.failure().is_some() || passing(status.failure()) || passing(content.failure());
    peers::note(hand, &keys);
    hand.blind = if blind { hand.blind.saturating_add(1) } else { 0 };
    Observation { at: clock.now(), keys, status, content, blind: hand.blind }
}

fn seen<T>(result: Result<T, Failure>) -> Seen<T> {
    match result {
        Ok(value) => Seen::Yes(value),
        Err(failure) => Seen::Unknown(failure),
    }
}

async fn content(unit: &Unit, hand: &mut Hand) -> Seen<Content> {
    let newest = hand.record.as_ref().and_then(|record| record.stage.newest().get(&Role::Ciapi).cloned());
    let Some(key) = newest else { return Seen::NotAsked };
    match material(unit, hand, Role::Ciapi, &key).await {
        Ok(key) => seen(unit.consumer.content(&key).await),
        Err(failure) => Seen::Unknown(failure),
    }
}

/// The secret part of a key, from the wallet or else from the issuer.
pub(super) async fn material(
    unit: &Unit,
    hand: &mut Hand,
    role: Role,
    key: &Key,
) -> Result<Arc<ServiceKey>, Failure> {
    if let Some(known) = hand.wallet.get(&key.id) {
        return Ok(Arc::clone(known));
    }
    let read = unit.issuer.read(role, key).await.map_err(|failure| match failure.class {
        // A key that cannot be read yet is not a consumer without an endpoint.
        Class::NotFound => Failure { class: Class::Conflict, ..failure },
        _ => failure,
    })?;
    hand.wallet.insert(key.id.clone(), Arc::clone(&read));
    Ok(read)
}
