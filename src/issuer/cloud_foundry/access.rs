//! Whether the login may make and delete keys, seen by read-only calls: before the first rotation, not in it.
//!
//! A key is made by a *Space Developer* of the instance's space; every role of the space may list keys (facts: Cloud
//! Foundry, section 1). So the roles of the login in that space are read. What cannot be read says nothing: not every
//! login may see roles, and an administrator has none.

use std::collections::BTreeSet;

use serde_json::Value;

use super::CloudFoundry;
use super::foundry::Foundry;
use crate::domain::failure::Failure;
use crate::issuer::binding::is_guid;
use crate::ports::Access;

/// The role that makes and deletes keys.
const WRITES: &str = "space_developer";

impl CloudFoundry {
    /// What the login may do in the spaces of all instances: the worst of what is sure, else what is not known.
    pub(super) async fn may_write(&self) -> Result<Access, Failure> {
        let foundry = &self.foundry;
        let Some(user) = foundry.user().await? else {
            return Ok(Access::Unknown("the login server does not say who the login is".to_owned()));
        };
        let mut spaces = BTreeSet::new();
        for place in self.settings.places.values() {
            spaces.insert(space_of(foundry, &foundry.resolve(place).await?).await?);
        }
        let mut all = Access::Writes;
        for space in spaces {
            let Some(space) = space else {
                all = Access::Unknown("the space of a service instance is not shown".to_owned());
                continue;
            };
            match judge(&foundry.roles(&user, &space).await?) {
                Access::Writes => {}
                Access::Unknown(why) => all = Access::Unknown(why),
                surely @ Access::ReadsOnly { .. } => return Ok(surely),
            }
        }
        Ok(all)
    }
}

/// The space that a service instance is in.
async fn space_of(foundry: &Foundry, instance: &str) -> Result<Option<String>, Failure> {
    let found = foundry.pages("discover", "service_instances", &[("guids", instance)]).await?;
    let space = found.first().and_then(|value| value.pointer("/relationships/space/data/guid"));
    Ok(space.and_then(Value::as_str).filter(|guid| is_guid(guid)).map(str::to_owned))
}

/// What the roles in a space allow.
fn judge(roles: &BTreeSet<String>) -> Access {
    if roles.contains(WRITES) {
        return Access::Writes;
    }
    if roles.is_empty() {
        return Access::Unknown("no role of the login in the space of the instance is shown".to_owned());
    }
    let roles: Vec<String> = roles.iter().map(|role| format!("`{role}`")).collect();
    Access::ReadsOnly {
        why: format!("in the space of the service instance it has {} only", roles.join(" and ")),
        remedy:
            "give it the role Space Developer there (`cf set-space-role USER ORG SPACE SpaceDeveloper`, or \
                 in the cockpit under Space Members)"
                .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_role_that_is_shown_and_reads_is_a_verdict() {
        let check = |roles: &[&str]| judge(&roles.iter().map(ToString::to_string).collect());
        assert_eq!(check(&["space_auditor", "space_developer"]), Access::Writes);
        assert!(matches!(check(&[]), Access::Unknown(_)));
        for reads in ["space_auditor", "space_manager"] {
            let Access::ReadsOnly { why, remedy } = check(&[reads]) else { panic!("`{reads}` writes") };
            assert!(why.contains(reads) && remedy.contains("Space Developer"), "{why}; {remedy}");
        }
    }
}
