//! The policy on hosts that answer as two kinds of server do. The tables are made by hand, not captured.

use super::*;

/// Leaves 1, 7, 0xd.0, 0xd.1, 0x8000_0001, 0x8000_0007, 0x8000_0008.
struct Server {
    vendor: [u32; 3],
    max: u32,
    one: Answer,
    seven: Answer,
    states: u32,
    xsave: u32,
    extended_one: Answer,
    power: u32,
    widths: [u32; 2],
}

impl Server {
    fn policy(&self, xsaves: bool, arch_capabilities: u64) -> Policy {
        let [b, c, d] = self.vendor;
        let host = |leaf, subleaf| match (leaf, subleaf) {
            (0, _) => [self.max, b, c, d],
            (1, _) => self.one,
            (7, 0) => self.seven,
            (0xd, 0) => [self.states, 576, 2696, 0],
            (0xd, 1) => [self.xsave, 2696, 0x1900, 0],
            (0xd, 2..10) => rich(leaf, subleaf),
            (0x8000_0000, _) => [0x8000_0008, b, c, d],
            (0x8000_0001, _) => self.extended_one,
            (0x8000_0007, _) => [0, 0, 0, self.power],
            (0x8000_0008, _) => [self.widths[0], self.widths[1], 0, 0],
            _ => ZERO,
        };
        Policy::new(host, &Terms { xsaves, arch_capabilities, ..TERMS })
    }
}

#[test]
fn a_server_with_skylake_cores() {
    let p = Server {
        vendor: [0x756e_6547, 0x6c65_746e, 0x4965_6e69],
        max: 0x16,
        one: [0x0005_0654, 0x0420_0800, 0x7ffe_fbff, 0xbfeb_fbff],
        seven: [0, 0xd39f_fffb, 0x0000_0018, 0xbc00_0400],
        states: 0x2ff,
        xsave: 0xf,
        extended_one: [0, 0, 0x121, 0x2c10_0800],
        power: 0x100,
        widths: [0x302e, 0],
    }
    .policy(true, 0x400_0c04 | 1 << 7);
    assert_hidden(&p, &STILL);
    assert_eq!(p.lookup(1, 0, &STILL), [0x0005_0654, 0x0001_0800, 0xf7fa_3203, 0x0f8b_fbff]);
    // TSC_ADJUST, AVX-512; PKU; IBRS, STIBP, L1D_FLUSH, ARCH_CAPABILITIES, SSBD, MD_CLEAR.
    assert_eq!(p.lookup(7, 0, &STILL), [0, 0xd19f_27eb, 8, 0xbc00_0400]);
    assert_eq!(p.lookup(0xd, 1, &STILL)[0], 0xf);
    assert_eq!((p.spec_ctrl_allowed(), p.has_pred_cmd()), (7, true));
    // RSBA and GDS_NO stay; TSX_CTRL and what lets the CPU be configured do not.
    assert_eq!(p.arch_capabilities(), Some(0x400_0004));
}

#[test]
fn a_server_with_zen_cores() {
    let p = Server {
        vendor: [0x6874_7541, 0x444d_4163, 0x6974_6e65],
        max: 0x10,
        one: [0x0083_0f10, 0x0040_0800, 0x7ed8_320b, 0x178b_fbff],
        seven: [0, 0x219c_91a9, 0x0040_0004, 0],
        states: 0x207,
        xsave: 0xf,
        extended_one: [0x0083_0f10, 0, 0x75c2_37ff, 0x2fd3_fbff],
        power: 0x100,
        widths: [0x3030, 0x0119_d205],
    }
    .policy(false, u64::MAX);
    assert_hidden(&p, &STILL);
    assert_eq!(p.lookup(0, 0, &STILL)[0], 0xd);
    assert_eq!(p.lookup(1, 0, &STILL)[3], 0x078b_fbff);
    assert_eq!(p.lookup(7, 0, &STILL), [0, 0x219c_01a9, 0x0040_0004, 0]);
    assert_eq!(p.lookup(0xd, 1, &STILL)[0], 7);
    // No LWP, no protection keys here; but their state would pass.
    assert_eq!((p.xcr0_allowed(), p.cr4_allowed() & cr4::PKE), (0x207, 0));
    // CLZERO, XSaveErPtr, WBNOINVD, IBPB, IBRS, STIBP, no LMSLE, SSBD.
    assert_eq!(p.lookup(0x8000_0008, 0, &STILL)[1], 0x0110_d205);
    assert_eq!(
        (p.spec_ctrl_allowed(), p.has_pred_cmd(), p.has_flush_cmd(), p.has_tsc_adjust()),
        (7, true, false, false)
    );
    assert_eq!(p.arch_capabilities(), None);
}
