//! A spin lock that keeps maskable interrupts off its core while it is held.
//!
//! The hypervisor runs with interrupts off except in one short window, so this is a belt to the braces: the lock stays
//! right wherever that window is opened. NMI and machine-check handlers take no locks.

use core::ops::{Deref, DerefMut};
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// The lock around `T`.
pub struct IrqLock<T>(SpinMutex<T>);

impl<T> IrqLock<T> {
    /// A free lock.
    pub const fn new(value: T) -> Self {
        Self(SpinMutex::new(value))
    }

    /// Waits for the lock; interrupts stay off until the guard is gone.
    #[inline]
    pub fn lock(&self) -> IrqGuard<'_, T> {
        let was_on = irq_off();
        IrqGuard { guard: Some(self.0.lock()), was_on }
    }
}

/// Holds an [`IrqLock`].
pub struct IrqGuard<'a, T> {
    /// `None` only while it is dropped.
    guard: Option<SpinMutexGuard<'a, T>>,
    was_on: bool,
}

impl<T> Deref for IrqGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        match &self.guard {
            Some(guard) => guard,
            None => unreachable!(),
        }
    }
}

impl<T> DerefMut for IrqGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.guard {
            Some(guard) => guard,
            None => unreachable!(),
        }
    }
}

impl<T> Drop for IrqGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.guard = None;
        irq_restore(self.was_on);
    }
}

#[cfg(target_os = "none")]
#[inline]
fn irq_off() -> bool {
    let was_on = x86_64::instructions::interrupts::are_enabled();
    if was_on {
        x86_64::instructions::interrupts::disable();
    }
    was_on
}

#[cfg(target_os = "none")]
#[inline]
fn irq_restore(was_on: bool) {
    if was_on {
        x86_64::instructions::interrupts::enable();
    }
}

#[cfg(not(target_os = "none"))]
fn irq_off() -> bool {
    false
}

#[cfg(not(target_os = "none"))]
fn irq_restore(_: bool) {}
