//! Who may read: users and passwords as web.config.yml has them.
//!
//! bcrypt is slow on purpose, so it is a way to keep the machine busy: one hash is computed at a time, whoever asks, and
//! what came of it is remembered. A user who is not there is compared with a hash of the same cost, and takes as long.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Wrong passwords that are remembered.
const WRONG: usize = 100;

/// Right passwords that are remembered: more than there are users.
const RIGHT: usize = 1000;

/// What stands in for the hash of a user who is not there, after its cost: a salt and a hash that nothing has.
const NOBODY: &str = "$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

type Tag = [u8; 32];

/// Tries passwords.
pub(in crate::daemon) struct Auth {
    /// Under it a tag of a password tells nothing to who reads the memory of another process.
    key: hmac::Key,
    turn: Arc<tokio::sync::Mutex<()>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    right: VecDeque<Tag>,
    wrong: VecDeque<Tag>,
}

impl Known {
    fn get(&self, tag: &Tag) -> Option<bool> {
        let right = self.right.contains(tag);
        (right || self.wrong.contains(tag)).then_some(right)
    }

    fn put(&mut self, tag: Tag, is_right: bool) {
        let (list, most) = if is_right { (&mut self.right, RIGHT) } else { (&mut self.wrong, WRONG) };
        if list.len() >= most {
            list.pop_front();
        }
        list.push_back(tag);
    }
}

impl Auth {
    pub(super) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        Self { key: key.expect("the system has randomness"), turn: Arc::default(), known: Mutex::default() }
    }

    /// Whether the header `Authorization` is of one of the users.
    pub(super) async fn admits(&self, users: &BTreeMap<String, String>, header: Option<&[u8]>) -> bool {
        let Some((user, password)) = header.and_then(basic) else { return false };
        let hash = users.get(&user).cloned();
        let is_user = hash.is_some();
        let hash = hash.unwrap_or_else(|| nobody(users));
        let tag = self.tag(&user, &hash, &password);
        let known = |auth: &Self| auth.known.lock().expect("no holder of the lock panics").get(&tag);
        if let Some(is_right) = known(self) {
            return is_right && is_user;
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        // Whoever had the turn before may have asked the same.
        if let Some(is_right) = known(self) {
            return is_right && is_user;
        }
        let compare = tokio::task::spawn_blocking(move || {
            // The turn ends with the hash, also where who asked has hung up.
            let _turn = turn;
            bcrypt::verify(password, &hash).unwrap_or(false)
        });
        let is_right = compare.await.unwrap_or(false) && is_user;
        self.known.lock().expect("no holder of the lock panics").put(tag, is_right);
        is_right
    }

    fn tag(&self, user: &str, hash: &str, password: &[u8]) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user.as_bytes(), hash.as_bytes(), password] {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// A hash that takes as long as those of the users.
fn nobody(users: &BTreeMap<String, String>) -> String {
    let costs = users.values().filter_map(|hash| Some(hash.parse::<bcrypt::HashParts>().ok()?.get_cost()));
    format!("$2b${:02}{NOBODY}", costs.max().unwrap_or(10))
}

/// User and password of a header.
fn basic(header: &[u8]) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let text = STANDARD.decode(rest.trim_ascii()).ok()?;
    let colon = text.iter().position(|byte| *byte == b':')?;
    let user = String::from_utf8(text[..colon].to_vec()).ok()?;
    Some((user, text[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(user: &str, password: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))).into_bytes()
    }

    fn remembered(auth: &Auth) -> (usize, usize) {
        let known = auth.known.lock().expect("nobody panics");
        (known.right.len(), known.wrong.len())
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_user_is_let_in() {
        let hash = bcrypt::hash("open", 4).expect("the cost is right");
        let users = BTreeMap::from([("ops".to_owned(), hash)]);
        let auth = Auth::new();
        // Twice: the second answer is remembered.
        for _ in 0..2 {
            assert!(auth.admits(&users, Some(&header("ops", "open"))).await);
            assert!(!auth.admits(&users, Some(&header("ops", "shut"))).await);
            assert!(!auth.admits(&users, Some(&header("nobody", "open"))).await);
            for none in [
                None,
                Some(&b"Basic"[..]),
                Some(b"Basic !"),
                Some(b"Bearer b3BzOm9wZW4="),
                Some(b"Basic b3Bz"),
            ] {
                assert!(!auth.admits(&users, none).await);
            }
        }
        assert_eq!(remembered(&auth), (1, 2));
        // Another hash is another question.
        let other = BTreeMap::from([("ops".to_owned(), bcrypt::hash("new", 4).expect("the cost is right"))]);
        assert!(!auth.admits(&other, Some(&header("ops", "open"))).await);
        assert!(auth.admits(&other, Some(&header("ops", "new"))).await);
    }

    #[test]
    fn nobody_costs_as_much_as_the_dearest_user() {
        let hash = |cost| (format!("u{cost}"), format!("$2b${cost:02}{NOBODY}"));
        let users = BTreeMap::from([hash(4), hash(11)]);
        let parts: bcrypt::HashParts = nobody(&users).parse().expect("it is a hash");
        assert_eq!(parts.get_cost(), 11);
        assert!(!bcrypt::verify("", &nobody(&BTreeMap::from([hash(4)]))).expect("it is a hash"));
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let users = BTreeMap::from([("ops".to_owned(), bcrypt::hash("open", 4).expect("the cost is right"))]);
        let auth = Auth::new();
        assert!(auth.admits(&users, Some(&header("ops", "open"))).await);
        for wrong in 0..WRONG + 20 {
            assert!(!auth.admits(&users, Some(&header("ops", &wrong.to_string()))).await);
        }
        assert_eq!(remembered(&auth), (1, WRONG));
    }
}
