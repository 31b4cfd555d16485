//! What the loader tells us: Multiboot2 boot information, read where the loader left it.

use crate::base::Hpa;
use crate::hw::console::{ScreenError, ScreenInfo};
use crate::hw::symbols::{self, Place};
use multiboot2::{BootInformation, BootInformationHeader, LoadError, MaybeDynSized, MemoryAreaType, StringError};

/// What a range of the memory map is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryKind {
    /// RAM, free for use.
    Usable,
    /// RAM with ACPI's tables or storage.
    Acpi,
    /// Anything else.
    Reserved,
}

/// One entry of the memory map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryRange {
    /// First byte.
    pub start: Hpa,
    /// Length in bytes.
    pub len: u64,
    /// What it is.
    pub kind: MemoryKind,
}

/// The boot information.
pub struct BootInfo {
    info: BootInformation<'static>,
    at: Hpa,
}

impl BootInfo {
    /// Reads the boot information at `at`, which is mapped at `ptr`.
    ///
    /// # Safety
    /// `ptr` is where the loader's information is mapped, for good, and nobody writes to it.
    pub unsafe fn load(at: Hpa, ptr: *const u8) -> Result<Self, LoadError> {
        // SAFETY: this function's contract.
        let info = unsafe { BootInformation::load(ptr.cast::<BootInformationHeader>()) }?;
        Ok(Self { info, at })
    }

    /// The kernel command line; empty if there is none.
    pub fn command_line(&self) -> Result<&str, StringError> {
        self.info.command_line_tag().map_or(Ok(""), |tag| tag.cmdline())
    }

    /// The loader's name.
    pub fn loader(&self) -> &str {
        self.info.boot_loader_name_tag().and_then(|tag| tag.name().ok()).unwrap_or("an unnamed loader")
    }

    /// Whether the firmware is UEFI; else it is a BIOS.
    pub fn is_efi(&self) -> bool {
        self.info.efi_sdt64_tag().is_some() || self.info.efi_sdt32_tag().is_some()
    }

    /// The memory map, as the firmware gave it: in any order, with overlaps.
    pub fn memory(&self) -> impl Iterator<Item = MemoryRange> + Clone {
        let areas = self.info.memory_map_tag().map_or(&[][..], |tag| {
            // The method panics on entries of another size.
            if tag.entry_size() as usize == size_of::<multiboot2::MemoryArea>() { tag.memory_areas() } else { &[] }
        });
        areas.iter().map(|area| MemoryRange {
            start: Hpa::new(area.start_address()),
            len: area.size(),
            kind: match area.typ() {
                MemoryAreaType::Available => MemoryKind::Usable,
                MemoryAreaType::AcpiAvailable | MemoryAreaType::ReservedHibernate => MemoryKind::Acpi,
                _ => MemoryKind::Reserved,
            },
        })
    }

    /// What the loader put into usable memory for us, the image aside: this information, modules, and sections of the
    /// ELF file that are not part of the image. Start and length in bytes.
    pub fn loaded(&self) -> impl Iterator<Item = (Hpa, u64)> + Clone {
        let itself = (self.at, (self.info.end_address() - self.info.start_address()) as u64);
        let modules = self.info.module_tags().map(|module| {
            let (start, end) = (u64::from(module.start_address()), u64::from(module.end_address()));
            (Hpa::new(start), end.saturating_sub(start))
        });
        let sections = self
            .info
            .elf_sections_tag()
            .filter(|tag| tag.entry_size() as usize == size_of::<elf::section::Elf64_Shdr>())
            .into_iter()
            // The crate's iterator can't be cloned: take the sections by number.
            .flat_map(|tag| (0..tag.number_of_sections() as usize).filter_map(|n| tag.sections().nth(n)))
            .filter(|section| section.sh_flags & u64::from(elf::abi::SHF_ALLOC) == 0 && section.sh_addr != 0)
            .map(|section| (Hpa::new(section.sh_addr), section.sh_size));
        core::iter::once(itself).chain(modules).chain(sections)
    }

    /// The modules: where each is, its length in bytes, and what the loader's configuration says of it.
    pub fn modules(&self) -> impl Iterator<Item = (Hpa, u64, Result<&str, StringError>)> {
        self.info.module_tags().map(|module| {
            let (start, end) = (u64::from(module.start_address()), u64::from(module.end_address()));
            (Hpa::new(start), end.saturating_sub(start), module.cmdline())
        })
    }

    /// The ACPI root pointer's bytes, the newer one if there are two.
    pub fn rsdp(&self) -> Option<&[u8]> {
        match self.info.rsdp_v2_tag() {
            Some(tag) => Some(tag.payload()),
            None => self.info.rsdp_v1_tag().map(|tag| tag.payload()),
        }
    }

    /// The screen, if the loader gives one.
    pub fn screen(&self) -> Option<Result<ScreenInfo, ScreenError>> {
        let tag = self.info.get_tag::<multiboot2::FramebufferTag>()?;
        Some(ScreenInfo::from_tag(tag))
    }

    /// Where the kernel's symbols and their names are.
    pub fn symbols(&self) -> Option<(Place, Place)> {
        self.info.elf_sections_tag().and_then(symbols::locate)
    }
}
