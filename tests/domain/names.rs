//! Names: what they may be, and what ours say.

use proptest::prelude::*;
use rekeyd::domain::names::{CredentialId, KEY_NAME_LIMIT, KeyName, Role, RotationId, TenantId};

use super::credential;

#[test]
fn a_tenant_is_lower_case() {
    for good in ["a", "acme-prod", "0-9", "acme"] {
        assert_eq!(good.parse::<TenantId>().unwrap().as_str(), good);
    }
    for bad in ["", "-a", "Acme", "a_b", "a b", "ä", "a/b", &"a".repeat(49)] {
        let problem = bad.parse::<TenantId>().unwrap_err().to_string();
        assert!(problem.contains("expected 1 to 48 characters"), "{problem}");
    }
}

#[test]
fn a_credential_has_two_parts() {
    assert_eq!("acme/dataplane".parse::<CredentialId>().unwrap(), credential());
    for bad in ["acme", "acme/", "/dataplane", "acme/data/plane", "acme/Data"] {
        assert!(bad.parse::<CredentialId>().is_err(), "{bad}");
    }
}

#[test]
fn roles_are_read_as_they_are_written() {
    for role in Role::ALL {
        assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
    }
    assert!("CIAPI".parse::<Role>().is_err());
}

#[test]
fn the_names_of_others_are_not_ours() {
    for other in [
        "rekeyd",
        "rekeyd-ciapi",
        "rekeyd-ciapi-g1",
        "rekeyd-ciapi-g1-short",
        "rekeyd-other-g1-abcdefghijk",
        "my-key",
    ] {
        assert_eq!(KeyName(other.to_owned()).parse_ours(), None, "{other}");
    }
}

proptest! {
    #[test]
    fn a_name_of_ours_says_whose_it_is(generation in 1_u32..=99_999, nonce: u64, tenant in "[a-z0-9][a-z0-9-]{0,40}") {
        let mine: CredentialId = format!("{tenant}/dataplane").parse().unwrap();
        let other: CredentialId = format!("{tenant}/cloud-alm").parse().unwrap();
        for role in Role::ALL {
            let name = KeyName::ours(role, generation, &mine, nonce);
            prop_assert!(name.0.len() <= KEY_NAME_LIMIT, "{name}");
            let said = name.parse_ours().unwrap();
            prop_assert_eq!((said.role, said.generation), (role, generation));
            prop_assert!(name.is_of(&mine));
            prop_assert!(!name.is_of(&other));
        }
    }

    #[test]
    fn another_nonce_is_another_name(first: u64, second: u64) {
        // Six characters of 32 take the low 30 bits of the mixed nonce.
        let mix = |nonce: u64| (nonce ^ (nonce >> 29)) & ((1 << 30) - 1);
        prop_assume!(mix(first) != mix(second));
        let name = |nonce| KeyName::ours(Role::Cirt, 7, &credential(), nonce);
        prop_assert_ne!(name(first), name(second));
        let id = |nonce| RotationId::new(&credential(), 7, nonce);
        prop_assert_ne!(id(first), id(second));
    }
}
