//! Shows two dumps of a VMCS or VMCB side by side: what differs first, with the names of bits.

#[path = "../vmdiff/input.rs"]
mod input;
#[path = "../vmdiff/rules.rs"]
mod rules;
#[path = "../vmdiff/table.rs"]
mod table;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use hv::vt::doctor::text::{Dump, Dumped};

const ABOUT: &str = "Shows two dumps of a VMCS or VMCB side by side: what differs comes first, with the names of bits";

const LONG_ABOUT: &str = "\
Shows two dumps of a VMCS or VMCB side by side: what differs comes first, with the names of bits.

A dump is what hv prints when an entry fails or with dump=kvm, or what Linux KVM prints with
kvm_intel.dump_invalid_vmcs=1 or kvm_amd.dump_invalid_vmcb=1. What logs put before the lines does not
matter, nor do the lines of others in between.

After the fields it tells for each dump which rules of VM entry are broken.

Exit status: 0 if all fields are the same, 1 if some differ, 2 if there was trouble.";

#[derive(Parser)]
#[command(name = "vmdiff", version, about = ABOUT, long_about = LONG_ABOUT)]
struct Options {
    /// The first dump; - is the standard input
    a: String,
    /// The second dump; - is the standard input
    b: String,
    /// Show the equal fields too, not just how many there are
    #[arg(long)]
    all: bool,
    /// Show the names of all bits of both values
    #[arg(long, conflicts_with = "plain")]
    names: bool,
    /// Show the numbers alone, without the names of bits
    #[arg(long)]
    plain: bool,
    /// When to use colours
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    /// On a terminal
    Auto,
    /// Even into a file
    Always,
    /// Never
    Never,
}

/// How fields are shown.
#[derive(Clone, Copy)]
pub struct Style {
    all: bool,
    names: bool,
    plain: bool,
    color: bool,
}

/// Why the exit status is 2.
type Trouble = String;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(code) => ExitCode::from(code),
        Err(trouble) => {
            eprintln!("vmdiff: {trouble}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<u8, Trouble> {
    if options.a == "-" && options.b == "-" {
        return Err("only one of the two dumps can come from the standard input".into());
    }
    let (a, b) = (input::load(&options.a)?, input::load(&options.b)?);
    let color = match options.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    };
    let style = Style { all: options.all, names: options.names, plain: options.plain, color };
    for input in [&a, &b] {
        input.notes().for_each(|note| eprintln!("vmdiff: {note}"));
    }
    let names = [a.name(), b.name()];
    let knows = [a.report.has_cpu, b.report.has_cpu];
    let (text, same) = match (&a.report.dump, &b.report.dump) {
        (Dump::Vmx(one), Dump::Vmx(two)) => show(one, two, knows, names, style),
        (Dump::Svm(one), Dump::Svm(two)) => show(one, two, knows, names, style),
        (one, two) => {
            let kind = |dump: &Dump| if matches!(dump, Dump::Vmx(_)) { "a VMCS (VMX)" } else { "a VMCB (SVM)" };
            return Err(format!(
                "{} is {}, {} is {}: they have no fields in common",
                names[0],
                kind(one),
                names[1],
                kind(two)
            ));
        }
    };
    // A reader that has seen enough, such as `head`, is no trouble.
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(format!("cannot write: {e}")),
        _ => Ok(u8::from(!same)),
    }
}

/// All that is told of two dumps of one vendor, and whether they are the same.
fn show<P: Dumped>(a: &P, b: &P, knows: [bool; 2], names: [&str; 2], style: Style) -> (String, bool) {
    let (mut text, same) = table::show(a, b, names, style);
    // What is assumed is no fact.
    if knows == [true; 2] {
        text.push_str(&table::cpus(a, b, style));
    }
    for ((case, name), knows_cpu) in [a, b].into_iter().zip(names).zip(knows) {
        text.push_str(&rules::show(case, name, knows_cpu));
    }
    (text, same)
}
