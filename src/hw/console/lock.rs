//! A lock for what interrupt handlers use too, and which a panic may break.

use core::ops::{Deref, DerefMut};

use spin::mutex::{SpinMutex, SpinMutexGuard};

/// How often [`MaskedLock::lock_in_time`] tries: some hundred milliseconds, more than a line takes.
const TRIES: u32 = 10_000_000;

/// A spin lock that masks interrupts on its core while it is held, so that a handler on the same core can't wait for
/// it. NMIs and faults come all the same: their handlers use [`MaskedLock::lock_or_break`] or no lock.
pub struct MaskedLock<T> {
    inner: SpinMutex<T>,
}

impl<T> MaskedLock<T> {
    /// A free lock.
    pub const fn new(value: T) -> Self {
        Self { inner: SpinMutex::new(value) }
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MaskedGuard<'_, T> {
        let masked = Masked::new();
        MaskedGuard { inner: self.inner.lock(), _masked: masked }
    }

    /// Waits for the lock for some hundred milliseconds.
    pub fn lock_in_time(&self) -> Option<MaskedGuard<'_, T>> {
        let masked = Masked::new();
        for _ in 0..TRIES {
            if let Some(inner) = self.inner.try_lock() {
                return Some(MaskedGuard { inner, _masked: masked });
            }
            core::hint::spin_loop();
        }
        None
    }

    /// Waits for the lock as long as `patience` says, then takes it from its holder.
    ///
    /// # Safety
    /// The holder, if there still is one then, never runs again, or does not touch the value any more.
    pub unsafe fn lock_or_break(&self, patience: Patience) -> MaskedGuard<'_, T> {
        if patience == Patience::Some
            && let Some(guard) = self.lock_in_time()
        {
            return guard;
        }
        let masked = Masked::new();
        // SAFETY: the holder does not touch the value any more, by this function's contract.
        unsafe { self.inner.force_unlock() };
        MaskedGuard { inner: self.inner.lock(), _masked: masked }
    }
}

/// How long to wait before breaking a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// Not at all: the holder is known to be dead.
    None,
    /// For as long as a live holder could need.
    Some,
}

/// The held lock.
pub struct MaskedGuard<'a, T> {
    // In this order: an interrupt may come as soon as they are enabled, and must find the lock free.
    inner: SpinMutexGuard<'a, T>,
    _masked: Masked,
}

impl<T> Deref for MaskedGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MaskedGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

/// Interrupts are masked on this core; when dropped they are as they were.
struct Masked {
    #[cfg(target_os = "none")]
    were_enabled: bool,
}

impl Masked {
    #[cfg(target_os = "none")]
    fn new() -> Self {
        use x86_64::instructions::interrupts;
        let were_enabled = interrupts::are_enabled();
        interrupts::disable();
        Self { were_enabled }
    }

    /// On the workstation there is nothing to mask.
    #[cfg(not(target_os = "none"))]
    const fn new() -> Self {
        Self {}
    }
}

#[cfg(target_os = "none")]
impl Drop for Masked {
    fn drop(&mut self) {
        if self.were_enabled {
            x86_64::instructions::interrupts::enable();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_holder_is_passed_by() {
        let lock = MaskedLock::new(1);
        core::mem::forget(lock.lock());
        // SAFETY: the holder's guard is forgotten.
        *unsafe { lock.lock_or_break(Patience::None) } += 1;
        // Free again afterwards.
        assert_eq!(*lock.lock(), 2);
        // SAFETY: nobody holds it.
        assert_eq!(*unsafe { lock.lock_or_break(Patience::Some) }, 2);
    }
}
