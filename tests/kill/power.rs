//! A true power cut: the journal on an ext4 that is shut down at a random moment, and everything that was not synced
//! is gone. What was acknowledged survives, the chain is whole, and the daemon goes on.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rekeyd::clock::{Clock as _, SystemClock};
use rekeyd::domain::event::Event;
use rekeyd::domain::names::{CredentialId, Role, TenantId};
use rekeyd::journal::sqlite::SqliteJournal;
use rekeyd::ports::{Draft, Journal as _, JournalError};
use sap_sandbox::faults::{Fault, Rule};
use sap_sandbox::holds::Release;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::audit::unintended;
use crate::chance::{Chance, base_seed};
use crate::ground::{Arrival, Course, Ground};
use crate::is_long;
use crate::mount::{Mount, is_left_out};
use crate::tally::Tally;
use crate::width::each;

/// Clients of the journal that append as fast as they can.
const CLIENTS: usize = 4;

/// Power cuts during a tight loop of appends, on one disk image.
async fn appends(seed: u64, cuts: u64) -> Tally {
    let mut chance = Chance::of(seed);
    let folder = TempDir::new().unwrap();
    let at = folder.path().join("disk");
    let path = at.join("journal.db");
    let mut disk = Mount::ext4(&at);
    let mut tally = Tally::default();
    let mut known = 0;
    for cut in 0..cuts {
        tally.points += 1;
        known =
            append_until_cut(&disk, &path, cut, Duration::from_micros(chance.below(50_000))).await.max(known);
        disk.restore();
        match read_back(&path).await {
            Ok(found) if found >= known => {
                tally.resumed += 1;
                known = found;
            }
            Ok(found) => tally.problems.push(format!("{known} were acknowledged, {found} are there")),
            Err(problem) => tally.problems.push(problem),
        }
    }
    println!("kill: power cuts={cuts} entries={known}");
    tally
}

/// Appends, cuts the power a while after the beginning, and answers the highest number that was acknowledged before.
///
/// What is acknowledged during the cut does not count: a machine without power acknowledges nothing, and a sync that
/// the shutdown of the file system meets half-way may succeed without effect.
async fn append_until_cut(disk: &Mount, path: &Path, cut: u64, after: Duration) -> u64 {
    let journal = Arc::new(SqliteJournal::open_alone(path).unwrap());
    let highest = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    let switch = disk.switch();
    for client in 0..CLIENTS {
        let (journal, highest) = (Arc::clone(&journal), Arc::clone(&highest));
        let tenant = format!("t{cut}-{client}").parse().expect("this is a name");
        clients.spawn(async move { append_for_ever(&journal, tenant, &highest).await });
    }
    SystemClock::new().sleep(after).await;
    let acknowledged = highest.load(Ordering::SeqCst);
    switch.cut();
    // Each client ends with its first error: nothing works on that disk any more. Which one, depends on what SQLite
    // was reading just then.
    for error in clients.join_all().await {
        assert!(matches!(error, JournalError::Unavailable(_) | JournalError::Damaged(_)), "{error:?}");
    }
    // It cannot merge its log either, and says so.
    let _ = journal.close().await;
    acknowledged
}

async fn append_for_ever(journal: &SqliteJournal, tenant: TenantId, highest: &AtomicU64) -> JournalError {
    let clock = SystemClock::new();
    let credential = CredentialId { tenant: tenant.clone(), name: "c".parse().expect("this is a name") };
    let lease = match journal.acquire(&tenant, "test", clock.now(), Duration::from_hours(1)).await {
        Ok(lease) => lease.expect("nobody else wants the lease"),
        Err(problem) => return problem,
    };
    let mut follows = 0;
    loop {
        let event = Event::CreateSent { role: Role::Cirt };
        let draft = Draft { at: clock.now(), credential: credential.clone(), follows, event };
        match journal.append(&lease, draft).await {
            Ok(entry) => follows = entry.sequence,
            Err(problem) => return problem,
        }
        highest.fetch_max(follows, Ordering::SeqCst);
    }
}

async fn read_back(path: &Path) -> Result<u64, String> {
    let journal = SqliteJournal::open_alone(path).map_err(|problem| problem.to_string())?;
    let whole = journal.verify().await.map_err(|problem| problem.to_string())?;
    journal.close().await.map_err(|problem| problem.to_string())?;
    Ok(whole)
}

/// Power cuts at random moments of a rotation by the real process.
async fn rotation(seed: u64) -> Tally {
    let mut chance = Chance::of(seed);
    let course = *chance.pick(&[Course::Success, Course::TurnBack, Course::Restore]);
    let ground = Ground::new(course, chance.next()).await;
    let mut disk = Mount::ext4(&ground.fleet.path("state"));
    let most = 1 + chance.below(6);
    let mut points = 0;
    while points < most {
        let mut process = ground.launch();
        let life = Duration::from_millis(chance.below(1200));
        match ground.drive_for(&mut process, life).await {
            Ok(None) => points += 1,
            Ok(Some(Arrival::Over)) => break,
            other => return Tally::failed(points, format!("{other:?}\n{}", process.tail())),
        }
        // The network goes first: what a machine without power would send never takes effect.
        ground.inject(Rule::always(Fault::HoldBefore));
        disk.switch().cut();
        ground.clock.sleep(Duration::from_millis(chance.below(200))).await;
        process.kill();
        ground.let_go(Release::Drop);
        disk.restore();
    }
    let mut tally = ground.finish(points).await;
    let entries = ground.entries().await.unwrap_or_default();
    let mut calls = ground.fleet.sandbox.calls(0);
    calls.retain(|call| call.effect);
    let problems = unintended(&calls, &entries);
    if !problems.is_empty() {
        tally.resumed = 0;
    }
    tally.problems.extend(problems);
    tally
}

/// Whatever else keeps the cut file system, the disk that comes back is the disk.
#[test]
fn a_disk_comes_back_although_a_container_keeps_the_cut_one() {
    if is_left_out("the power cut") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let at = folder.path().join("disk");
    let mut disk = Mount::ext4(&at);
    fs::write(at.join("synced"), "1").unwrap();
    File::open(at.join("synced")).unwrap().sync_all().unwrap();
    let mut container = Command::new("unshare");
    container.args(["-m", "sh", "-c", "echo ready; exec sleep 60"]).stdout(Stdio::piped());
    let mut container = container.spawn().unwrap();
    let mut said = [0; 6];
    container.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    disk.switch().cut();
    disk.restore();
    let (found, written) = (fs::read_to_string(at.join("synced")), fs::write(at.join("more"), "2"));
    container.kill().unwrap();
    container.wait().unwrap();
    assert_eq!(found.unwrap(), "1");
    written.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives() {
    if is_left_out("the power cut") {
        return;
    }
    let mut chance = Chance::of(base_seed());
    let (disks, cuts) = if is_long() { (10, 100) } else { (2, 10) };
    let mut tally = Tally::default();
    // One after the other: while a child is being started it shares the journal's lock.
    for _ in 0..disks {
        tally.add(appends(chance.next(), cuts).await);
    }
    tally.close("power-appends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_goes_on_after_power_cuts() {
    if is_left_out("the power cut") {
        return;
    }
    let mut chance = Chance::of(base_seed());
    let seeds: Vec<u64> = (0..if is_long() { 300 } else { 8 }).map(|_| chance.next()).collect();
    each(seeds, |seed| format!("rotation {seed}"), rotation).await.close("power-rotations");
}
