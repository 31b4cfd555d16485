//! Who owns a frame: one 16-bit word for every 4 KiB of RAM.

/// The owner of a frame of RAM.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Owner {
    /// Nobody: may be handed out.
    Free,
    /// The firmware: reserved ranges of the memory map, ACPI tables, frame 0.
    Firmware,
    /// What the loader left for us: boot information, modules, the ELF symbol sections.
    Loader,
    /// The hypervisor's image, the words of the frame allocator, the AP trampoline.
    Kernel,
    /// A stack of the hypervisor.
    Stack,
    /// A page table of the hypervisor itself.
    PageTable,
    /// The kernel heap.
    Heap,
    /// Per-CPU state.
    PerCpu,
    /// What the CPU's virtualization hardware reads: VMXON region, VMCS, VMCB, permission maps, host save area.
    Vt,
    /// A nested page table of this VM (0 to [`Owner::MAX_VM`]).
    NestedTable(u16),
    /// RAM of this VM (0 to [`Owner::MAX_VM`]).
    Guest(u16),
    /// Not RAM at all: a hole in the memory map, perhaps a device.
    Hole,
}

impl Owner {
    /// The highest number of a VM.
    pub const MAX_VM: u16 = 0xfff;
    /// How many kinds of owner there are.
    pub const KINDS: usize = 12;
    /// The names of the kinds, for logs, in the order of [`Owner::kind`].
    pub const NAMES: [&'static str; Self::KINDS] = [
        "free",
        "firmware",
        "loader",
        "kernel",
        "stacks",
        "page tables",
        "heap",
        "per-CPU",
        "virtualization",
        "nested tables",
        "guests",
        "holes",
    ];

    /// The number of the kind, below [`Owner::KINDS`]; VMs are not told apart.
    pub const fn kind(self) -> usize {
        match self {
            Self::Free => 0,
            Self::Firmware => 1,
            Self::Loader => 2,
            Self::Kernel => 3,
            Self::Stack => 4,
            Self::PageTable => 5,
            Self::Heap => 6,
            Self::PerCpu => 7,
            Self::Vt => 8,
            Self::NestedTable(_) => 9,
            Self::Guest(_) => 10,
            Self::Hole => 11,
        }
    }

    /// The word: kind in bits 15:12, the VM's number (its low twelve bits) in bits 11:0. Free is 0.
    pub const fn to_word(self) -> u16 {
        let vm = match self {
            Self::NestedTable(vm) | Self::Guest(vm) => vm & Self::MAX_VM,
            _ => 0,
        };
        (self.kind() as u16) << 12 | vm
    }

    /// What a word says. Words that [`Owner::to_word`] never makes are holes: nobody may touch those frames.
    pub const fn from_word(word: u16) -> Self {
        match word >> 12 {
            0 => Self::Free,
            1 => Self::Firmware,
            2 => Self::Loader,
            3 => Self::Kernel,
            4 => Self::Stack,
            5 => Self::PageTable,
            6 => Self::Heap,
            7 => Self::PerCpu,
            8 => Self::Vt,
            9 => Self::NestedTable(word & Self::MAX_VM),
            10 => Self::Guest(word & Self::MAX_VM),
            _ => Self::Hole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_one_owner_and_every_owner_comes_back() {
        for word in 0..=u16::MAX {
            let owner = Owner::from_word(word);
            assert_eq!(Owner::from_word(owner.to_word()), owner);
            assert!(owner.kind() < Owner::KINDS);
        }
        for vm in [0, 1, 0xffe, Owner::MAX_VM] {
            assert_eq!(Owner::from_word(Owner::Guest(vm).to_word()), Owner::Guest(vm));
            assert_eq!(Owner::from_word(Owner::NestedTable(vm).to_word()), Owner::NestedTable(vm));
        }
        assert_eq!(Owner::Free.to_word(), 0);
    }
}
