//! The lengths of the instructions that exit most, without a decoder: for CPUs that do not save the next RIP.

/// An instruction whose exit says what it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Known {
    Cpuid,
    Rdmsr,
    Wrmsr,
    Hlt,
    Vmcall,
    Vmmcall,
    Xsetbv,
    Invd,
    Wbinvd,
}

impl Known {
    /// The opcode as a little-endian number, and its bytes (SDM 2 "Opcode Map", APM 3 "Opcode and Operand Encodings").
    #[inline]
    const fn opcode(self) -> (u32, u32) {
        match self {
            Self::Cpuid => (0xa2_0f, 2),
            Self::Rdmsr => (0x32_0f, 2),
            Self::Wrmsr => (0x30_0f, 2),
            Self::Hlt => (0xf4, 1),
            Self::Vmcall => (0xc1_01_0f, 3),
            Self::Vmmcall => (0xd9_01_0f, 3),
            Self::Xsetbv => (0xd1_01_0f, 3),
            Self::Invd => (0x08_0f, 2),
            Self::Wbinvd => (0x09_0f, 2),
        }
    }
}

/// The length in bytes of `what`, if `first4`, the bytes at RIP as a little-endian number, are exactly it without a
/// prefix. Anything else needs [`crate::emu::decode::length`].
#[inline]
pub fn length(first4: u32, what: Known) -> Option<u64> {
    let (opcode, bytes) = what.opcode();
    ((first4 ^ opcode) << (32 - 8 * bytes) == 0).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions, Mnemonic};
    use proptest::prelude::*;

    const ALL: [(Known, Mnemonic); 9] = [
        (Known::Cpuid, Mnemonic::Cpuid),
        (Known::Rdmsr, Mnemonic::Rdmsr),
        (Known::Wrmsr, Mnemonic::Wrmsr),
        (Known::Hlt, Mnemonic::Hlt),
        (Known::Vmcall, Mnemonic::Vmcall),
        (Known::Vmmcall, Mnemonic::Vmmcall),
        (Known::Xsetbv, Mnemonic::Xsetbv),
        (Known::Invd, Mnemonic::Invd),
        (Known::Wbinvd, Mnemonic::Wbinvd),
    ];

    proptest! {
        #[test]
        fn agrees_with_the_decoder(noise: u32, pick in 0..9usize, exact: bool, bits in prop::sample::select(&[16u32, 32, 64][..])) {
            let (what, mnemonic) = ALL[pick];
            let (opcode, bytes) = what.opcode();
            let keep = if bytes == 4 { 0 } else { u32::MAX << (8 * bytes) };
            let first4 = if exact { opcode | noise & keep } else { noise };
            let found = length(first4, what);
            prop_assert!(!exact || found.is_some());
            if let Some(n) = found {
                let code = first4.to_le_bytes();
                let i = Decoder::new(bits, &code, DecoderOptions::NONE).decode();
                prop_assert_eq!((i.mnemonic(), i.len() as u64), (mnemonic, n));
            }
        }
    }

    #[test]
    fn a_prefix_is_not_known() {
        for (what, _) in ALL {
            let (opcode, _) = what.opcode();
            assert_eq!(length(opcode << 8 | 0x66, what), None);
        }
    }
}
