//! How words are spelled: so many of a thing, and what somebody most likely meant by a word that is none of the known ones.

use std::fmt::Display;

use super::names::CredentialId;

/// So many of a thing.
pub fn many<N: Copy + Display + PartialEq + From<u8>>(count: N, one: &str, more: &str) -> String {
    let thing = if count == N::from(1) { one } else { more };
    format!("{count} {thing}")
}

/// The one of `names` that `word` most likely meant.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Two slips are a typing error; more are another word.
    const SLIPS: usize = 2;
    // What somebody sends may be of any length.
    let word: String = word.chars().take(64).collect();
    let near = names.into_iter().map(|name| (strsim::levenshtein(&word, name), name)).min()?;
    (near.0 <= SLIPS && near.0 < word.chars().count()).then_some(near.1)
}

/// Says that nobody is called `word`, a tenant or `tenant/credential`, and who may be meant of `known`.
pub fn no_such<'a>(word: &str, known: impl IntoIterator<Item = &'a CredentialId>) -> String {
    let (mut ids, mut tenants) = (Vec::new(), Vec::new());
    for id in known {
        ids.push(id.to_string());
        tenants.push(id.tenant.as_str());
    }
    let is_whole = word.contains('/');
    let what = if is_whole { "credential" } else { "tenant" };
    let near = if is_whole {
        nearest(word, ids.iter().map(String::as_str))
    } else {
        nearest(word, tenants.iter().copied())
    };
    let near = near.map_or_else(String::new, |name| format!(" did you mean `{name}`?"));
    let mark = if near.is_empty() { ";" } else { ":" };
    format!("there is no {what} `{word}`{mark}{near} `rekeyd status` lists them")
}

/// Says that `word`, a tenant or `tenant/credential`, is in the journal and not configured, and what that means.
pub fn removed(word: &str) -> String {
    let what = if word.contains('/') { "credential" } else { "tenant" };
    format!(
        "the {what} `{word}` was removed from the configuration: its keys stay as they are and nobody rotates them; put its \
         file back into `tenants.d` and `rekeyd reload` to go on with it; `rekeyd history {word}` shows what was done"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_removed_is_no_slip() {
        let told = removed("acme/dataplane");
        assert!(told.starts_with("the credential `acme/dataplane` was removed"), "{told}");
        assert!(removed("acme").starts_with("the tenant `acme` was removed"));
    }

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let known = ["acme/dataplane", "beta/dataplane"].map(|id| id.parse::<CredentialId>().unwrap());
        let check = |word, expected| assert_eq!(no_such(word, &known), expected);
        check("acm", "there is no tenant `acm`: did you mean `acme`? `rekeyd status` lists them");
        check(
            "acme/datplane",
            "there is no credential `acme/datplane`: did you mean `acme/dataplane`? `rekeyd status` lists them",
        );
        check("gamma-corp", "there is no tenant `gamma-corp`; `rekeyd status` lists them");
        assert_eq!(no_such("acme", []), "there is no tenant `acme`; `rekeyd status` lists them");
    }
}
