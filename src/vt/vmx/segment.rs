//! Segment access rights between the VMCS's format and the neutral one
//! (SDM 3C "Guest Register State", "Format of Access Rights").

use crate::base::SegmentRegister;

/// The segment is unusable.
const UNUSABLE: u32 = 1 << 16;

/// The VMCS's access rights of a segment: P, DPL, S, type in 7:0; G, D/B, L, AVL in 15:12; unusable in 16. A segment
/// that is not present cannot be used: the VMCS says so, as loading a null selector does.
pub const fn to_access_rights(s: &SegmentRegister) -> u32 {
    let attrib = s.attrib as u32;
    let rights = attrib & 0xff | (attrib & 0xf00) << 4;
    if s.present() { rights } else { rights | UNUSABLE }
}

/// The neutral attributes of VMCS access rights; an unusable segment is one that is not present.
pub const fn from_access_rights(rights: u32) -> u16 {
    let attrib = (rights & 0xff | rights >> 4 & 0xf00) as u16;
    if rights & UNUSABLE != 0 { attrib & !0x80 } else { attrib }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_mode_code() {
        let cs = SegmentRegister::real(0, 0x9b);
        assert_eq!(to_access_rights(&cs), 0x9b);
        assert_eq!(from_access_rights(0xa09b), 0xa9b);
        assert_eq!(to_access_rights(&SegmentRegister::default()), UNUSABLE);
    }

    #[test]
    fn there_and_back() {
        for attrib in 0..0x1000u16 {
            let s = SegmentRegister { attrib, ..Default::default() };
            assert_eq!(from_access_rights(to_access_rights(&s)), attrib);
        }
    }
}
