//! Assembles the guest programs (`guest/*.S`), turns their headers into the table that `src/vm/catalog.rs` includes,
//! and gives the kernel its linker script.
//!
//! A mistake in a guest is a build error that names file, line and what is allowed.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

#[path = "guest/header.rs"]
mod header;

use header::{Header, How};

/// Where a guest is loaded and started: its first byte, as a linear address.
const LOAD: u64 = 0x7c00;
/// The end of a guest's RAM.
const RAM_END: u64 = 0xa0000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=guest");
    if let Err(error) = run() {
        for line in error.to_string().lines() {
            println!("cargo::error={line}");
        }
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    kernel_linker_script(&root)?;

    let mut sources: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(root.join("guest"))? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("S")) {
            sources.push(path);
        }
    }
    sources.sort();

    let built = out.join("guests");
    fs::create_dir_all(&built)?;
    let mut guests = sources.iter().map(|source| assemble(source, &built)).collect::<Result<Vec<_>>>()?;
    guests.sort_by(|a, b| (a.header.order, &a.name).cmp(&(b.header.order, &b.name)));
    fs::write(out.join("catalog.rs"), catalog(&guests)?)?;
    Ok(())
}

/// The kernel, and only the kernel, is laid out by `linker.ld`.
fn kernel_linker_script(root: &Path) -> Result<()> {
    println!("cargo::rerun-if-changed=linker.ld");
    if env::var("CARGO_CFG_TARGET_OS")? == "none" {
        println!("cargo::rustc-link-arg-bins=-T{}", root.join("linker.ld").display());
    }
    Ok(())
}

/// A guest program, assembled.
struct Guest {
    name: String,
    header: Header,
    /// Every label with its linear address, by address.
    labels: Vec<(String, u64)>,
}

/// Assembles and links `source` to `<out>/<name>.bin`.
fn assemble(source: &Path, out: &Path) -> Result<Guest> {
    let file = source.file_name().and_then(OsStr::to_str).ok_or("guest: a file name is not UTF-8")?;
    let name = file.trim_end_matches(".S").to_string();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(format!("guest/{file}: a guest's name is made of a-z, 0-9 and `-`").into());
    }
    let text = fs::read_to_string(source).map_err(|e| format!("guest/{file}: {e}"))?;
    let header = header::parse(&text).map_err(|e| format!("guest/{file}:{}: {}", e.line, e.message))?;
    // On the command line both mean what runs: they must not contradict each other.
    if name == "all" || name == "list" || (header::GROUPS.contains(&name.as_str()) && header.group != name) {
        return Err(format!("guest/{file}: the name `{name}` means something else on the command line").into());
    }

    let object = out.join(format!("{name}.o"));
    let linked = out.join(format!("{name}.elf"));
    let image = out.join(format!("{name}.bin"));
    let root = source.parent().and_then(Path::parent).ok_or("guest: no folder above")?;
    // Run in the top folder with a relative path and debug information, so that both tools' messages name
    // `guest/<file>:<line>`.
    let mut assembler = Command::new("as");
    assembler.current_dir(root).args(["--64", "-g", "-mx86-used-note=no", "-I", "guest", "-o"]).arg(&object);
    tool(assembler.arg(format!("guest/{file}")), file)?;
    for (format, result) in [("elf64-x86-64", &linked), ("binary", &image)] {
        let mut linker = Command::new("ld");
        linker.args(["-m", "elf_x86_64", "-N", "-Ttext"]).arg(format!("{LOAD:#x}")).arg("-e").arg(format!("{LOAD:#x}"));
        tool(linker.arg("--oformat").arg(format).arg("-o").arg(result).arg(&object), file)?;
    }
    let size = fs::metadata(&image)?.len();
    if size == 0 || LOAD + size > RAM_END {
        return Err(format!("guest/{file}: {size} bytes; a guest has 1 to {} bytes", RAM_END - LOAD).into());
    }

    let labels = labels(&tool(Command::new("nm").arg("--numeric-sort").arg(&linked), file)?);
    if let Some((label, line)) = &header.label
        && !labels.iter().any(|(name, _)| name == label)
    {
        return Err(format!("guest/{file}:{line}: no label `{label}:` in the program").into());
    }
    Ok(Guest { name, header, labels })
}

/// Runs one of the binutils and gives its output; its complaint is the error.
fn tool(command: &mut Command, file: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = match command.output() {
        Ok(output) => output,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!("`{program}` not found: install binutils (it assembles the guest programs)").into());
        }
        Err(e) => return Err(format!("`{program}` does not start: {e}").into()),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = said.lines().filter(|line| !line.contains("warning:")).collect();
        return Err(format!("guest/{file}: `{program}` failed:\n{}", said.join("\n")).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The labels in the output of `nm`: symbols of the program's sections, without those that the linker adds.
fn labels(nm: &str) -> Vec<(String, u64)> {
    let added = |name: &str| name.starts_with("__bss") || name.starts_with('_') || name == "edata" || name == "end";
    let mut labels: Vec<(String, u64)> = Vec::new();
    for line in nm.lines() {
        let mut words = line.split_whitespace();
        if let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) {
            let in_section = matches!(kind, "t" | "T" | "d" | "D" | "r" | "R" | "b" | "B");
            if let (true, false, Ok(address)) = (in_section, added(name), u64::from_str_radix(address, 16)) {
                labels.push((name.to_string(), address));
            }
        }
    }
    labels
}

/// The Rust source of the table: what `src/vm/catalog.rs` includes.
fn catalog(guests: &[Guest]) -> Result<String> {
    let mut s = String::new();
    writeln!(s, "/// The neutral names of VM exits that a guest's header can count.")?;
    writeln!(s, "pub const EXIT_NAMES: &[&str] = &{:?};\n", header::EXIT_NAMES)?;
    writeln!(s, "/// The guests that are built into the kernel, in the order in which they run by default.")?;
    writeln!(s, "pub static GUESTS: &[Guest] = &[")?;
    for guest in guests {
        let h = &guest.header;
        let group = match h.group {
            "bench" => "Bench",
            "adversary" => "Adversary",
            "demo" => "Demo",
            _ => "Default",
        };
        let how = match h.how {
            How::Hlt => "How::Hlt".to_string(),
            How::Exit(value) => format!("How::Exit({value:#x})"),
            How::TripleFault => "How::TripleFault".to_string(),
            How::Budget => "How::Budget".to_string(),
            How::NotEmulated => "How::NotEmulated".to_string(),
            How::Stuck => "How::Stuck".to_string(),
            How::PowerOff => "How::PowerOff".to_string(),
            How::Reset => "How::Reset".to_string(),
        };
        let place = h.label.as_ref().and_then(|(label, _)| guest.labels.iter().find(|(name, _)| name == label));
        writeln!(s, "    Guest {{")?;
        writeln!(s, "        name: {:?},", guest.name)?;
        writeln!(s, "        summary: {:?},", h.summary)?;
        writeln!(s, "        group: Group::{group},")?;
        writeln!(s, "        image: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/guests/{}.bin\")),", guest.name)?;
        writeln!(s, "        labels: &[")?;
        for (name, address) in &guest.labels {
            writeln!(s, "            Label {{ name: {name:?}, address: {address:#x} }},")?;
        }
        writeln!(s, "        ],")?;
        writeln!(s, "        expect: Expect {{")?;
        writeln!(s, "            how: {how},")?;
        match place {
            Some((name, address)) => {
                writeln!(s, "            place: Some(Label {{ name: {name:?}, address: {address:#x} }}),")?
            }
            None => writeln!(s, "            place: None,")?,
        }
        writeln!(s, "            registers: &[")?;
        for r in &h.registers {
            writeln!(
                s,
                "                Register {{ name: {:?}, gpr: Gpr::ALL[{}], width: Width::B{}, value: {:#x} }},",
                r.name, r.number, r.bytes, r.value
            )?;
        }
        writeln!(s, "            ],")?;
        match &h.console {
            Some(bytes) => writeln!(s, "            console: Some(b\"{}\"),", bytes.escape_ascii())?,
            None => writeln!(s, "            console: None,")?,
        }
        writeln!(s, "            exits: &{:?},", h.exits)?;
        writeln!(s, "        }},")?;
        writeln!(s, "    }},")?;
    }
    writeln!(s, "];")?;
    Ok(s)
}
