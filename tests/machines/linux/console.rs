//! The guest's console, both ways: what is typed at the machine's serial port comes to the guest, and Ctrl-] to hv. And
//! two VMs beside each other.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use super::QEMU;
use crate::machine::{Boot, Running};
use crate::{Case, Machine};

const LIMIT: Duration = Duration::from_secs(200);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(100);

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("linux::qemu-svm::shell", shell),
        Case::new("linux::qemu-svm::quit", quit),
        Case::new("linux::qemu-svm-2core::beside-another", beside_another),
        Case::new("linux::qemu-svm-2core::another-that-fails", beside_one_that_fails),
    ]
}

/// A machine with somebody at its serial port.
struct Typed {
    name: &'static str,
    running: Running,
    keys: File,
    fifo: PathBuf,
    /// How much of the console was looked at.
    seen: usize,
    end: Instant,
}

impl Typed {
    fn start(name: &'static str) -> Result<Self, String> {
        let fifo = env::temp_dir().join(format!("hv-keys-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&fifo);
        let made = Command::new("mkfifo").arg(&fifo).status().map_err(|error| format!("mkfifo: {error}"))?;
        if !made.success() {
            return Err(format!("mkfifo {}: {made}", fifo.display()));
        }
        let path = fifo.to_str().unwrap_or_default();
        let mut variables: Vec<_> = QEMU.iter().map(|&(name, value)| (name, value.to_string())).collect();
        variables.extend([("GUEST", "linux".into()), ("LINUX_APPEND", "quiet".into()), ("INPUT", path.into())]);
        // For reading too: otherwise it waits for the machine.
        let keys = OpenOptions::new().read(true).write(true).open(&fifo).map_err(|e| format!("{path}: {e}"))?;
        let running = Running::start(&variables, LIMIT).map_err(|error| format!("scripts/run: {error}"))?;
        Ok(Self { name, running, keys, fifo, seen: 0, end: Instant::now() + LIMIT })
    }

    /// Waits until `text` is on the console, behind what was waited for before.
    fn wait(&mut self, text: &str) -> Result<(), String> {
        let end = self.end.min(Instant::now() + PATIENCE);
        while Instant::now() < end {
            let console = self.running.console();
            let new = console.get(self.seen..).unwrap_or_default();
            if let Some(at) = new.find(text) {
                self.seen += at + text.len();
                return Ok(());
            }
            if self.running.ended() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(format!("`{text}` did not come; console of {}:\n{}", self.name, self.running.console()))
    }

    fn press(&mut self, keys: &[u8]) -> Result<(), String> {
        self.keys.write_all(keys).map_err(|error| error.to_string())
    }

    /// Types a command and waits for what it says, and for the next prompt.
    fn command(&mut self, line: &str, says: &[&str]) -> Result<(), String> {
        self.press(format!("{line}\r").as_bytes())?;
        // The guest's terminal repeats what was typed.
        self.wait(line)?;
        for text in says {
            self.wait(text)?;
        }
        self.wait(PROMPT)
    }

    fn finish(mut self) -> Result<Boot, String> {
        let status = self.running.wait(self.end.saturating_duration_since(Instant::now()));
        let status = status.map_err(|error| error.to_string())?;
        let _ = fs::remove_file(&self.fifo);
        Ok(self.running.result(status))
    }
}

const PROMPT: &str = "guest:/# ";

fn shell() -> Result<(), String> {
    let mut machine = Typed::start("shell")?;
    machine.wait(PROMPT)?;
    machine.command("cat /proc/cpuinfo", &["model name\t: AMD EPYC", "hypervisor"])?;
    // Two seconds pass, for the guest. In short lines: its terminal breaks long ones.
    machine.command("t() { cut -d. -f1 /proc/uptime; }", &[])?;
    machine.command("a=$(t); sleep 2; echo =$(($(t) - a))=", &["\n=2="])?;
    // Ctrl-C is the guest's.
    machine.press(b"sleep 1000\r")?;
    machine.wait("sleep 1000\n")?;
    thread::sleep(Duration::from_millis(500));
    machine.press(b"\x03")?;
    machine.wait(PROMPT)?;
    // Ctrl-] ? is hv's, and the guest sees nothing of it.
    machine.press(b"echo on\x1d?e")?;
    machine.wait("[hv: Ctrl-] q ends the machine")?;
    machine.press(b"\r")?;
    machine.wait("\none\n")?;
    machine.press(b"poweroff\r")?;
    machine.wait("reboot: Power down")?;
    let boot = machine.finish()?;
    says(&boot, &["hv: VM linux: core 0: ended: power-off at ", "hv: pass: 1 VMs on 1 core ok"])
}

fn quit() -> Result<(), String> {
    let mut machine = Typed::start("quit")?;
    machine.wait(PROMPT)?;
    machine.press(b"\x1dq")?;
    let boot = machine.finish()?;
    says(&boot, &["hv: VM linux: core 0: ended: ended from the console at ", "hv: pass: 1 VMs on 1 core ok"])
}

fn says(boot: &Boot, texts: &[&str]) -> Result<(), String> {
    match texts.iter().find(|text| !boot.console.contains(**text)) {
        None if boot.status == Some(0) => Ok(()),
        None => Err(format!("it ended with {:?}; console:\n{}", boot.status, boot.console)),
        Some(text) => Err(format!("not on the console: `{text}`; console:\n{}", boot.console)),
    }
}

/// A machine of two cores, Linux on the first one, and this on the other. Without -icount, which QEMU does for one only.
fn two_cores(name: &str, other: &str) -> Machine {
    let variables = [
        ("PLATFORM", "qemu"),
        ("CPU", "EPYC,+svm"),
        ("GUEST", "linux"),
        ("LINUX_APPEND", "quiet hv=dmesg"),
        ("MEM", "768M"),
        ("MODULES", other),
    ];
    Machine::new(format!("linux::qemu-svm-2core::{name}"), 2, 200, &variables)
}

/// Two Linux kernels side by side, each on its own core; what the second says comes line by line, with its name.
fn beside_another() -> Result<(), String> {
    let other = "build/linux/vmlinuz linux name=other core=1 console=lines expect=poweroff \
        -- console=ttyS0 quiet hv=marker\n\
        build/linux/initrd initrd";
    let machine = two_cores("beside-another", other);
    let boot = machine.boot()?;
    let texts = [
        "other@1| hv-marker ",
        "hv: VM other: core 1: ended: power-off at ",
        "dmesg: done",
        "hv: VM linux: core 0: ended: power-off at ",
        "hv: pass: 2 VMs on 2 cores ok",
    ];
    says(boot, &texts).map_err(|what| machine.failure(what.lines().next().unwrap_or_default()))
}

/// The VM of the other core ends at once, by a triple fault: Linux goes on to its end, and the whole is a failure.
fn beside_one_that_fails() -> Result<(), String> {
    let file = env::temp_dir().join(format!("hv-flat-{}", std::process::id()));
    // lidt cs:[7c07h], with no entries; int3, and the zeros are what is loaded.
    let code = [0x2e, 0x0f, 0x01, 0x1e, 0x07, 0x7c, 0xcc, 0, 0, 0, 0, 0, 0];
    fs::write(&file, code).map_err(|error| format!("{}: {error}", file.display()))?;
    let other = format!("{} flat name=other core=1 console=lines expect=poweroff", file.display());
    let machine = two_cores("another-that-fails", &other);
    let boot = machine.boot()?;
    let _ = fs::remove_file(&file);
    let texts = [
        "hv: error: VM other: core 1: FAILED: it should have ended by a power-off; triple fault at ",
        "dmesg: done",
        "hv: VM linux: core 0: ended: power-off at ",
        "hv: fail: ",
    ];
    match texts.iter().find(|text| !boot.console.contains(**text)) {
        None if boot.status == Some(1) => Ok(()),
        None => Err(machine.failure("it ended otherwise than it should")),
        Some(text) => Err(machine.failure(format!("not on the console: `{text}`"))),
    }
}
