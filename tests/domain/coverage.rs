//! Who covers which subaccount, and whose a key is.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rekeyd::domain::after;
use rekeyd::domain::coverage::{Cover, Environment, Marks, Subaccount, Tally, Tree, coverage};
use rekeyd::domain::key::{Key, KeyState, Sighting, Sightings};
use rekeyd::domain::names::{KeyId, KeyName, Role, TenantId};
use rekeyd::domain::notice::{own_key_due, uncovered};
use rekeyd::domain::record::Record;
use rekeyd::domain::stray::{StrayKind, strays};

use super::walk::walk;
use super::world::{Manners, World};
use super::{at, credential, policy};

fn subaccount(number: usize, state: &str) -> Subaccount {
    Subaccount {
        guid: format!("s{number}"),
        name: format!("name-{number}"),
        parent: None,
        region: if number.is_multiple_of(2) { "eu10" } else { "cf-us20" }.to_owned(),
        // Two of them share a subdomain, in different regions.
        subdomain: format!("sub-{}", number / 2),
        zone: format!("z{number}"),
        state: state.to_owned(),
        production: None,
        created_at: None,
    }
}

fn tree(states: &[&str]) -> Tree {
    let subaccounts = states.iter().enumerate().map(|(number, state)| subaccount(number, state)).collect();
    Tree { guid: "ga".to_owned(), name: "acme".to_owned(), directories: Vec::new(), subaccounts }
}

fn tenants(all: &[(&str, Marks)]) -> BTreeMap<TenantId, Marks> {
    all.iter().map(|(id, marks)| (id.parse().unwrap(), marks.clone())).collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn named(ids: &[&str]) -> BTreeSet<TenantId> {
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

fn subdomain(word: &str, region: Option<&str>) -> Marks {
    Marks { subdomains: BTreeSet::from([(word.to_owned(), region.map(str::to_owned))]), ..Marks::default() }
}

/// What is said of each of `states`, in order.
fn said(
    states: &[&str],
    ignored: &[&str],
    all: &[(&str, Marks)],
    environments: &[Environment],
) -> Vec<Cover> {
    coverage(&tree(states), environments, &set(ignored), &tenants(all)).into_values().collect()
}

#[test]
fn every_mark_leads_to_its_subaccount() {
    let check = |marks: Marks, expected: &[Cover]| {
        assert_eq!(said(&["OK", "OK", "OK"], &[], &[("acme", marks.clone())], &[]), expected, "{marks:?}");
    };
    let (covered, open) = (Cover::Covered(named(&["acme"])), Cover::Uncovered);
    let maybe = Cover::Unknown(named(&["acme"]));
    let by = |guid: &str| Marks { subaccounts: set(&[guid]), ..Marks::default() };
    check(by("s1"), &[open.clone(), covered.clone(), open.clone()]);
    // A key that names its subaccount is believed before everything else.
    let both = Marks { zones: set(&["z0"]), ..by("s1") };
    check(both, &[open.clone(), covered.clone(), open.clone()]);
    check(Marks { zones: set(&["z2"]), ..Marks::default() }, &[open.clone(), open.clone(), covered.clone()]);
    check(subdomain("sub-1", None), &[open.clone(), open.clone(), covered.clone()]);
    check(subdomain("sub-0", Some("us20")), &[open.clone(), covered.clone(), open.clone()]);
    // Two regions have this subdomain, and nothing says which is meant.
    check(subdomain("sub-0", None), &[maybe.clone(), maybe.clone(), open.clone()]);
    // It is in another global account: nobody here is covered, and nothing is open.
    check(by("elsewhere"), &[open.clone(), open.clone(), open.clone()]);
    check(Marks::default(), &[maybe.clone(), maybe.clone(), maybe]);
}

#[test]
fn an_organization_is_known_where_its_account_says_whose_it_is() {
    let api = "https://api.cf.eu10.hana.ondemand.com".to_owned();
    let marks =
        Marks { organizations: BTreeSet::from([(api.clone(), "acme-org".to_owned())]), ..Marks::default() };
    let environment = Environment { subaccount: "s1".to_owned(), api, org: "acme-org".to_owned() };
    let all = [("acme", marks)];
    let (covered, maybe) = (Cover::Covered(named(&["acme"])), Cover::Unknown(named(&["acme"])));
    assert_eq!(said(&["OK", "OK"], &[], &all, &[environment]), [Cover::Uncovered, covered]);
    assert_eq!(said(&["OK", "OK"], &[], &all, &[]), [maybe.clone(), maybe]);
}

#[test]
fn what_is_ignored_or_passes_is_no_gap() {
    let marks = Marks { subaccounts: set(&["s0"]), ..Marks::default() };
    let states = ["OK", "OK", "DELETING", "CREATION_FAILED", "UPDATING", "newly invented", ""];
    let expected = [
        Cover::Covered(named(&["acme"])),
        Cover::Ignored,
        Cover::Passing,
        Cover::Passing,
        Cover::Uncovered,
        Cover::Uncovered,
        Cover::Uncovered,
    ];
    let found = said(&states, &["s1"], &[("acme", marks.clone())], &[]);
    assert_eq!(found, expected);
    let found = coverage(&tree(&states), &[], &set(&["s1"]), &tenants(&[("acme", marks)]));
    assert_eq!(Tally::of(&found), Tally { subaccounts: 4, uncovered: 3, unknown: 0 });
}

#[test]
fn who_is_told_of_a_gap_is_told_where_and_once() {
    let (tree, now) = (tree(&["OK", "OK", "DELETING"]), at("2026-03-01T12:00:00Z"));
    let marks = Marks { subaccounts: set(&["s0"]), ..Marks::default() };
    let found = coverage(&tree, &[], &BTreeSet::new(), &tenants(&[("acme", marks)]));
    let told = uncovered("main", &tree, &found, now);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].id.as_str(), told[0].kind), ("uncovered/main/s1", "uncovered"));
    assert!(told[0].text.contains("`name-1` (cf-us20, s1)"), "{}", told[0].text);
    let later = uncovered("main", &tree, &found, after(now, std::time::Duration::from_hours(1)));
    assert_eq!(later[0].id, told[0].id, "it is the same matter");
    assert_eq!(own_key_due("main", now, at("2026-02-28T12:00:00Z")), None);
    assert_eq!(own_key_due("main", now, now).unwrap().id, "own-key/main/2026-03-01");
}

fn marks() -> impl Strategy<Value = Marks> {
    let words = |prefix: &'static str| {
        prop::collection::btree_set((0_usize..8).prop_map(move |number| format!("{prefix}{number}")), 0..2)
    };
    let region = prop::option::of(prop::sample::select(vec!["eu10".to_owned(), "us20".to_owned()]));
    let subdomains =
        prop::collection::btree_set(((0_usize..4).prop_map(|n| format!("sub-{n}")), region), 0..2);
    (words("s"), words("z"), subdomains).prop_map(|(subaccounts, zones, subdomains)| Marks {
        subaccounts,
        zones,
        subdomains,
        ..Marks::default()
    })
}

proptest! {
    #[test]
    fn nothing_is_called_open_that_somebody_may_cover(
        states in prop::collection::vec(prop::sample::select(vec!["OK", "DELETING", "UPDATING", "?"]), 0..8),
        ignored in prop::collection::btree_set((0_usize..8).prop_map(|n| format!("s{n}")), 0..3),
        all in prop::collection::btree_map("[a-c]".prop_map(|id| id.parse::<TenantId>().unwrap()), marks(), 0..4),
    ) {
        let tree = tree(&states);
        let found = coverage(&tree, &[], &ignored, &all);
        prop_assert_eq!(found.len(), tree.subaccounts.len(), "each has its word");
        let anywhere = all.values().any(|marks| *marks == Marks::default());
        for (guid, cover) in &found {
            let subaccount = tree.subaccounts.iter().find(|of| of.guid == *guid).unwrap();
            prop_assert!(!(anywhere && *cover == Cover::Uncovered));
            prop_assert_eq!(*cover == Cover::Passing, matches!(cover, Cover::Passing) && !subaccount.should_be_covered());
            prop_assert!(*cover != Cover::Ignored || ignored.contains(guid));
            // Whoever names it is never left out.
            for (tenant, _) in all.iter().filter(|(_, marks)| marks.subaccounts.contains(guid)) {
                let covers = matches!(cover, Cover::Covered(tenants) if tenants.contains(tenant));
                prop_assert!(covers, "{:?}", cover);
            }
        }
        // Another tenant covers more, or leaves more open; it never takes a cover away.
        let mut more = all.clone();
        more.insert("zeta".parse().unwrap(), Marks::default());
        for (guid, cover) in coverage(&tree, &[], &ignored, &more) {
            match (&found[&guid], cover) {
                (Cover::Covered(before), Cover::Covered(after)) => prop_assert_eq!(before, &after),
                (Cover::Uncovered, after) => prop_assert!(matches!(after, Cover::Unknown(_))),
                (before, after) => prop_assert_eq!(before.word(), after.word()),
            }
        }
        let tally = Tally::of(&found);
        prop_assert!(tally.uncovered + tally.unknown <= tally.subaccounts);
    }
}

fn sighted(id: &str, name: &str) -> Sighting {
    let key =
        Key { id: KeyId(id.to_owned()), name: KeyName(name.to_owned()), created_at: None, expires_at: None };
    Sighting { key, state: KeyState::Ready }
}

/// What the journal knows after the keys in use were recognised.
fn settled() -> Record {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 50, |world, _| world.record.is_some()));
    world.record.clone().unwrap()
}

#[test]
fn keys_of_nobody_are_told_apart() {
    let (record, id) = (settled(), credential());
    let ours = KeyName::ours(Role::Cirt, 7, &id, 1).0;
    let mut sightings: Sightings = BTreeMap::new();
    for (role, key) in record.stage.keys() {
        sightings.entry(role).or_default().push(Sighting { key: key.clone(), state: KeyState::Ready });
    }
    sightings.entry(Role::Ciapi).or_default().push(sighted("other", "reporting"));
    sightings.entry(Role::Cirt).or_default().push(sighted("lost", &ours));
    // Another credential on the same instances sees the same keys: they are told once, and none of ours is its stray.
    let known = [(&id, &record, &sightings), (&id, &record, &sightings)];
    let found = strays(&known);
    let kinds: Vec<_> = found.iter().map(|stray| (stray.role, stray.kind, stray.name.as_str())).collect();
    let expected =
        [(Role::Ciapi, StrayKind::Unmanaged, "reporting"), (Role::Cirt, StrayKind::Orphan, ours.as_str())];
    assert_eq!(kinds, expected);
}
