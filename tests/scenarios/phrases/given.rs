//! How things are at first, and what is to go wrong.

use std::time::Duration;

use rekeyd::domain::failure::Failure;
use rekeyd::domain::names::{KeyName, Role};
use rekeyd::domain::policy::Provision;

use super::{Phrase, class, delta, number, role, span};
use crate::scene::Scene;
use crate::world::script::How;

pub(super) const PHRASES: &[Phrase] = &[
    ("a credential that is due", |_, _| Ok(())),
    ("a credential whose keys are {} days old", aged),
    ("the {} key has no date", |scene, values| {
        key(scene, role(values[0])?).created_at = None;
        Ok(())
    }),
    ("the certificate of the {} key ends in {} days", |scene, values| {
        let end = scene.world.now + chrono::TimeDelta::days(number(values[1])?.into());
        key(scene, role(values[0])?).expires_at = Some(end);
        Ok(())
    }),
    ("the tenant says {} = {}", setting),
    ("the consumer answers 200 to a delivery and keeps what it has", |scene, _| {
        scene.world.manners.ignores_put = true;
        Ok(())
    }),
    ("the consumer takes deliveries to heart again", |scene, _| {
        scene.world.manners.ignores_put = false;
        Ok(())
    }),
    ("the next {} runs of the consumer fail", |scene, values| {
        scene.world.manners.fails = number(values[0])?;
        Ok(())
    }),
    ("the consumer fails every run with fresh keys", |scene, _| {
        scene.world.manners.fails_with_fresh = true;
        Ok(())
    }),
    ("the consumer cannot be asked to provision", |scene, _| {
        scene.world.manners.no_post = true;
        Ok(())
    }),
    ("the status of the consumer lags {}", |scene, values| {
        scene.world.manners.status_lag = delta(values[0])?.num_seconds();
        Ok(())
    }),
    ("the consumer lives on a token of a deleted key for {}", |scene, values| {
        scene.world.manners.token_life = delta(values[0])?.num_seconds();
        Ok(())
    }),
    ("a fresh key is refused for {}", |scene, values| {
        scene.world.manners.known_after = delta(values[0])?.num_seconds();
        Ok(())
    }),
    ("a fresh key is listed {} late", |scene, values| {
        scene.world.manners.list_lag = delta(values[0])?.num_seconds();
        Ok(())
    }),
    ("every key has the secret of its instance", |scene, _| {
        scene.world.manners.same_secret = true;
        Ok(())
    }),
    ("a deleted key goes on working", |scene, _| {
        scene.world.manners.deleted_works = true;
        Ok(())
    }),
    ("the issuer cannot be reached", |scene, _| {
        scene.world.manners.issuer_down = true;
        Ok(())
    }),
    ("the issuer can be reached again", |scene, _| {
        scene.world.manners.issuer_down = false;
        Ok(())
    }),
    ("the process dies before {} number {} is sent", |scene, values| {
        scene.world.script.plan(values[0], number(values[1])? - 1, 1, How::DiesBefore);
        Ok(())
    }),
    ("the process dies when {} number {} has taken effect", |scene, values| {
        scene.world.script.plan(values[0], number(values[1])? - 1, 1, How::DiesAfter);
        Ok(())
    }),
    ("the reply to {} number {} is lost after its effect", |scene, values| {
        let lost = Failure::new(class("timeout")?, "no answer within 30 s");
        scene.world.script.plan(values[0], number(values[1])? - 1, 1, How::Lost(lost));
        Ok(())
    }),
    ("{} number {} takes effect and answers {}: {}", |scene, values| {
        let answer = Failure::new(class(values[2])?, values[3]);
        scene.world.script.plan(values[0], number(values[1])? - 1, 1, How::Lost(answer));
        Ok(())
    }),
    ("{} number {} is refused with {}: {}", |scene, values| {
        let refusal = Failure::new(class(values[2])?, values[3]);
        scene.world.script.plan(values[0], number(values[1])? - 1, 1, How::Refused(refusal));
        Ok(())
    }),
    ("every {} is refused with {}: {}", |scene, values| {
        let refusal = Failure::new(class(values[1])?, values[2]);
        scene.world.script.plan(values[0], 0, u32::MAX, How::Refused(refusal));
        Ok(())
    }),
    ("nothing is refused any more", |scene, _| {
        scene.world.script.troubles.clear();
        Ok(())
    }),
    ("the issuer has {} more {} keys that nobody manages", |scene, values| {
        let (now, role) = (scene.world.now, role(values[1])?);
        for one in 0..number(values[0])? {
            scene.world.add(role, KeyName(format!("by-hand-{one}")), now);
        }
        Ok(())
    }),
    ("the tenant names the keys in use", |scene, _| {
        for role in Role::PAIR {
            scene.world.policy.in_use.insert(role, KeyName(format!("first-{role}")));
        }
        Ok(())
    }),
    ("the issuer has a {} key with our prefix that belongs to another credential", |scene, values| {
        let (now, role) = (scene.world.now, role(values[0])?);
        let other = "other/dataplane".parse().map_err(|why| format!("{why}"))?;
        scene.world.add(role, KeyName::ours(role, 1, &other, 7), now);
        Ok(())
    }),
    ("the issuer has a {} key of ours of generation {} that is not in the journal", |scene, values| {
        let (now, role) = (scene.world.now, role(values[0])?);
        let name = KeyName::ours(role, number(values[1])?, &scene.world.policy.credential, 7);
        scene.world.add(role, name, now);
        Ok(())
    }),
    ("the issuer has {} keys with the name of the fresh {} key", |scene, values| {
        let (now, role) = (scene.world.now, role(values[1])?);
        let name = scene.fresh_name(role)?;
        for _ in 0..number(values[0])? {
            scene.world.add(role, name.clone(), now);
        }
        Ok(())
    }),
    ("the configuration names the consumer {}", |scene, values| {
        values[0].clone_into(&mut scene.world.policy.pin.consumer);
        Ok(())
    }),
];

fn key(scene: &mut Scene, role: Role) -> &mut rekeyd::domain::key::Key {
    let keys = scene.world.keys.get_mut(&role).expect("every role has a key at first");
    &mut keys[0].key
}

fn aged(scene: &mut Scene, values: &[&str]) -> Result<(), String> {
    let created = scene.world.now - chrono::TimeDelta::days(number(values[0])?.into());
    for role in Role::PAIR {
        key(scene, role).created_at = Some(created);
    }
    Ok(())
}

fn setting(scene: &mut Scene, values: &[&str]) -> Result<(), String> {
    let policy = &mut scene.world.policy;
    let time: Result<Duration, String> = span(values[1]);
    match values[0] {
        "soak" => policy.soak = time?,
        "poll" => policy.poll = time?,
        "keys-per-instance" => policy.limits.keys_per_instance = number(values[1])? as usize,
        "lead" => policy.lead = time?,
        "token-life" => policy.token_life = time?,
        "provision" => {
            policy.provision = match values[1] {
                "always" => Provision::Always,
                "never" => Provision::Never,
                _ => Provision::WhenNeeded,
            }
        }
        "retire-foreign" => policy.retire_foreign = values[1] == "true",
        other => return Err(format!("`{other}` is no setting")),
    }
    Ok(())
}
