//! What a run that compares the rules with a CPU must know of a VMCS: which fields it may change how.

use arrayvec::ArrayVec;

use super::caps::VmxCaps;
use super::case::{MsrEntry, VmxCase};
use super::state::F;
use crate::base::Hpa;
use crate::vt::doctor::mistake::Scene;

/// Fields that are no input of an entry, or that the run stub keeps a copy of.
pub const fn is_untouched(field: F) -> bool {
    matches!(field, F::HostRsp | F::ExecutiveVmcs | F::Smbase | F::PleGap | F::PleWindow)
}

/// Whether a guest must not be entered with `new` in place of `old`, should it be legal.
pub const fn is_hazard(field: F, old: u64, new: u64) -> bool {
    if old == new {
        return false;
    }
    let cleared = old & !new;
    let changed = old ^ new;
    match field {
        // Interrupts and NMIs are the host's; the timer brings back a guest that sleeps.
        F::PinBased => cleared & 0b100_1001 != 0 || new & 1 << 7 != 0,
        // Ports, MSRs, and the secondary controls.
        F::Primary => cleared & (1 << 25 | 1 << 28 | 1 << 31) != 0,
        // EPT.
        F::Secondary => cleared & 1 << 1 != 0,
        // The host's PAT and EFER; the interrupt must stay pending.
        F::ExitControls => cleared & (1 << 19 | 1 << 21) != 0 || new & 1 << 15 != 0,
        F::EntryControls => false,
        // The root.
        F::Eptp => changed & !0x7f != 0,
        // What the CPU reads or writes in memory.
        F::IoBitmapA
        | F::IoBitmapB
        | F::MsrBitmaps
        | F::ExitMsrStoreAddress
        | F::ExitMsrLoadAddress
        | F::EntryMsrLoadAddress
        | F::ExitMsrStoreCount
        | F::ExitMsrLoadCount
        | F::EntryMsrLoadCount
        | F::PmlAddress
        | F::VirtualApicAddress
        | F::ApicAccessAddress
        | F::PostedDescriptor
        | F::EptpListAddress
        | F::VmreadBitmap
        | F::VmwriteBitmap
        | F::VeInfoAddress
        | F::SppTable
        | F::LinkPointer => true,
        // Wait-for-SIPI: only another core ends it.
        F::Activity => new == 3,
        // MSRs that stay when the guest has exited.
        F::RtitCtl | F::Bndcfgs | F::Pkrs | F::LbrCtl => true,
        _ => field.is_host(),
    }
}

/// "Activate VMX-preemption timer", of the pin-based controls.
const PREEMPTION_TIMER: u32 = 1 << 6;
/// "Unrestricted guest", of the secondary controls.
const UNRESTRICTED_GUEST: u32 = 1 << 7;
/// "Use TPR shadow", of the primary controls.
const TPR_SHADOW: u64 = 1 << 21;
/// Ticks of the VMX-preemption timer after which a guest that sleeps comes back: long after the first HLT.
const TICKS: u64 = 10_000;

/// What a control block gets before it is changed: pages for whatever a control may enable, and a timer. `controls` are the pin-based
/// and the secondary ones. Two of the modes go without "unrestricted guest".
pub fn fields(caps: &VmxCaps, controls: [u32; 2], pages: [Hpa; 4], scene: Scene) -> [(F, u64); 19] {
    let [pin, secondary] = controls;
    let timer = if caps.pin >> 32 & u64::from(PREEMPTION_TIMER) != 0 { PREEMPTION_TIMER } else { 0 };
    let restricted = matches!(scene, Scene::Protected | Scene::Virtual8086);
    let secondary = if restricted { secondary & !UNRESTRICTED_GUEST } else { secondary };
    let [apic, area, any, access] = pages.map(Hpa::raw);
    [
        (F::PinBased, u64::from(pin | timer)),
        (F::PreemptionTimer, TICKS),
        (F::Secondary, u64::from(secondary)),
        (F::VirtualApicAddress, apic),
        (F::ApicAccessAddress, access),
        (F::EntryMsrLoadAddress, area),
        (F::EntryMsrLoadCount, 0),
        (F::ExitMsrLoadAddress, area),
        (F::ExitMsrStoreAddress, area),
        (F::PmlAddress, any),
        (F::PmlIndex, 511),
        (F::VeInfoAddress, any),
        (F::VmreadBitmap, any),
        (F::VmwriteBitmap, any),
        (F::EptpListAddress, any),
        (F::PostedDescriptor, any),
        (F::TscMultiplier, 1 << 48),
        (F::LinkPointer, u64::MAX),
        (F::Debugctl, 0),
    ]
}

/// MSRs that an MSR-load area must not name, and some that it may.
const MSRS: [u32; 10] =
    [0xc000_0100, 0xc000_0101, 0xc000_0102, 0xc000_0082, 0xc000_0081, 0x808, 0x8ff, 0x79, 0x9e, 0xc000_0084];

/// What is in the memory that fields of `case` point to: VTPR, and now and then an MSR-load area, or a VMCS for the link pointer.
/// Each is which of the pages, which word of it, and the word.
pub fn memory(case: &mut VmxCase, pages: [Hpa; 4], random: u64) -> ArrayVec<(u64, u64, u64), 8> {
    let mut words = ArrayVec::new();
    let [apic, area, ..] = pages.map(Hpa::raw);
    let (what, choice) = (random & 7, random >> 8);
    let tpr = if what == 0 { choice as u8 } else { 0 };
    words.push((0, 16, u64::from(tpr)));
    let cpu = case.cpu;
    let state = &mut case.state;
    // What is in another page nobody knows: an address that the CPU would use is put back, and one that it refuses is not read.
    let mut here = |field: F, page: u64, alignment: u64| {
        let address = state.get(field);
        let legal = address & (alignment - 1) == 0 && address >> cpu.phys_bits == 0;
        if legal {
            state.set(field, page);
        }
        legal
    };
    case.pointed.virtual_tpr = here(F::VirtualApicAddress, apic, 0x1000).then_some(tpr);
    here(F::EntryMsrLoadAddress, area, 16);
    match what {
        0 => {
            state.set(F::Primary, state.get(F::Primary) | TPR_SHADOW);
            state.set(F::TprThreshold, choice >> 8 & 0x1f);
        }
        1 => {
            let index = MSRS.get(choice as usize % MSRS.len()).copied().unwrap_or(0);
            let reserved = u32::from(choice >> 8 & 7 == 0);
            state.set(F::EntryMsrLoadCount, 1);
            words.push((1, 0, u64::from(index) | u64::from(reserved) << 32));
            words.push((1, 1, 0));
            // There is room for one.
            let _ = case.entry_msrs.try_push(MsrEntry { index, reserved, value: 0 });
        }
        2 => {
            let odd = |bits: u32| u32::from(choice >> bits & 3 == 0);
            let revision = case.cpu.caps.revision() ^ odd(0) ^ odd(2) << 31;
            state.set(F::LinkPointer, area);
            words.push((1, 0, u64::from(revision)));
            case.pointed.link_revision = Some(revision);
        }
        _ => {}
    }
    words
}
