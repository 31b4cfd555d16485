//! Why a guest can't be loaded.

use core::fmt;

use crate::base::Gpa;

/// What is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// A flat image.
    Image,
    /// A kernel.
    Kernel,
    /// A segment of an ELF kernel: its number among the program headers.
    Segment(u16),
    /// An initial RAM disk.
    Initrd,
    /// A multiboot module: its number, from 1.
    Module(usize),
    /// The command line.
    CommandLine,
    /// What the guest is told about its machine: Linux's zero page, the multiboot information.
    Information,
    /// The global descriptor table.
    DescriptorTable,
    /// The first page tables.
    PageTables,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "the image",
            Self::Kernel => "the kernel",
            Self::Segment(number) => return write!(f, "program header {number} of the kernel"),
            Self::Initrd => "the initial RAM disk",
            Self::Module(number) => return write!(f, "module {number}"),
            Self::CommandLine => "the command line",
            Self::Information => "the boot information",
            Self::DescriptorTable => "the descriptor table",
            Self::PageTables => "the first page tables",
        })
    }
}

/// Why a guest can't be loaded. Offsets are in bytes from the beginning of its image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum LoadError {
    /// There is not a byte of it.
    Empty { part: Part },
    /// The image ends before something that it must have.
    Short { what: &'static str, offset: u64, needs: u64, has: u64 },
    /// A place that the image asks for is not usable RAM below 4 GiB.
    NotRam { part: Part, at: Gpa, bytes: u64, offset: u64 },
    /// A place that the image asks for has another part in it.
    Overlap { part: Part, at: Gpa, bytes: u64, other: Part, offset: u64 },
    /// No free RAM is as it must be.
    NoRoom { part: Part, bytes: u64, align: u64, from: u64, below: u64 },
    /// The VM's RAM is not what its memory map says. The mistake is the hypervisor's.
    Refused { at: Gpa },
    /// A flat image's entry is not in it, or not below 1 MiB.
    EntryOutside { entry: Gpa, start: Gpa, bytes: u64 },
    /// Linux: no 0xaa55 at 0x1fe.
    NoBootFlag { found: u16 },
    /// Linux: no "HdrS" at 0x202.
    NoSetupHeader { found: u32 },
    /// Linux: a boot protocol before 2.10.
    OldProtocol { version: u16 },
    /// Linux: the setup header ends before fields that its protocol version has.
    ShortHeader { end: u64 },
    /// Linux: a zImage.
    LoadedLow { loadflags: u8 },
    /// Linux: no 64-bit entry, but that was asked for.
    No64BitEntry { xloadflags: u16 },
    /// Linux: an alignment that is no power of two.
    Alignment { alignment: u32 },
    /// The command line is longer than the kernel takes.
    LongCommandLine { bytes: u64, most: u32 },
    /// The command line has a byte 0, which would end it.
    NulInCommandLine { index: u64 },
    /// Multiboot: no header in the first 8 KiB. `newer`: one of Multiboot 2.
    NoHeader { newer: Option<u64> },
    /// Multiboot: magic, flags and checksum do not add up to 0.
    Checksum { offset: u64, sum: u32 },
    /// Multiboot: it needs what this loader does not know or have.
    RequiredFlags { offset: u64, flags: u32 },
    /// Multiboot: addresses in the header contradict each other. `offset` is the field's.
    HeaderAddress { what: &'static str, offset: u64, value: u32 },
    /// Multiboot: neither an ELF file nor load addresses in the header.
    NotElf { header: u64 },
    /// Multiboot: an ELF file for 64-bit programs.
    Elf64,
    /// Multiboot: an ELF file that is no kernel for this CPU. `offset` is the field's.
    Elf { what: &'static str, offset: u64, value: u64 },
    /// Multiboot: a program header has more bytes in the file than in memory.
    SegmentSize { number: u16, offset: u64, in_file: u64, in_memory: u64 },
    /// Multiboot: an ELF file without anything to load.
    NoSegments,
    /// Multiboot: more segments to load than this loader takes.
    ManySegments { most: usize },
    /// Multiboot: the entry is in nothing that was loaded.
    KernelEntry { entry: u64, offset: u64 },
}

impl LoadError {
    /// Which byte of the image it is about, if one.
    pub const fn offset(&self) -> Option<u64> {
        match *self {
            Self::Short { offset, .. }
            | Self::NotRam { offset, .. }
            | Self::Overlap { offset, .. }
            | Self::Checksum { offset, .. }
            | Self::RequiredFlags { offset, .. }
            | Self::HeaderAddress { offset, .. }
            | Self::NotElf { header: offset }
            | Self::Elf { offset, .. }
            | Self::SegmentSize { offset, .. }
            | Self::KernelEntry { offset, .. } => Some(offset),
            Self::NoBootFlag { .. } => Some(0x1fe),
            Self::NoSetupHeader { .. } => Some(0x202),
            Self::OldProtocol { .. } => Some(0x206),
            Self::ShortHeader { .. } => Some(0x201),
            Self::LoadedLow { .. } => Some(0x211),
            Self::No64BitEntry { .. } => Some(0x236),
            Self::Alignment { .. } => Some(0x230),
            Self::LongCommandLine { .. } => Some(0x238),
            Self::Elf64 => Some(4),
            Self::NoHeader { newer } => newer,
            Self::Empty { .. }
            | Self::NoRoom { .. }
            | Self::Refused { .. }
            | Self::EntryOutside { .. }
            | Self::NulInCommandLine { .. }
            | Self::NoSegments
            | Self::ManySegments { .. } => None,
        }
    }

    /// What is wrong.
    fn reason(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty { part } => write!(f, "{part} is empty"),
            Self::Short { what, needs, has, .. } => {
                write!(f, "the image ends in {what}: {needs} bytes needed, {has} there")
            }
            Self::NotRam { part, at, bytes, .. } => {
                write!(f, "{part} wants {bytes} bytes at {at}, which is not all usable RAM below 4 GiB")
            }
            Self::Overlap { part, at, bytes, other, .. } => {
                write!(f, "{part} wants {bytes} bytes at {at}, where {other} is")
            }
            Self::NoRoom { part, bytes, align, from, below } => write!(
                f,
                "no room for {part}: {bytes} bytes in one piece between {from:#x} and {below:#x}, aligned to {align:#x}"
            ),
            Self::Refused { at } => write!(f, "address {at} is RAM in the memory map, but the VM has none there"),
            Self::EntryOutside { entry, start, bytes } => {
                write!(f, "entry {entry} is not below 1 MiB in the {bytes} bytes of the image at {start}")
            }
            Self::NoBootFlag { found } => write!(f, "no boot flag 0xaa55 but {found:#06x}"),
            Self::NoSetupHeader { found } => write!(f, "no Linux setup header \"HdrS\" but {found:#010x}"),
            Self::OldProtocol { version } => {
                write!(f, "Linux boot protocol {}.{:02}; at least 2.10 is needed", version >> 8, version & 0xff)
            }
            Self::ShortHeader { end } => write!(f, "the Linux setup header ends at {end:#x}, before init_size"),
            Self::LoadedLow { loadflags } => {
                write!(f, "a zImage, loaded below 1 MiB (loadflags {loadflags:#04x} without LOADED_HIGH)")
            }
            Self::No64BitEntry { xloadflags } => {
                write!(f, "the kernel has no 64-bit entry (xloadflags {xloadflags:#06x} without XLF_KERNEL_64)")
            }
            Self::Alignment { alignment } => write!(f, "kernel_alignment {alignment:#x} is not a power of two"),
            Self::LongCommandLine { bytes, most } => {
                write!(f, "the command line has {bytes} bytes, the kernel takes {most}")
            }
            Self::NulInCommandLine { index } => write!(f, "the command line has a zero as byte {index}"),
            Self::NoHeader { newer: None } => f.write_str("no Multiboot header in the first 8 KiB"),
            Self::NoHeader { newer: Some(_) } => f.write_str("a Multiboot 2 header, but none of Multiboot 1"),
            Self::Checksum { sum, .. } => {
                write!(f, "Multiboot magic, flags and checksum add up to {sum:#x} instead of 0")
            }
            Self::RequiredFlags { flags, .. } => {
                f.write_str("the kernel requires Multiboot features that are not here: flag")?;
                (0..32).filter(|bit| flags >> bit & 1 != 0).try_for_each(|bit| write!(f, " {bit}"))
            }
            Self::HeaderAddress { what, value, .. } => write!(f, "Multiboot header: {what} (it is {value:#x})"),
            Self::NotElf { .. } => {
                f.write_str("neither an ELF file nor a Multiboot header with load addresses (flag 16)")
            }
            Self::Elf64 => f.write_str("an ELF64 file; Multiboot 1 knows 32-bit kernels only"),
            Self::Elf { what, value, .. } => write!(f, "{what} (it is {value:#x})"),
            Self::SegmentSize { number, in_file, in_memory, .. } => {
                write!(f, "program header {number} has {in_file} bytes in the file but only {in_memory} in memory")
            }
            Self::NoSegments => f.write_str("the ELF file has nothing to load"),
            Self::ManySegments { most } => write!(f, "the ELF file has more than {most} segments to load"),
            Self::KernelEntry { entry, .. } => write!(f, "the kernel's entry {entry:#x} is in nothing that is loaded"),
        }
    }

    /// What to do about it.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "check the file that the boot loader's configuration names",
            Self::Short { .. } => "copy the file again: it was cut",
            Self::NotRam { .. } | Self::NoRoom { .. } => {
                "give the VM more memory= or link the guest to other addresses"
            }
            Self::Overlap { .. } => "link the guest to other addresses",
            Self::Refused { .. } => "report it: the hypervisor is wrong",
            Self::EntryOutside { .. } => "correct entry= or at=",
            Self::NoBootFlag { .. } | Self::NoSetupHeader { .. } | Self::LoadedLow { .. } => {
                "use the kernel's arch/x86/boot/bzImage, not vmlinux"
            }
            Self::OldProtocol { .. } => "use Linux 2.6.31 or later",
            Self::ShortHeader { .. } | Self::Alignment { .. } => "the file is damaged: copy it again",
            Self::No64BitEntry { .. } => "leave out protocol=64 or use a 64-bit kernel, Linux 3.8 or later",
            Self::LongCommandLine { .. } | Self::NulInCommandLine { .. } => "correct what follows --",
            Self::NoHeader { newer: Some(_) } => "build the kernel for Multiboot 1",
            Self::NoHeader { newer: None } => "link the header to the kernel's beginning, aligned to 4 bytes",
            Self::Checksum { .. } => "make the checksum -(magic + flags)",
            Self::RequiredFlags { .. } => "clear those flags: 0 and 1 are known, 16 with load addresses",
            Self::HeaderAddress { .. } => "correct the header or load by ELF segments",
            Self::NotElf { .. } => "link the kernel as ELF32",
            Self::Elf64 => "link it as ELF32 (objcopy -O elf32-i386), or give load addresses in the header (flag 16)",
            Self::Elf { .. } | Self::NoSegments | Self::KernelEntry { .. } => {
                "link the kernel as a static 32-bit x86 executable"
            }
            Self::SegmentSize { .. } => "the file is damaged: link it again",
            Self::ManySegments { .. } => "link the kernel with fewer program headers",
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason(f)?;
        if let Some(offset) = self.offset() {
            write!(f, ", at byte {offset:#x} of the image")?;
        }
        write!(f, ": {}", self.advice())
    }
}

impl core::error::Error for LoadError {}
