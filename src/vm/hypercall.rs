//! What guests may ask of the hypervisor by VMCALL or VMMCALL.
//!
//! EAX is the function; the result comes back in EAX. CPUID leaf 0x4000_0001 says in EAX which instruction to use.

use crate::base::{Gpr, Width};
use crate::dev::bus::Attention;
use crate::vm::board::Board;
use crate::vt::recorder::Recorder;
use crate::vt::{Loaded, Vendor};

/// Does nothing; 0.
const NOTHING: u32 = 0;
/// The frequency of the TSC in kHz.
const TSC_KHZ: u32 = 1;
/// Prints the character in BL; 0.
const PUT: u32 = 2;
/// Has the hypervisor show the statistics of the exits until now, and the trace ring; 0. Four times at most: then it is unknown.
const REPORT: u32 = 3;
/// The result for a function that does not exist: -38, as Linux's ENOSYS.
const UNKNOWN: u32 = 0xffff_ffda;

/// The hypercall in EAX. `tsc_khz` is the frequency of the guest's TSC.
#[inline(always)]
pub fn call<V: Vendor>(cpu: &mut Loaded<'_, V>, board: &mut Board<V>, recorder: &mut Recorder, tsc_khz: u32) {
    let gprs = V::gprs(cpu);
    let result = match gprs.get(Gpr::Rax) as u32 {
        NOTHING => 0,
        TSC_KHZ => tsc_khz,
        PUT => {
            board.bus.console().put(gprs.read(Gpr::Rbx, Width::B1) as u8);
            board.bus.call(Attention::CONSOLE);
            0
        }
        REPORT if recorder.demand() => {
            b"(exits until now)\n".iter().for_each(|byte| board.bus.console().put(*byte));
            board.bus.call(Attention::CONSOLE);
            0
        }
        _ => UNKNOWN,
    };
    gprs.set(Gpr::Rax, u64::from(result));
}
