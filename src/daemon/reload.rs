//! Reloading: all of it or nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::Ordering;

use tracing::{error, info, warn};

use super::{Daemon, assembly, environment, notify};
use crate::config;
use crate::config::load::load;
use crate::config::problem::{Problem, Severity, warnings_counted};
use crate::domain::spelling;
use crate::domain::stage::Phase;

/// Says READY when it goes, on every way out of a reload: systemd waits for it, also when who asked has hung up.
struct Answer<'a>(&'a Daemon);

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        notify::ready(&self.0.summary());
    }
}

/// What is in the way of a reload.
fn in_words(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let lines = errors.map(ToString::to_string).chain(warnings_counted(problems));
    lines.collect::<Vec<_>>().join("\n")
}

/// The warnings that were not there before, and how many stay. A line more or less above makes none of them new.
fn news(before: &[Problem], now: &[Problem]) -> Vec<String> {
    let place = |problem: &Problem| {
        let file = problem.site.file().map(Path::to_path_buf);
        (file, problem.key.clone(), problem.found.clone())
    };
    let known: BTreeSet<_> = before.iter().map(place).collect();
    let (old, new): (Vec<&Problem>, Vec<&Problem>) =
        now.iter().partition(|problem| known.contains(&place(problem)));
    let mut notes: Vec<String> = new.iter().map(ToString::to_string).collect();
    if !old.is_empty() {
        let stay = spelling::many(old.len(), "warning stays", "warnings stay");
        notes.push(format!("{stay} as before: `rekeyd check-config`"));
    }
    notes
}

impl Daemon {
    /// Reads the configuration again, and answers what is odd about it that was not before. A bad one changes nothing; `Err` holds
    /// every problem.
    pub async fn reload(&self) -> Result<Vec<String>, String> {
        let _one_at_a_time = self.reloading.lock().await;
        notify::reloading();
        let _answer = Answer(self);
        let result = self.reload_now().await;
        self.metrics.reloaded(self.clock.now(), result.is_ok());
        self.reload_refused.store(result.is_err(), Ordering::Relaxed);
        if let Err(problems) = &result {
            error!(
                event = "reload-refused",
                "the configuration is refused and the old one stays:\n{problems}"
            );
        }
        result
    }

    async fn reload_now(&self) -> Result<Vec<String>, String> {
        let path = self.options.config.clone();
        let loading = tokio::task::spawn_blocking(move || load(&path, &environment()));
        let loaded =
            loading.await.map_err(|problem| problem.to_string())?.map_err(|problems| in_words(&problems))?;
        let kept = assembly::credentials(&loaded.config);
        for view in self.engine.views() {
            let rotating = view.record.as_ref().is_some_and(|record| record.stage.phase() != Phase::Settled);
            if rotating && !kept.contains(&view.credential) {
                let id = &view.credential;
                return Err(format!(
                    "`{id}` has a rotation under way and cannot be removed before it is over"
                ));
            }
        }
        let units = assembly::units(&loaded.config, &self.http).map_err(|problem| problem.to_string())?;
        self.filter.change(&loaded.config.daemon.log_level)?;
        self.http.forget();
        self.http.pace(loaded.config.daemon.http.calls_per_hour, loaded.config.daemon.http.burst);
        for unit in &units {
            self.metrics.know_credential(&unit.policy.credential);
        }
        for view in self.engine.views().iter().filter(|view| !kept.contains(&view.credential)) {
            let last = !kept.iter().any(|id| id.tenant == view.credential.tenant);
            self.metrics.forget_credential(&view.credential, last);
        }
        self.metrics.tell(assembly::detail(&loaded.config.daemon));
        self.engine.replace(units);
        self.engine.set_rules(loaded.config.daemon.rules.clone());
        self.engine.wake_turned_away();
        let old =
            std::mem::replace(&mut *self.config.lock().expect("no holder of the lock panics"), loaded.config);
        self.reassess();
        let new = self.config.lock().expect("no holder of the lock panics");
        let difference = assembly::in_words(&config::difference(&old, &new));
        self.engine.wake_refused(&config::other_logins(&old, &new));
        info!(event = "reloaded", "the configuration is reloaded: {difference}");
        let mut warnings = self.warnings.lock().expect("no holder of the lock panics");
        let notes = news(&warnings, &loaded.warnings);
        for note in &notes {
            warn!("{note}");
        }
        *warnings = loaded.warnings;
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Site;

    #[test]
    fn a_warning_is_told_once() {
        let warning = |line, found: &str| {
            let site = Site::Spot { file: Path::new("a.toml").into(), line, column: 1 };
            Problem::warning(&site, "lead", found)
        };
        let before = [warning(3, "odd")];
        assert_eq!(news(&[], &before), ["a.toml:3:1: warning: odd"]);
        let stays = "1 warning stays as before: `rekeyd check-config`";
        assert_eq!(news(&before, &[warning(9, "odd")]), [stays], "it has only moved");
        assert_eq!(
            news(&before, &[warning(3, "odd"), warning(4, "odder")]),
            ["a.toml:4:1: warning: odder", stays]
        );
        assert!(news(&before, &[]).is_empty());
    }

    #[test]
    fn an_error_is_not_buried_among_warnings() {
        let site = Site::Whole(std::path::Path::new("a.toml").into());
        let warning = |found: &str| Problem::warning(&site, "", found);
        let problems = [warning("odd"), Problem::error(&site, "", "wrong"), warning("odder")];
        let expected = "a.toml: error: wrong\n… and 2 warnings: `rekeyd check-config`";
        assert_eq!(in_words(&problems), expected);
        assert_eq!(in_words(&problems[..2]).lines().last(), Some("… and 1 warning: `rekeyd check-config`"));
        assert_eq!(in_words(&problems[1..2]), "a.toml: error: wrong");
    }
}
