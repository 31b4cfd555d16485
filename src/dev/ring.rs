//! A first-in first-out queue of fixed size.

/// A queue of at most `N` values; `N` is a power of two.
#[derive(Clone, Debug)]
pub(super) struct Ring<T, const N: usize> {
    slots: [T; N],
    head: usize,
    len: usize,
}

impl<T: Copy, const N: usize> Ring<T, N> {
    /// An empty queue. `filler` fills the slots that hold nothing.
    pub(super) const fn new(filler: T) -> Self {
        const { assert!(N.is_power_of_two()) }
        Self { slots: [filler; N], head: 0, len: 0 }
    }

    /// How many values wait.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the next push is refused.
    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.len >= N
    }

    /// Adds `value` at the end; `false`, and nothing is changed, where there is no room.
    #[inline]
    pub(super) fn push(&mut self, value: T) -> bool {
        if self.is_full() {
            return false;
        }
        match self.slots.get_mut((self.head + self.len) & (N - 1)) {
            Some(slot) => {
                *slot = value;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// Takes the oldest value.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        let value = self.slots.get(self.head).copied();
        self.head = (self.head + 1) & (N - 1);
        self.len -= 1;
        value
    }

    /// Forgets all values.
    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Ring;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn as_a_bounded_deque(ops in prop::collection::vec(prop::option::of(any::<u8>()), 0..200)) {
            let mut ring = Ring::<u8, 8>::new(0);
            let mut model = VecDeque::new();
            for op in ops {
                match op {
                    Some(255) => {
                        ring.clear();
                        model.clear();
                    }
                    Some(v) => {
                        let room = model.len() < 8;
                        prop_assert_eq!(ring.push(v), room);
                        if room {
                            model.push_back(v);
                        }
                    }
                    None => prop_assert_eq!(ring.pop(), model.pop_front()),
                }
                prop_assert_eq!(ring.len(), model.len());
                prop_assert_eq!(ring.is_empty(), model.is_empty());
                prop_assert_eq!(ring.is_full(), model.len() == 8);
            }
        }
    }
}
