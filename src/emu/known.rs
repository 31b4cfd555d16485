//! The lengths of the instructions that exit most, without a decoder: for CPUs that do not save the next RIP.
//!
//! Each is named by its opcode as a little-endian number (SDM 2 "Opcode Map", APM 3 "Opcode and Operand Encodings"), a constant, so
//! that a handler compares four bytes of the guest's code with one.

/// CPUID.
pub const CPUID: u32 = 0xa2_0f;
/// RDMSR.
pub const RDMSR: u32 = 0x32_0f;
/// WRMSR.
pub const WRMSR: u32 = 0x30_0f;
/// HLT.
pub const HLT: u32 = 0xf4;
/// VMMCALL.
pub const VMMCALL: u32 = 0xd9_01_0f;
/// XSETBV.
pub const XSETBV: u32 = 0xd1_01_0f;

/// The length in bytes of the instruction with `OPCODE`, if `first4`, the bytes at RIP as a little-endian number, are exactly it
/// without a prefix. Anything else needs [`crate::emu::decode::length`].
#[inline]
pub const fn length<const OPCODE: u32>(first4: u32) -> Option<u64> {
    let bytes = const { (u32::BITS - OPCODE.leading_zeros()).div_ceil(8) };
    if first4 << (u32::BITS - 8 * bytes) == OPCODE << (u32::BITS - 8 * bytes) { Some(bytes as u64) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions, Mnemonic};
    use proptest::prelude::*;

    type Length = fn(u32) -> Option<u64>;

    const ALL: [(u32, Length, Mnemonic); 6] = [
        (CPUID, length::<CPUID>, Mnemonic::Cpuid),
        (RDMSR, length::<RDMSR>, Mnemonic::Rdmsr),
        (WRMSR, length::<WRMSR>, Mnemonic::Wrmsr),
        (HLT, length::<HLT>, Mnemonic::Hlt),
        (VMMCALL, length::<VMMCALL>, Mnemonic::Vmmcall),
        (XSETBV, length::<XSETBV>, Mnemonic::Xsetbv),
    ];

    proptest! {
        #[test]
        fn agrees_with_the_decoder(noise: u32, pick in 0..6usize, exact: bool, bits in prop::sample::select(&[16u32, 32, 64][..])) {
            let (opcode, length, mnemonic) = ALL[pick];
            let mut code = noise.to_le_bytes();
            if exact {
                let opcode = opcode.to_le_bytes();
                for (to, from) in code.iter_mut().zip(opcode).take_while(|(_, from)| *from != 0) {
                    *to = from;
                }
            }
            let found = length(u32::from_le_bytes(code));
            prop_assert!(!exact || found.is_some());
            if let Some(n) = found {
                let i = Decoder::new(bits, &code, DecoderOptions::NONE).decode();
                prop_assert_eq!((i.mnemonic(), i.len() as u64), (mnemonic, n));
            }
        }
    }

    #[test]
    fn a_prefix_is_not_known() {
        for (opcode, length, _) in ALL {
            assert_eq!(length(opcode << 8 | 0x66), None);
        }
    }
}
