//! What came of the trials: the figures of the last line, and what went wrong in words.

use sap_sandbox::world::books::Books;

/// What came of some trials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Moments at which the process was killed, stopped, cut off or given a failing disk.
    pub(crate) points: u64,
    /// Those after which the credential was settled again, by itself.
    pub(crate) resumed: u64,
    pub(crate) lockouts: u64,
    pub(crate) orphans: u64,
    pub(crate) duplicates: u64,
    /// Everything that was not as it must be.
    pub(crate) problems: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.points += other.points;
        self.resumed += other.resumed;
        self.lockouts += other.lockouts;
        self.orphans += other.orphans;
        self.duplicates += other.duplicates;
        self.problems.extend(other.problems);
    }

    /// A trial that could not be ended.
    pub(crate) fn failed(points: u64, problem: String) -> Self {
        Self { points, problems: vec![problem], ..Self::default() }
    }

    /// Takes over what the sandbox saw.
    pub(crate) fn read(&mut self, books: &Books) {
        self.lockouts += books.lockouts + books.dead_ciapi + books.dead_deployed_cirt;
        self.orphans += books.orphans;
        let never = [
            ("unproven deletions", books.unproven_deletions),
            ("foreign deletions", books.foreign_deletions),
            ("untested deliveries", books.untested_deliveries),
            ("deletions of a ciapi in use", books.ciapi_deleted_while_held),
            ("lock-outs", books.lockouts + books.dead_ciapi + books.dead_deployed_cirt),
            ("orphans", books.orphans),
        ];
        for (what, count) in never {
            if count > 0 {
                self.problems.push(format!("{count} {what}: {:#?}", books.entries));
            }
        }
        for (role, most) in &books.max_live {
            if *most > 2 {
                self.problems.push(format!("{most} `{}` keys lived at once", role.name()));
            }
        }
    }

    /// Prints the figures and fails where they are not clean.
    pub(crate) fn close(self, what: &str) {
        let Self { points, resumed, lockouts, orphans, duplicates, problems } = self;
        println!(
            "kill-part: what={what} points={points} resumed={resumed} lockouts={lockouts} orphans={orphans} \
             duplicates={duplicates} problems={}",
            problems.len()
        );
        assert!(points > 0, "{what}: no point was reached");
        assert!(problems.is_empty(), "{what}: {} problems\n{}", problems.len(), problems.join("\n\n"));
        assert_eq!((resumed, lockouts, orphans, duplicates), (points, 0, 0, 0), "{what}");
    }
}
