//! Which device is at which port.

/// The devices that have ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PortDevice {
    Post,
    Debugcon,
    Exit,
    Uart,
    Scratch,
    Fifo,
}

/// A device's ports, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PortRange {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) device: PortDevice,
    /// An access of any width that starts at the port is for this device whole. Others get one byte per port.
    pub(super) wide: bool,
}

const fn bytes(first: u16, last: u16, device: PortDevice) -> PortRange {
    PortRange { first, last, device, wide: false }
}

const fn wide(port: u16, device: PortDevice) -> PortRange {
    PortRange { first: port, last: port, device, wide: true }
}

/// The standard guest machine's ports in ascending order.
pub(super) const PC: [PortRange; 6] = [
    wide(0x80, PortDevice::Post),
    bytes(0xe9, 0xe9, PortDevice::Debugcon),
    wide(0xf4, PortDevice::Exit),
    bytes(0x3f8, 0x3ff, PortDevice::Uart),
    bytes(0x5f0, 0x5f7, PortDevice::Scratch),
    wide(0x5f8, PortDevice::Fifo),
];

// Ascending and apart: the search stops at the first range that ends at or after the port.
const _: () = {
    let mut i = 0;
    while i < PC.len() {
        assert!(PC[i].first <= PC[i].last);
        assert!(i == 0 || PC[i - 1].last < PC[i].first);
        i += 1;
    }
};

/// The range that holds `port`.
#[inline]
pub(super) fn find(port: u16) -> Option<PortRange> {
    for range in PC {
        if port <= range.last {
            return (port >= range.first).then_some(range);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_is_found_as_by_a_full_search() {
        for port in 0..=u16::MAX {
            assert_eq!(find(port), PC.into_iter().find(|r| (r.first..=r.last).contains(&port)));
        }
    }
}
