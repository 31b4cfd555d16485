//! `scripts/usb` with a folder that stands for the machine's disks: what it refuses, and that it writes and verifies.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io};

use crate::Case;

/// A machine with the stick `sdx` (8 MiB) with one partition, and a folder for its files.
struct Fake {
    root: PathBuf,
}

impl Fake {
    fn new(name: &str) -> io::Result<Self> {
        let this = Self { root: env::temp_dir().join(format!("hv-stick-{}-{name}", std::process::id())) };
        this.file("mountinfo", "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n")?;
        this.file("swaps", "Filename Type Size Used Priority\n")?;
        this.file("sys/block/sdx/dev", "8:16\n")?;
        this.file("sys/block/sdx/ro", "0\n")?;
        this.file("sys/block/sdx/size", "16384\n")?;
        this.file("sys/block/sdx/removable", "1\n")?;
        this.file("sys/block/sdx/device/vendor", "Acme    \n")?;
        this.file("sys/block/sdx/device/model", "Stick 8\n")?;
        this.file("sys/block/sdx/sdx1/dev", "8:17\n")?;
        this.file("sys/block/sdx/sdx1/partition", "1\n")?;
        fs::create_dir_all(this.root.join("sys/class/block"))?;
        std::os::unix::fs::symlink("../../block/sdx", this.root.join("sys/class/block/sdx"))?;
        std::os::unix::fs::symlink("../../block/sdx/sdx1", this.root.join("sys/class/block/sdx1"))?;
        this.file("dev/sdx1", "")?;
        this.file("dev/sdx", "")?;
        fs::File::options().write(true).open(this.root.join("dev/sdx"))?.set_len(16384 * 512)?;
        this.file("image", &"a bootable image ".repeat(100_000))?;
        Ok(this)
    }

    fn file(&self, name: &str, content: &str) -> io::Result<()> {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        fs::write(path, content)
    }

    /// Runs the script on a disk, typing `answer`: its exit status, and what it said.
    fn run(&self, disk: &str, answer: &str) -> io::Result<(Option<i32>, String)> {
        let mut child = Command::new("scripts/usb")
            .arg(self.root.join("image"))
            .arg(self.root.join("dev").join(disk))
            .env("HV_USB_TEST", &self.root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // It may have refused before it reads.
            let _ = writeln!(input, "{answer}");
        }
        let output = child.wait_with_output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// Whether the disk begins with the image; else it must be as it was.
    fn written(&self) -> io::Result<bool> {
        let (disk, image) = (fs::read(self.root.join("dev/sdx"))?, fs::read(self.root.join("image"))?);
        if disk.len() != 16384 * 512 {
            return Err(io::Error::other("the disk's size has changed"));
        }
        let written = disk.starts_with(&image);
        let rest = if written { &disk[image.len()..] } else { &disk[..] };
        if rest.iter().all(|&byte| byte == 0) { Ok(written) } else { Err(io::Error::other("the disk is half written")) }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Runs the script on a machine that `change` has changed.
fn check(
    name: &'static str,
    (disk, answer): (&str, &str),
    (status, says): (i32, &str),
    change: impl FnOnce(&Fake) -> io::Result<()>,
) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let fake = Fake::new(name).map_err(text)?;
    change(&fake).map_err(text)?;
    let (got, said) = fake.run(disk, answer).map_err(text)?;
    if got != Some(status) || !said.contains(says) {
        return Err(format!("wanted status {status} and `{says}`; got status {got:?} and:\n{said}"));
    }
    match fake.written().map_err(text)? == (status == 0) {
        true => Ok(()),
        false => Err(format!("written although refused, or not written although ready:\n{said}")),
    }
}

pub fn cases() -> Vec<Case> {
    let nothing = |_: &Fake| Ok(());
    let refuses = |name, change: fn(&Fake) -> io::Result<()>, says| {
        Case::new(name, move || check(name, ("sdx", "sdx"), (2, says), change))
    };
    vec![
        Case::new("stick::writes", move || check("writes", ("sdx", "sdx"), (0, "ready to boot from"), nothing)),
        Case::new("stick::shows-the-disk", move || check("shows", ("sdx", "sdx"), (0, "Acme Stick 8"), nothing)),
        Case::new("stick::asks", move || check("asks", ("sdx", "yes"), (1, "not written: you typed 'yes'"), nothing)),
        Case::new("stick::refuses-a-partition", move || {
            check(
                "partition",
                ("sdx1", "sdx1"),
                (2, "is a partition; the image needs the whole disk: DEV=/dev/sdx"),
                nothing,
            )
        }),
        Case::new("stick::refuses-what-is-no-disk", move || {
            check("no-disk", ("../image", "image"), (2, "is not a disk"), nothing)
        }),
        refuses(
            "stick::refuses-mounted",
            |fake| fake.file("mountinfo", "30 21 8:17 / /media/my\\040stick rw shared:1 - vfat /dev/sdx1 rw\n"),
            "/dev/sdx1 is mounted at /media/my stick",
        ),
        refuses(
            "stick::refuses-mounted-by-other-name",
            |fake| fake.file("mountinfo", "30 21 0:40 / /srv rw - btrfs /dev/sdx rw\n"),
            "/dev/sdx is mounted at /srv",
        ),
        refuses("stick::refuses-swap", |fake| fake.file("swaps", "/dev/sdx1  partition 8 0 -2\n"), "in use as swap"),
        refuses(
            "stick::refuses-held",
            |fake| fake.file("sys/block/sdx/sdx1/holders/dm-0", ""),
            "/dev/sdx1 is in use by dm-0",
        ),
        refuses("stick::refuses-write-protected", |fake| fake.file("sys/block/sdx/ro", "1\n"), "write-protected"),
        refuses(
            "stick::refuses-too-small",
            |fake| fake.file("sys/block/sdx/size", "2048\n"),
            "too small: it has 1 MiB",
        ),
        refuses("stick::refuses-no-medium", |fake| fake.file("sys/block/sdx/size", "0\n"), "no medium"),
    ]
}
