//! Whose the daemon is: the user and the group that its control socket belongs to. They may be others than those of the package.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User};

/// The user and the group of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Whose {
    /// The user, as `sudo -u` takes it.
    pub(super) user: String,
    /// The group, as `chgrp` takes it.
    pub(super) group: String,
    /// Whether somebody can be added to the group: nobody is added to that of root.
    pub(super) admits: bool,
}

impl Whose {
    /// Whom `path` belongs to; whom its folder, where that may not be looked into. `None` where there is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let seen = fs::metadata(path).or_else(|problem| match folder {
            Some(folder) if problem.kind() == ErrorKind::PermissionDenied => fs::metadata(folder),
            _ => Err(problem),
        });
        let seen = seen.ok()?;
        Some(Self::named(seen.uid(), seen.gid()))
    }

    fn named(user: u32, group: u32) -> Self {
        let user_name = User::from_uid(Uid::from_raw(user)).ok().flatten().map(|user| user.name);
        let group_name = Group::from_gid(Gid::from_raw(group)).ok().flatten().map(|group| group.name);
        Self {
            user: user_name.unwrap_or_else(|| format!("'#{user}'")),
            group: group_name.unwrap_or_else(|| group.to_string()),
            admits: group != 0,
        }
    }

    /// Who may open the socket.
    pub(super) fn may_open(&self) -> String {
        let user = &self.user;
        if self.admits { format!("`{user}` and the group `{}`", self.group) } else { format!("`{user}`") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_name_is_a_number_that_commands_take() {
        let expected =
            Whose { user: "'#4000000001'".to_owned(), group: "4000000002".to_owned(), admits: true };
        assert_eq!(Whose::named(4_000_000_001, 4_000_000_002), expected);
        assert_eq!(expected.may_open(), "`'#4000000001'` and the group `4000000002`");
        let root = Whose::named(0, 0);
        assert_eq!((root.user.as_str(), root.may_open().as_str(), root.admits), ("root", "`root`", false));
    }

    #[test]
    fn a_socket_says_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        assert_eq!(Whose::of(&path), None);
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let expected = Whose::named(nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        assert_eq!(Whose::of(&path), Some(expected));
    }
}
