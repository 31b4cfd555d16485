//! A machine: what it is made of, and its boot.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs, io};

/// What boots. The tests run in the project's top folder.
pub const KERNEL: &str = "build/hv.boot.elf";

/// Every variable of `scripts/run`, so that none of the user's own slips in.
const VARIABLES: &str = "PLATFORM CPU SMP MEM GUEST LOG FIRMWARE APPEND MEDIA LIMIT END KERNEL QEMU_ARGS IPS ORACLE \
    GUEST_MEM LINUX_APPEND LINUX INITRD INPUT MODULES";

static ONLY: OnceLock<&'static str> = OnceLock::new();

/// From now on machines boot with this guest alone, instead of all.
pub fn boot_only(guest: &'static str) {
    let _ = ONLY.set(guest);
}

/// An emulated computer with the kernel in it.
pub struct Machine {
    pub name: String,
    pub cores: u32,
    variables: Vec<(&'static str, String)>,
    limit: Duration,
    boot: OnceLock<Boot>,
    shown: AtomicBool,
}

/// What came of a boot.
#[derive(Clone)]
pub struct Boot {
    /// All that the kernel printed, without carriage returns.
    pub console: String,
    /// What `scripts/run` said.
    notes: String,
    /// Its exit status; `None`: it was stopped by us.
    pub status: Option<i32>,
    /// How long it took.
    time: Duration,
}

impl Machine {
    /// A machine for `scripts/run`: see there for the variables. It is stopped after `limit` seconds.
    pub fn new(name: impl Into<String>, cores: u32, limit: u64, variables: &[(&'static str, &str)]) -> Self {
        let mut variables: Vec<_> = variables.iter().map(|&(name, value)| (name, value.to_string())).collect();
        variables.push(("SMP", cores.to_string()));
        Self {
            name: name.into(),
            cores,
            variables,
            limit: Duration::from_secs(limit),
            boot: OnceLock::new(),
            shown: AtomicBool::new(false),
        }
    }

    /// What its one boot gave; boots it when that was not yet done.
    pub fn boot(&self) -> Result<&Boot, String> {
        let boot = self.boot.get_or_init(|| {
            let mut variables = self.variables.clone();
            // The last of a name counts.
            variables.extend(ONLY.get().map(|&guest| ("GUEST", guest.to_string())));
            boot(&variables, self.limit).unwrap_or_else(|error| Boot {
                console: String::new(),
                notes: format!("scripts/run: {error}"),
                status: Some(-1),
                time: Duration::ZERO,
            })
        });
        self.keep(boot).map_err(|error| format!("{}: {error}", self.console_file().display()))?;
        Ok(boot)
    }

    /// A failure of one of its tests: with the console, when it is the first.
    pub fn failure(&self, what: impl std::fmt::Display) -> String {
        let file = self.console_file();
        let Some(boot) = self.boot.get().filter(|_| !self.shown.swap(true, Ordering::Relaxed)) else {
            return format!("{what}\nThe console of {} is in {}", self.name, file.display());
        };
        let ended = match boot.status {
            None => format!("stopped after its {} seconds", self.limit.as_secs()),
            Some(status) => format!("scripts/run gave {status}"),
        };
        format!("{what}\n{}, {ended}; console:\n{}\n{}(end of {})", self.name, boot.console, boot.notes, file.display())
    }

    fn console_file(&self) -> PathBuf {
        PathBuf::from("build/consoles").join(self.name.replace("::", "-")).with_extension("txt")
    }

    fn keep(&self, boot: &Boot) -> io::Result<()> {
        let file = self.console_file();
        fs::create_dir_all("build/consoles")?;
        fs::write(file, format!("{}{}({} s)\n", boot.console, boot.notes, boot.time.as_secs()))
    }
}

impl Boot {
    /// The line that says how it all went, if the kernel came so far.
    pub fn verdict(&self) -> Option<&str> {
        self.console.lines().rfind(|line| line.starts_with("hv: pass:") || line.starts_with("hv: fail:"))
    }
}

/// Runs `scripts/run` with these variables for at most `limit`, and a little more for itself.
pub fn boot(variables: &[(&'static str, String)], limit: Duration) -> io::Result<Boot> {
    let mut running = Running::start(variables, limit)?;
    let status = running.wait(limit + Duration::from_secs(10))?;
    Ok(running.result(status))
}

/// A `scripts/run` at work; dropped, it ends with all that it started.
pub struct Running {
    child: Child,
    console: Pipe,
    notes: Pipe,
    started: Instant,
    scratch: PathBuf,
}

impl Running {
    pub fn start(variables: &[(&'static str, String)], limit: Duration) -> io::Result<Self> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let scratch = env::temp_dir().join(format!("hv-machines-{}-{number}", std::process::id()));
        fs::create_dir_all(&scratch)?;

        let mut command = Command::new("scripts/run");
        for name in VARIABLES.split(' ') {
            command.env_remove(name);
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.env("LIMIT", limit.as_secs().to_string()).env("TMPDIR", &scratch);
        // A group of its own: to end it is to end the emulator too.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let _ = fs::remove_dir_all(&scratch);
                return Err(error);
            }
        };
        let (console, notes) = (Pipe::new(child.stdout.take()), Pipe::new(child.stderr.take()));
        Ok(Self { child, console, notes, started: Instant::now(), scratch })
    }

    /// Waits for its end; `None`: it had to be stopped.
    pub fn wait(&mut self, limit: Duration) -> io::Result<Option<i32>> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))));
            }
            if Instant::now() >= end {
                self.stop();
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// What it said, once it has ended.
    pub fn result(mut self, status: Option<i32>) -> Boot {
        self.stop();
        Boot { console: self.console.all(), notes: self.notes.all(), status, time: self.started.elapsed() }
    }

    /// What came on its console until now.
    pub fn console(&self) -> String {
        self.console.read()
    }

    /// Ends every process of its group.
    fn stop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let group = format!("kill -KILL -{}", self.child.id());
            let _ = Command::new("sh").args(["-c", &group]).stderr(Stdio::null()).status();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// What comes out of a pipe. It is read at once, so that the other side never has to wait.
struct Pipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Pipe {
    fn new(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = bytes.clone();
        let reader = thread::spawn(move || {
            let (Some(mut pipe), mut piece) = (pipe, [0; 4096]) else { return };
            while let Ok(count @ 1..) = pipe.read(&mut piece) {
                into.lock().unwrap_or_else(PoisonError::into_inner).extend(&piece[..count]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    /// What came until now, without carriage returns.
    fn read(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// All of it, up to its end.
    fn all(&mut self) -> String {
        let _ = self.reader.take().map(thread::JoinHandle::join);
        self.read()
    }
}
