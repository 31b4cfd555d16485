//! Which device is at which port.

/// The devices that have ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PortDevice {
    Pics,
    Pit,
    Keyboard,
    Rtc,
    Post,
    Port92,
    Debugcon,
    Exit,
    Uart,
    Scratch,
    Fifo,
    Acpi,
    PciAddress,
    ResetControl,
    PciData,
}

/// How a device takes accesses of more than a byte. Others than those it takes are split into bytes, one port each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// It has byte registers side by side.
    Bytes,
    /// An access of any width that starts at its one port is for it whole.
    Wide,
    /// An access of any width that lies within its ports is for it whole.
    Span,
}

/// A device's ports, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PortRange {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) device: PortDevice,
    pub(super) shape: Shape,
}

const fn bytes(first: u16, last: u16, device: PortDevice) -> PortRange {
    PortRange { first, last, device, shape: Shape::Bytes }
}

const fn wide(port: u16, device: PortDevice) -> PortRange {
    PortRange { first: port, last: port, device, shape: Shape::Wide }
}

const fn span(first: u16, last: u16, device: PortDevice) -> PortRange {
    PortRange { first, last, device, shape: Shape::Span }
}

/// No device has a port from here on.
const END: usize = 0xd00;

/// Takes `$` too, so that it can make a macro.
macro_rules! ranges {
    (($d:tt) $($name:ident: $made:ident $arguments:tt,)*) => {
        /// Which range holds a port, a byte for each port: see [`route`].
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub(super) enum Place {
            /// None.
            Nowhere,
            $(#[allow(missing_docs)] $name,)*
        }

        impl Place {
            /// All that are somewhere.
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name),*];

            /// The range.
            #[inline(always)]
            pub(super) const fn range(self) -> Option<PortRange> {
                match self {
                    Self::Nowhere => None,
                    $(Self::$name => Some($made $arguments),)*
                }
            }
        }

        static PLACES: [Place; END] = {
            let mut places = [Place::Nowhere; END];
            $({
                let range = $made $arguments;
                let mut port = range.first;
                while port <= range.last {
                    places[port as usize] = Place::$name;
                    port += 1;
                }
            })*
            places
        };

        /// What `$found` gives for the range that holds `$port`, or `$missing`.
        ///
        /// A macro, so that the compiler makes one jump of it, by a table, to each device's code, with its range as a constant: this is
        /// the path of every port exit.
        macro_rules! route {
            ($d port:expr, |$d range:ident| $d found:expr, $d missing:expr) => {
                match $crate::dev::ports::place($d port) {
                    $($crate::dev::ports::Place::$name => {
                        let $d range = const { $crate::dev::ports::Place::$name.range().unwrap() };
                        $d found
                    })*
                    $crate::dev::ports::Place::Nowhere => $d missing,
                }
            };
        }
    };
}

ranges! {
    ($)
    MasterPic: bytes(0x20, 0x21, PortDevice::Pics),
    Pit: bytes(0x40, 0x43, PortDevice::Pit),
    KeyboardData: bytes(0x60, 0x60, PortDevice::Keyboard),
    Speaker: bytes(0x61, 0x61, PortDevice::Pit),
    KeyboardCommand: bytes(0x64, 0x64, PortDevice::Keyboard),
    Rtc: bytes(0x70, 0x71, PortDevice::Rtc),
    Post: wide(0x80, PortDevice::Post),
    Port92: bytes(0x92, 0x92, PortDevice::Port92),
    SlavePic: bytes(0xa0, 0xa1, PortDevice::Pics),
    Debugcon: bytes(0xe9, 0xe9, PortDevice::Debugcon),
    Exit: wide(0xf4, PortDevice::Exit),
    Uart: bytes(0x3f8, 0x3ff, PortDevice::Uart),
    EdgeLevel: bytes(0x4d0, 0x4d1, PortDevice::Pics),
    Scratch: bytes(0x5f0, 0x5f7, PortDevice::Scratch),
    Fifo: wide(0x5f8, PortDevice::Fifo),
    Acpi: span(0x600, 0x60b, PortDevice::Acpi),
    PciAddress: wide(0xcf8, PortDevice::PciAddress),
    ResetControl: bytes(0xcf9, 0xcf9, PortDevice::ResetControl),
    PciData: span(0xcfc, 0xcff, PortDevice::PciData),
}
pub(super) use route;

/// The place of `port`.
#[inline(always)]
pub(super) fn place(port: u16) -> Place {
    PLACES.get(usize::from(port)).copied().unwrap_or(Place::Nowhere)
}

/// The range that holds `port`.
pub(super) fn find(port: u16) -> Option<PortRange> {
    place(port).range()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_found_in_its_range_and_no_range_hides_another() {
        for port in 0..=u16::MAX {
            let of: std::vec::Vec<_> =
                Place::ALL.iter().filter_map(|p| p.range()).filter(|r| (r.first..=r.last).contains(&port)).collect();
            assert!(of.len() <= 1, "{port:#x}");
            assert_eq!(find(port), of.first().copied());
        }
    }
}
