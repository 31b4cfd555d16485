//! From a segment and an offset to a linear address (SDM 3A "Protected-Mode Memory Management").

use crate::base::cpu::cr4;
use crate::base::{Access, CpuState, Event, Exception, Gva, Mode, Segment, SegmentRegister};
use crate::emu::Fault;

/// A mask of the low `bits` bits: the offsets or addresses that this size can express.
pub const fn mask(bits: u32) -> u64 {
    match bits {
        16 => 0xffff,
        32 => 0xffff_ffff,
        _ => u64::MAX,
    }
}

/// The bits of a linear address in this mode: 32 outside 64-bit mode.
pub const fn linear_bits(mode: Mode) -> u32 {
    if matches!(mode, Mode::Long64) { 64 } else { 32 }
}

/// The linear address of `bytes` bytes at `offset` in `seg`, if this access may be made through it.
///
/// `address_bits` is the instruction's address size: 16, 32 or 64; the offset wraps there. What decides is the hidden
/// part of the register: a register that was loaded with a null selector is one that is not present.
/// SDM 3A "Limit Checking", "Type Checking", "Segmentation in IA-32e Mode"; SDM 1 "Canonical Addressing".
pub fn linear(
    cpu: &CpuState,
    seg: Segment,
    offset: u64,
    bytes: u64,
    access: Access,
    address_bits: u32,
) -> Result<Gva, Fault> {
    let register = cpu.segment(seg);
    let first = offset & mask(address_bits);
    let more = bytes.saturating_sub(1);
    let allowed = match cpu.mode() {
        Mode::Long64 => return linear_64(cpu, seg, first, more),
        Mode::Real | Mode::Virtual8086 => first.saturating_add(more) <= register.limit as u64,
        Mode::Protected16 | Mode::Protected32 => {
            if !register.present() {
                return Err(refused(seg));
            }
            let typed = match access {
                Access::Read => register.readable(),
                Access::Write => register.writable(),
                Access::Fetch => register.code(),
            };
            if !typed {
                return Err(Fault::gp(0));
            }
            within(register, first, more)
        }
    };
    if !allowed {
        return Err(refused(seg));
    }
    Ok(Gva::new(register.base.wrapping_add(first) & mask(32)))
}

/// Whether bytes `first` to `first + more` are within the limit.
fn within(register: &SegmentRegister, first: u64, more: u64) -> bool {
    let last = first.saturating_add(more);
    let limit = register.limit as u64;
    if register.expand_down() {
        first > limit && last <= mask(if register.big() { 32 } else { 16 })
    } else {
        last <= limit
    }
}

/// 64-bit mode: bases of FS and GS only, no limits, canonical addresses.
fn linear_64(cpu: &CpuState, seg: Segment, offset: u64, more: u64) -> Result<Gva, Fault> {
    let base = if matches!(seg, Segment::Fs | Segment::Gs) { cpu.segment(seg).base } else { 0 };
    let first = base.wrapping_add(offset);
    let unused = if cpu.cr4 & cr4::LA57 != 0 { 64 - 57 } else { 64 - 48 };
    let canonical = |at: u64| ((at << unused) as i64 >> unused) as u64 == at;
    if canonical(first) && canonical(first.wrapping_add(more)) { Ok(Gva::new(first)) } else { Err(refused(seg)) }
}

/// #SS(0) for the stack segment, #GP(0) for the others.
fn refused(seg: Segment) -> Fault {
    match seg {
        Segment::Ss => Fault { event: Event::fault(Exception::SS, 0), cr2: None },
        _ => Fault::gp(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::cpu::{cr0, efer, rflags};

    const SS: Fault = Fault { event: Event { error_code: Some(0), ..Event::fault(Exception::SS, 0) }, cr2: None };

    fn cpu(mode: Mode) -> CpuState {
        let mut cpu = CpuState::real_mode(0x100, 0);
        if mode != Mode::Real {
            cpu.cr0 |= cr0::PE;
            let size = match mode {
                Mode::Long64 => 0x200,
                Mode::Protected32 => 0x400,
                _ => 0,
            };
            for s in &mut cpu.segments {
                *s = SegmentRegister { selector: 8, attrib: 0x893 | (size & 0x400), limit: u32::MAX, base: 0x1000 };
            }
            cpu.segments[1].attrib = 0x89b | size;
        }
        match mode {
            Mode::Virtual8086 => cpu.rflags |= rflags::VM,
            Mode::Long64 => cpu.efer |= efer::LMA,
            _ => {}
        }
        assert_eq!(cpu.mode(), mode);
        cpu
    }

    fn ask(cpu: &CpuState, seg: Segment, offset: u64, bytes: u64) -> Result<u64, Fault> {
        linear(cpu, seg, offset, bytes, Access::Read, cpu.mode().bits()).map(Gva::raw)
    }

    #[test]
    fn real_mode_checks_the_limit_only() {
        let mut cpu = cpu(Mode::Real);
        cpu.segments[3].attrib = 0;
        assert_eq!(ask(&cpu, Segment::Ds, 0xffff, 1), Ok(0x10fff));
        assert_eq!(ask(&cpu, Segment::Ds, 0x1_0005, 1), Ok(0x1005));
        assert_eq!(ask(&cpu, Segment::Ds, 0xffff, 2), Err(Fault::gp(0)));
        assert_eq!(ask(&cpu, Segment::Ss, 0xffff, 2), Err(SS));
        cpu.segments[3].limit = u32::MAX;
        assert_eq!(linear(&cpu, Segment::Ds, 0x12_3456, 4, Access::Write, 32), Ok(Gva::new(0x12_4456)));
    }

    #[test]
    fn protected_mode_checks_presence_type_and_limit() {
        let mut cpu = cpu(Mode::Protected32);
        assert_eq!(ask(&cpu, Segment::Ds, 0xffff_fff0, 4), Ok(0xff0));
        assert_eq!(linear(&cpu, Segment::Cs, 0, 1, Access::Write, 32), Err(Fault::gp(0)));
        assert_eq!(linear(&cpu, Segment::Ds, 0, 1, Access::Fetch, 32), Err(Fault::gp(0)));
        cpu.segments[1].attrib &= !2;
        assert_eq!(ask(&cpu, Segment::Cs, 0, 1), Err(Fault::gp(0)));
        cpu.segments[3].attrib &= !2;
        assert_eq!(linear(&cpu, Segment::Ds, 0, 1, Access::Write, 32), Err(Fault::gp(0)));
        cpu.segments[3].attrib &= !0x80;
        cpu.segments[2].attrib &= !0x80;
        assert_eq!(ask(&cpu, Segment::Ds, 0, 1), Err(Fault::gp(0)));
        assert_eq!(ask(&cpu, Segment::Ss, 0, 1), Err(SS));
        cpu.segments[0].limit = 0xfff;
        assert!(ask(&cpu, Segment::Es, 0xffc, 4).is_ok());
        assert!(ask(&cpu, Segment::Es, 0xffd, 4).is_err());
    }

    #[test]
    fn expand_down_segments_hold_what_is_above_the_limit() {
        let mut cpu = cpu(Mode::Protected32);
        cpu.segments[3] = SegmentRegister { attrib: 0xc97, limit: 0xfff, ..cpu.segments[3] };
        assert!(ask(&cpu, Segment::Ds, 0xfff, 1).is_err());
        assert!(ask(&cpu, Segment::Ds, 0x1000, 4).is_ok());
        assert!(ask(&cpu, Segment::Ds, 0xffff_fffc, 4).is_ok());
        assert!(ask(&cpu, Segment::Ds, 0xffff_fffd, 4).is_err());
        cpu.segments[3].attrib &= !0x400;
        assert!(ask(&cpu, Segment::Ds, 0xfffc, 4).is_ok());
        assert!(ask(&cpu, Segment::Ds, 0xfffd, 4).is_err());
    }

    #[test]
    fn long_mode_has_two_bases_and_canonical_addresses() {
        let mut cpu = cpu(Mode::Long64);
        cpu.segments[3].attrib = 0;
        assert_eq!(ask(&cpu, Segment::Ds, 0x7fff_ffff_fff8, 8), Ok(0x7fff_ffff_fff8));
        assert_eq!(ask(&cpu, Segment::Ds, 0x7fff_ffff_fff9, 8), Err(Fault::gp(0)));
        assert_eq!(ask(&cpu, Segment::Ss, 0x8000_0000_0000, 8), Err(SS));
        assert_eq!(ask(&cpu, Segment::Gs, u64::MAX - 0xfff, 8), Ok(0));
        assert_eq!(linear(&cpu, Segment::Fs, u64::MAX, 1, Access::Read, 32), Ok(Gva::new(0x1_0000_0fff)));
        cpu.cr4 |= cr4::LA57;
        assert_eq!(ask(&cpu, Segment::Ds, 0x8000_0000_0000, 8), Ok(0x8000_0000_0000));
        assert!(ask(&cpu, Segment::Ds, 1 << 56, 1).is_err());
    }

    #[test]
    fn virtual_8086_mode_is_like_real_mode() {
        let mut cpu = cpu(Mode::Virtual8086);
        cpu.segments[3] = SegmentRegister { attrib: 0xf3, limit: 0xffff, base: 0xffff0, selector: 0xffff };
        assert_eq!(ask(&cpu, Segment::Ds, 0xffff, 1), Ok(0x10ffef));
        assert!(ask(&cpu, Segment::Ds, 0xffff, 2).is_err());
    }
}
