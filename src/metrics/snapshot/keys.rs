//! The keys of a credential, as of the last listing.

use super::{Family, Snapshot};
use crate::domain::key::Key;
use crate::domain::names::Role;
use crate::domain::view::View;

/// How many keys there are.
pub(super) struct Keys {
    /// Those of the credential, by role.
    pub(super) alive: Vec<(Role, usize)>,
    /// Those made by rekeyd that nobody uses.
    pub(super) orphan: usize,
    /// Those of somebody else.
    pub(super) unmanaged: usize,
}

/// What the last listing says; `None` before there was one.
pub(super) fn count(view: &View) -> Option<Keys> {
    let record = view.record.as_ref()?;
    let sightings = view.observation.as_ref()?.keys.known()?;
    let of_stage = record.stage.keys();
    let mut keys = Keys { alive: Vec::new(), orphan: 0, unmanaged: 0 };
    for role in &view.policy.roles {
        let seen = sightings.get(role).map_or(&[][..], Vec::as_slice);
        let known = |key: &Key| of_stage.iter().any(|(of, mine)| of == role && mine.id == key.id);
        let ours = |key: &Key| key.name.is_of(&view.credential);
        let many = |test: &dyn Fn(&Key) -> bool| seen.iter().filter(|seen| test(&seen.key)).count();
        keys.alive.push((*role, many(&|key| known(key) || ours(key))));
        keys.orphan += many(&|key| !known(key) && ours(key));
        keys.unmanaged += many(&|key| !known(key) && key.name.parse_ours().is_none());
    }
    Some(keys)
}

/// One limit for everybody.
pub(super) fn limit(of: Snapshot<'_>, text: &mut String) {
    let mut limit = Family::new("rekeyd_keys_limit", "Live keys per role at which nothing more is created.");
    if let Some(most) = of.lines.iter().map(|line| line.view.policy.limits.keys_per_role).max() {
        limit.set(&[], most);
    }
    limit.finish(text);
}
