//! One step, taken. The plan leaves no choice here: each step has one call, and what came of it is one event.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::desk::Hand;
use super::look::material;
use super::{Engine, Unit};
use crate::domain::event::Event;
use crate::domain::evidence::Baseline;
use crate::domain::failure::{Class, Failure};
use crate::domain::key::{Key, KeySet};
use crate::domain::names::{KeyName, Role, RotationId};
use crate::domain::observation::Observation;
use crate::domain::plan::Step;
use crate::domain::proof::Permit;
use crate::ports::JournalError;

/// What came of a step.
pub(super) enum Came {
    /// This, to be written down.
    Of(Event),
    /// Nothing to write down: the next look will show it.
    OfItself,
    /// It failed.
    Failed(Failure),
}

impl From<Failure> for Came {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Engine {
    /// Takes one step. `reason` is the plan's.
    pub(super) async fn act(
        &self,
        unit: &Unit,
        hand: &mut Hand,
        observation: &Observation,
        step: &Step,
        reason: &str,
    ) -> Result<Came, JournalError> {
        Ok(match step {
            Step::Rest => Came::OfItself,
            Step::Note(event) => Came::Of(event.clone()),
            Step::Begin { generation, trigger } => {
                let id = &unit.policy.credential;
                let name = |role: &Role| (*role, KeyName::ours(*role, *generation, id, self.clock.nonce()));
                Came::Of(Event::Begun {
                    rotation: RotationId::new(id, *generation, self.clock.nonce()),
                    trigger: *trigger,
                    generation: *generation,
                    names: unit.policy.roles.iter().map(name).collect(),
                    reason: reason.to_owned(),
                })
            }
            Step::Create { role, name } => {
                // The intent is on disk, in a commit of its own, before the call that is not idempotent.
                self.write(unit, hand, Event::CreateSent { role: *role }).await?;
                if !self.is_leased(hand) {
                    return Ok(Came::OfItself);
                }
                match unit.issuer.create(*role, name).await {
                    Ok(key) => Came::Of(Event::Made { role: *role, key }),
                    Err(failure) => Came::Failed(failure),
                }
            }
            Step::Test { role, fresh, old } => {
                test(unit, hand, *role, fresh, old.as_ref()).await.map_or_else(Came::Failed, Came::Of)
            }
            Step::Deliver { keys } => self.deliver(unit, hand, keys).await?,
            Step::Provision { baseline } => self.provision(unit, hand, baseline).await?,
            Step::Confirm { keys, basis } => try_all(unit, hand, keys)
                .await
                .map_or_else(Came::Failed, |()| Came::Of(Event::Works { basis: *basis })),
            Step::Renew { keys } => try_all(unit, hand, keys).await.map_or_else(Came::Failed, |()| {
                let verdict = observation.status.known().map(|status| status.verdict);
                Came::Of(Event::Renewed { verdict })
            }),
            Step::Delete { role, key, permit } => self.delete(unit, hand, *role, key, permit).await?,
            Step::Probe { role, key } => {
                probe(unit, hand, *role, key).await.map_or_else(Came::Failed, Came::Of)
            }
        })
    }

    /// Hands a set over. Nothing is written down right before, so the journal is asked whose the lease is: who was paused for
    /// too long must not undo what another instance did since, not even with a clock that was set back meanwhile.
    async fn deliver(&self, unit: &Unit, hand: &mut Hand, keys: &KeySet) -> Result<Came, JournalError> {
        let mut credential = BTreeMap::new();
        for (role, key) in keys {
            match material(unit, hand, *role, key).await {
                Ok(secret) => credential.insert(*role, Arc::clone(&secret)),
                Err(failure) => return Ok(Came::Failed(failure)),
            };
        }
        if !self.renews_lease(unit, hand).await? {
            return Ok(Came::OfItself);
        }
        Ok(match unit.consumer.deliver(&credential).await {
            Ok(accepted) => Came::Of(Event::Delivered { upstream_at: accepted.upstream_at }),
            Err(failure) => Came::Failed(failure),
        })
    }

    /// Sets the consumer in motion. The intent is on disk first: what the consumer does after an answer that was lost
    /// must not pass for something that it does by itself.
    async fn provision(
        &self,
        unit: &Unit,
        hand: &mut Hand,
        baseline: &Baseline,
    ) -> Result<Came, JournalError> {
        self.write(unit, hand, Event::ProvisionSent).await?;
        if !self.is_leased(hand) {
            return Ok(Came::OfItself);
        }
        Ok(match unit.consumer.provision().await {
            Ok(accepted) => {
                Came::Of(Event::Provisioned { baseline: baseline.clone(), upstream_at: accepted.upstream_at })
            }
            Err(failure) if failure.class == Class::NotFound => Came::Of(Event::CannotProvision),
            Err(failure) => Came::Failed(failure),
        })
    }

    /// The one call that cannot be taken back.
    async fn delete(
        &self,
        unit: &Unit,
        hand: &mut Hand,
        role: Role,
        key: &Key,
        permit: &Permit,
    ) -> Result<Came, JournalError> {
        let record = hand.record.as_ref().expect("a step of a credential without a record is `adopt`");
        assert!(permit.covers(&key.id), "a permit is for the key it was made for");
        assert!(!record.stage.may_hold().contains(&key.id), "what the consumer may hold is never deleted");
        if record.is_held(self.clock.now()) {
            // A hold that had ended when it was planned is in force again: the clock was set back.
            return Ok(Came::OfItself);
        }
        // Read now, to try it once it is gone. Without it the probe says "unknown".
        let _ = material(unit, hand, role, key).await;
        let event = Event::DeleteSent { role, name: key.name.clone(), permit: permit.to_string() };
        self.write(unit, hand, event).await?;
        // The hold is the last thing that is looked at before the call.
        let may = self.is_leased(hand);
        if !may || hand.record.as_ref().is_some_and(|record| record.is_held(self.clock.now())) {
            return Ok(Came::OfItself);
        }
        Ok(match unit.issuer.delete(role, key).await {
            Ok(()) => Came::OfItself,
            Err(failure) => Came::Failed(failure),
        })
    }
}

async fn test(
    unit: &Unit,
    hand: &mut Hand,
    role: Role,
    fresh: &Key,
    old: Option<&Key>,
) -> Result<Event, Failure> {
    let secret = material(unit, hand, role, fresh).await?;
    if let Some(old) = old {
        let old_secret = material(unit, hand, role, old).await?;
        if secret.has_same_secret(&old_secret) {
            return Ok(Event::SameSecret { role });
        }
    }
    let grade = unit.consumer.test(role, &secret).await?;
    Ok(Event::Tested { role, grade })
}

/// Gets a new token with every key, and reads with it where it can.
async fn try_all(unit: &Unit, hand: &mut Hand, keys: &KeySet) -> Result<(), Failure> {
    for (role, key) in keys {
        let secret = material(unit, hand, *role, key).await?;
        unit.consumer.test(*role, &secret).await?;
    }
    Ok(())
}

async fn probe(unit: &Unit, hand: &Hand, role: Role, key: &Key) -> Result<Event, Failure> {
    let Some(secret) = hand.wallet.get(&key.id) else { return Ok(Event::Probed { role, refused: None }) };
    let refused = unit.consumer.is_refused(role, secret).await?;
    Ok(Event::Probed { role, refused: Some(refused) })
}
