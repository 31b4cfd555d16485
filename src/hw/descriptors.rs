//! A core's GDT, TSS and IDT.

use crate::hw::percpu::Stacks;
use crate::hw::trap;
use core::mem::offset_of;
use x86_64::instructions::segmentation::{CS, DS, ES, FS, GS, SS, Segment};
use x86_64::instructions::tables::{lidt, load_tss};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::idt::{Entry, HandlerFunc};
use x86_64::structures::tss::TaskStateSegment;
use x86_64::{PrivilegeLevel, VirtAddr};

/// The code segment: the GDT's first entry, as in the boot GDT.
pub const CODE: SegmentSelector = SegmentSelector::new(1, PrivilegeLevel::Ring0);
/// The data segment, loaded into SS, DS and ES. FS and GS are null.
pub const DATA: SegmentSelector = SegmentSelector::new(2, PrivilegeLevel::Ring0);
/// The task state segment.
pub const TSS: SegmentSelector = SegmentSelector::new(3, PrivilegeLevel::Ring0);

/// Stacks of their own, by index in the TSS's interrupt stack table.
const IST_NMI: u16 = 0;
const IST_DOUBLE_FAULT: u16 = 1;
const IST_MACHINE_CHECK: u16 = 2;

#[repr(C, align(16))]
struct Idt([Entry<HandlerFunc>; 256]);

/// The three tables of one core.
pub struct Descriptors {
    gdt: GlobalDescriptorTable<8>,
    tss: TaskStateSegment,
    idt: Idt,
}

impl Descriptors {
    pub(super) fn new() -> Self {
        Self {
            gdt: GlobalDescriptorTable::empty(),
            tss: TaskStateSegment::new(),
            idt: Idt([const { Entry::missing() }; 256]),
        }
    }

    /// Fills them at their final address.
    ///
    /// # Safety
    /// `self` is never moved again.
    pub(super) unsafe fn settle(&mut self, stacks: &Stacks) {
        // The TSS is packed: no references into it.
        let mut ist = self.tss.interrupt_stack_table;
        ist[usize::from(IST_NMI)] = VirtAddr::new(stacks.nmi);
        ist[usize::from(IST_DOUBLE_FAULT)] = VirtAddr::new(stacks.double_fault);
        ist[usize::from(IST_MACHINE_CHECK)] = VirtAddr::new(stacks.machine_check);
        self.tss.interrupt_stack_table = ist;

        self.gdt.append(Descriptor::kernel_code_segment());
        self.gdt.append(Descriptor::kernel_data_segment());
        // SAFETY: the TSS lives as long as this GDT: they are one value, at its final place.
        self.gdt.append(unsafe { Descriptor::tss_segment_unchecked(&self.tss) });

        for (vector, entry) in (0..=u8::MAX).zip(&mut self.idt.0) {
            // SAFETY: the stub of that vector is made for interrupt gates, with and without error code.
            let options = unsafe { entry.set_handler_addr(VirtAddr::new(trap::stub(vector))) };
            let ist = match vector {
                2 => IST_NMI,
                8 => IST_DOUBLE_FAULT,
                18 => IST_MACHINE_CHECK,
                _ => continue,
            };
            // SAFETY: the TSS holds a stack there, used by this vector alone.
            unsafe { options.set_stack_index(ist) };
        }
    }

    /// Loads them into the executing core.
    pub(super) fn load(&'static self) {
        self.gdt.load();
        let idt = DescriptorTablePointer { limit: (size_of::<Idt>() - 1) as u16, base: VirtAddr::from_ptr(&self.idt) };
        // SAFETY: `settle` appended the segments in this order; 64-bit code and flat data as before; the TSS is this
        // core's own and not busy, for each core loads its tables once; the IDT is complete.
        unsafe {
            CS::set_reg(CODE);
            SS::set_reg(DATA);
            DS::set_reg(DATA);
            ES::set_reg(DATA);
            FS::set_reg(SegmentSelector::NULL);
            GS::set_reg(SegmentSelector::NULL);
            load_tss(TSS);
            lidt(&idt);
        }
    }

    /// Linear address of the TSS.
    pub(super) fn tss_base(&self) -> u64 {
        &raw const self.tss as u64
    }
}

// The CPU finds the three stacks at IST1 to IST3 (SDM 3A "Task Management in 64-Bit Mode").
const _: () = assert!(offset_of!(TaskStateSegment, interrupt_stack_table) == 0x24);
const _: () = assert!(size_of::<Idt>() == 4096);
