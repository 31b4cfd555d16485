//! Reading what the firmware left in memory, wherever that is: in RAM, in ranges it reserved, or past all of the map.

use super::direct::direct;
use super::frames;
use super::lock::IrqLock;
use super::owner::Owner;
use super::tables::{self, Protection};
use super::virt;
use crate::base::{Hpa, PAGE_SIZE};

/// A page of addresses that shows one page outside of RAM, and which that is.
struct Window {
    at: u64,
    shows: Option<Hpa>,
}

static WINDOW: IrqLock<Option<Window>> = IrqLock::new(None);

/// Copies bytes from `from` on. False if they can't be reached or belong to us. After [`tables::activate`], and only
/// while one core runs.
pub fn read(from: Hpa, buffer: &mut [u8]) -> bool {
    let mut done = 0;
    while done < buffer.len() {
        let Some(at) = from.checked_add(done as u64) else { return false };
        let len = (buffer.len() - done).min((PAGE_SIZE - at.page_offset()) as usize);
        if !read_in_page(at, &mut buffer[done..done + len]) {
            return false;
        }
        done += len;
    }
    true
}

fn read_in_page(at: Hpa, buffer: &mut [u8]) -> bool {
    let source = match frames::owner(at) {
        Owner::Firmware | Owner::Loader => direct(at).cast_const(),
        Owner::Hole => {
            let mut window = WINDOW.lock();
            if window.is_none() {
                *window = virt::window().ok().map(|at| Window { at, shows: None });
            }
            let Some(window) = window.as_mut() else { return false };
            if window.shows != Some(at.page()) {
                if window.shows.take().is_some() {
                    tables::unmap_page(window.at);
                }
                if tables::map_page(window.at, at.page(), Protection::DeviceReadOnly).is_err() {
                    return false;
                }
                window.shows = Some(at.page());
            }
            (window.at + at.page_offset()) as *const u8
        }
        _ => return false,
    };
    // SAFETY: all RAM but the image is in the direct map, and Firmware and Loader frames are neither the image nor
    // written by us; the window shows this page, and only this core looks through it. The bytes end in the page.
    unsafe { core::ptr::copy_nonoverlapping(source, buffer.as_mut_ptr(), buffer.len()) };
    true
}
