//! The boot loader's modules, put together to VMs.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;

use super::{Console, Description, DescriptionError, Expect, Kind, Protocol, parse};
use crate::base::{Gpa, MIB};

/// Where a flat image is loaded if nothing is said: where a PC's firmware loads a boot sector.
const FLAT_AT: u64 = 0x7c00;

/// A VM to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VmSpec<'a> {
    /// Its name; no other VM has it.
    pub name: String,
    /// Its memory in bytes, for [`MemoryMap::new`](crate::vm::loader::MemoryMap::new), which takes it.
    pub memory: u64,
    /// The host's core that runs it; `None`: any.
    pub core: Option<u32>,
    /// How long it may run, in milliseconds; `None`: as long as it wants.
    pub budget_ms: Option<NonZeroU32>,
    /// How fast its time-stamp counter runs, in kHz; `None`: as the host's.
    pub tsc_khz: Option<u32>,
    /// How its serial console is shown.
    pub console: Console,
    /// How it should end.
    pub expect: Expect,
    /// What runs in it.
    pub guest: GuestKind<'a>,
    /// The guest's own command line.
    pub command_line: &'a str,
}

/// What runs in a VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GuestKind<'a> {
    /// Linux.
    Linux {
        /// A bzImage.
        kernel: &'a [u8],
        /// The initial RAM disk.
        initrd: Option<&'a [u8]>,
        /// The kernel's entry; `None`: the best it has.
        protocol: Option<Protocol>,
    },
    /// A Multiboot kernel.
    Multiboot {
        /// The kernel's file.
        image: &'a [u8],
        /// Its modules, in order.
        modules: Vec<Module<'a>>,
    },
    /// Bytes that start in real-address mode.
    Flat {
        /// The bytes.
        image: &'a [u8],
        /// Where they are loaded.
        at: Gpa,
        /// Where they start.
        entry: Gpa,
    },
}

/// A module for a Multiboot kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Module<'a> {
    /// What is passed to the kernel with it.
    pub command_line: &'a str,
    /// Its contents.
    pub bytes: &'a [u8],
}

/// Which module's command line is wrong, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupError<'a> {
    /// The module's number, from 1.
    pub module: usize,
    /// What is wrong.
    pub error: DescriptionError<'a>,
}

impl fmt::Display for GroupError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "module {}: {}", self.module, self.error)
    }
}

impl core::error::Error for GroupError<'_> {}

/// Puts modules (command line, contents) together to VMs, up to the first mistake.
pub fn group<'a>(modules: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Vec<VmSpec<'a>>, GroupError<'a>> {
    let mut specs = Vec::new();
    // The names that were given, with their module; the VMs whose name was not.
    let (mut names, mut nameless) = (Vec::new(), Vec::new());
    for (module, (line, bytes)) in (1..).zip(modules) {
        let wrong = |error| GroupError { module, error };
        let description = parse(line).map_err(wrong)?;
        let Some(guest) = begin(&description, bytes) else {
            append(specs.last_mut(), &description, bytes).map_err(wrong)?;
            continue;
        };
        match description.name {
            Some(name) => {
                if let Some(&(_, other)) = names.iter().find(|(taken, _)| *taken == name) {
                    return Err(wrong(DescriptionError::NameTaken { name, other }));
                }
                names.push((name, module));
            }
            None => nameless.push((specs.len(), description.kind)),
        }
        let first = specs.is_empty();
        specs.push(VmSpec {
            name: String::from(description.name.unwrap_or_default()),
            memory: description.memory.unwrap_or(if description.kind == Kind::Flat { MIB } else { 256 * MIB }),
            core: description.core,
            budget_ms: description.budget_ms,
            tsc_khz: description.tsc_khz,
            console: description.console.unwrap_or(if first { Console::Raw } else { Console::Lines }),
            expect: description.expect.unwrap_or(Expect::Any),
            guest,
            command_line: description.command_line,
        });
    }
    let mut next = [1_u32; Kind::ALL.len()];
    for (index, kind) in nameless {
        let (Some(spec), Some(next)) = (specs.get_mut(index), next.get_mut(kind as usize)) else { continue };
        spec.name = loop {
            let name = format!("{kind}{next}");
            *next = next.saturating_add(1);
            if !names.iter().any(|(taken, _)| *taken == name) {
                break name;
            }
        };
    }
    Ok(specs)
}

/// What a module begins, if it begins a VM.
fn begin<'a>(description: &Description<'a>, image: &'a [u8]) -> Option<GuestKind<'a>> {
    Some(match description.kind {
        Kind::Linux => GuestKind::Linux { kernel: image, initrd: None, protocol: description.protocol },
        Kind::Multiboot => GuestKind::Multiboot { image, modules: Vec::new() },
        Kind::Flat => {
            let at = description.at.unwrap_or(FLAT_AT);
            GuestKind::Flat { image, at: Gpa::new(at), entry: Gpa::new(description.entry.unwrap_or(at)) }
        }
        Kind::Initrd | Kind::Module => return None,
    })
}

/// Gives a module to the VM that it belongs to: the last one.
fn append<'a>(
    spec: Option<&mut VmSpec<'a>>,
    description: &Description<'a>,
    bytes: &'a [u8],
) -> Result<(), DescriptionError<'a>> {
    let kind = description.kind;
    match (spec.map(|spec| &mut spec.guest), kind) {
        (Some(GuestKind::Linux { initrd: Some(_), .. }), Kind::Initrd) => Err(DescriptionError::SecondInitrd),
        (Some(GuestKind::Linux { initrd, .. }), Kind::Initrd) => {
            *initrd = Some(bytes);
            Ok(())
        }
        (Some(GuestKind::Multiboot { modules, .. }), Kind::Module) => {
            modules.push(Module { command_line: description.command_line, bytes });
            Ok(())
        }
        (_, Kind::Initrd) => Err(DescriptionError::Orphan { kind, needs: Kind::Linux }),
        _ => Err(DescriptionError::Orphan { kind, needs: Kind::Multiboot }),
    }
}
