use super::*;
use proptest::prelude::*;

const FLAGS: u64 = CF | PF | AF | ZF | SF | OF;

pub const BINARY: [Binary; 8] =
    [Binary::Add, Binary::Or, Binary::Adc, Binary::Sbb, Binary::And, Binary::Sub, Binary::Xor, Binary::Cmp];

pub fn width() -> impl Strategy<Value = Width> {
    prop::sample::select(&[Width::B1, Width::B2, Width::B4, Width::B8][..])
}

/// Numbers near the edges as often as any others.
pub fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0..64u32, -2..3i64).prop_map(|(bit, by)| (1u64 << bit).wrapping_add(by as u64)),
        (-3..4i64).prop_map(|n| n as u64),
    ]
}

/// The flags from wide integers, where nothing wraps.
pub fn naive(op: Binary, width: Width, a: u64, b: u64, flags: u64) -> (u64, u64) {
    let bits = 8 * width.bytes();
    let (a, b) = (a & width.mask(), b & width.mask());
    let signed = |x: u64| i128::from(width.sign_extend(x) as i64);
    let carry = (flags & 1) as i128;
    let with = |f: fn(i128, i128) -> i128, c: i128| {
        let wide = f(a.into(), b.into()) + f(0, c);
        let exact = f(signed(a), signed(b)) + f(0, c);
        let low = f((a & 15).into(), (b & 15).into()) + f(0, c);
        let r = (wide & i128::from(width.mask())) as u64;
        (r, !(0..1 << bits).contains(&wide), signed(r) != exact, !(0..16).contains(&low))
    };
    let plain = |r: u64| (r, false, false, false);
    let (r, cf, of, af) = match op {
        Binary::Add => with(|a, b| a + b, 0),
        Binary::Adc => with(|a, b| a + b, carry),
        Binary::Sub | Binary::Cmp => with(|a, b| a - b, 0),
        Binary::Sbb => with(|a, b| a - b, carry),
        Binary::And | Binary::Test => plain(a & b),
        Binary::Or => plain(a | b),
        Binary::Xor => plain(a ^ b),
    };
    let even = (0..8).filter(|n| r >> n & 1 == 1).count() % 2 == 0;
    let bit = |set: bool, flag: u64| if set { flag } else { 0 };
    let new = bit(cf, 1) | bit(even, 4) | bit(af, 0x10) | bit(r == 0, 0x40) | bit(signed(r) < 0, 0x80) | bit(of, 0x800);
    (r, flags & !FLAGS | new)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn binary_flags(op in prop::sample::select(&BINARY[..]), width in width(), a in number(), b in number(), flags: u64) {
        prop_assert_eq!(op.apply(width, a, b, flags), naive(op, width, a, b, flags));
    }

    #[test]
    fn unary_flags(width in width(), a in number(), flags: u64) {
        let keep_cf = |(r, f): (u64, u64)| (r, f & !CF | flags & CF);
        prop_assert_eq!(Unary::Inc.apply(width, a, flags), keep_cf(naive(Binary::Add, width, a, 1, flags)));
        prop_assert_eq!(Unary::Dec.apply(width, a, flags), keep_cf(naive(Binary::Sub, width, a, 1, flags)));
        prop_assert_eq!(Unary::Neg.apply(width, a, flags), naive(Binary::Sub, width, 0, a, flags));
        prop_assert_eq!(Unary::Not.apply(width, a, flags), (!a & width.mask(), flags));
    }
}
