//! File systems of a test's own: a disk image that can be cut off or turn read-only, and a small one that fills up.
//!
//! Mounting takes root. Where it cannot be had the tests fail and say so, unless `POWERCUT=skip`.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// `EXT4_IOC_SHUTDOWN`, as soon as a line comes: drop everything that was not synced, the file system's own journal
/// included.
const CUT: &str = r#"open(my $f, "<", $ARGV[0]) or die $!; my $how = pack("L", 2); $| = 1; print "ready\n"; <STDIN>;
    ioctl($f, 0x8004587d, $how) or die $!; print "cut\n";"#;

/// Whether the tests that mount are left out, as asked. It is said loudly.
pub(crate) fn is_left_out(what: &str) -> bool {
    let out = std::env::var("POWERCUT").is_ok_and(|word| word == "skip");
    if out {
        println!("kill: {what} is LEFT OUT, because POWERCUT=skip: this run proves nothing about it");
    }
    out
}

/// A mounted file system. It is unmounted when dropped.
pub(crate) struct Mount {
    at: PathBuf,
    image: Option<PathBuf>,
    /// How often the image was copied.
    copies: u32,
    mounted: bool,
}

impl Mount {
    /// An ext4 in an image file beside the mount point.
    pub(crate) fn ext4(at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let image = at.with_extension("img");
        std::fs::File::create(&image).unwrap().set_len(16 * 1024 * 1024).unwrap();
        run("mkfs.ext4", &["-q", "-F", &text(&image)]);
        let mut mount = Self { at: at.to_owned(), image: Some(image), copies: 0, mounted: false };
        mount.mount();
        mount
    }

    /// A file system in memory of so many bytes.
    pub(crate) fn small(at: &Path, bytes: u64) -> Self {
        std::fs::create_dir_all(at).unwrap();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs", &text(at)]);
        Self { at: at.to_owned(), image: None, copies: 0, mounted: true }
    }

    /// Mounts the image.
    pub(crate) fn mount(&mut self) {
        let image = text(self.image.as_ref().expect("only an image is mounted again"));
        run("mount", &["-o", "loop,errors=remount-ro", &image, &text(&self.at)]);
        self.mounted = true;
    }

    /// Whoever works there must have ended.
    pub(crate) fn unmount(&mut self) {
        run("umount", &[&text(&self.at)]);
        self.mounted = false;
    }

    /// Somebody with a hand on the switch.
    pub(crate) fn switch(&self) -> Switch {
        let mut command = Command::new("perl");
        command.args(["-e", CUT, &text(&self.at)]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("perl is there");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        Switch { child, lines }
    }

    /// The power comes back: the disk is as it was when it went.
    pub(crate) fn restore(&mut self) {
        self.unmount();
        self.take_a_copy();
        self.mount();
    }

    /// What lies on the disk moves to an image of its own. A mount namespace that somebody made meanwhile, such as that
    /// of a container, keeps the cut file system alive, and the old image would show that one again when it is mounted.
    fn take_a_copy(&mut self) {
        let old = self.image.take().expect("only an image is copied");
        self.copies += 1;
        let new = self.at.with_extension(format!("{}.img", self.copies));
        run("cp", &["--sparse=always", &text(&old), &text(&new)]);
        std::fs::remove_file(&old).unwrap();
        self.image = Some(new);
    }

    /// The file system finds an error in itself and turns read-only, as it does on a dying disk.
    pub(crate) fn turn_read_only(&self) {
        let source = run("findmnt", &["-n", "-o", "SOURCE", &text(&self.at)]);
        let device = source.trim().trim_start_matches("/dev/");
        std::fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "tried by a test").unwrap();
    }

    /// The file system is repaired.
    pub(crate) fn repair(&mut self) {
        self.unmount();
        self.take_a_copy();
        let image = text(self.image.as_ref().expect("only an image is repaired"));
        // It answers 1 where it repaired something, which it did.
        let _ = Command::new("e2fsck").args(["-p", "-f", &image]).output();
        self.mount();
    }

    /// Writable or not, from now on. Nobody may have a file open for writing.
    pub(crate) fn remount(&self, how: &str) {
        run("mount", &["-o", &format!("remount,{how}"), &text(&self.at)]);
    }
}

/// The switch of one file system's power.
pub(crate) struct Switch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Switch {
    /// The power goes: what was not synced is lost, and every access fails from now on.
    pub(crate) fn cut(mut self) {
        self.child.stdin.take().expect("it is piped").write_all(b"\n").unwrap();
        assert_eq!(self.lines.next().unwrap().unwrap(), "cut");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted {
            // Lazily: a test that failed may have left somebody there.
            let _ = Command::new("umount").args(["-l", &text(&self.at)]).output();
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| {
        panic!("`{program}` cannot be run ({error}): run `make setup`, or leave this out with POWERCUT=skip")
    });
    assert!(
        output.status.success(),
        "`{program} {}` failed: {}; it takes root and loop devices, or POWERCUT=skip",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
