//! What logs put before a line: a time, a host, a driver's name.

/// What follows `prefix` in `line`, if that begins with the like of it. Digits and blanks may differ, as times do.
pub fn strip<'a>(line: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let loose = |c: &u8| c.is_ascii_digit() || c.is_ascii_whitespace();
    let mut rest = line;
    let firm = prefix.iter().rposition(|c| !loose(c)).map_or(0, |last| last + 1);
    let mut wanted = prefix.get(..firm)?;
    while let Some((first, after)) = wanted.split_first() {
        if loose(first) {
            wanted = after;
            rest = rest.get(rest.iter().take_while(|c| loose(c)).count()..)?;
            continue;
        }
        // A longer or shorter time: its digits were passed over on this side only.
        let skipped = rest.iter().take_while(|c| loose(c)).count();
        rest = rest.get(skipped..)?;
        let (c, tail) = rest.split_first()?;
        if c != first {
            return None;
        }
        (rest, wanted) = (tail, after);
    }
    Some(rest.trim_ascii_start())
}

/// The ends of `line` that may be a line of their own: all of it, and what follows a colon or a bracket.
pub fn ends(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let after =
        line.windows(2).enumerate().filter(|(_, two)| **two == b": "[..] || **two == b"] "[..]).map(|(i, _)| i + 2);
    core::iter::once(0).chain(after).filter_map(|from| line.get(from..)).map(<[u8]>::trim_ascii_start)
}

/// What is before `end` in `line`, if that ends so.
pub fn before<'a>(line: &'a [u8], end: &str) -> Option<&'a [u8]> {
    line.strip_suffix(end.as_bytes())
}

/// Whether `part` is somewhere in `line`, and where.
pub fn find(line: &[u8], part: &str) -> Option<usize> {
    line.windows(part.len()).position(|window| window == part.as_bytes())
}

/// What the hypervisor puts before the lines of a dump: `hv: guest NAME: core N: dump: `. Cores run in parallel, so the
/// lines of two dumps may be mixed; this tells them apart.
pub fn owner(line: &[u8]) -> Option<&[u8]> {
    const FROM: &str = "hv: ";
    const TO: &str = ": dump: ";
    let from = line.get(find(line, FROM)?..)?;
    from.get(..find(from, TO)? + TO.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_differ_and_names_not() {
        let prefix = b"[  123.456789] kvm_intel: ";
        assert_eq!(strip(b"[ 1123.45] kvm_intel:   0: msr=0x1", prefix), Some(&b"0: msr=0x1"[..]));
        assert_eq!(strip(b"[ 1123.45] kvm_amd: x", prefix), None);
        assert_eq!(strip(b"[ 1123.45] usb 1-1: x", prefix), None);
        assert_eq!(strip(b"  x", b""), Some(&b"x"[..]));
        assert_eq!(strip(b"x", b"hv: "), None);
        let syslog = b"Nov 21 07:09:59 host4 kernel: [ 5.1] SVM: ";
        assert_eq!(strip(b"Nov 21 07:10:00 host4 kernel: [ 15.10] SVM: cr_read: 1", syslog), Some(&b"cr_read: 1"[..]));
    }

    #[test]
    fn dumps_of_the_hypervisor_have_an_owner() {
        let line = b"[ 1.5] hv: guest modes: core 12: dump: CR3 = 0x0: dump: ";
        assert_eq!(owner(line), Some(&b"hv: guest modes: core 12: dump: "[..]));
        for line in [&b"CR3 = 0x0"[..], b"hv: dump", b"[ 1.5] kvm_intel: dump: CR3", b": dump: hv: "] {
            assert_eq!(owner(line), None);
        }
    }

    #[test]
    fn ends_follow_colons_and_brackets() {
        assert!(ends(b"[ 1.2] TPR Threshold = 0x00").any(|end| end == b"TPR Threshold = 0x00"));
        assert!(ends(b"hv: dump: CR3 = 0x0").any(|end| end == b"CR3 = 0x0"));
    }
}
