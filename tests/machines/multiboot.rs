//! Guests of our own as modules of the boot loader: a Multiboot kernel that checks all that it was given, and a flat image, both
//! from `tests/guests`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Case, Machine};

const FOLDER: &str = "build/test-guests";

/// What the tests call the machines, and what `scripts/run` needs.
const MACHINES: [(&str, &str, &str); 3] = [
    ("qemu-svm", "qemu", "EPYC,+svm"),
    ("bochs-skylake-x", "bochs", "corei7_skylake_x"),
    ("bochs-ryzen", "bochs", "ryzen"),
];

pub fn cases() -> impl Iterator<Item = Case> {
    MACHINES
        .into_iter()
        .map(|(name, platform, cpu)| Case::new(format!("multiboot::{name}"), move || run(name, platform, cpu)))
}

fn run(name: &str, platform: &'static str, cpu: &'static str) -> Result<(), String> {
    // Each machine has its own, as tests run side by side.
    let folder = Path::new(FOLDER).join(name);
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let kernel = build(&folder, "multiboot", &["-Ttext", "0x100000", "-e", "start"])?;
    let flat = build(&folder, "flat", &["-Ttext", "0x7c00", "-e", "0x7c00", "--oformat", "binary"])?;
    let module = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).map(|()| file.display().to_string()).map_err(|e| format!("{name}: {e}"))
    };
    let modules = [
        format!("{} multiboot name=multiboot memory=64M console=lines expect=exit:16 -- one two", kernel.display()),
        format!("{} module -- a module", module("first", "MODULE-1")?),
        format!("{} module", module("second", "module number two")?),
        format!("{} flat name=flat memory=1M at=0x7c00 console=lines expect=exit:16", flat.display()),
    ]
    .join("\n");
    let variables = [("PLATFORM", platform), ("CPU", cpu), ("MODULES", modules.as_str())];
    let machine = Machine::new(format!("multiboot-{name}"), 1, 120, &variables);
    let boot = machine.boot()?;
    let passed = boot.status == Some(0) && boot.verdict() == Some("hv: pass: 2 VMs on 1 core ok");
    let said = boot.console.lines().any(|line| line == "hv: multiboot@0| multiboot: all as it should be");
    if passed && said { Ok(()) } else { Err(machine.failure("the guests did not find what they must")) }
}

/// Assembles `tests/guests/<name>.S` and links it with these arguments.
fn build(folder: &Path, name: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    let (source, object, linked) = (
        Path::new("tests/guests").join(name).with_extension("S"),
        folder.join(name).with_extension("o"),
        folder.join(name),
    );
    tool(Command::new("as").arg("--32").arg("-o").arg(&object).arg(source))?;
    tool(Command::new("ld").args(["-m", "elf_i386", "-N"]).args(arguments).arg("-o").arg(&linked).arg(&object))?;
    Ok(linked)
}

fn tool(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("`{name}`: {e}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
