//! A disk that is full or read-only, from the start or all at once in the middle of a rotation. Nothing is changed
//! upstream whose intent could not be written down; when the disk is mended, everything goes on.

use std::fs::{self, File};
use std::io::Write as _;
use std::time::Duration;

use crate::audit::audited;
use crate::chance::{Chance, base_seed};
use crate::ground::{Arrival, Course, Ground};
use crate::is_long;
use crate::mount::{Mount, is_left_out};
use crate::process::Process;
use crate::tally::Tally;
use crate::width::each;

#[derive(Debug, Clone, Copy)]
enum Trouble {
    Full,
    ReadOnly,
}

#[derive(Debug, Clone)]
struct Case {
    trouble: Trouble,
    /// After so many entries; `None` is before the first start.
    after: Option<usize>,
    seed: u64,
}

/// The disk below the state directory.
struct Disk {
    mount: Mount,
    ballast: std::path::PathBuf,
    trouble: Trouble,
}

impl Disk {
    fn below(ground: &Ground, trouble: Trouble) -> Self {
        let state = ground.fleet.path("state");
        let mount = match trouble {
            Trouble::Full => Mount::small(&state, 2 * 1024 * 1024),
            Trouble::ReadOnly => Mount::ext4(&state),
        };
        Self { mount, ballast: state.join("ballast"), trouble }
    }

    fn spoil(&self, in_use: bool) {
        match self.trouble {
            Trouble::Full => {
                let mut file = File::create(&self.ballast).unwrap();
                while file.write_all(&[0; 512]).is_ok() {}
            }
            Trouble::ReadOnly if in_use => self.mount.turn_read_only(),
            Trouble::ReadOnly => self.mount.remount("ro"),
        }
    }

    /// Mends it; a disk that turned read-only by itself only once nobody works there.
    fn mend(&mut self, in_use: bool) {
        match self.trouble {
            Trouble::Full => fs::remove_file(&self.ballast).unwrap(),
            Trouble::ReadOnly if in_use => self.mount.repair(),
            Trouble::ReadOnly => self.mount.remount("rw"),
        }
    }
}

/// The daemon does not start, says why, and sends nothing.
async fn does_not_start(ground: &Ground) -> Result<(), String> {
    let seen = ground.fleet.sandbox.calls(0).len() as u64;
    let mut process = ground.launch();
    let status = process.wait(Duration::from_secs(30)).await?;
    let tail = process.tail();
    let said = tail.lines().last().unwrap_or_default();
    if status.code() != Some(1) || !said.contains("the journal `") {
        return Err(format!("it ended with {status}: {tail}"));
    }
    if !ground.fleet.sandbox.calls(seen).is_empty() {
        return Err(format!("it sent something: {tail}"));
    }
    Ok(())
}

async fn from_the_start(case: &Case, ground: &Ground, disk: &mut Disk) -> Result<(), String> {
    disk.spoil(false);
    does_not_start(ground).await?;
    disk.mend(false);
    if matches!(case.trouble, Trouble::ReadOnly) {
        // Once more with a journal that is there.
        let mut process = ground.launch();
        ground.until_entries(&mut process, 3).await;
        process.kill();
        disk.spoil(false);
        does_not_start(ground).await?;
        disk.mend(false);
    }
    Ok(())
}

async fn in_the_middle(
    ground: &Ground,
    disk: &mut Disk,
    mut process: Process,
    entries: usize,
) -> Result<Option<Process>, String> {
    ground.until_entries(&mut process, entries).await;
    disk.spoil(true);
    let arrival = ground.drive_for(&mut process, Duration::from_millis(1500)).await?;
    if !matches!(arrival, None | Some(Arrival::Over)) {
        return Err(format!("{arrival:?}: {}", process.tail()));
    }
    if matches!(disk.trouble, Trouble::Full) {
        disk.mend(true);
        // It goes on by itself.
        return Ok(Some(process));
    }
    process.kill();
    disk.mend(true);
    Ok(None)
}

async fn trial(case: Case) -> Tally {
    let ground = Ground::new(Course::Success, case.seed).await;
    let mut disk = Disk::below(&ground, case.trouble);
    let outcome = match case.after {
        None => from_the_start(&case, &ground, &mut disk).await.map(|()| None),
        Some(entries) => in_the_middle(&ground, &mut disk, ground.launch(), entries).await,
    };
    let tally = match outcome {
        Err(problem) => return Tally::failed(1, problem),
        Ok(None) => ground.finish(1).await,
        Ok(Some(mut process)) => match ground.drive(&mut process).await {
            Ok(Arrival::Over) => ground.judge(process, 1).await,
            other => return Tally::failed(1, format!("{other:?}: {}", process.tail())),
        },
    };
    audited(&ground, tally).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_or_read_only() {
    if is_left_out("the full and the read-only disk") {
        return;
    }
    let mut chance = Chance::of(base_seed());
    let mut cases = Vec::new();
    for trouble in [Trouble::Full, Trouble::ReadOnly] {
        cases.push(Case { trouble, after: None, seed: chance.next() });
        for after in 1..24 {
            cases.push(Case { trouble, after: Some(after), seed: chance.next() });
        }
    }
    if is_long() {
        cases = (0..4).flat_map(|_| cases.clone()).collect();
    } else {
        let middle = chance.some(&cases[1..24], 3);
        let read_only = chance.some(&cases[25..], 3);
        cases = [vec![cases[0].clone(), cases[24].clone()], middle, read_only].concat();
    }
    each(cases, |case| format!("{case:?}"), trial).await.close("disk");
}
